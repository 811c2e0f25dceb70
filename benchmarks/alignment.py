"""How much of trafilatura's text its shares of blocks keep: the words it returns that are found in kept blocks.

python benchmarks/alignment.py [--every N]
"""

from __future__ import annotations

import argparse
import gzip
import re
import sys
from collections import Counter
from pathlib import Path

from cleancopy.errors import Rejection
from cleancopy.extract.encoding import decode
from cleancopy.extract.html import read_html
from cleancopy.policy import ContentPolicy
from cleancopy.stages.content.by_trafilatura import block_shares, trafilatura_pieces
from cleancopy.stages.content.select import KEEP_FROM

SHARED = Path(__file__).resolve().parents[2] / "shared"
WORD = re.compile(r"\w+")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--every", type=int, default=1, help="take every Nth page")
    pages = sorted((SHARED / "corpora" / "wcxb" / "html").glob("*.gz"))[:: parser.parse_args().every]
    if not pages:
        sys.exit(f"{SHARED}: the corpora are not there; this benchmark needs their pages")
    shares, found, returned = [], 0, 0
    for path in pages:
        text, _ = decode(gzip.decompress(path.read_bytes()))
        try:
            page = read_html(text)
        except Rejection:
            continue
        pieces = trafilatura_pieces(page.tree, ContentPolicy())
        kept = [
            word
            for block, share in zip(page.blocks, block_shares(page, pieces), strict=True)
            if share >= KEEP_FROM
            for word in WORD.findall(page.text[block.start : block.end].lower())
        ]
        words = Counter(word for piece in pieces for word in WORD.findall(piece.lower()))
        common = (words & Counter(kept)).total()
        found, returned = found + common, returned + words.total()
        if words:
            shares.append(common / words.total())
    mean = sum(shares) / len(shares)
    print(f"{len(shares)} pages: {mean:.2%} of a page's words (mean), {found / returned:.2%} of all words")
    print(f"pages under 90 %: {sum(share < 0.9 for share in shares)}")


if __name__ == "__main__":
    main()
