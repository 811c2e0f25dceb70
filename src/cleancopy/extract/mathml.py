"""MathML as TeX: the source that the page gives, else the same formula written in a line."""

from __future__ import annotations

import re
from collections.abc import Sequence

from lxml import html

#: Deeper than any formula; what is deeper is read as its characters.
_DEEPEST = 60
_COMMANDS = {
    **dict(zip("αβγδεζηθικλμνξπρστυφχψω", (
        "alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa", "lambda", "mu",
        "nu",
        "xi", "pi", "rho", "sigma", "tau", "upsilon", "phi", "chi", "psi", "omega"), strict=True)),
    **dict(zip("ΓΔΘΛΞΠΣΦΨΩ", (
        "Gamma", "Delta", "Theta", "Lambda", "Xi", "Pi", "Sigma", "Phi", "Psi", "Omega"), strict=True)),
    "ϕ": "phi", "ϵ": "epsilon", "ϑ": "vartheta", "∑": "sum", "∏": "prod", "∫": "int", "∮": "oint",
    "∂": "partial",
    "∇": "nabla", "∞": "infty", "√": "surd", "⋅": "cdot", "·": "cdot", "×": "times", "÷": "div", "±": "pm",
    "∓": "mp",
    "∗": "ast", "∘": "circ", "⊗": "otimes", "⊕": "oplus", "∧": "wedge", "∨": "vee", "¬": "neg", "∩": "cap",
    "∪": "cup", "∈": "in", "∉": "notin", "⊂": "subset", "⊆": "subseteq", "⊃": "supset", "∅": "emptyset",
    "∀": "forall", "∃": "exists", "≤": "leq", "≥": "geq", "≠": "neq", "≈": "approx", "≡": "equiv", "∼": "sim",
    "≅": "cong", "∝": "propto", "≪": "ll", "≫": "gg", "→": "to", "←": "leftarrow", "↔": "leftrightarrow",
    "⇒": "Rightarrow", "⇐": "Leftarrow", "⇔": "Leftrightarrow", "↦": "mapsto", "…": "ldots", "⋯": "cdots",
    "⋮": "vdots", "⋱": "ddots", "ℏ": "hbar", "ℓ": "ell", "⟨": "langle", "⟩": "rangle", "‖": "|", "′": "prime",
    "⊥": "perp", "∥": "parallel", "∣": "mid", "⌊": "lfloor", "⌋": "rfloor", "⌈": "lceil", "⌉": "rceil",
    "{": "{", "}": "}", "%": "%", "#": "#", "&": "&", "$": "$", "_": "_",
}  # fmt: skip
#: Invisible operators, and white space that means nothing in TeX.
_NOTHING = "\u2061\u2062\u2063\u2064\u200b\xa0 \t\n\r"
_ACCENTS = {"^": "hat", "ˆ": "hat", "~": "tilde", "˜": "tilde", "¯": "bar", "‾": "bar", "―": "bar", "_": "bar",
            "→": "vec", "⃗": "vec", "˙": "dot", ".": "dot", "¨": "ddot", "⏞": "overbrace"}  # fmt: skip
_FUNCTIONS = frozenset(
    [
        "sin",
        "cos",
        "tan",
        "log",
        "ln",
        "exp",
        "lim",
        "max",
        "min",
        "sup",
        "inf",
        "det",
        "arg",
        "dim",
        "gcd",
        "ker",
    ]
)


def tex_of(math: html.HtmlElement) -> str:
    """The TeX of a ``math`` element: its annotation, its alt text, else made from its elements."""
    for note in math.iter("annotation"):
        if "tex" in (note.get("encoding") or "").lower() and (source := "".join(note.itertext()).strip()):
            return source
    return (math.get("alttext") or "").strip() or re.sub(r" {2,}", " ", _tex(math, 0)).strip()


def _tex(element: html.HtmlElement, depth: int) -> str:
    tag = element.tag.rpartition(":")[2] if isinstance(element.tag, str) else ""
    if tag in ("annotation", "annotation-xml", "none", "mprescripts", "mspace", "mphantom"):
        return " " if tag == "mspace" else ""
    if tag in ("mi", "mn", "mo", "ms", "mtext") or depth > _DEEPEST:
        return _token(tag, "".join(element.itertext()))
    parts = [_tex(child, depth + 1) for child in element]
    if tag in _WRITTEN:
        return _WRITTEN[tag](parts + [""] * (3 - len(parts)), element)
    return _joined([(element.text or "").strip(_NOTHING), *parts])


def _joined(parts: Sequence[str]) -> str:
    """Parts after one another; a command is parted from the letter after it."""
    written = ""
    for part in parts:
        part = part.strip(" ") if part.strip(" ") else part
        if part and re.search(r"\\[A-Za-z]+$", written) and part[0].isalpha():
            written += " "
        written += part
    return written


def _token(tag: str, text: str) -> str:
    if tag == "mtext":
        text = " ".join(text.split())
        return f"\\text{{{text}}}" if text else " "
    text = "".join(text.split())
    if tag == "mi" and len(text) > 1 and text.isascii():
        return f"\\{text} " if text in _FUNCTIONS else f"\\text{{{text}}}" if text.isalpha() else text
    written = "".join(
        f"\\{_COMMANDS[char]} " if char in _COMMANDS else char for char in text if char not in _NOTHING
    )
    return f" {written.strip()} " if tag == "mo" and text not in _TIGHT and written else written


_TIGHT = frozenset("()[]{},.;:!|/'′")


def _group(part: str) -> str:
    return f"{{{part.strip()}}}"


def _script(base: str, mark: str, part: str) -> str:
    return f"{base.strip()}{mark}{_group(part)}" if part.strip() else base


def _over(parts: Sequence[str], element: html.HtmlElement) -> str:
    mark = "".join(element[1].itertext()).strip() if len(element) > 1 else ""
    if mark in _ACCENTS and "∑" not in parts[0]:
        return f"\\{_ACCENTS[mark]}{_group(parts[0])}"
    return _script(parts[0], "^", parts[1])


def _table(parts: Sequence[str], _: html.HtmlElement) -> str:
    rows = [part for part in parts if part]
    return "\\begin{matrix} " + " \\\\ ".join(rows) + " \\end{matrix}"


def _row(parts: Sequence[str], element: html.HtmlElement) -> str:
    return " & ".join(part.strip() for part in parts[: len(element)])


def _fenced(parts: Sequence[str], element: html.HtmlElement) -> str:
    inner = ", ".join(part.strip() for part in parts[: len(element)])
    return f"{element.get('open') or '('}{inner}{element.get('close') or ')'}"


_WRITTEN = {
    "mfrac": lambda p, _: f"\\frac{_group(p[0])}{_group(p[1])}",
    "msqrt": lambda p, _: f"\\sqrt{_group(_joined(p))}",
    "mroot": lambda p, _: f"\\sqrt[{p[1].strip()}]{_group(p[0])}",
    "msup": lambda p, _: _script(p[0], "^", p[1]),
    "msub": lambda p, _: _script(p[0], "_", p[1]),
    "msubsup": lambda p, _: _script(_script(p[0], "_", p[1]), "^", p[2]),
    "munder": lambda p, _: _script(p[0], "_", p[1]),
    "mover": _over,
    "munderover": lambda p, _: _script(_script(p[0], "_", p[1]), "^", p[2]),
    "mtable": _table,
    "mtr": _row,
    "mfenced": _fenced,
}
