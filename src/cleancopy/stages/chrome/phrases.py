"""Lines that widespread platforms write around a page, word for word, by language (``phrases.toml``)."""

from __future__ import annotations

import re
import tomllib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from typing import Literal, NamedTuple

Where = Literal["anywhere", "cluster", "edge", "last", "title"]
#: Marks and arrows at the ends of a line say nothing, nor does the placeholder of a name, a date, a link.
_EDGES = " \t«»‹›<>←→.…!:：*。！|[]()"
_GAP = "{}"
_GAP_LENGTH = 60
_HEAD = 5  # characters of its begin or end by which a phrase with a gap is looked up


@dataclass(frozen=True, slots=True)
class PhraseGroup:
    """What phrases in many languages say: the name, place and reason of a generic pattern, and the phrases."""

    name: str
    where: Where
    reason: str
    source: str
    phrases: Mapping[str, Sequence[str]]
    counterexamples: tuple[str, ...]


class _Table(NamedTuple):
    """Phrases by their whole line, and those with gaps by what they begin or end with."""

    whole: Mapping[str, PhraseGroup]
    gapped: Mapping[str, Sequence[tuple[re.Pattern[str], PhraseGroup]]]


@lru_cache(maxsize=1)
def phrase_groups() -> tuple[PhraseGroup, ...]:
    """The groups of ``phrases.toml``, in its order."""
    source = resources.files("cleancopy.stages.chrome").joinpath("phrases.toml").read_text(encoding="utf-8")
    return tuple(
        PhraseGroup(**fields | {"counterexamples": tuple(fields["counterexamples"])})
        for fields in tomllib.loads(source)["group"]
    )


def phrase_of(line: str) -> PhraseGroup | None:
    """The group that has a line as its phrase, white space in it collapsed, or None. The first of several."""
    form = line.strip(_EDGES).casefold()
    table = _table()
    if group := table.whole.get(form):
        return group
    for edge in (form[:_HEAD], form[-_HEAD:]):
        for pattern, group in table.gapped.get(edge, ()):
            if pattern.fullmatch(form):
                return group
    return None


@lru_cache(maxsize=1)
def _table() -> _Table:
    whole: dict[str, PhraseGroup] = {}
    gapped: dict[str, list[tuple[re.Pattern[str], PhraseGroup]]] = defaultdict(list)
    for group in phrase_groups():
        for phrase in (phrase for phrases in group.phrases.values() for phrase in phrases):
            form = phrase.strip(_EDGES).casefold()
            parts = form.split(_GAP)
            if len(parts) == 1:
                whole.setdefault(form, group)
                continue
            pattern = re.compile(f".{{0,{_GAP_LENGTH}}}".join(re.escape(part) for part in parts))
            edge = parts[0][:_HEAD] if len(parts[0]) >= _HEAD else parts[-1][-_HEAD:]
            if len(edge) == _HEAD:
                gapped[edge].append((pattern, group))
    return _Table(whole, dict(gapped))
