"""Prefect's server and UI as a process: ``python -m cleancopy_flows.serving HOST PORT``, started by ``server``.

Beside Prefect's own addresses it has ``/cleancopy/login``: a page that exchanges the token behind its ``#`` for
the password and keeps that where Prefect's UI keeps the one that is typed in. A token works once. What stands
behind ``#`` is sent to no server and so stands in no log; no cookie logs in, so no other page can use it.
"""

from __future__ import annotations

import os
import sys
from typing import Any

import cleancopy_flows  # noqa: F401 - first: it sets what Prefect reads when imported
import uvicorn
from cleancopy_flows.server import LOGIN, use_login
from prefect.server.api.server import create_app
from prefect.settings import get_current_settings
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response

_PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>cleancopy</title><p>Logging in ...</p>
<script>
const token = location.hash.slice(1);
history.replaceState(null, "", location.pathname);
fetch(location.pathname, {method: "POST", body: token}).then(async answer => {
  if (!answer.ok) throw new Error(await answer.text());
  localStorage.setItem("prefect-password", btoa(await answer.text()));
  location.replace("/");
}).catch(error => { document.querySelector("p").textContent = error.message; });
</script></html>
"""
_USED = "This address has logged in already; cleancopy up prints where user:password stands."
_HEADERS = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
}
#: Bytes of a request that are read; a token is far shorter.
_MOST = 200


def with_login(app: Any, password: str) -> Any:
    """The ASGI application with the address that logs in before it."""

    async def answer(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http" or scope["path"] != LOGIN:
            await app(scope, receive, send)
            return
        response = await _login(Request(scope, receive), password)
        response.headers.update(_HEADERS)
        await response(scope, receive, send)

    return answer


async def _login(request: Request, password: str) -> Response:
    if request.method == "GET":
        return HTMLResponse(_PAGE)
    if request.method != "POST":
        return PlainTextResponse("GET or POST", 405)
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > _MOST:
            return PlainTextResponse(_USED, 403)
    right = use_login(body.decode("utf-8", "replace"))
    return PlainTextResponse(password) if right else PlainTextResponse(_USED, 403)


def main(host: str, port: int) -> None:
    """Serve until the process is ended."""
    app, password = create_app(final=True), os.environ.get("PREFECT_SERVER_API_AUTH_STRING")
    settings = get_current_settings().server
    uvicorn.run(
        with_login(app, password) if password else app,
        host=host,
        port=port,
        timeout_keep_alive=settings.api.keepalive_timeout,
        log_level=settings.logging_level.lower(),
    )


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
