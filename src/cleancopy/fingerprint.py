"""What made a text: the code, the libraries and the policy, as one digest.

The pipeline fingerprint is SHA-256 over these parts and the site chrome's digest. Two texts with the same
payload and the same fingerprint are the same bytes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import cache
from importlib.metadata import version
from pathlib import Path

from cleancopy.policy import Policy

#: The libraries whose version can change a text.
LIBRARIES = ("chardet", "datasketch", "ftfy", "lightgbm", "lxml", "trafilatura")
#: The modules of this package that can change a text; the rest moves it, stores it or shows it.
_TEXT = (
    "blocks.py",
    "clean.py",
    "document.py",
    "encoding.py",
    "limits.py",
    "metadata.py",
    "repetition.py",
    "stages",
)


def parts(policy: Policy) -> dict[str, str]:
    """The parts of the fingerprint that hold for all documents of a run: code, libraries, policy."""
    return {"code": _code(), "libraries": _libraries(), "policy": policy.digest}


def fingerprint(parts: Mapping[str, str]) -> str:
    """The digest over the parts, 64 hex digits."""
    return hashlib.sha256("\n".join(f"{name}={parts[name]}" for name in sorted(parts)).encode()).hexdigest()


@cache
def _code() -> str:
    """SHA-256 over the package's own text-making files."""
    package = Path(__file__).parent
    files = [
        file
        for name in _TEXT
        for file in ((package / name).rglob("*") if (package / name).is_dir() else [package / name])
        if file.suffix in (".py", ".toml", ".txt", ".json")
    ]
    digest = hashlib.sha256()
    for file in sorted(files):
        digest.update(file.relative_to(package).as_posix().encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()


@cache
def _libraries() -> str:
    """Names and versions, readable, of the libraries that can change a text."""
    from lxml.etree import LIBXML_VERSION

    found = [f"{name} {version(name)}" for name in LIBRARIES]
    return ", ".join([*found, "libxml2 " + ".".join(map(str, LIBXML_VERSION))])
