"""What exports cost: documents a CPU-second, peak memory and size of each format.

    python benchmarks/exports.py [--documents 20000]

The documents are windows of about 4 kB of real main text, a block for every 200 characters or more, the short
lines cut. Each format runs in a process of its own, so that its peak memory is its own; what the interpreter
and the libraries take before the export begins is shown apart.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import cycle, islice
from pathlib import Path

from cleancopy.document import Block, Cut, Document, Metadata, doc_id
from cleancopy.export import export
from cleancopy.export.selection import plan
from cleancopy.store import releases, rows
from cleancopy.store.archive import ArchiveRef

PAGES = Path(__file__).resolve().parents[2] / "shared" / "corpora" / "wcxb" / "ground-truth"
WINDOW, BLOCK, SHORT = 4_000, 200, 40
FORMATS = (
    *(("jsonl", "corpus.jsonl"), ("jsonl", "corpus.jsonl.gz"), ("jsonl", "corpus.jsonl.zst")),
    *((kind, kind) for kind in ("parquet", "huggingface", "croissant", "markdown", "text")),
    ("csv", "corpus.csv"),
)


def windows(text: str) -> Iterator[list[str]]:
    """The blocks of each window of a text: lines joined until they are long enough, short ones as they are."""
    blocks: list[str] = []
    joined = ""
    for line in filter(None, map(str.strip, text.splitlines())):
        joined += line + " "
        if len(joined) >= BLOCK or len(line) <= SHORT:
            blocks.append(joined.rstrip() + "\n\n")
            joined = ""
        if sum(map(len, blocks)) >= WINDOW:
            yield blocks
            blocks = []


def document(blocks: list[str]) -> Document:
    """Blocks as a document, the short ones cut."""
    text, found, cuts = "", [], []
    for number, block in enumerate(blocks):
        found.append(
            Block(len(text), len(text) + len(block) - 2, path=f"/html/body/main/p[{number}]", score=0.75)
        )
        if len(block) <= SHORT:
            evidence = {"score": 0.25, "threshold": 0.5}
            cuts.append(
                Cut(len(text), len(text) + len(block), "content", "not-main", "not main content", evidence)
            )
        text += block
    about = Metadata(title=blocks[0].strip()[:80], language="en", date="2024-03-01")
    return Document(
        "", text, tuple(found), tuple(cuts), metadata=about, site="example.org", media_type="text/html"
    )


def publish(root: Path, pool: list[Document], count: int) -> int:
    """Store so many documents, the pool again and again under other keys; bytes of their page texts."""
    versions = []
    for number, one in enumerate(islice(cycle(pool), count)):
        url = f"https://example.org/{number}/page"
        made = replace(one, key=url, url=url, payload_sha256=f"{number:064x}")
        place = ArchiveRef("000001.warc.gz", number * 9_000, 8_000, f"<urn:uuid:{number:032x}>")
        versions.append(
            rows.Version(made, 1, 1, captured="2024-03-01T10:00:00Z", archive=place, parts={"code": "c"})
        )
    versions.sort(key=lambda version: doc_id(version.document.key))
    with releases.writing(root) as release:
        batches = rows.document_batches(versions)
        releases.commit(root, release, batches, iter(()), run="run", fingerprint="f" * 64, parts={})
    return sum(len(version.document.text.encode()) for version in versions)


def measure(root: Path, out: Path, kind: str) -> tuple[float, int, int]:
    """CPU seconds of one export, peak memory over it and before it, in bytes."""
    before = peak_memory()
    begin = time.process_time()
    export.export(plan(root), out, kind)  # type: ignore[arg-type]
    spent = time.process_time() - begin
    return spent, peak_memory(), before


def peak_memory() -> int:
    """The peak memory of this process, in bytes; what getrusage gives a child counts its parent's, too."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


def size(out: Path) -> int:
    """Bytes of a file or of all files in a folder."""
    files = out.rglob("*") if out.is_dir() else [out]
    return sum(path.stat().st_size for path in files if path.is_file())


def main() -> None:
    """Print the figures."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--documents", type=int, default=20_000)
    count = options.parse_args().documents
    pages = [
        json.loads(path.read_text())["ground_truth"]["main_content"] for path in sorted(PAGES.glob("*.json"))
    ]
    pool = [document(blocks) for page in pages for blocks in windows(page)]
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "clean"
        text = publish(root, pool, count)
        print(f"{count} documents of {text / count:.0f} bytes")
        processes = multiprocessing.get_context("spawn")
        for kind, name in FORMATS:
            out = Path(folder) / name
            with processes.Pool(1) as pool:
                spent, peak, before = pool.apply(measure, (root, out, kind))
            print(
                f"{kind:<12}{name:<18}{spent:7.2f} s CPU {count / spent:8,.0f} documents a CPU-second, "
                f"peak {peak / 1e6:5.0f} MB ({before / 1e6:.0f} before), {size(out) / text:.2f} of the text"
            )


if __name__ == "__main__":
    main()
