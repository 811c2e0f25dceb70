"""How each extractor is called, and a process of its own that runs one of them over pages.

    python benchmarks/peers.py text|time TOOL RESULTS < paths, one a line

``text`` writes what the tool makes of each page, ``time`` its CPU seconds a page, and at the end the peak
memory of the process, as JSON, one a line. Only what the tool itself imports is loaded when it is timed.
"""

from __future__ import annotations

import gzip
import json
import logging
import resource
import signal
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

#: A page that takes longer ends the process; whoever started it counts a failure and goes on after the page.
PAGE_SECONDS = 120
#: What a tool may raise on a page, besides the errors of its own that it names.
FAILURES = (
    ValueError, TypeError, AttributeError, LookupError, RuntimeError, AssertionError, ArithmeticError, OSError,
)  # fmt: skip
#: Elements that begin and end a line, where a tool gives HTML back.
_LINES = (
    "p", "div", "li", "ul", "ol", "dl", "dt", "dd", "table", "tr", "td", "th", "br", "hr", "pre", "section",
    "article", "blockquote", "figure", "figcaption", "h1", "h2", "h3", "h4", "h5", "h6",
)  # fmt: skip

Page = bytes | str


@dataclass(frozen=True, slots=True)
class Tool:
    """An extractor: its distribution's name, its settings in words, how it is called, what it raises.

    ``scored``: whether its texts are scored as they come; the others are only timed.
    """

    name: str
    package: str
    settings: str
    extract: Callable[[Page], str]
    raises: tuple[str, ...] = ()
    scored: bool = True


def _cleancopy(page: Page) -> str:
    from cleancopy.clean import clean
    from cleancopy.document import Capture
    from cleancopy.policy import Policy

    payload = page if isinstance(page, bytes) else page.encode("utf-8", "replace")
    return clean(Capture(payload, key="page", media_type="text/html"), Policy()).clean


def _trafilatura(page: Page) -> str:
    from trafilatura import extract

    return extract(page) or ""


def _trafilatura_no_comments(page: Page) -> str:
    from trafilatura import extract

    return extract(page, include_comments=False) or ""


def _trafilatura_metadata(page: Page) -> str:
    from trafilatura import extract

    return extract(page, include_comments=False, with_metadata=True) or ""


def _resiliparse(page: Page) -> str:
    extract = import_module("resiliparse.extract.html2text").extract_plain_text
    return str(extract(_string(page), main_content=True, alt_texts=False, comments=False))


def _readability(page: Page) -> str:
    from lxml import html

    tree = html.fromstring(import_module("readability").Document(_string(page)).summary(html_partial=True))
    for element in tree.iter(*_LINES):
        element.text = "\n" + (element.text or "")
        element.tail = "\n" + (element.tail or "")
    return str(tree.text_content())


def _justext(page: Page) -> str:
    justext = import_module("justext")
    paragraphs = justext.justext(_string(page), justext.get_stoplist("English"))
    return "\n".join(paragraph.text for paragraph in paragraphs if not paragraph.is_boilerplate)


def _newspaper(page: Page) -> str:
    # Without this it loads the page's images over the network to find the biggest.
    article = import_module("newspaper").Article("http://example.org/", fetch_images=False)
    article.download(input_html=_string(page))
    return str(article.parse().text)


def _boilerpy(page: Page) -> str:
    return str(import_module("boilerpy3.extractors").ArticleExtractor().get_content(_string(page)))


def _string(page: Page) -> str:
    return page if isinstance(page, str) else page.decode("utf-8", "replace")


TOOLS = (
    Tool(
        "cleancopy", "cleancopy", "the default policy, no site chrome; bytes to clean text with metadata",
        _cleancopy, ("cleancopy.errors.Rejection",), scored=False,
    ),
    Tool("trafilatura", "trafilatura", "extract() as it comes", _trafilatura),
    Tool(
        "trafilatura, no comments", "trafilatura", "extract(include_comments=False)", _trafilatura_no_comments
    ),
    Tool(
        "trafilatura, with metadata", "trafilatura", "extract(include_comments=False, with_metadata=True)",
        _trafilatura_metadata, scored=False,
    ),
    Tool(
        "resiliparse", "resiliparse", "extract_plain_text(main_content=True, alt_texts=False, comments=False)",
        _resiliparse,
    ),
    Tool(
        "readability-lxml", "readability-lxml",
        "Document().summary(html_partial=True), tags stripped, a line a block", _readability,
        ("readability.readability.Unparseable", "lxml.etree.LxmlError"),
    ),
    Tool(
        "justext", "justext", "English stop list; all paragraphs that are not boilerplate", _justext,
        ("justext.core.JustextError", "lxml.etree.LxmlError"),
    ),
    Tool(
        "newspaper4k", "newspaper4k", "Article(fetch_images=False), input_html, text without the title",
        _newspaper, ("newspaper.exceptions.ArticleException", "lxml.etree.LxmlError"),
    ),
    Tool(
        "boilerpy3", "boilerpy3", "ArticleExtractor().get_content()", _boilerpy,
        ("boilerpy3.exceptions.HTMLExtractionError",),
    ),
)  # fmt: skip


def installed(tool: Tool) -> str:
    """The version of a tool, or nothing where it is not installed."""
    try:
        return version(tool.package)
    except PackageNotFoundError:
        return ""


def payload(path: Path) -> bytes:
    """The bytes of a page."""
    raw = path.read_bytes()
    return gzip.decompress(raw) if path.suffix == ".gz" else raw


def peak_memory() -> float:
    """The most memory that this process held, in MB."""
    # On Linux, ru_maxrss of a new program begins with what its parent held when it was started; VmHWM does not.
    status = Path("/proc/self/status")
    if status.exists():
        (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _expected(tool: Tool) -> tuple[type[BaseException], ...]:
    own = []
    for name in tool.raises:
        module, _, kind = name.rpartition(".")
        own.append(getattr(import_module(module), kind))
    return (*FAILURES, *own)


def _try(tool: Tool, page: Page, expected: tuple[type[BaseException], ...]) -> tuple[str, str]:
    """The tool's text of a page, and what it raised: the text is empty then."""
    signal.alarm(PAGE_SECONDS)
    try:
        return tool.extract(page), ""
    except expected as error:
        return "", f"{type(error).__name__}: {error}"[:200]
    finally:
        signal.alarm(0)


def main() -> None:
    """Run one tool over the pages that the input names."""
    what, name, results = sys.argv[1:]
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    (tool,) = (tool for tool in TOOLS if tool.name == name)
    paths = [Path(line) for line in sys.stdin.read().splitlines()]
    expected = _expected(tool)
    with Path(results).open("a", encoding="utf-8") as out:
        if what == "text":
            from cleancopy.extract.encoding import decode

            for path in paths:
                text, error = _try(tool, decode(payload(path))[0], expected)
                print(json.dumps({"text": text, "error": error}), file=out, flush=True)
            return
        _try(tool, payload(paths[0]), expected)
        for path in paths:
            page = payload(path)
            began = time.process_time()
            _, error = _try(tool, page, expected)
            seconds = time.process_time() - began
            print(json.dumps({"seconds": seconds, "error": error}), file=out, flush=True)
        print(json.dumps({"memory": peak_memory()}), file=out)


if __name__ == "__main__":
    main()
