"""Captions repeated across a corpus: which pairs are found to be one, at what cost, beside three other ways.

    python benchmarks/caption_clusters.py [--captions 20000] [--real captions.txt] [--json out.json]

The captions are made from real ones by what happens to captions on the way from one page to the next: cut off,
a credit added, doubled, sentences moved, a word of no weight changed, an agency's dateline before them, HTML
entities, a file name before them, another language's credit behind them. Beside every third caption stand
traps: the same caption with another date, number, person or place, or left for right; with variants of their
own. So the truth is known: two captions are one where they come from the same caption or from the same trap.

``exact`` compares normal forms. ``datasketch`` is its MinHashLSH over words, ``rensa`` that library's (where it
is installed), both at the threshold that gives them the best F1 here. ``datasketch, verified`` lets the same
judge decide on datasketch's pairs that decides on cleancopy's. Times are CPU time of this process, from the
list of captions to the pairs, signing included. ``--real`` keeps the real captions, one a line, for next time.
"""

from __future__ import annotations

import argparse
import gzip
import html
import json
import random
import re
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

from lxml import html as lxml_html

from cleancopy.document import Document, Media
from cleancopy.minhash import normalise, warm_up
from cleancopy.policy import CaptionPolicy
from cleancopy.stages.captions.clusters import KEYS, NOTHING_KNOWN, captions_of_all, cluster, columns_of
from cleancopy.stages.captions.compare import compare_captions
from cleancopy.stages.captions.credits import split_credits

CORPORA = Path(__file__).parents[2] / "shared" / "corpora"
SETS = ("wcxb/html/*.gz", "articles/html/*", "languages/html/*.gz", "segments/html/*.gz")
SIGNED = re.compile(
    r"(?i)photo|foto|image|bild|credit|courtesy|getty|reuters|\bAP\b|afp|©|\(c\)|source|quelle|фото"
)
NUMBER, PLACE = re.compile(r"\b\d+\b"), re.compile(r"(?<=[a-z] )[A-Z][a-z]{3,}\b")
CREDITS = ("Photo: {}", "(Photo by {})", "{}/Reuters", "Credit: {} / Getty Images", "Photograph: {}/AP")
FOREIGN = ("Foto: {}", "Bild: {}", "Crédit : {}", "Foto: {}/dpa", "Фото: {}", "Fot. {}")
NAMES = ("Anna Berg", "Tom Reyes", "Lucía Marín", "Jan Novak", "Mary O'Neill", "Kenji Mori", "Ola Lund")
DATELINES = ("WASHINGTON (AP) — ", "PARIS (Reuters) - ", "BERLIN — ", "TOKYO, Japan (Kyodo) — ")
LIGHT = {
    "the": "a",
    "a": "the",
    "in": "at",
    "of": "from",
    "is": "was",
    "are": "were",
    "on": "in",
    "with": "and",
}
OTHER_NAMES = ("Halvorsen", "Okafor", "Lindqvist", "Tanaka", "Moreau", "Castellano", "Petrov", "Whitfield")

Pairs = set[tuple[int, int]]


# ---- captions of known truth


def real_captions(kept: Path | None) -> list[str]:
    """The captions of the corpora's pages, or those of a file that an earlier run has kept."""
    if kept and kept.exists():
        return kept.read_text(encoding="utf-8").splitlines()
    texts: set[str] = set()
    for pattern in SETS:
        for path in sorted(CORPORA.glob(pattern)):
            payload = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
            if b"<figcaption" in payload or b"caption" in payload:
                texts |= set(_captions_in(payload))
    for line in (CORPORA / "captions" / "dev.jsonl").read_text(encoding="utf-8").splitlines():
        texts |= {" ".join(json.loads(line)[side].split()) for side in "ab"}
    found = sorted(texts)
    if kept:
        kept.write_text("\n".join(found), encoding="utf-8")
    return found


def _captions_in(payload: bytes) -> Iterable[str]:
    try:
        tree = lxml_html.fromstring(payload)
    except (ValueError, lxml_html.etree.ParserError):
        return
    for element in tree.xpath(
        '//figcaption | //p[contains(@class, "caption")] | //div[contains(@class, "wp-caption-text")]'
    ):
        yield " ".join(element.text_content().split())


def distinct_captions(texts: Iterable[str]) -> list[str]:
    """Captions of 8 to 60 words without a credit, none of which shares half of its words with another."""
    holders: dict[str, list[int]] = defaultdict(list)
    bags: list[frozenset[str]] = []
    chosen: list[str] = []
    for text in texts:
        bag = frozenset(normalise(text).split())
        small = sum(word.islower() for word in text.split())
        if not 8 <= len(text.split()) <= 60 or small < 4 or len(bag) < 7 or SIGNED.search(text) or "<" in text:
            continue
        near = (
            {i for word in bag for i in holders[word]}
            if len(bag) < 7
            else {i for word in sorted(bag, key=len)[-6:] for i in holders[word]}
        )
        if any(2 * len(bag & bags[i]) >= min(len(bag), len(bags[i])) for i in near):
            continue
        for word in bag:
            holders[word].append(len(bags))
        bags.append(bag)
        chosen.append(text)
    return chosen


def variant(text: str, draw: random.Random, slot: int) -> str:
    """A caption as another page might have it; what stands before ``slot`` is not cut off."""
    words = text.split()
    kind = draw.choice(
        (
            "cut",
            "cut",
            "credit",
            "credit",
            "foreign",
            "doubled",
            "moved",
            "light",
            "dateline",
            "entities",
            "file",
            "same",
        )
    )
    least = max(8, int(0.6 * len(words)), slot + 1)
    if kind == "cut" and least < len(words):
        return " ".join(words[: draw.randint(least, len(words) - 1)]) + draw.choice(("...", "…", ""))
    if kind == "credit":
        return f"{text} {draw.choice(CREDITS).format(draw.choice(NAMES))}"
    if kind == "foreign":
        return f"{text} {draw.choice(FOREIGN).format(draw.choice(NAMES))}"
    if kind == "doubled":
        return f"{text} {text}"
    if kind == "moved":
        sentences = re.split(r"(?<=[a-z][.!?]) (?=[A-Z])", text)
        return " ".join(sentences[1:] + sentences[:1]) if len(sentences) > 1 else text.rstrip(".")
    if kind == "light":
        return " ".join(LIGHT.get(word, word) if draw.random() < 0.4 else word for word in words)
    if kind == "dateline":
        return DATELINES[len(text) % len(DATELINES)] + text  # an agency files from one place
    if kind == "entities":
        return html.escape(text).replace("'", "&#39;").replace(" ", "&nbsp;", 1)
    if kind == "file":
        return (
            f"IMG_{draw.randint(1000, 9999)}.jpg {text}"
            if draw.random() < 0.5
            else f"{text} ({draw.choice(('Photo', 'Image'))})"
        )
    return text


def traps(text: str, draw: random.Random) -> list[tuple[str, int]]:
    """The caption with another number, name or side, and which word changed."""
    words = text.split()
    numbers = [i for i, word in enumerate(words) if NUMBER.fullmatch(word.strip(".,;:()"))]
    names = [
        i
        for i, word in enumerate(words)
        if i and re.fullmatch(r"[A-Z][a-z]{3,}[.,;]?", word) and not words[i - 1].endswith((".", "!", "?"))
    ]
    sides = [i for i, word in enumerate(words) if word.strip(".,;:()") in ("left", "right")]
    made = []
    for places, change in ((numbers, _other_number), (names, _other_name), (sides, _other_side)):
        if places and (at := draw.choice(places)) is not None:
            changed = [*words]
            changed[at] = change(words[at], draw)
            made.append((" ".join(changed), at))
    return made


def _other_number(word: str, draw: random.Random) -> str:
    return NUMBER.sub(lambda found: str(int(found[0]) + draw.randint(1, 9)), word)


def _other_name(word: str, draw: random.Random) -> str:
    return re.sub(r"[A-Za-z]+", draw.choice(OTHER_NAMES), word)


def _other_side(word: str, _: random.Random) -> str:
    return word.replace("left", "RIGHT").replace("right", "left").replace("RIGHT", "right")


def made_captions(real: Sequence[str], count: int, seed: int = 7) -> tuple[list[str], list[int]]:
    """So many captions, and for each the number of what it comes from."""
    draw = random.Random(seed)
    sources: list[tuple[str, int]] = []
    for number, text in enumerate(real):
        changed = traps(text, draw) if number % 3 == 0 else []
        last = max((at for _, at in changed), default=0)
        sources += [(text, last), *((trap, last) for trap, _ in changed)]
    texts, truth = [], []
    while len(texts) < count:
        number = draw.randrange(len(sources))
        text, slot = sources[number]
        texts.append(variant(text, draw, slot) if draw.random() < 0.8 else text)
        truth.append(number)
    return texts, truth


# ---- the ways to find them


def by_cleancopy(texts: Sequence[str]) -> Pairs:
    """The pairs in cleancopy's clusters, each text the one caption of a document."""
    documents = (
        Document(f"file:{number}", text, (), media=(Media(text, places=((0, len(text)),)),))
        for number, text in enumerate(texts)
    )
    rows = captions_of_all((document, "", None) for document in documents)
    clustering = cluster(columns_of(rows), NOTHING_KNOWN, CaptionPolicy())
    by_cleancopy.counts = (  # type: ignore[attr-defined]
        f"{clustering.candidates} candidates, {len(clustering.new.codes)} compared, {clustering.missed} missed"
    )
    return together(clustering.kept.tolist())


def by_exact(texts: Sequence[str]) -> Pairs:
    """The pairs with the same normal form."""
    return together([normalise(text) for text in texts])


def by_datasketch(threshold: float, verified: bool = False) -> Callable[[Sequence[str]], Pairs]:
    """The pairs that datasketch's LSH proposes, and that the signatures' estimate (or the judge) confirms."""

    def find(texts: Sequence[str]) -> Pairs:
        from datasketch import MinHash, MinHashLSH

        lsh = MinHashLSH(threshold=0.5 if verified else threshold, num_perm=128)
        signatures, pairs = [], set()
        for number, text in enumerate(texts):
            signature = MinHash(num_perm=128)
            signature.update_batch([word.encode() for word in normalise(text).split()])
            for other in lsh.query(signature):
                if verified:
                    if compare_captions(texts[other], text).label == "same":
                        pairs.add((other, number))
                elif signature.jaccard(signatures[other]) >= threshold:
                    pairs.add((other, number))
            lsh.insert(number, signature)
            signatures.append(signature)
        return pairs

    return find


def by_rensa(threshold: float) -> Callable[[Sequence[str]], Pairs]:
    """The same with rensa's R-MinHash and LSH."""

    def find(texts: Sequence[str]) -> Pairs:
        from rensa import RMinHash, RMinHashLSH

        lsh = RMinHashLSH(threshold=threshold, num_perm=128, num_bands=32)
        signatures, pairs = [], set()
        for number, text in enumerate(texts):
            signature = RMinHash(num_perm=128, seed=1)
            signature.update(normalise(text).split())
            pairs |= {
                (o, number) for o in lsh.query(signature) if signature.jaccard(signatures[o]) >= threshold
            }
            lsh.insert(number, signature)
            signatures.append(signature)
        return pairs

    return find


def together(labels: Sequence[Any]) -> Pairs:
    """The pairs of positions with equal labels."""
    groups = defaultdict(list)
    for at, label in enumerate(labels):
        groups[label].append(at)
    return {pair for group in groups.values() for pair in combinations(group, 2)}


def measure(find: Callable[[Sequence[str]], Pairs], texts: Sequence[str], true: Pairs) -> dict[str, float]:
    """Precision, recall and F1 over pairs, and CPU seconds."""
    start = time.process_time()
    found = find(texts)
    seconds = time.process_time() - start
    right = len(found & true)
    precision, recall = right / max(1, len(found)), right / max(1, len(true))
    return {
        "precision": round(precision, 4),
        "recall": round(recall, 4),
        "f1": round(2 * precision * recall / max(1e-9, precision + recall), 4),
        "seconds": round(seconds, 2),
    }


def best(
    ways: Iterable[tuple[float, Callable[[Sequence[str]], Pairs]]], texts: Sequence[str], true: Pairs
) -> dict[str, float]:
    """The way with the best F1, by its threshold."""
    measured = [measure(way, texts, true) | {"threshold": threshold} for threshold, way in ways]
    return max(measured, key=lambda figures: figures["f1"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--captions", type=int, default=20_000)
    parser.add_argument("--real", type=Path, help="where the real captions are kept, one a line")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--only", action="store_true", help="cleancopy alone")
    args = parser.parse_args()
    real = distinct_captions(real_captions(args.real))
    texts, truth = made_captions(real, args.captions)
    texts = [split_credits(text)[0].strip() or text for text in texts]  # as the stage of a page lifts them
    true = together(truth)
    warm_up()
    print(f"{len(real)} real captions, {len(texts)} made, {len(set(truth))} different, {len(true)} true pairs")
    rows: dict[str, dict[str, float]] = {"cleancopy": measure(by_cleancopy, texts, true)}
    print("cleancopy:", rows["cleancopy"], by_cleancopy.counts)  # type: ignore[attr-defined]
    print(f"keys: {6 * KEYS} bytes a wording")
    if not args.only:
        rows["exact"] = measure(by_exact, texts, true)
        rows["datasketch"] = best(((t, by_datasketch(t)) for t in (0.5, 0.7)), texts, true)
        rows["datasketch, verified"] = measure(by_datasketch(0.5, verified=True), texts, true)
        try:
            rows["rensa"] = best(((t, by_rensa(t)) for t in (0.5, 0.7)), texts, true)
        except ImportError:
            print("rensa is not installed: left out")
    for name, row in rows.items():
        print(f"{name:22}", "  ".join(f"{key} {value}" for key, value in row.items()))
    if args.json:
        args.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
