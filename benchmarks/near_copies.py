"""Near-copies in many languages: how many are found, and how many of what is found are copies.

    python benchmarks/near_copies.py FOLDER [--documents 300]

``FOLDER`` has unpacked packages of documentation in many languages, one folder a language, for example
Debian's:

    apt-get download libreoffice-help-ja libreoffice-l10n-th ... ; dpkg-deb -x PACKAGE.deb FOLDER/ja

Sentences are the paragraphs of the HTML files and the messages of the ``.mo`` files below it, in any language
but English only those with letters beyond ASCII. Documents are made of forty sentences drawn at random; each
has a copy in which one sentence in ten is another one, and one in which four in ten are, which is no copy. The
truth is exact: every pair whose shingles of five words (segments, in scripts without spaces) have a Jaccard
similarity of 0.8 or more. *Found*: the share of true pairs of which one stands for the other, directly or
through a third. *Right*: the share of the documents called copies that share as much with what stands for them,
or have nearly all of their shingles in it (the policy's containment).
"""

from __future__ import annotations

import argparse
import gettext
import random
from collections.abc import Iterator
from hashlib import sha256
from itertools import combinations
from pathlib import Path

from lxml import html

from cleancopy.minhash import containment, jaccard, shingle_hashes, sign
from cleancopy.policy import DuplicatePolicy
from cleancopy.stages.duplicates import Candidate, find_duplicates, signing
from cleancopy.words import count_words

SENTENCES, SHORTEST = 40, 12
POLICY = DuplicatePolicy()


def sentences(folder: Path, foreign: bool) -> list[str]:
    """The distinct sentences of a language's documentation, in an order that does not change."""
    found = {text for path in sorted(folder.rglob("*")) for text in _texts(path)}
    return sorted(t for t in found if count_words(t) >= SHORTEST and not (foreign and t.isascii()))


def _texts(path: Path) -> Iterator[str]:
    if path.suffix == ".html":
        tree = html.document_fromstring(path.read_bytes() or b"<p>", html.HTMLParser(encoding="utf-8"))
        yield from (" ".join(p.text_content().split()) for p in tree.iter("p"))
    elif path.suffix == ".mo":
        with path.open("rb") as file:
            messages = gettext.GNUTranslations(file)._catalog.values()  # type: ignore[attr-defined]
        yield from (" ".join(message.split()) for message in messages if isinstance(message, str))


def made(pool: list[str], count: int, rng: random.Random) -> list[str]:
    """Originals, each followed by a copy with a tenth of its sentences changed, and one with four tenths."""
    texts = []
    for _ in range(count):
        original = rng.sample(pool, SENTENCES)
        texts.append("\n".join(original))
        for share in (10, 40):
            other = list(original)
            for at in rng.sample(range(SENTENCES), SENTENCES * share // 100):
                other[at] = rng.choice(pool)
            texts.append("\n".join(other))
    return texts


def measure(texts: list[str]) -> tuple[int, int, int, int]:
    """True pairs, those found, pairs that were called copies, those of them that are."""
    grams = shingle_hashes(texts, signing(POLICY))
    near = [(a, b) for first in range(0, len(texts), 3) for a, b in combinations(range(first, first + 3), 2)]
    true = {(a, b) for a, b in near if jaccard(grams[a], grams[b]) >= POLICY.jaccard}
    rows = sign(texts, signing(POLICY))
    candidates = [
        Candidate(f"{i:06}", sha256(text.encode()).hexdigest(), count_words(text), None, False, rows[i])
        for i, text in enumerate(texts)
    ]
    result = find_duplicates(candidates, lambda ids: ((doc, texts[int(doc)]) for doc in ids), POLICY)
    keeper = {int(copy.doc_id): int(copy.keeper) for copy in result.duplicates}
    found = sum(keeper.get(a, a) == keeper.get(b, b) for a, b in true)
    right = sum(
        jaccard(grams[copy], grams[kept]) >= POLICY.jaccard
        or containment(grams[copy], grams[kept]) >= POLICY.containment
        for copy, kept in keeper.items()
    )
    return len(true), found, len(keeper), right


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--documents", type=int, default=300)
    given = parser.parse_args()
    print("| language | sentences | words a document | true pairs | found | called copies | right |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    for folder in sorted(path for path in given.folder.iterdir() if path.is_dir()):
        pool = sentences(folder, folder.name != "en")
        texts = made(pool, given.documents, random.Random(1))
        pairs, found, called, right = measure(texts)
        words = sum(map(count_words, texts)) // len(texts)
        row = [folder.name, len(pool), words, pairs, f"{found / max(1, pairs):.3f}"]
        print(f"| {' | '.join(map(str, [*row, called, f'{right / max(1, called):.3f}']))} |", flush=True)


if __name__ == "__main__":
    main()
