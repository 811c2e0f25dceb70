"""The table of captions at size: bytes a caption, and what a run costs that adds captions to many.

    python benchmarks/caption_table.py [--captions 1000000] [--add 1000] [--folder FOLDER]

A store is made of documents of ten captions each, a quarter of them wordings of earlier captions (cut off, or
with a dateline). Then a release adds documents, and what the table takes to be brought up to it is measured in
a process of its own: CPU seconds, peak of memory. ``--folder`` keeps the store, or measures one that was kept.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from cleancopy.document import Block, Document, Media
from cleancopy.policy import CaptionPolicy
from cleancopy.store import caption_table, releases, rows

A_DOCUMENT, A_RELEASE = 10, 5_000
SYLLABLES = ("ba", "ke", "li", "mo", "nu", "ra", "se", "ti", "vo", "za", "dor", "fen", "gal", "hin", "jun")


def captions(first: int, count: int) -> Iterator[str]:
    """So many captions of 8 to 30 words; a quarter are like one of those before."""
    draw = random.Random(first)
    before: list[str] = []
    for _ in range(count):
        if before and draw.random() < 0.25:
            text = draw.choice(before)
            words = text.split()
            cut = " ".join(words[: max(8, len(words) * 3 // 4)])
            yield draw.choice((text, f"{cut}...", f"PARIS (AP) — {text}"))
            continue
        words = ["".join(draw.choices(SYLLABLES, k=draw.randint(1, 3))) for _ in range(draw.randint(8, 30))]
        text = " ".join([words[0].title(), *words[1:]])
        before = [*before[-500:], text]
        yield text


def documents(first: int, count: int, release: int) -> Iterator[rows.Version]:
    """Documents of ten captions each."""
    texts = captions(first, count * A_DOCUMENT)
    for number in range(count):
        shown = [next(texts) for _ in range(A_DOCUMENT)]
        text = "\n".join(shown)
        media, blocks, start = [], [], 0
        for caption in shown:
            media.append(Media(caption, places=((start, start + len(caption)),)))
            blocks.append(Block(start, start + len(caption), "caption"))
            start += len(caption) + 1
        key = f"file:{first}/{number}.html"
        document = Document(key, text, tuple(blocks), media=tuple(media), site=f"site{number % 40}.example")
        yield rows.Version(document, 1, release, captured=f"2024-01-{1 + number % 28:02}T00:00:00Z")


def publish(root: Path, first: int, count: int) -> None:
    """A release of so many documents more."""
    with releases.writing(root) as release:
        versions = documents(first, count, release)
        releases.commit(
            root,
            release,
            rows.document_batches(versions),
            rows.capture_batches([]),
            run="run",
            fingerprint="f",
            parts={},
        )


def refresh(root: Path) -> dict[str, float]:
    """Bring the table up to date, and say what it cost."""
    start = time.process_time()
    with releases.writing(root):
        caption_table.refresh(root, CaptionPolicy())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1000
    return {"seconds": round(time.process_time() - start, 2), "peak_mb": peak}


def in_a_process(root: Path) -> dict[str, float]:
    command = [sys.executable, __file__, "--refresh", str(root)]
    measured: dict[str, float] = json.loads(
        subprocess.run(command, check=True, capture_output=True, text=True).stdout
    )
    return measured


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--captions", type=int, default=1_000_000)
    parser.add_argument("--add", type=int, default=1_000)
    parser.add_argument("--times", type=int, default=3)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--refresh", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.refresh:
        print(json.dumps(refresh(args.refresh)))
        return
    with tempfile.TemporaryDirectory() as kept:
        root = args.folder or Path(kept)
        if not (root / "captions").exists():
            for first in range(0, args.captions // A_DOCUMENT, A_RELEASE):
                publish(root, first, min(A_RELEASE, args.captions // A_DOCUMENT - first))
            print("made", in_a_process(root), flush=True)
        table = caption_table.load(root, CaptionPolicy())
        assert table.manifest is not None
        keys = table.rows["keys"].nbytes + sum(file.size for file in table.manifest.verdicts)
        print(
            f"{len(table.rows)} captions: {table.size / len(table.rows):.0f} bytes each with their texts, "
            f"{keys / len(table.rows):.0f} of them keys and verdicts"
        )
        del table
        for _ in range(args.times):
            publish(root, 1_000_000_000 + time.time_ns(), args.add // A_DOCUMENT)
            print(f"{args.add} more:", in_a_process(root), flush=True)


if __name__ == "__main__":
    main()
