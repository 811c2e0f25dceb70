"""Faults that no one thought of: each target of tests/fuzz_targets.py under a coverage-guided fuzzer.

python benchmarks/fuzz.py [TARGET ...] [--seconds 600] [--work DIR] [--finds DIR]

Each target runs in a process of its own with at most 1 GB of memory and ten seconds an input; what breaks a
promise is left in tests/finds/TARGET, where the tests read it from then on. What is new to the fuzzer is kept
in the folder of --work, so that a second run goes on where the first ended. Needs atheris (in the extra bench).
"""

from __future__ import annotations

import argparse
import gzip
import os
import re
import resource
import subprocess
import sys
import time
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1] / "tests"
DONE = "done: "
MEMORY_MB, INPUT_SECONDS, LONGEST = 1024, 10, 4096

#: What atheris is to follow branch by branch; compiled libraries it cannot.
FOLLOWED = ["cleancopy", "feedparser", "ftfy", "protego"]

_TEXTS = (
    "<!doctype html><meta charset=utf-8><h1>Caf\u00e9</h1><p>a<br><br>b <b>c</b></p><pre> x\n y</pre>",
    "<table><tr><td>a<td>b</table><ul><li>a<ul><li>b</ul></ul><noscript>x</noscript><p>\u200b\ufeff\u202e",
    "caf\u00c3\u00a9 \u00e2\u20ac\u0153x\u00e2\u20ac\ufffd \u0440\u0443\u0441\u0441\u043a\u0438\u0439",
    "\u65e5\u672c\u8a9e\u3067\u3059 \u00c3\u0192\u00c2\u00a9 LIBERT\u00c9\u00b2 \u05e9\u05dc\u05d5\u05dd",
    '<a href="/x">y</a><base href="//z"><a rel=nofollow href="javascript:1"><svg><math><textarea></p>',
)
_SITEMAP = (
    b'<?xml version="1.0"?><urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9"><url><loc>http://s.test/1'
    b"</loc></url></urlset>"
)
_LISTS = (
    _SITEMAP,
    b"<sitemapindex><sitemap><loc>http://s.test/a.xml</loc></sitemap></sitemapindex>",
    b'<!DOCTYPE r [<!ENTITY a "b">]><rss version="2.0"><channel><item><link>http://s.test/&a;</link></item></channel></rss>',
    b'<feed xmlns="http://www.w3.org/2005/Atom"><entry><link href="/e"/><id>1</id></entry></feed>',
    b'{"version": "https://jsonfeed.org/version/1.1", "items": [{"id": "1", "url": "https://s.test/1"}]}',
    b"http://s.test/1\n# two\nhttp://s.test/2\n",
    gzip.compress(_SITEMAP, mtime=0),
)
_ROBOTS = b"User-agent: *\nDisallow: /a*b$\nAllow: /\nCrawl-delay: 2\nRequest-rate: 1/5\nSitemap: http://s.test/s.xml\n"
_CODECS = ("utf-8", "windows-1252", "utf-16", "iso2022_jp", "gb18030", "shift_jis", "utf-32", "koi8-r")
_TAGS = ("p", "div", "pre", "tr", "td", "table", "li", "ul", "br", "noscript", "svg", "b", "title", "body")
_WORDS = (
    *(f"<{name}>" for name in _TAGS),
    *(f"</{name}>" for name in _TAGS),
    *("<!--", "-->", "<![CDATA[", "]]>", "<?", "&#0;", "&#x1F;", "&nbsp;", "charset=", "<!DOCTYPE", "<!ENTITY"),
    *("\\x1f\\x8b\\x08", "\\x28\\xb5\\x2f\\xfd", "\\xff\\xfe", "\\xef\\xbb\\xbf", "\\x1b$B", "\\xc3\\x83\\xc2"),
    *(
        "WARC-",
        "Content-Length: 1",
        "\\x0d\\x0a\\x0d\\x0a",
        "http://",
        "<loc>",
        "<url>",
        "<link>",
        "Disallow: ",
    ),
)


def main() -> None:
    from sys import argv

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("targets", nargs="*", metavar="TARGET")
    parser.add_argument("--seconds", type=int, default=600, help="of CPU, a target")
    parser.add_argument("--work", type=Path, default=Path(".venv/fuzz"))
    parser.add_argument("--finds", type=Path, default=TESTS / "finds")
    parser.add_argument("--only", metavar="TARGET", help=argparse.SUPPRESS)
    said = parser.parse_args()
    if said.only:
        follow(said.only, said.work, said.finds, said.seconds)
        return
    known = names()
    if wrong := set(said.targets) - set(known):
        parser.error(f"no target {', '.join(sorted(wrong))}; there are: {', '.join(known)}")
    for name in said.targets or known:
        said.work.mkdir(parents=True, exist_ok=True)
        command = [argv[0], "--only", name, "--seconds", str(said.seconds)]
        command += ["--work", str(said.work), "--finds", str(said.finds)]
        run = subprocess.run(
            [sys.executable, *command], capture_output=True, text=True, errors="replace", check=False
        )
        (said.work / f"{name}.log").write_text(run.stdout + run.stderr)
        done = run.stdout.partition(DONE)[2].strip()
        print(
            f"{name:8} {done + ', nothing found' if done else 'FOUND: ' + fault(run.stdout + run.stderr)}",
            flush=True,
        )


def names() -> list[str]:
    """The targets by name, without importing what they test."""
    listed = (TESTS / "fuzz_targets.py").read_text().partition("\nTARGETS")[2]
    return re.findall(r'^    "(\w+)": ', listed, re.MULTILINE)


def fault(said: str) -> str:
    """What a fuzzer that stopped says of why, in a line."""
    errors = r"^(?:\w+(?:Error|Exception)\b.*|.*(?:ALARM|out-of-memory|deadly signal).*)$"
    found = re.search(errors, said, re.MULTILINE)
    return found[0][:200] if found else "see its log"


def follow(name: str, work: Path, finds: Path, seconds: int) -> None:
    """Fuzz one target in this process; ends it."""
    import atheris  # type: ignore[import-not-found, unused-ignore]

    sys.path.insert(0, str(TESTS))
    with atheris.instrument_imports(include=FOLLOWED):
        from fuzz_targets import TARGETS

    corpus, finds = work / name, finds / name
    for folder in (corpus, finds):
        folder.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(seeds(name)):
        (corpus / f"seed-{number}").write_bytes(seed)
    words = work / "words.txt"
    words.write_text("".join('"{}"\n'.format(word.replace('"', '\\"')) for word in _WORDS))
    options = [
        f"-timeout={INPUT_SECONDS}", f"-rss_limit_mb={MEMORY_MB}",
        f"-max_len={LONGEST}", f"-dict={words}", f"-artifact_prefix={finds}/", str(corpus), str(finds),
    ]  # fmt: skip
    target, count = TARGETS[name], 0

    def once(data: bytes) -> None:
        nonlocal count
        target(data)
        count += 1
        if time.process_time() > seconds:
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
            print(f"\n{DONE}{count:,} inputs, peak {peak:,} MB", flush=True)
            os._exit(0)

    atheris.Setup([sys.argv[0], *options], once)
    atheris.Fuzz()


def seeds(name: str) -> list[bytes]:
    """What a target's fuzzer begins with."""
    texts = [text.encode(codec, "replace") for text in _TEXTS for codec in _CODECS]
    if name == "decode":
        return [bytes([choice]) + text for choice in (0, 1, 3, 130) for text in texts]
    if name in ("page", "links"):
        return [text.encode() for text in _TEXTS]
    if name == "torn":
        return [bytes([0, place, 7]) + b"\x1f\x8b\x08" * 20 for place in (0, 60, 120)]
    if name == "archive":
        return [b"\r\n\r\n", b"\x1f\x8b\x08\x00", gzip.compress(b"x" * 50, mtime=0), b"WARC-Type: x\r\n\r\n"]
    if name == "inflate":
        return [gzip.compress(b"x" * 1000, mtime=0), b"\x28\xb5\x2f\xfd\x04\x00\x09\x00\x00x"]
    return [_ROBOTS] if name == "robots" else list(_LISTS)


if __name__ == "__main__":
    main()
