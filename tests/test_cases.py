"""Annotated pages: each line of a case says what must become of a block.

A case is a text file in ``tests/cases``: the name of the page (``examples/...`` below raw/, ``seeds/...`` of
the shared folder, or an ``.html`` beside the case), then a line for each block in page order:
``keep | text`` or ``cut:stage | text``. A text that ends in ``...`` stands for all that begins so.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from cleancopy import Capture, Document, Policy, SiteChrome, learn_chrome
from cleancopy.clean import apply_stages, read
from cleancopy.curation.decisions import annotated
from conftest import CASES, EXAMPLES, SHARED


def site_of(page: Path) -> tuple[list[Document], SiteChrome]:
    """The pages of the folder that a page lies in, as read, and the chrome learned from them."""
    files = sorted(path for path in page.parent.iterdir() if path.suffix in (".html", ".txt"))
    documents = [read(Capture(path.read_bytes(), key=path.name, site="site"), Policy()) for path in files]
    return documents, learn_chrome(documents, site="site")


def pages_of(case: Path) -> Path:
    name = case.read_text(encoding="utf-8").splitlines()[0].removeprefix("# ")
    folder = {"examples": EXAMPLES.parent, "seeds": SHARED}.get(name.split("/")[0], CASES)
    path = folder / name
    if not path.exists():
        pytest.skip(f"needs {name}, which is not beside this checkout")
    return path


@pytest.mark.parametrize("case", sorted(CASES.glob("*.case")), ids=lambda path: path.stem)
def test_case(case: Path) -> None:
    page = pages_of(case)
    documents, chrome = site_of(page)
    (read_document,) = [document for document in documents if document.key == page.name]
    document = apply_stages(read_document, Policy(), chrome)
    expected = [
        line.partition(" | ")[::2] for line in case.read_text(encoding="utf-8").splitlines()[1:] if line
    ]
    found = list(annotated(document))
    assert len(found) == len(expected)
    for (verdict, text), (what, beginning) in zip(found, expected, strict=True):
        if beginning.endswith("..."):
            assert text.startswith(beginning[:-3])
        else:
            assert text == beginning
        assert verdict == what, f"{verdict}, not {what}: {text}"
