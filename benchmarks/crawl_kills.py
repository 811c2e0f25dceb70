"""Crawls that are killed or stopped again and again: what they ask for twice, and what they lose.

    python benchmarks/crawl_kills.py [--pages 300] [--kills 10]

A site on the loopback, a sitemap, and the command that takes it up, ended with kill -9, and once more with
Ctrl-C, at moments spread over the crawl; then it runs to its end. Results: results/crawl_kills.json.
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

RESULTS = Path(__file__).with_name("results")


class Site(BaseHTTPRequestHandler):
    """A sitemap, and the pages that it names; counts what is asked for."""

    asked: ClassVar[Counter[str]] = Counter()
    pages = 0

    def do_GET(self) -> None:
        """Answer, or 404 for what is no page, such as robots.txt."""
        name = self.path.strip("/")
        base = f"http://127.0.0.1:{self.server.server_port}"  # type: ignore[attr-defined]
        body = b""
        if name == "map.xml":
            locs = "".join(f"<url><loc>{base}/{number}</loc></url>" for number in range(self.pages))
            body = f"<urlset>{locs}</urlset>".encode()
        elif name.isdecimal():
            self.asked[name] += 1
            chance = random.Random(name)
            text = " ".join("".join(chance.choices("aeioubdfgklmnprst", k=6)) for _ in range(150))
            body = (
                f"<html><title>Port {name}</title><body><main><h1>Port {name}</h1><p>{text}</p></main>".encode()
            )
        self.send_response(200 if body else 404)
        self.send_header("Content-Type", "text/xml" if name == "map.xml" else "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        with suppress(BrokenPipeError):  # whoever asked was killed
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def command(home: Path, port: int) -> list[str]:
    """The command that takes up the site."""
    (home / "raw").mkdir(exist_ok=True)
    settings = home / "sources.toml"
    settings.write_text(
        f'[fetch]\ndelay = 0\nports = [{port}]\nallow = ["127.0.0.1:{port}"]\n'
        f'[[source]]\nname = "map"\nkind = "sitemap"\nurls = ["http://127.0.0.1:{port}/map.xml"]\n'
    )
    folders = ["--raw", str(home / "raw"), "--clean", str(home / "clean"), "--sources", str(settings)]
    run = [
        sys.executable,
        "-m",
        "cleancopy",
        "ingest",
        "--source",
        "map",
        "--plain",
        "--json",
        "--workers",
        "0",
    ]
    return [*run, *folders]


def measure(home: Path, port: int, kills: int, stop: signal.Signals) -> dict[str, Any]:
    """End the crawl so often, let it finish, and look at what was asked for and what the store has."""
    from cleancopy.store.verify import verify

    Site.asked.clear()
    made = 0
    for number in range(1, kills + 1):
        process = subprocess.Popen(command(home, port), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        moment = number * Site.pages // (kills + 1)
        while len(Site.asked) < moment and process.poll() is None:
            time.sleep(0.001)
        made += process.poll() is None
        process.send_signal(stop)
        process.wait()
    done = subprocess.run(command(home, port), capture_output=True, text=True, check=True)
    return {
        "kills": made,
        "pages": len(Site.asked),
        "asked_twice": Site.asked.total() - len(Site.asked),
        "counts": json.loads(done.stdout)["counts"],
        "faults": [str(fault) for fault in verify(home / "clean")],
    }


def main() -> None:
    """Measure both signals and write the results."""
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--pages", type=int, default=300)
    options.add_argument("--kills", type=int, default=10)
    given = options.parse_args()
    Site.pages = given.pages
    results = {}
    with ThreadingHTTPServer(("127.0.0.1", 0), Site) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        for stop in (signal.SIGKILL, signal.SIGINT):
            with tempfile.TemporaryDirectory() as folder:
                results[stop.name] = measure(Path(folder), server.server_port, given.kills, stop)
            print(stop.name, results[stop.name], flush=True)
        server.shutdown()
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "crawl_kills.json").write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
