"""What the store costs: CPU and bytes, written and read back, beside Delta's MERGE and pyiceberg's upsert.

    python benchmarks/store.py [--documents 100000] [--batches 20] [--block 200] [--no-peers]

The documents are windows of about 4 kB of real main text, their lines joined to blocks of at least ``--block``
characters (0: one block a line, as on a page of lists), blocks of up to 40 characters cut. They are stored
again and again, each under a key of its own, until the number is reached; as one round is longer than zstd's
window (2 MB at level 3), repeating them does not make them smaller. Rows come in the order of their ids, as an
ingest writes them. Signatures are as random as those of 650 shingles.

*Stored* begins with documents that are archived, cleaned and signed, and ends with releases on the disk:
hashing, rows, files, commits, ledger. A *batch* is 1,000 documents seen again, of which a tenth has another
text: looking up what is known, hashing all texts, and a release with the new versions. CPU is that of the whole
process, with all threads. The peers get flat rows of ten columns (no blocks, cuts, signatures, no history),
which is less work. They are left out where they are not installed (``pip install "pyiceberg[sql-sqlite]"``).
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import random
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import cycle, islice
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa

from cleancopy import open as open_corpus
from cleancopy.document import Block, Cut, Decoding, Document, Metadata
from cleancopy.store import archive, paths, releases, rows, tables, vacuum, verify

PAGES = Path(__file__).resolve().parents[2] / "shared" / "corpora" / "wcxb" / "ground-truth"
WINDOW = 4_000
SHORT = 40
SHARE = 50_000
BATCH = 1_000
#: The peers get fewer batches: each takes them seconds.
PEER_BATCHES = 3
PARTS = {"policy": "p" * 64}
RESULTS = Path(__file__).parent / "results"
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


@dataclass(frozen=True, slots=True)
class Signed:
    """A cleaned document, its signature and the id of its record in the archive: what the store is given."""

    document: Document
    signature: bytes
    record_id: str


def signed(documents: Iterable[Document], seed: int = 1) -> list[Signed]:
    """Documents in the order of their ids, with a random signature each."""
    chance = np.random.default_rng(seed)
    return [
        Signed(
            document,
            (2**32 * (1 - chance.random(112) ** (1 / 650))).astype("<u4").tobytes(),
            archive.record_id(document.payload_sha256, document.key),
        )
        for document in sorted(documents, key=lambda document: document.doc_id)
    ]


def version(one: Signed, release: int, number: int, head: tables.Head | None = None) -> rows.Version:
    """The next version of a document."""
    document = one.document
    return rows.Version(
        document,
        seq=head.seq + 1 if head else 1,
        release=release,
        change="source" if head else "new",
        parent=head.version_id if head else None,
        fingerprint="f" * 64,
        parts=PARTS,
        captured="2024-03-01T10:00:00Z",
        archive=archive.ArchiveRef(
            f"{release:06d}.warc.gz", number * 9_000, 8_000 + number % 999, one.record_id
        ),
        signature=one.signature,
    )


def publish(root: Path, documents: Sequence[Signed]) -> None:
    """Store new documents in releases of ``SHARE``."""
    for start in range(0, len(documents), SHARE):
        with releases.writing(root) as release:
            part = documents[start : start + SHARE]
            commit(root, release, (version(one, release, number) for number, one in enumerate(part)))


def commit(root: Path, release: int, versions: Iterable[rows.Version]) -> None:
    """A release of these versions and their ledger."""
    entries: list[rows.LedgerEntry] = []
    releases.commit(
        root,
        release,
        rows.document_batches(noted(versions, entries)),
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


def publish_batch(root: Path, batch: Sequence[Signed]) -> int:
    """Store what is new in documents that were seen again; how many are."""
    with releases.writing(root) as release:
        heads = tables.heads(root, documents=[one.document.doc_id for one in batch])
        changed = [
            (one, head)
            for one in batch
            if (head := heads[one.document.doc_id]).text_sha256 != rows.sha256(one.document.clean)
        ]
        commit(root, release, [version(one, release, n, head) for n, (one, head) in enumerate(changed)])
    return len(changed)


def seen_again(stored: list[Signed], texts: Sequence[Document], chance: random.Random) -> list[Signed]:
    """A batch: documents of the corpus, a tenth of them with the text of another page from now on."""
    places = sorted(chance.sample(range(len(stored)), BATCH))
    for place, text in zip(places[::10], chance.sample(texts, BATCH // 10), strict=True):
        old = stored[place].document
        new = replace(text, key=old.key, url=old.url, payload_sha256=chance.randbytes(32).hex())
        stored[place] = replace(stored[place], document=new)
    return [stored[place] for place in places]


# ---- measuring


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure: what was measured, and what it must be and should be."""

    what: str
    value: float
    unit: str
    must: str = ""


def cpu(work: Callable[[], T]) -> tuple[T, float]:
    """What work gives, and the CPU seconds of all threads that it took."""
    begin = time.process_time()
    done = work()
    return done, time.process_time() - begin


def size(folder: Path) -> int:
    """The bytes of all files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def exhaust(stream: Iterable[object]) -> None:
    """Take all of a stream."""
    for _ in stream:
        pass


def shown(figures: Iterable[Figure]) -> Iterator[Figure]:
    """The figures, printed as they come."""
    for one in figures:
        print(f"{one.what:<58}{one.value:>12,.3f} {one.unit:<24}{one.must}", flush=True)
        yield one


def measure_store(root: Path, stored: list[Signed], pool: Sequence[Document], batches: int) -> Iterator[Figure]:
    """The figures of this store."""
    text = sum(len(one.document.text.encode()) for one in stored)
    _, spent = cpu(lambda: publish(root, stored))
    yield Figure("stored", len(stored) / spent, "documents a CPU-second", "must 10,000, aim 15,000")
    yield Figure("size of everything, as a share of the UTF-8 text", size(root) / text, "", "must 0.50")
    yield Figure("of it the ledger", size(paths.table_folder(root, "captures")) / text, "")
    chance, before = random.Random(1), size(root)
    current = list(stored)
    again = [seen_again(current, pool, chance) for _ in range(batches)]
    gc.freeze()
    changed, spent = cpu(lambda: sum(publish_batch(root, batch) for batch in again))
    yield Figure(
        f"a batch of {BATCH:,}, {changed / batches:.0f} changed", spent / batches, "CPU-s", "must 0.25"
    )
    yield Figure("a batch", (size(root) - before) / batches / 1e6, "MB", "must 0.25")
    yield from measure_reading(root, len(stored), "")
    files = len(tables.data_files(root, "documents"))
    _, spent = cpu(lambda: vacuum.maintaining(root).__enter__())
    yield Figure(f"maintenance, {files} files of documents become {files_of(root)}", spent, "CPU-s")
    yield from measure_reading(root, len(stored), ", maintained")
    found, spent = cpu(lambda: [fault for fault in verify.verify(root) if "archive/" not in fault.what])
    yield Figure(f"verified, {len(found)} faults", len(stored) / spent, "documents a CPU-second")


def files_of(root: Path) -> int:
    """How many data files the documents have."""
    return len(tables.data_files(root, "documents"))


def measure_reading(root: Path, count: int, when: str) -> Iterator[Figure]:
    """What reading costs."""
    last = paths.published_releases(root)[-1]
    one = rows.doc_id("https://example.org/1/page")
    key_text = ["key", "text"]
    reads: list[tuple[str, Callable[[], object], str]] = [
        ("latest of all, key and text", lambda: exhaust(tables.latest_batches(root, key_text)), "must 2"),
        ("latest of all, all columns", lambda: exhaust(tables.latest_batches(root)), "must 2"),
        (
            "as of release 2, key and text",
            lambda: exhaust(tables.latest_batches(root, key_text, as_of=2)),
            "must 2",
        ),
        ("history of one document", lambda: tables.history(root, one), "must 0.1"),
        ("difference of the last two releases", lambda: open_corpus(root).diff(last - 1, last), "must 0.2"),
        ("heads of all", lambda: tables.heads(root), ""),
    ]
    for what, work, must in reads:
        # The first time also pays for what Python imports.
        spent = min(cpu(work)[1] for _ in range(3))
        yield Figure(what + when, spent, "CPU-s", must)


# ---- peers


def flat(part: Iterable[Signed]) -> pa.Table:
    """Documents as rows of ten columns, for the peers."""
    documents = [one.document for one in part]
    columns: dict[str, Any] = {
        name: [getattr(document, name) for document in documents]
        for name in ("doc_id", "key", "url", "site", "media_type", "payload_sha256")
    }
    columns |= {
        "title": [document.metadata.title for document in documents],
        "language": [document.metadata.language for document in documents],
        "text": [document.clean for document in documents],
        "text_sha256": [rows.sha256(document.clean) for document in documents],
    }
    return pa.table(columns)


def parts(stored: Sequence[Signed]) -> Iterator[pa.Table]:
    """The flat rows of all documents, some at a time."""
    for start in range(0, len(stored), 20_000):
        yield flat(stored[start : start + 20_000])


def measure_delta(root: Path, stored: Sequence[Signed], batches: Sequence[list[Signed]]) -> Iterator[Figure]:
    """Delta's MERGE, by deltalake."""
    from deltalake import DeltaTable, write_deltalake

    def append() -> None:
        for part in parts(stored):
            write_deltalake(str(root), part, mode="append")

    def merge() -> None:
        for batch in batches:
            DeltaTable(str(root)).merge(
                flat(batch), "t.doc_id = s.doc_id", source_alias="s", target_alias="t"
            ).when_matched_update_all("t.text_sha256 != s.text_sha256").when_not_matched_insert_all().execute()

    _, spent = cpu(append)
    yield Figure("Delta append, flat rows", len(stored) / spent, "documents a CPU-second")
    before = size(root)
    _, spent = cpu(merge)
    yield Figure("Delta MERGE of a batch, flat rows", spent / len(batches), "CPU-s")
    yield Figure("Delta MERGE of a batch, flat rows", (size(root) - before) / len(batches) / 1e6, "MB")


def measure_iceberg(root: Path, stored: Sequence[Signed], batches: Sequence[list[Signed]]) -> Iterator[Figure]:
    """Iceberg's upsert, by pyiceberg with a catalogue in SQLite; nothing where it is not installed."""
    try:
        from pyiceberg.catalog.sql import SqlCatalog
    except ImportError as error:
        print(f"pyiceberg is left out: {error}")
        return
    root.mkdir()
    catalogue = SqlCatalog("local", uri=f"sqlite:///{root}/catalogue.db", warehouse=root.as_uri())
    catalogue.create_namespace("cleancopy")
    table = catalogue.create_table("cleancopy.documents", schema=flat(stored[:1]).schema)

    def append() -> None:
        for part in parts(stored):
            table.append(part)

    _, spent = cpu(append)
    yield Figure("pyiceberg append, flat rows", len(stored) / spent, "documents a CPU-second")
    before = size(root)
    _, spent = cpu(lambda: [table.upsert(flat(batch), join_cols=["doc_id"]) for batch in batches])
    yield Figure("pyiceberg upsert of a batch, flat rows", spent / len(batches), "CPU-s")
    yield Figure("pyiceberg upsert of a batch, flat rows", (size(root) - before) / len(batches) / 1e6, "MB")


# ---- the report


def measure(chosen: argparse.Namespace) -> Iterator[Figure]:
    """All figures."""
    documents = pool(chosen.block)
    stored = signed(numbered(documents, 0, chosen.documents))
    gc.freeze()
    text = sum(len(one.document.text.encode()) for one in stored) / len(stored)
    yield Figure(f"documents, {len(stored[0].document.blocks)} blocks in the first", len(stored), "")
    yield Figure("UTF-8 text of a document", text, "bytes")
    with tempfile.TemporaryDirectory() as folder:
        yield from measure_store(Path(folder) / "clean", stored, documents, chosen.batches)
        shutil.rmtree(Path(folder) / "clean")
        if not chosen.no_peers:
            chance = random.Random(1)
            current = list(stored)
            again = [seen_again(current, documents, chance) for _ in range(PEER_BATCHES)]
            yield from measure_delta(Path(folder) / "delta", stored, again)
            shutil.rmtree(Path(folder) / "delta")
            yield from measure_iceberg(Path(folder) / "iceberg", stored, again)


def write(figures: Sequence[Figure], load: tuple[float, float, float]) -> None:
    """The figures as results/store.{md,json}."""
    lines = ["# The store", "", "| | measured | | |", "|---|---:|---|---|"]
    lines += [f"| {one.what} | {one.value:,.3f} | {one.unit} | {one.must} |" for one in figures]
    lines += ["", f"Load of the machine while it was measured: {load[0]:.1f}, on {os.cpu_count()} cores."]
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "store.md").write_text("\n".join(lines) + "\n")
    content = {"load": load[0], "figures": [asdict(one) for one in figures]}
    (RESULTS / "store.json").write_text(json.dumps(content, indent=1) + "\n")


def main() -> None:
    """Print and write the figures."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--documents", type=int, default=100_000)
    options.add_argument("--batches", type=int, default=20)
    options.add_argument("--block", type=int, default=200)
    options.add_argument("--no-peers", action="store_true")
    figures = list(shown(measure(options.parse_args())))
    write(figures, os.getloadavg())


if __name__ == "__main__":
    main()
