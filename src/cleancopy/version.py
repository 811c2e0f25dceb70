"""What made a text: versions of reading and of each stage, of libraries, the model, and the policy.

The pipeline fingerprint is SHA-256 over these parts and the site chrome's digest. Two texts with the same
payload and the same fingerprint are the same bytes. The source code is no part of it: moving, renaming and
rewording it changes no text, so it makes nobody's corpus be read again. Instead, whoever changes an output
raises ``READ``, or the stage's number in ``policy.STAGES``; ``tests/test_version.py`` pins outputs beside
these numbers and fails where an output changed and no number did.

Stores older than these numbers have a digest over the source files (``code``) in their place. It is read as
version 1 of reading and of every stage, with the model that was shipped then (``_translated``). So upgrading
reads nothing again while the numbers are 1, and reads again just what a raised number means, as for any store.
The rows keep the parts that they have: nothing is rewritten (``tests/test_upgrade.py``).
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.metadata import version
from importlib.resources import files

from cleancopy.policy import STAGES, Policy

#: Raise it when reading gives another page text, other blocks, scores, metadata, repairs or notes.
READ = 2
#: The version of reading since which spans are kept beside the text.
_READ_WITH_SPANS = 2
#: The libraries whose version can change a text.
LIBRARIES = ("chardet", "datasketch", "ftfy", "lightgbm", "lxml", "trafilatura")
#: The content model's files, below ``cleancopy/stages/content``.
_MODEL_FILES = ("content_first.txt", "content_model.json", "content_second.txt")

#: Names of parts that all documents of a run share, also in stores older than version numbers.
_OF_RUNS = frozenset(["code", "libraries", "model", "policy", "text"])
#: Stores older than version numbers have a digest over source files in their parts. All of them count as made
#: by version 1 of everything, with the model that was shipped then.
FIRST_MODEL = "55ea37bf005cb6bb47618b59729175751d08b5be79883d483394df3503c78ee0"


def parts(policy: Policy) -> dict[str, str]:
    """The parts of the fingerprint that all documents of a run share, by name."""
    return {
        "text": text_version(),
        "model": _model_digest(),
        "libraries": _libraries(),
        "policy": policy.digest,
    }


def fingerprint(parts: Mapping[str, str]) -> str:
    """The digest over the parts, 64 hex digits."""
    return hashlib.sha256("\n".join(f"{name}={parts[name]}" for name in sorted(parts)).encode()).hexdigest()


def is_current(stored: Mapping[str, str], current: Mapping[str, str]) -> bool:
    """Whether the parts of a stored version, whatever else they name, say what ``current`` says."""
    translated = _translated(stored)
    return all(translated.get(name) == part for name, part in current.items())


def has_spans(stored: Mapping[str, str]) -> bool:
    """Whether the parts of a stored version are of reading that keeps spans beside the text."""
    first = _translated(stored).get("text", "").partition(",")[0].split()
    return not (len(first) == 2 and first[1].isdigit() and int(first[1]) < _READ_WITH_SPANS)


def equal_fingerprints(current: Mapping[str, str], stored: Iterable[Mapping[str, str]]) -> frozenset[str]:
    """The fingerprints, among those of stored parts, that stand for the same pipeline as ``current``.

    Parts that a single document has (its chrome, what people restored) are left out, as they are in ``parts``.
    """
    return frozenset(
        fingerprint({name: part for name, part in each.items() if name in _OF_RUNS})
        for each in stored
        if is_current(each, current)
    )


def text_version() -> str:
    """The version numbers as one readable text: ``read 1, captions 1, chrome 1, content 1``."""
    return ", ".join(f"{name} {number}" for name, number in [("read", READ), *sorted(STAGES.items())])


def _translated(stored: Mapping[str, str]) -> Mapping[str, str]:
    """Parts older than version numbers as today's; they say nothing of Unicode: it counts as today's."""
    if "code" not in stored or "text" in stored:
        return stored
    others = {name: part for name, part in stored.items() if name != "code"}
    first = "read 1, captions 1, chrome 1, content 1"
    libraries = f"{stored.get('libraries', '')}, {_unicode()}"
    return others | {"text": first, "model": FIRST_MODEL, "libraries": libraries}


@cache
def _model_digest() -> str:
    """SHA-256 over the content model's files."""
    folder = files("cleancopy.stages.content")
    digest = hashlib.sha256()
    for name in _MODEL_FILES:
        digest.update(name.encode() + b"\0" + folder.joinpath(name).read_bytes() + b"\0")
    return digest.hexdigest()


@cache
def _libraries() -> str:
    """Names and versions, readable, of the libraries and the Unicode data that can change a text."""
    from lxml.etree import LIBXML_VERSION

    names = [f"{name} {version(name)}" for name in LIBRARIES]
    return ", ".join([*names, "libxml2 " + ".".join(map(str, LIBXML_VERSION)), _unicode()])


def _unicode() -> str:
    """The version of Python's own Unicode data: it decides white space, case and normal forms."""
    return f"unicode {unicodedata.unidata_version}"
