"""What the walk does with each element, and those that it reads in one go."""

from __future__ import annotations

import re

from lxml import html

#: Elements whose content no reader sees as text.
NOT_TEXT = frozenset(
    [
        "script",
        "style",
        "template",
        "head",
        "svg",
        "iframe",
        "object",
        "embed",
        "applet",
        "canvas",
        "audio",
        "video",
        "map",
        "datalist",
        "textarea",
        "frameset",
        "noframes",
        "noembed",
        "title",
        "meta",
        "link",
        "param",
        "source",
        "track",
    ]
)
#: Elements that do not end a line.
INLINE = frozenset(
    [
        "a",
        "abbr",
        "acronym",
        "b",
        "bdi",
        "bdo",
        "big",
        "cite",
        "code",
        "data",
        "del",
        "dfn",
        "em",
        "font",
        "i",
        "img",
        "input",
        "ins",
        "kbd",
        "label",
        "mark",
        "nobr",
        "picture",
        "q",
        "rb",
        "rp",
        "rt",
        "rtc",
        "ruby",
        "s",
        "samp",
        "select",
        "slot",
        "small",
        "span",
        "strike",
        "strong",
        "sub",
        "sup",
        "time",
        "tt",
        "u",
        "var",
        "wbr",
    ]
)
#: Elements that start and end a block. Those that are in none of the three sets HTML does not know.
BLOCK_ELEMENTS = frozenset(
    [
        "address",
        "article",
        "aside",
        "blockquote",
        "body",
        "button",
        "caption",
        "center",
        "col",
        "colgroup",
        "dd",
        "details",
        "dialog",
        "dir",
        "div",
        "dl",
        "dt",
        "fieldset",
        "figcaption",
        "figure",
        "footer",
        "form",
        "frame",
        "h1",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
        "header",
        "hgroup",
        "hr",
        "html",
        "legend",
        "li",
        "listing",
        "main",
        "marquee",
        "menu",
        "meter",
        "nav",
        "noscript",
        "ol",
        "optgroup",
        "option",
        "output",
        "p",
        "plaintext",
        "pre",
        "progress",
        "search",
        "section",
        "summary",
        "table",
        "tbody",
        "td",
        "tfoot",
        "th",
        "thead",
        "tr",
        "ul",
        "xmp",
        "json-ld",
    ]
)
#: What the walk does with the elements that neither start nor end a block.
PLAIN, LINK, CODE, BREAKS, SKIPPED, MARKED, PICTURE, SELECT, RUBY, SPAN, SCRIPT, MATH = range(12)
#: The spans that elements are.
MARKS = {
    "em": "emphasis",
    "i": "emphasis",
    "strong": "strong",
    "b": "strong",
    "sub": "sub",
    "sup": "sup",
    "del": "strike",
    "s": "strike",
    "strike": "strike",
    "code": "code",
    "kbd": "code",
    "samp": "code",
    "tt": "code",
}
ROLES = {
    **dict.fromkeys(INLINE, PLAIN),
    **dict.fromkeys(NOT_TEXT, SKIPPED),
    **dict.fromkeys(MARKS, MARKED),
    "a": LINK,
    "code": CODE,
    "br": BREAKS,
    "img": PICTURE,
    "select": SELECT,
    "ruby": RUBY,
    "span": SPAN,
    "script": SCRIPT,
    "math": MATH,
    "mjx-container": MATH,
}

_LANGUAGE = re.compile(
    r"(?:^|\s)(?:language|lang|highlight-source|highlight-text|brush:?|sh_|prettyprint lang)[-_\s:]*"
    r"([A-Za-z0-9+#.]{1,20})(?=\s|;|$)"
)
_PYGMENTS = re.compile(r"(?:^|\s)highlight-([a-z0-9+#]{1,20})(?=\s|$)")
_NO_LANGUAGE = frozenset(
    ["none", "text", "plain", "plaintext", "default", "notranslate", "txt", "source", "nohighlight"]
)
_LANGUAGE_NAME = re.compile(r"[A-Za-z0-9+#.-]{1,20}")


def code_language(pre: html.HtmlElement) -> str:
    """The language of a ``pre`` as its classes, its code's or those around it name it; empty for none."""
    around = [pre, *pre.iterdescendants("code")][:2]
    parent = pre.getparent()
    for _ in range(3):
        if parent is None or len(parent) > 3:
            break
        around.append(parent)
        parent = parent.getparent()
    for element in around:
        named = element.get("data-lang") or element.get("data-language") or element.get("lang-name") or ""
        classes = element.get("class") or ""
        match = _LANGUAGE.search(classes) or _PYGMENTS.search(classes)
        name = named if _LANGUAGE_NAME.fullmatch(named) else match[1] if match else ""
        if name and name.lower() not in _NO_LANGUAGE:
            return name.lower()
    return ""


def chosen(select: html.HtmlElement) -> str:
    """What a ``select`` shows: all options of a list, of a menu the one that is chosen, else the first."""
    options = [option for option in select.iterdescendants("option") if option.get("hidden") is None]
    if select.get("multiple") is None and (select.get("size") or "1").strip() in ("", "0", "1"):
        picked = [option for option in options if option.get("selected") is not None]
        usable = [option for option in options if option.get("disabled") is None]
        options = picked[-1:] or usable[:1]
    return " ".join(word for option in options for text in option.itertext() for word in text.split())


def ruby_text(ruby: html.HtmlElement) -> tuple[str, str, str]:
    """The words of a ``ruby``, their reading, and that reading as it is set beside them, in brackets."""
    base, readings, brackets = [ruby.text or ""], [], []
    for part in ruby:
        text = "".join(part.itertext())
        if part.tag in ("rt", "rtc"):
            readings.append(text.strip())
        elif part.tag == "rp":
            brackets.append(text.strip())
        else:
            base.append(text)
        base.append(part.tail or "")
    # Readings in Latin letters are words of their own, kana are not.
    reading = (" " if all(char < "\u0250" for char in "".join(readings)) else "").join(filter(None, readings))
    first, last = (brackets[0], brackets[-1]) if len(brackets) > 1 else ("(", ")")
    word = "".join(base)
    if not word.isascii():
        word = "".join(word.split())
    return word, reading, f"{first}{reading}{last}" if reading else ""
