"""The policy: every setting that changes clean text, frozen, with a digest; and where the work is done.

A policy is read from TOML (``cleancopy.toml``); an unknown key or a wrong type is refused with the key's
name. Two runs with the same policy digest, site chrome and code make the same text from the same bytes.
"""

from __future__ import annotations

import hashlib
import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

from cleancopy.errors import PolicyError

#: The stages by name, in the order of the default policy, each with its text version: raise it when the
#: stage proposes other cuts from the same blocks. A new stage is a module ``cleancopy/stages/NAME`` with
#: ``cut(document, policy, chrome) -> Document``, and one line here.
STAGES: Mapping[str, int] = {
    "chrome": 2,
    "content": 2,
    "captions": 2,
}


@dataclass(frozen=True, slots=True)
class ContentPolicy:
    """Which blocks are main content.

    ``method``: ``model``, ``trafilatura``, or ``all`` to keep every block. ``comments``: whether readers'
    comments are content where they are apart from the page's own text. ``headline``: ``always`` keeps the
    headline that a page shows, whatever a stage makes of it; ``model`` lets the stages decide; ``never`` leaves
    it to the metadata.
    """

    method: Literal["model", "trafilatura", "all"] = "model"
    comments: bool = False
    headline: Literal["always", "model", "never"] = "always"


@dataclass(frozen=True, slots=True)
class ChromePolicy:
    """When a block that a site repeats is chrome.

    ``fraction`` and ``pages``: a block is chrome when it stands on at least that share of the site's
    distinct pages and on at least that many. ``edge_pages``: on so few pages only runs at the very top or
    bottom count. ``near``: Jaccard of word shingles from which two blocks count as the same.
    ``patterns``: whether the generic patterns apply.
    """

    fraction: float = 0.5
    pages: int = 3
    edge_pages: int = 2
    near: float = 0.6
    patterns: bool = True


@dataclass(frozen=True, slots=True)
class CaptionPolicy:
    """When two captions are one: char-4 containment from ``containment``, with no slot conflict.

    ``scope``: within what a caption stands once in the clean texts, a ``page``, a ``site`` or the ``corpus``.
    It is decided when a release is published, as duplicates are, so it is no part of the policy's digest.
    """

    containment: float = 0.8
    min_words: int = 8
    scope: Literal["page", "site", "corpus"] = "page"


@dataclass(frozen=True, slots=True)
class DuplicatePolicy:
    """When a document is a copy of another: Jaccard of word-5 shingles, or containment."""

    jaccard: float = 0.8
    containment: float = 0.9
    related: float = 0.6
    shingle: int = 5
    num_perm: int = 112
    seed: int = 1
    min_words: int = 20


@dataclass(frozen=True, slots=True)
class Limits:
    """What one input may cost. Sizes in bytes, times in seconds."""

    payload_bytes: int = 10_000_000
    inflated_bytes: int = 20_000_000
    inflate_ratio: int = 200
    depth: int = 256
    tags: int = 400_000
    attributes: int = 1_000
    wall_seconds: float = 30.0
    memory_bytes: int = 2_000_000_000


@dataclass(frozen=True, slots=True)
class Policy:
    """All settings that change clean text. ``stages`` run in the order that they are named in.

    ``engine`` and ``scheduler`` say where the flow works on shards: in its own process and workers, or on a
    Dask cluster. They change no text and are no part of the digest.
    """

    stages: tuple[str, ...] = tuple(STAGES)
    repair: bool = True
    content: ContentPolicy = field(default_factory=ContentPolicy)
    chrome: ChromePolicy = field(default_factory=ChromePolicy)
    captions: CaptionPolicy = field(default_factory=CaptionPolicy)
    duplicates: DuplicatePolicy = field(default_factory=DuplicatePolicy)
    limits: Limits = field(default_factory=Limits)
    engine: Literal["local", "dask"] = "local"
    scheduler: str = ""

    @property
    def digest(self) -> str:
        """SHA-256 of the canonical JSON of what changes clean text, 64 hex digits."""
        settings = {name: value for name, value in asdict(self).items() if name not in _WHERE}
        settings["captions"] = {name: value for name, value in settings["captions"].items() if name != "scope"}
        canonical = json.dumps(settings, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()


#: Settings of where the work is done, which are no part of the digest.
_WHERE = frozenset(["engine", "scheduler"])
#: The address of a Dask scheduler.
_SCHEDULER = re.compile(r"(?:tcp|tls)://[\w.:\[\]-]+:\d{1,5}")


def read_policy(path: Path | None) -> Policy:
    """The policy of a TOML file, or the default one for None."""
    if path is None:
        return Policy()
    try:
        settings = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise PolicyError(f"{path}: cannot be read ({error.strerror}); give --policy a TOML file") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise PolicyError(f"{path}: is not valid TOML ({error}); correct that line") from error
    policy: Policy = _build(Policy, settings, str(path))
    for name in policy.stages:
        if name not in STAGES:
            raise PolicyError(f"{path}: stages is {name!r}; allowed: {', '.join(STAGES)}")
    if policy.scheduler and not _SCHEDULER.fullmatch(policy.scheduler):
        raise PolicyError(
            f"{path}: scheduler is {policy.scheduler!r}; it must be an address such as tcp://10.0.0.5:8786"
        )
    if policy.scheduler and policy.engine != "dask":
        raise PolicyError(f'{path}: scheduler is for engine = "dask"; add that, or take scheduler away')
    return policy


def _build(kind: Any, settings: Mapping[str, Any], where: str) -> Any:
    """A settings dataclass from a TOML table, every key and type checked."""
    hints = get_type_hints(kind)
    names = [f.name for f in fields(kind)]
    headline = settings.get("headline")
    if kind is ContentPolicy and isinstance(headline, bool):
        # In older policies the setting is true or false.
        settings = {**settings, "headline": "always" if headline else "model"}
    for key in settings:
        if key not in names:
            raise PolicyError(f"{where}: unknown key {key!r}; known here: {', '.join(names)}")
    return kind(**{key: _value(hints[key], value, f"{where}: {key}") for key, value in settings.items()})


def _value(hint: Any, value: Any, where: str) -> Any:
    if is_dataclass(hint):
        if not isinstance(value, Mapping):
            raise PolicyError(f"{where} is a table; write it as [{where.rpartition(' ')[2]}]")
        return _build(hint, value, where)
    if get_origin(hint) is Literal:
        if value not in get_args(hint):
            raise PolicyError(f"{where} is {value!r}; allowed: {', '.join(map(str, get_args(hint)))}")
        return value
    if get_origin(hint) is tuple:
        if not isinstance(value, list):
            raise PolicyError(f"{where} is {value!r}; it must be a list")
        return tuple(_value(get_args(hint)[0], item, where) for item in value)
    if hint is float and type(value) is int:
        value = float(value)
    if type(value) is not hint:
        raise PolicyError(f"{where} is {value!r}; it must be of type {hint.__name__}")
    if hint in (int, float):
        _check_number(value, where)
    return value


#: Settings that are a share of something.
_SHARES = frozenset(["fraction", "near", "containment", "jaccard", "related"])
#: Rows in a band of a document's signature: its length is a multiple of them.
_ROWS = 8


def _check_number(value: float, where: str) -> None:
    name = where.rpartition(" ")[2]
    if name in _SHARES and not 0 < value <= 1:
        raise PolicyError(f"{where} is {value}; it must be more than 0 and at most 1")
    if name == "num_perm" and (value < _ROWS or value % _ROWS):
        raise PolicyError(f"{where} is {value}; it must be a multiple of {_ROWS}")
    if value < (0 if name == "seed" else 1) and name not in _SHARES:
        raise PolicyError(f"{where} is {value}; it must be at least {0 if name == 'seed' else 1}")
