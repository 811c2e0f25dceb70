"""Fetching and archiving, against servers on the loopback in processes of their own.

    python benchmarks/fetch.py [--pages N] [--hosts N] [--quick]

- a site of 3,000 pages: pages a CPU-second of the client (user and system), fetched, vetted and archived, once
  with the pages as they are and once in the gzip coding that most servers send;
- a second ingest of such a site: how many answers are 304, how many pages are read again;
- 10,000 hosts of one page each, by a resolver that names the loopback for all: requests in flight and pauses
  as the server sees them, and the client's peak memory, beside that of 1,000 hosts;
- every answer of the hostile server four times at once (where the zoo lies beside the checkout): outcomes,
  the client's peak memory, and connections to anything but the loopback.

Only ``fetch.allow`` lets the client ask the loopback; all else is as in use. Results: results/fetch.json.
"""

from __future__ import annotations

import argparse
import asyncio
import gzip
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import urlopen

RESULTS = Path(__file__).with_name("results")
ZOO = Path(__file__).resolve().parents[2] / "shared" / "zoo" / "zoo.py"
LOOPBACK = "127.0.0.1"
WORDS = (
    "tide",
    "port",
    "water",
    "height",
    "chart",
    "harbour",
    "pilot",
    "channel",
    "mooring",
    "ferry",
    "signal",
)


def page(number: int, size: int) -> bytes:
    """A page of about so many bytes, its text like no other's."""
    chance = random.Random(number)
    menu = "".join(f'<li class="menu-entry"><a href="/p/{n}">Entry {n}</a></li>' for n in range(40))
    parts, length = [], 0
    while length < size:
        words = " ".join(chance.choice(WORDS) for _ in range(60))
        parts.append(f'<p class="text-block">On day {chance.randrange(9_999)}: {words}.</p>\n')
        length += len(parts[-1])
    head = f"<!DOCTYPE html><html lang='en'><head><meta charset='utf-8'><title>Page {number}</title></head>"
    return f"{head}<body><nav><ul>{menu}</ul></nav><main><h1>Page {number}</h1>{''.join(parts)}</main>".encode()


# ---- the server


async def serve(count: int, size: int, coded: bool) -> None:
    """Serve ``/p/<number>`` to every host name until the process is ended; ``/report`` says what it saw."""
    bodies = [gzip.compress(page(number, size), 6) if coded else page(number, size) for number in range(count)]
    under_way: dict[str, int] = {}
    last: dict[str, float] = {}
    seen = {"requests": 0, "most": 0, "pause": 1e9, "not_modified": 0}

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                request = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                path = request.split(" ", 2)[1]
                host = request.lower().partition("\r\nhost: ")[2].partition("\r\n")[0]
                if path == "/report":
                    writer.write(response(json.dumps(seen).encode(), "application/json"))
                    continue
                now = time.monotonic()
                under_way[host] = under_way.get(host, 0) + 1
                seen["requests"] += 1
                seen["most"] = max(seen["most"], under_way[host])
                seen["pause"] = min(seen["pause"], now - last.get(host, -1e9))
                writer.write(answered(path, request, seen, bodies, coded))
                await writer.drain()
                under_way[host] -= 1
                last[host] = time.monotonic()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(answer, LOOPBACK, 0, backlog=4_096)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


def answered(path: str, request: str, seen: dict[str, Any], bodies: list[bytes], coded: bool) -> bytes:
    if not path.startswith("/p/"):
        return b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
    etag = f'"{path}"'
    if f"if-none-match: {etag}" in request.lower():
        seen["not_modified"] += 1
        return f"HTTP/1.1 304 Not Modified\r\nETag: {etag}\r\n\r\n".encode()
    body = bodies[int(path[3:]) % len(bodies)]
    more = "Content-Encoding: gzip\r\n" if coded else ""
    return response(body, "text/html; charset=utf-8", f"ETag: {etag}\r\n{more}")


def response(body: bytes, kind: str, more: str = "") -> bytes:
    return (
        f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\n{more}Content-Length: {len(body)}\r\n\r\n".encode() + body
    )


@contextmanager
def server(count: int, size: int, coded: bool = False) -> Iterator[int]:
    command = [sys.executable, __file__, "--serve", str(count), str(size), str(int(coded))]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline())
        finally:
            process.terminate()


def report(port: int) -> dict[str, Any]:
    with urlopen(f"http://{LOOPBACK}:{port}/report") as answer:
        seen: dict[str, Any] = json.load(answer)
        return seen


# ---- the client


def fetched(port: int, hosts: int, count: int, delay: float, at_once: int) -> dict[str, float]:
    """Fetch and archive, in this process: ``count`` pages of one host, or one page of each of ``hosts``."""
    from cleancopy.policy import Limits
    from cleancopy.sources.settings import Fetching, Source
    from cleancopy.sources.web.crawl import Page, crawl

    fetching = Fetching(
        contact="ops@example.org", delay=delay, hosts=at_once, ports=(port,), allow=(f"{LOOPBACK}:{port}",)
    )
    with tempfile.TemporaryDirectory() as home:
        addresses = Path(home, "addresses.txt")
        names = [f"h{number}.test" for number in range(hosts)] if hosts else [LOOPBACK] * count
        lines = (f"http://{name}:{port}/p/{number}\n" for number, name in enumerate(names))
        addresses.write_text("".join(lines))
        source = Source("site", "urls", list=addresses, pages=len(names))
        found = {"pages": 0, "other": 0}

        def count_one(one: object) -> None:
            found["pages" if isinstance(one, Page) else "other"] += 1

        before, began, processor = peak(), time.monotonic(), time.process_time()
        crawl(
            [source],
            fetching,
            limits=Limits(),
            root=Path(home, "clean"),
            name="bench",
            work=Path(home, "work"),
            workers=0,
            held=lambda asked, url, payload: None,
            emit=count_one,
            resolver=resolver(),
        )
        spent = time.process_time() - processor
        size = sum(path.stat().st_size for path in Path(home, "clean", "archive").iterdir())
    return found | {
        "cpu_seconds": round(spent, 2),
        "pages_a_cpu_second": round(found["pages"] / spent),
        "wall_seconds": round(time.monotonic() - began, 1),
        "archive_mb": round(size / 1e6, 1),
        "memory_before_mb": before,
        "peak_memory_mb": peak(),
    }


def resolver() -> Any:
    """A resolver that names the loopback for every host."""
    from aiohttp.abc import AbstractResolver

    class Loopback(AbstractResolver):
        async def resolve(self, host: str, port: int = 0, family: int = 2) -> list[dict[str, Any]]:
            return [{"hostname": host, "host": LOOPBACK, "port": port, "family": 2, "proto": 6, "flags": 0}]

        async def close(self) -> None:
            pass

    return Loopback()


def hostile(port: int) -> dict[str, Any]:
    """What comes of all that the hostile server has to offer, four times at once."""
    from cleancopy.policy import Limits
    from cleancopy.sources.settings import Fetching, Source
    from cleancopy.sources.web.crawl import crawl

    with urlopen(f"http://{LOOPBACK}:{port}/") as answer:
        paths = [line.split("\t")[0] for line in answer.read().decode().splitlines()]
    paths = [path for path in paths if path not in ("/hit", "/robots.txt")]
    urls = [f"http://z{n}.test:{port}{path}" for n, path in enumerate(paths * 4)]
    outcomes: Counter[str] = Counter()
    elsewhere: list[Any] = []
    sys.addaudithook(
        lambda event, given: (
            elsewhere.append(given[1]) if event == "socket.connect" and given[1][0] != LOOPBACK else None
        )
    )
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as home:
        crawl(
            [Source("zoo", "urls", urls=tuple(urls))],
            Fetching(
                contact="ops@example.org", delay=0, hosts=50, total_seconds=8, read_seconds=5, ports=(port,),
                allow=(f"{LOOPBACK}:{port}",),
            ),
            limits=Limits(), root=Path(home, "clean"), name="bench", work=Path(home, "work"), workers=0,
            held=lambda asked, url, payload: None,
            emit=lambda one: outcomes.update([str(getattr(one, "kind", type(one).__name__.lower()))]),
            resolver=resolver(),
        )  # fmt: skip
    return {
        "asked": len(urls),
        "outcomes": dict(outcomes),
        "wall_seconds": round(time.monotonic() - began, 1),
        "connections_elsewhere": len(elsewhere),
        "peak_memory_mb": peak(),
    }


def ingested(port: int, count: int, clean: str) -> dict[str, Any]:
    """A whole ingest of ``count`` pages; ``reads`` counts those that were read and cleaned."""
    from cleancopy.ingest import pipeline
    from cleancopy.sources.settings import Fetching, Source

    fetching = Fetching(contact="ops@example.org", delay=0, ports=(port,), allow=(f"{LOOPBACK}:{port}",))
    source = Source("site", "urls", urls=tuple(f"http://{LOOPBACK}:{port}/p/{n}" for n in range(count)))
    reads = 0
    with pipeline.begin(
        raw=Path(clean, "raw"), root=Path(clean, "clean"), workers=2, sources=[source], fetching=fetching
    ) as run:
        processor = time.process_time()
        shards = pipeline.discover(run)
        for number in range(shards):
            reads += pipeline.read_shard(run, number)["read"]
        pipeline.learn(run, shards)
        for number in range(shards):
            pipeline.clean_shard(run, number)
        pipeline.reclean(run, shards)
        summary = pipeline.publish(run, shards + 1)
        spent = time.process_time() - processor
    return {
        "counts": dict(summary.counts),
        "reads": reads,
        "release": summary.release,
        "cpu_seconds": round(spent, 1),
    }


def peak() -> int:
    """The most memory that this process has had, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def child(*arguments: object) -> dict[str, Any]:
    """What a step printed that ran in a process of its own, so that memory and time are its alone."""
    command = [sys.executable, __file__, "--step", *map(str, arguments)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    said: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return said


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pages", type=int, default=3_000)
    parser.add_argument("--hosts", type=int, default=10_000)
    parser.add_argument("--size", type=int, default=25_000, help="bytes of a page")
    parser.add_argument("--quick", action="store_true", help="without the two whole ingests")
    parser.add_argument("--serve", nargs=3, type=int, help=argparse.SUPPRESS)
    parser.add_argument("--step", nargs="+", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        asyncio.run(serve(options.serve[0], options.serve[1], bool(options.serve[2])))
    elif options.step:
        name, *rest = options.step
        if name == "hostile":
            print(json.dumps(hostile(int(rest[0]))))
        elif name == "ingested":
            print(json.dumps(ingested(int(rest[0]), int(rest[1]), rest[2])))
        else:
            port, hosts, count, delay, at_once = rest
            print(json.dumps(fetched(int(port), int(hosts), int(count), float(delay), int(at_once))))
    else:
        measure(options.pages, options.hosts, options.size, whole=not options.quick)


def measure(pages: int, hosts: int, size: int, *, whole: bool) -> None:
    results: dict[str, Any] = {"pages": pages, "page_bytes": size}
    for name, coded in (("site", False), ("site_in_gzip", True)):
        with server(pages, size, coded) as port:
            results[name] = child("fetched", port, 0, pages, 0, 32) | {"server": report(port)}
        show(name, results[name])
    for count in (hosts // 10, hosts):
        with server(100, size) as port:
            name = f"hosts_{count}"
            results[name] = child("fetched", port, count, 0, 1.0, 32) | {"server": report(port)}
        show(name, results[name])
    if ZOO.is_file():
        with subprocess.Popen([sys.executable, ZOO, "serve"], stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            process.stdout.readline()
            try:
                results["hostile"] = child("hostile", 18666)
            finally:
                process.terminate()
        show("hostile", results["hostile"])
    if whole:
        with server(pages, 3_000) as port, tempfile.TemporaryDirectory() as clean:
            for name in ("first_ingest", "second_ingest"):
                results[name] = child("ingested", port, pages, clean) | {"server": report(port)}
                show(name, results[name])
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "fetch.json").write_text(json.dumps(results, indent=1) + "\n")


def show(name: str, result: dict[str, Any]) -> None:
    print(f"{name}: {', '.join(f'{key} {value}' for key, value in result.items())}", flush=True)


if __name__ == "__main__":
    main()
