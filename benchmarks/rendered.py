"""How much of what a browser shows of a page is in its page text, and how much of that a browser shows.

    python benchmarks/rendered.py [FOLDER] [--pages 150] [--worst 10] [--parsed-by browser|cleancopy] [--json]

Pages of WCXB, chosen by a seed, are opened from disk in headless Chromium, scripts off, every request blocked.
``document.body.innerText`` is compared with ``Document.text`` as bags of words, both NFKC and in lower case:

- recall: the share of the shown words that the page text has
- shown: the share of the page text's words that the browser shows

Closed ``details``, options, ``noscript``, ruby, formulas, the ``alt`` of pictures, and text that a class keeps
for screen readers (unless ``--screen-readers`` asks for it) are taken out on both sides: the elements are
removed from the browser's tree, and that tree, written as HTML, is what is cleaned. With ``--parsed-by
cleancopy`` the page is cleaned as it was captured, so that faults of the parser count, too, and so do the
elements that were removed. A stylesheet from elsewhere does not load; what only it would hide is
shown. Chromium is the system's, else playwright's own; ``--browser`` names another.
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
import re
import shutil
import tempfile
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

from playwright.sync_api import Error, Page, Route, sync_playwright

import cleancopy
from cleancopy.clean import read
from cleancopy.document import Capture

try:
    from cleancopy.extract.encoding import decode
except ImportError:  # a tree of before
    from cleancopy.encoding import decode

WCXB = Path(__file__).parents[2] / "shared" / "corpora" / "wcxb"
SEED = 20
FLAGS = ("--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking")
FLAGS += ("--disable-component-update", "--disable-sync")
#: What is left out on both sides.
LEFT_OUT = (
    *("details:not([open])", "option", "datalist", "noscript", "ruby", "math", "mjx-container"),
    *(
        ".katex",
        ".MathJax",
        ".MathJax_Display",
        ".MathJax_Preview",
        ".mwe-math-element",
        'script[type^="math/"]',
    ),
)
#: Text for screen readers alone, by the names that frameworks give it: the stylesheets that hide it may lie
#: elsewhere and not load. Left out on both sides, too, unless it is asked for.
SCREEN_READERS = (
    *(".sr-only", ".visually-hidden", ".visuallyhidden", ".screen-reader-text", ".screen-reader-only"),
    *(".screenreader-only", ".usa-sr-only", ".element-invisible", ".assistive-text", ".offscreen-text"),
)
PRUNE = """left_out => {
  document.querySelectorAll(left_out).forEach(element => element.remove());
  document.querySelectorAll('[alt]').forEach(element => element.removeAttribute('alt'));
  return [document.body ? document.body.innerText : '', document.documentElement.outerHTML];
}"""


class Compared(NamedTuple):
    """The words of a page: how many are shown, how many are in the page text, and which of them differ."""

    name: str
    shown: int
    text: int
    missing: Counter[str]
    unseen: Counter[str]

    @property
    def recall(self) -> float:
        """The share of the shown words that the page text has."""
        return 1 - self.missing.total() / max(1, self.shown)

    @property
    def share_shown(self) -> float:
        """The share of the page text's words that are shown."""
        return 1 - self.unseen.total() / max(1, self.text)


def words(text: str) -> Counter[str]:
    """The bag of a text's words."""
    return Counter(re.findall(r"\w+", unicodedata.normalize("NFKC", text).lower()))


@contextmanager
def browser_page(program: str | None) -> Iterator[Page]:
    """A page of a headless browser that runs no script and reaches nothing but the file it is given."""
    with sync_playwright() as playwright:
        found = program or shutil.which("chromium")
        browser = playwright.chromium.launch(executable_path=found, headless=True, args=list(FLAGS))
        context = browser.new_context(java_script_enabled=False)
        page = context.new_page()
        try:
            yield page
        finally:
            browser.close()


def rendered(page: Page, file: Path, left_out: Sequence[str]) -> tuple[str, str]:
    """The text that the browser shows of a file and the tree it made, both without what is left out."""
    address = file.as_uri()

    def only_this(route: Route) -> None:
        route.continue_() if route.request.url == address else route.abort()

    page.unroute_all()
    page.route("**/*", only_this)
    page.goto(address, wait_until="load", timeout=60_000)
    text, markup = page.evaluate(PRUNE, ", ".join(left_out))
    return text, markup


def page_text(payload: bytes | str, charset: str | None) -> str:
    """The page text of a page; empty where it is rejected."""
    data = payload.encode("utf-8", "replace") if isinstance(payload, str) else payload
    capture = Capture(data, key="page:", media_type="text/html", charset=charset)
    try:
        return read(capture, cleancopy.Policy()).text
    except cleancopy.CleancopyError:
        return ""


def compare(page: Page, path: Path, folder: Path, parsed_by: str, left_out: Sequence[str]) -> Compared | None:
    """A page compared; None where the browser does not open it."""
    payload = gzip.decompress(path.read_bytes())
    file = folder / "page.html"
    # Opened from disk a page has no header that names its encoding: the mark at its start does.
    file.write_text("\ufeff" + decode(payload)[0].replace("\ufeff", ""), encoding="utf-8", errors="replace")
    try:
        text, markup = rendered(page, file, left_out)
    except Error as error:
        print(f"  {path.name}: not opened: {str(error).splitlines()[0]}")
        return None
    ours = page_text(markup, "utf-8") if parsed_by == "browser" else page_text(payload, None)
    shown, own = words(text), words(ours)
    return Compared(path.name.partition(".")[0], shown.total(), own.total(), shown - own, own - shown)


def summary(pages: Sequence[Compared]) -> dict[str, float]:
    """Recall and the share that is shown, as the mean of the pages and over all words."""
    shown, text = sum(page.shown for page in pages), sum(page.text for page in pages)
    # A page that scripts were to show is blank without them, whatever its text is.
    visible = [page for page in pages if page.share_shown >= 0.5]
    return {
        "pages": len(pages),
        "recall": round(fmean(page.recall for page in pages), 4),
        "recall of all words": round(1 - sum(page.missing.total() for page in pages) / max(1, shown), 4),
        "shown": round(fmean(page.share_shown for page in pages), 4),
        "shown of all words": round(1 - sum(page.unseen.total() for page in pages) / max(1, text), 4),
        "pages that show half or more": len(visible),
        "shown on those": round(fmean(page.share_shown for page in visible), 4),
    }


def show_worst(pages: Sequence[Compared], most: int) -> None:
    """Print the pages that differ most, with the words that differ."""
    for title, key in (("missing in the page text", "recall"), ("not shown", "share_shown")):
        print(f"\nworst: {title}")
        for page in sorted(pages, key=lambda page: getattr(page, key))[:most]:
            differ = page.missing if key == "recall" else page.unseen
            if differ:
                listed = " ".join(
                    f"{word}*{times}" if times > 1 else word for word, times in differ.most_common(12)
                )
                print(f"  {page.name} {getattr(page, key):6.1%} {differ.total():5} words: {listed[:150]}")


def main() -> None:
    """Open, compare and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, default=WCXB, help="with html/ID.html.gz")
    parser.add_argument("--pages", type=int, default=150)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--worst", type=int, default=10, help="print so many of the worst pages")
    parser.add_argument("--parsed-by", choices=("browser", "cleancopy"), default="browser")
    parser.add_argument(
        "--screen-readers", action="store_true", help="count the text that classes keep for screen readers"
    )
    parser.add_argument("--browser", help="the program to start")
    parser.add_argument("--json", action="store_true", help="print JSON in place of the table")
    given = parser.parse_args()
    paths = sorted((given.folder / "html").glob("*.html.gz"))
    if not paths:
        parser.error(f"{given.folder} has no html/*.html.gz; give the folder of the corpus")
    chosen = random.Random(given.seed).sample(paths, min(given.pages, len(paths)))
    left_out = LEFT_OUT if given.screen_readers else (*LEFT_OUT, *SCREEN_READERS)
    pages: list[Compared] = []
    with tempfile.TemporaryDirectory() as name, browser_page(given.browser) as page:
        for path in sorted(chosen):
            compared = compare(page, path, Path(name), given.parsed_by, left_out)
            if compared:
                pages.append(compared)
    figures: dict[str, Any] = summary(pages)
    if given.json:
        differ = [page._asdict() | {"recall": page.recall, "share_shown": page.share_shown} for page in pages]
        print(json.dumps({"figures": figures, "pages": differ}, indent=1))
        return
    for what, figure in figures.items():
        print(f"{what:30} {figure:.2%}" if isinstance(figure, float) else f"{what:30} {figure}")
    show_worst(pages, given.worst)


if __name__ == "__main__":
    main()
