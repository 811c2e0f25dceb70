"""What reading pages costs: from archives against files, and in workers of their own against in one process.

python benchmarks/reading.py [--every N] [--rounds N]

- the pages of a corpus as files and as web archives (plain, a gzip member or a zstd frame a record): pages a
  CPU-second read, decoded and split into blocks, and the ratio to files;
- the same pages read whole (text, blocks, scores, metadata), here and in a worker: CPU-seconds of both sides.

All forms take turns in one run, and the best of the rounds counts. Results: results/reading.json.
"""

from __future__ import annotations

import argparse
import gzip
import json
import pickle
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

from cleancopy.clean import read
from cleancopy.document import Capture
from cleancopy.errors import Rejection
from cleancopy.extract.encoding import decode
from cleancopy.extract.html import read_html
from cleancopy.extract.isolation import result_or_rejection, run_isolated
from cleancopy.policy import Limits, Policy
from cleancopy.sources.files import Input, find_inputs, read_input

SHARED = Path(__file__).resolve().parents[2] / "shared"
RESULTS = Path(__file__).with_name("results")
LIMITS = Limits()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--every", type=int, default=5, help="take every Nth page")
    parser.add_argument("--rounds", type=int, default=3)
    said = parser.parse_args()
    pages = sorted((SHARED / "corpora" / "wcxb" / "html").glob("*.gz"))[:: said.every]
    if not pages:
        sys.exit(f"{SHARED}: the corpora are not there; this benchmark needs their pages")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        payloads = [gzip.decompress(path.read_bytes()) for path in pages]
        forms = archived(payloads, folder)
        speeds = best({form: partial(split, where) for form, where in forms.items()}, said.rounds)
    rates = {form: len(pages) / seconds for form, seconds in speeds.items()}
    for form, rate in rates.items():
        print(f"  {form:10} {rate:7.1f} pages a CPU-second, {rate / rates['files']:6.1%} of files")
    here, apart = isolated(payloads, said.rounds)
    print(f"  isolation: {here:.2f} CPU-seconds here, {apart:.2f} in a worker: {apart / here - 1:+.2%}")
    result = {"pages": len(pages), "a_cpu_second": rates, "here": here, "in_a_worker": apart}
    (RESULTS / "reading.json").write_text(json.dumps(result, indent=1) + "\n")


def archived(payloads: Sequence[bytes], folder: Path) -> dict[str, Path]:
    """The pages in each form, each in a folder of its own."""
    import zstandard

    packs: dict[str, Callable[[bytes], bytes]] = {
        "warc": bytes,
        "warc.gz": partial(gzip.compress, mtime=0),
        "warc.zst": zstandard.ZstdCompressor(level=3).compress,
    }
    forms = {form: folder / form for form in ("files", *packs)}
    for where in forms.values():
        where.mkdir()
    for number, payload in enumerate(payloads):
        (forms["files"] / f"{number:05d}.html").write_bytes(payload)
    for form, pack in packs.items():
        with (forms[form] / f"pages.{form}").open("wb") as file:
            for number, payload in enumerate(payloads):
                file.write(pack(record(number, payload)))
    return forms


def record(number: int, payload: bytes) -> bytes:
    block = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: %d\r\n\r\n" % len(payload) + payload
    head = (
        f"WARC/1.1\r\nWARC-Type: response\r\nWARC-Record-ID: <urn:uuid:{number:032x}>\r\n"
        f"WARC-Date: 2026-01-01T00:00:00Z\r\nWARC-Target-URI: https://site.test/{number}\r\n"
        f"Content-Type: application/http; msgtype=response\r\nContent-Length: {len(block)}\r\n\r\n"
    )
    return head.encode() + block + b"\r\n\r\n"


def split(folder: Path) -> int:
    """Read every page below a folder, decode it and split it into blocks; how many there were."""
    found = (one for one in find_inputs([], folder) if isinstance(one, Input))
    captures = (one for each in found for one in read_input(each, LIMITS) if isinstance(one, Capture))
    count = 0
    for capture in captures:
        text, _ = decode(capture.payload, declared=capture.charset)
        result_or_rejection(partial(read_html, limits=LIMITS), text)
        count += 1
    return count


def best(tasks: dict[str, Callable[[], int]], rounds: int) -> dict[str, float]:
    """The least CPU-seconds of each task; they take turns, and must have as much to do."""
    seconds: dict[str, list[float]] = {name: [] for name in tasks}
    counts = set()
    for _ in range(rounds):
        for name, task in tasks.items():
            started = time.process_time()
            counts.add(task())
            seconds[name].append(time.process_time() - started)
    if len(counts) != 1:
        raise AssertionError(f"the forms do not give as many pages: {sorted(counts)}")
    return {name: min(took) for name, took in seconds.items()}


def isolated(payloads: Sequence[bytes], rounds: int) -> tuple[float, float]:
    """The CPU-seconds of reading the pages whole: in this process, and with a worker, both sides."""
    captures = [Capture(payload, f"https://site.test/{number}") for number, payload in enumerate(payloads)]
    here, apart = [], []
    for _ in range(rounds):
        started = time.process_time()
        for capture in captures:
            result_or_rejection(timed, capture)
        here.append(time.process_time() - started)
        apart.append(sum(worked(captures)))
    return min(here), min(apart)


def worked(captures: Sequence[Capture]) -> Iterator[float]:
    """The CPU-seconds of this process and of the worker, without the worker's start."""
    marks: list[float] = []
    tasks = [captures[0], *captures]  # the first one loads what reading needs
    results = run_isolated(timed, tasks, workers=1, limits=LIMITS, preload=("cleancopy.clean",))
    started = 0.0
    for number, (_, result) in enumerate(results):
        if isinstance(result, Rejection):
            continue
        marks.append(result[0])
        started = time.process_time() if number == 0 else started
    yield time.process_time() - started
    yield marks[-1] - marks[0]


def timed(capture: Capture) -> tuple[float, bytes]:
    """A page read, as the pipeline hands it on, and the CPU-seconds of this process so far."""
    document = pickle.dumps(read(capture, Policy()), protocol=pickle.HIGHEST_PROTOCOL)
    return time.process_time(), document


if __name__ == "__main__":
    main()
