"""An object store on this machine, moto's S3 server, for the tests and benchmarks of stores in one.

    with serving() as server:
        os.environ |= server.environment
        cleancopy.open(f"{server.bucket}/prefix")

Each request is atomic, as it is on S3; moto alone looks and writes in two steps, and two conditional puts at
once could both succeed. ``around`` stands between clients and server, to do what servers and networks do at
their worst.
"""

from __future__ import annotations

import threading
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

Environ = dict[str, Any]
App = Callable[[Environ, Callable[..., Any]], Iterable[bytes]]


@dataclass(slots=True)
class Server:
    """A server that runs: where, who may ask it, and what stands around it."""

    url: str
    around: Callable[[App, Environ, Callable[..., Any]], Iterable[bytes]] = lambda app, environ, start: app(
        environ, start
    )
    bucket: str = "s3://bucket"
    environment: dict[str, str] = field(default_factory=dict)


@contextmanager
def serving() -> Iterator[Server]:
    """A server with one empty bucket, on a free port, until the block ends."""
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import WSGIRequestHandler, make_server

    class Quiet(WSGIRequestHandler):
        """Tells nobody of each request."""

        def log(self, *_: Any) -> None:
            pass

    inner, mutex = DomainDispatcherApplication(create_backend_app), threading.Lock()

    def atomic(environ: Environ, start: Callable[..., Any]) -> list[bytes]:
        with mutex:
            return [b"".join(inner(environ, start))]

    def app(environ: Environ, start: Callable[..., Any]) -> Iterable[bytes]:
        return server.around(atomic, environ, start)

    http = make_server("127.0.0.1", 0, app, threaded=True, request_handler=Quiet)
    server = Server(f"http://127.0.0.1:{http.server_port}")
    server.environment = {
        "AWS_ENDPOINT_URL": server.url,
        "AWS_ACCESS_KEY_ID": "somebody",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_REGION": "us-east-1",
    }
    thread = threading.Thread(target=http.serve_forever, daemon=True)
    thread.start()
    try:
        urllib.request.urlopen(urllib.request.Request(f"{server.url}/bucket", method="PUT")).close()
        yield server
    finally:
        http.shutdown()
        thread.join()
        http.server_close()
