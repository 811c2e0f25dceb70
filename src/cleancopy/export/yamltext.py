"""Text that a page wrote as YAML that cannot be taken for anything else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

# Characters that may stand in a double-quoted scalar as they are (YAML 1.2, nb-json without line ends and
# marks).
_SHORT = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t", "\r": "\\r"}
Scalar = str | int | float | bool | None


def quoted(text: str) -> str:
    """A text as a double-quoted YAML scalar on one line; what is no plain printable character is escaped."""
    if text.isprintable() and '"' not in text and "\\" not in text:
        return f'"{text}"'
    return '"' + "".join(map(_escaped, text)) + '"'


def front_matter(fields: Mapping[str, Scalar | Sequence[str]]) -> str:
    """Fields as YAML between two ``---`` lines; what is None is left out."""
    lines = [f"{name}: {_value(value)}\n" for name, value in fields.items() if value is not None]
    return "".join(["---\n", *lines, "---\n"])


def _value(value: Scalar | Sequence[str]) -> str:
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Sequence):
        return f"[{', '.join(map(quoted, value))}]"
    return str(value)


def _escaped(char: str) -> str:
    if char in _SHORT:
        return _SHORT[char]
    if char.isprintable():
        return char
    code = ord(char)
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}" if code < 65536 else f"\\U{code:08x}"
