"""What the store costs: CPU and bytes a document, written and read back.

    python benchmarks/store.py [--documents 100000] [--block 200]

The documents are windows of about 4 kB of real main text, their lines joined to blocks of at least ``--block``
characters (0: one block a line, as on a page of lists), blocks of up to 40 characters cut. They are stored
again and again in the same order until the number is reached; as one round is longer than zstd's window (2 MB
at level 3), repeating them does not make them smaller. Signatures are as random as those of 650 shingles.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from itertools import cycle, islice
from pathlib import Path
from typing import TypeVar

import numpy as np

from cleancopy.document import Block, Capture, Cut, Decoding, Document, Metadata
from cleancopy.store import archive, corpus, layout, releases, rows

PAGES = Path(__file__).resolve().parents[2] / "shared" / "corpora" / "wcxb" / "ground-truth"
WINDOW = 4_000
SHORT = 40
SHARE = 50_000
T = TypeVar("T")


def joined(lines: Iterable[str], size: int, end: str) -> Iterator[str]:
    """Lines joined until they have ``size`` characters; what is left at the end is left out."""
    found = ""
    for line in lines:
        found += line + end
        if len(found) >= size:
            yield found
            found = ""


def windows(text: str, block: int) -> Iterator[list[str]]:
    """The blocks of each window of a text."""
    lines: list[str] = []
    for line in joined(filter(None, map(str.strip, text.splitlines())), block, " "):
        lines.append(line.rstrip() + "\n")
        if sum(map(len, lines)) >= WINDOW:
            yield lines
            lines = []


def as_document(key: str, lines: list[str]) -> Document:
    """Lines as a document: each a block with a path and a score, the short ones cut."""
    blocks, cuts, start = [], [], 0
    for number, line in enumerate(lines):
        end = start + len(line)
        score = round((hash((key, number)) % 10_000) / 10_000, 4)
        path = f"/html/body/div[{number % 3}]/main/article/p[{number}]"
        blocks.append(Block(start, end, path=path, score=score, why="text density and trafilatura agree"))
        if len(line) <= SHORT:
            evidence = {"score": score, "threshold": 0.5}
            cuts.append(Cut(start, end, "content", "not-main", "the block is not main content", evidence))
        start = end
    return Document(
        key,
        "".join(lines),
        tuple(blocks),
        tuple(cuts),
        metadata=Metadata(title=lines[0].strip()[:80], language="en", date="2024-03-01"),
        url=key,
        site="example.org",
        media_type="text/html",
        decoding=Decoding("utf-8", "strict", "utf-8", "utf-8"),
    )


def pool(block: int) -> list[Document]:
    """A document for every window of the real pages."""
    texts = [
        json.loads(path.read_text())["ground_truth"]["main_content"] for path in sorted(PAGES.glob("*.json"))
    ]
    lines = [lines for text in texts for lines in windows(text, block)]
    return [as_document(f"https://example.org/{n}/page", one) for n, one in enumerate(lines)]


def numbered(documents: list[Document], start: int, end: int) -> Iterator[Document]:
    """The documents again and again, each under a key of its own."""
    for number, document in enumerate(islice(cycle(documents), start, end), start):
        yield replace(document, key=f"https://example.org/{number}/page", payload_sha256=f"{number:064x}")


def versions(documents: Iterable[Document], release: int) -> Iterator[rows.Version]:
    """The versions of documents, with archive reference and a random signature each."""
    chance = np.random.default_rng(release)
    parts = {"policy": "p" * 64}
    for number, document in enumerate(documents):
        identity = archive.record_id(document.payload_sha256, document.key)
        yield rows.Version(
            document,
            seq=1,
            release=release,
            fingerprint="f" * 64,
            parts=parts,
            captured="2024-03-01T10:00:00Z",
            archive=archive.ArchiveRef(
                f"{release:06d}.warc.gz", number * 9_000, 8_000 + number % 999, identity
            ),
            signature=(2**32 * (1 - chance.random(112) ** (1 / 650))).astype("<u4").tobytes(),
        )


def publish(root: Path, documents: list[Document], count: int) -> None:
    """Store the documents in releases of ``SHARE``."""
    for start in range(0, count, SHARE):
        entries: list[rows.LedgerEntry] = []
        with releases.writing(root) as release:
            part = numbered(documents, start, min(count, start + SHARE))
            releases.commit(
                root,
                release,
                rows.document_batches(noted(versions(part, release), entries)),
                rows.capture_batches(entries),
                run="run",
                fingerprint="f" * 64,
                parts={},
            )


def noted(stored: Iterable[rows.Version], entries: list[rows.LedgerEntry]) -> Iterator[rows.Version]:
    """The versions, each noted in the ledger as it passes."""
    for one in stored:
        document = one.document
        entries.append(
            rows.LedgerEntry(
                document.key,
                "new",
                one.release,
                "run",
                document.key,
                payload_sha256=document.payload_sha256,
                version_id=one.version_id,
            )
        )
        yield one


def timed(what: str, count: int, work: Callable[[], T], less: float = 0.0) -> tuple[T, float]:
    """Do the work and print its CPU a document, less what the benchmark itself cost."""
    begin = time.process_time()
    done = work()
    spent = time.process_time() - begin - less
    each, rate = 1e6 * spent / count, count / spent
    print(f"{what:<34}{spent:8.2f} s CPU {each:9.1f} µs a document {rate:12,.0f} a CPU-second")
    return done, spent


def exhaust(stream: Iterable[object]) -> None:
    """Take all of a stream."""
    for _ in stream:
        pass


def archive_all(root: Path, captures: list[Capture]) -> None:
    """Archive captures in one file."""
    with archive.Archive(root, "000001") as raw:
        for capture in captures:
            raw.append(capture)


def main() -> None:
    """Print the figures."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--documents", type=int, default=100_000)
    options.add_argument("--block", type=int, default=200)
    chosen = options.parse_args()
    count, documents = chosen.documents, pool(chosen.block)
    text = sum(len(documents[n % len(documents)].text.encode()) for n in range(count))
    blocks, cuts = (
        sum(len(getattr(d, name)) for d in documents) / len(documents) for name in ("blocks", "cuts")
    )
    print(f"{count} documents of {text / count:.0f} bytes, {blocks:.1f} blocks and {cuts:.1f} cuts each")
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        made = timed(
            "making them (not counted below)",
            count,
            lambda: exhaust(versions(numbered(documents, 0, count), 1)),
        )
        timed("stored: rows, files, commits", count, lambda: publish(root, documents, count), less=made[1])
        for table in releases.TABLES:
            size = sum(
                path.stat().st_size for path in layout.table_folder(root, table).rglob("*") if path.is_file()
            )
            print(f"{table:<34}{size / count:8.1f} bytes a document, {size / text:.3f} of its UTF-8 text")
        timed("heads", count, lambda: corpus.heads(root))
        timed("ledger", count, lambda: corpus.captures(root))
        timed("latest, key and text", count, lambda: exhaust(corpus.latest_batches(root, ["key", "text"])))
        one = rows.doc_id("https://example.org/1/page")
        timed("one document", 1, lambda: corpus.document(root, one))
        few = list(islice(corpus.latest_batches(root), 2))
        timed(
            "rows to documents",
            sum(b.num_rows for b in few),
            lambda: [list(rows.table_to_versions(b)) for b in few],
        )
        pages = [Capture(document.text.encode(), document.key) for document in documents]
        timed("archived: WARC, gzip", len(pages), lambda: archive_all(root, pages))


if __name__ == "__main__":
    main()
