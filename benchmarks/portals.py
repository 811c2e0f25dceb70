"""Whether learned chrome makes any news portal worse: word F1 with it and without, by host.

    python benchmarks/portals.py [--corpus FOLDER] [--splits N]

Hosts of the corpus with sixteen pages or more. In each split the chrome is learned from eight pages, by a
digest, and the others are cleaned with it and without. Chinese counts by bags of Han bigrams, others by words.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
import re
from collections import Counter, defaultdict
from itertools import pairwise
from pathlib import Path

from cleancopy.clean import apply_stages, read
from cleancopy.document import Capture, Document
from cleancopy.errors import Rejection
from cleancopy.policy import Policy
from cleancopy.stages.chrome.cut import SiteChrome, learn_chrome

CORPUS = Path(__file__).parents[2] / "shared" / "corpora" / "languages"
LEARNED, LEAST = 8, 16
POLICY = Policy()


def bag(text: str, language: str) -> Counter[str]:
    """The words of a text as a bag, or its Han bigrams."""
    if not language.startswith("Chinese"):
        return Counter(re.findall(r"\w+", text.lower()))
    han = re.findall(r"[\u4e00-\u9fff]", text)
    return Counter(a + b for a, b in pairwise(han))


def f1(document: Document, gold: Counter[str], language: str, chrome: SiteChrome | None) -> float:
    """The word F1 of a page as every stage leaves it."""
    try:
        words = bag(apply_stages(document, POLICY, chrome).clean, language)
    except Rejection:
        return 0.0
    return 2 * (words & gold).total() / max(1, words.total() + gold.total())


def gain(pages: list[tuple[Document, Counter[str]]], language: str, splits: int) -> tuple[float, float]:
    """The mean F1 without chrome, and what learned chrome adds to it, over the splits."""
    plain = [f1(document, gold, language, None) for document, gold in pages]
    before, after = [], []
    for split in range(splits):
        keys = [hashlib.sha256(f"{split}/{document.key}".encode()).hexdigest() for document, _ in pages]
        order = sorted(range(len(pages)), key=keys.__getitem__)
        chrome = learn_chrome([pages[n][0] for n in order[:LEARNED]], site=pages[0][0].site or "")
        before += [plain[n] for n in order[LEARNED:]]
        after += [f1(*pages[n], language, chrome) for n in order[LEARNED:]]
    return sum(before) / len(before), (sum(after) - sum(before)) / len(after)


def main() -> None:
    """Print a row a host, and the mean."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", type=Path, default=CORPUS)
    parser.add_argument("--splits", type=int, default=5)
    given = parser.parse_args()
    hosts = defaultdict(list)
    for line in (given.corpus / "pages.jsonl").read_text(encoding="utf-8").splitlines():
        page = json.loads(line)
        hosts[page["host"]].append(page)
    gains = []
    for host, rows in sorted(hosts.items()):
        if len(rows) < LEAST:
            continue
        language, pages = rows[0]["language"], []
        for row in rows:
            payload = gzip.decompress((given.corpus / "html" / f"{row['id']}.html.gz").read_bytes())
            capture = Capture(payload, key=row["id"], site=host, media_type="text/html")
            pages.append((read(capture, POLICY), bag(row["gold"], language)))
        plain, more = gain(pages, language, given.splits)
        gains.append(more)
        print(f"{host:28}{language:10}{len(pages):4}{100 * plain:8.2f}{100 * more:+8.2f}", flush=True)
    print(f"mean gain {100 * sum(gains) / len(gains):+.2f}, lowest {100 * min(gains):+.2f}")


if __name__ == "__main__":
    main()
