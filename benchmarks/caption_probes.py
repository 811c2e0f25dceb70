"""Captions that differ in one content word, in many languages: how many are wrongly judged the same.

    python benchmarks/caption_probes.py FOLDER [--pairs 100]

``FOLDER`` has unpacked packages of documentation, one folder a language, as for ``near_copies.py``; where the
shared corpora have the language, their lines of gold text are taken. A sentence of 6 to 40 words stands for a
caption; its pair has one content word replaced by one of another sentence: words of five letters or more that
are no function words, in scripts without spaces two to four characters. Both must differ in more than case and
accents. *Same*: what was judged one caption; none should.
*Shortened*: the sentence without its last words and "..." behind it, which is the same caption.
"""

from __future__ import annotations

import argparse
import json
import random
import re
from pathlib import Path

from near_copies import sentences

from cleancopy.stages.captions.compare import compare_captions
from cleancopy.stages.captions.wording import FUNCTION_WORDS, fold
from cleancopy.words import count_words, is_unspaced

SHARED = Path(__file__).resolve().parents[2] / "shared"
FEWEST, MOST = 6, 40
UNSPACED = {"ja", "km", "lo", "my", "th", "zh"}
_LONG = re.compile(r"(?<!\S)[^\s\d.,:;()\"'<>/=_%-]{5,}(?!\S)")


def gold_lines(language: str) -> list[str]:
    """The lines of gold text that the shared corpora have in a language."""
    path = SHARED / "corpora" / "languages" / "pages.jsonl"
    pages = map(json.loads, path.read_text(encoding="utf-8").splitlines()) if path.exists() else ()
    return [line for page in pages if page["language"][:2] == language for line in page["gold"].split("\n")]


def replaced(caption: str, other: str, rng: random.Random) -> str | None:
    """The caption with one content word replaced by one of another; None where there is none to replace."""
    if any(map(is_unspaced, caption)):
        return _characters_replaced(caption, other, rng)
    words, others = (
        [m for m in _LONG.finditer(t) if fold(m[0]) not in FUNCTION_WORDS] for t in (caption, other)
    )
    if not words or not others:
        return None
    start, end = rng.choice(words).span()
    new = rng.choice(others)[0]
    if fold(new)[:4] == fold(caption[start:end])[:4] or fold(new) in fold(caption):
        return None
    return caption[:start] + new + caption[end:]


def _characters_replaced(caption: str, other: str, rng: random.Random) -> str | None:
    size = rng.randrange(2, 5)
    runs = [at for at in range(1, len(caption) - size) if all(map(str.isalpha, caption[at : at + size]))]
    sources = [at for at in range(1, len(other) - size) if all(map(str.isalpha, other[at : at + size]))]
    if not runs or not sources:
        return None
    at, source = rng.choice(runs), rng.choice(sources)
    new = other[source : source + size]
    return caption[:at] + new + caption[at + size :] if new not in caption else None


def shortened(caption: str) -> str:
    """The caption without its last quarter, cut at a word."""
    cut = caption[: len(caption) * 3 // 4]
    return (cut if any(map(is_unspaced, cut)) else cut.rpartition(" ")[0]) + "..."


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--pairs", type=int, default=100)
    parser.add_argument("--show", action="store_true", help="the pairs that were judged the same")
    given = parser.parse_args()
    print("| language | captions | same | shortened: same |")
    print("|---|---:|---:|---:|")
    for folder in sorted(path for path in given.folder.iterdir() if path.is_dir()):
        rng = random.Random(5)
        pool = gold_lines(folder.name) or sentences(folder, folder.name != "en")
        if folder.name in UNSPACED:  # parts that nobody translated
            pool = [line for line in pool if sum(map(is_unspaced, line)) * 3 > len(line)]
        pool = sorted(
            {line.strip() for line in pool if FEWEST <= count_words(line) <= MOST and "<" not in line}
        )
        rng.shuffle(pool)
        same = shorter = count = 0
        for caption in pool:
            probe = replaced(caption, rng.choice(pool), rng)
            if probe is None:
                continue
            count += 1
            match = compare_captions(caption, probe)
            same += match.label == "same"
            shorter += compare_captions(caption, shortened(caption)).label == "same"
            if given.show and match.label == "same":
                print("  ", caption, "\n  ", probe, match.evidence["rule"])
            if count == given.pairs:
                break
        print(f"| {folder.name} | {count} | {same} | {shorter} |", flush=True)


if __name__ == "__main__":
    main()
