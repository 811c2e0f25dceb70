"""The zoo of hostile inputs: every case is accounted for, refused by the right kind, and harms no other.

The zoo lies beside the checkout and makes its cases itself (small scale, about 130 MB). Its manifest says of
each case what is to come of it: ``extracted``, ``empty`` (no main text), ``rejected`` by one of some kinds,
or ``partial`` (a container whose sound members come out).
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from cleancopy import open as open_corpus
from cleancopy.corpus.views import inputs
from cleancopy.document import Capture
from cleancopy.ingest.pipeline import begin, ingest
from cleancopy.policy import Limits
from cleancopy.sources.files import Input, RejectedInput, find_inputs, is_list, printable, read_input
from cleancopy.sources.web.crawl import Listed, read_dropped
from conftest import corpus

# What the sources alone decide; markup and text are judged further on.
AT_THE_SOURCE = ("compression", "size", "type", "name", "fs", "warc", "control", "xml")
SECRET = b"ZOO-SECRET-7f3a"

# Where the right answer is another than the manifest's, and why.
INSTEAD: Mapping[str, str] = {
    # Small scale makes 5 MB of it, which is no fault (see its note).
    "data-uri": "extracted",
    # Read by root, refused to everybody else.
    "unreadable": "extracted" if os.geteuid() == 0 else "unreadable",
}


@dataclass(frozen=True, slots=True)
class Case:
    """A case of the manifest: its name below raw/, what is to come of it, and by which kinds."""

    id: str
    name: str
    category: str
    expect: str
    kinds: frozenset[str]
    must: tuple[str, ...]
    note: str = ""


Outcomes = Mapping[str, Sequence[Capture | RejectedInput | Listed]]


@pytest.fixture(scope="module")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    script = corpus("zoo") / "zoo.py"
    folder = tmp_path_factory.mktemp("zoo")
    command = [sys.executable, script, "make", folder, "--scale", "small"]
    subprocess.run(command, check=True, timeout=60, capture_output=True)
    return folder


@pytest.fixture(scope="module")
def cases(zoo: Path) -> list[Case]:
    lines = map(json.loads, (zoo / "manifest.jsonl").read_text().splitlines())
    return [_case(line) for line in lines if not line["skipped"]]


def _case(line: dict[str, object]) -> Case:
    path, kinds = str(line["path"]), frozenset(str(line["error"]).split("|")) - {""}
    expect = str(line["expect"])
    instead = INSTEAD.get(str(line["id"]))
    if instead:
        expect, kinds = (
            ("extracted", frozenset()) if instead == "extracted" else ("rejected", frozenset([instead]))
        )
    must = tuple(map(str, line["must"]))  # type: ignore[call-overload]
    name = printable(path.removeprefix("raw/"))
    return Case(str(line["id"]), name, str(line["cat"]), expect, kinds, must, str(line["note"]))


@pytest.fixture(scope="module")
def outcomes(zoo: Path) -> Outcomes:
    """What the sources make of each input of the drop folder, by its name."""
    found = list(find_inputs([], zoo / "raw"))
    return {one.name: [one] if isinstance(one, RejectedInput) else _made(one) for one in found}


def _made(one: Input) -> list[Capture | RejectedInput | Listed]:
    """What an input gives: a list of pages to fetch, or pages."""
    if not is_list(one):
        return list(read_input(one, Limits()))
    made: list[RejectedInput | Listed] = []
    read_dropped([one], Limits(), 0, made.append)
    return list(made)


def test_every_case_is_accounted_for(cases: list[Case], outcomes: Outcomes) -> None:
    assert sorted(outcomes) == sorted(case.name for case in cases)
    assert not [name for name, made in outcomes.items() if not made]
    single = [case for case in cases if case.category != "warc"]
    assert not [case.id for case in single if len(outcomes[case.name]) != 1]


@pytest.mark.parametrize("category", AT_THE_SOURCE)
def test_what_is_refused_at_the_source_is_refused_by_the_right_kind(
    category: str, cases: list[Case], outcomes: Outcomes
) -> None:
    chosen = [case for case in cases if case.category == category]
    assert chosen
    wrong = {case.id: fault for case in chosen if (fault := _fault(case, outcomes[case.name]))}
    assert wrong == {}


def _fault(case: Case, made: Sequence[Capture | RejectedInput | Listed]) -> str | None:
    """What is wrong with what came of a case, None if it is right."""
    if isinstance(made[0], Listed):
        said = re.match(r"(\d+) (?:URLs|entries)", case.note)
        wanted = f" of {said[1]} addresses" if said else ""
        return None if case.expect == "extracted" and made[0].message.endswith(wanted) else made[0].message
    captures = [one for one in made if isinstance(one, Capture)]
    kinds = {one.kind.value for one in made if isinstance(one, RejectedInput)}
    if case.expect in ("extracted", "empty"):
        return _wrong_count(case, len(captures)) if captures and not kinds else f"is refused as {kinds}"
    if case.expect == "rejected":
        return None if not captures and kinds <= case.kinds else f"gives {len(captures)} captures, {kinds}"
    if not kinds or not kinds <= case.kinds:
        return f"names {kinds}, not {set(case.kinds)}"
    return _wrong_count(case, len(captures))


def _wrong_count(case: Case, count: int) -> str | None:
    """Whether a container gave as many documents as it must."""
    for must in case.must:
        wanted = re.fullmatch(r"docs(:|>=)(\d+)", must)
        if wanted and not (count == int(wanted[2]) or (wanted[1] == ">=" and count > int(wanted[2]))):
            return f"gives {count} captures, must be {must}"
    return None


def test_everything_else_goes_on_whole(zoo: Path, cases: list[Case], outcomes: Outcomes) -> None:
    """Markup, odd encodings and bait are for the stages to judge: the sources hand on every byte."""
    chosen = [case for case in cases if case.category in ("structure", "encoding", "bait", "attack")]
    assert len(chosen) >= 40
    for case in chosen:
        (capture,) = outcomes[case.name]
        assert isinstance(capture, Capture)
        assert capture.payload == (zoo / "raw" / case.name).read_bytes()


def test_nothing_outside_is_read_and_every_word_is_fit_to_print(outcomes: Outcomes) -> None:
    for name, made in outcomes.items():
        for one in made:
            assert isinstance(one, Listed) or SECRET not in (one.payload or b"")
            shown = (
                [one.source, one.key, one.site or ""] if isinstance(one, Capture) else [one.name, one.message]
            )
            assert all(text.isprintable() for text in [name, *shown]), shown


def test_every_document_has_its_own_key(outcomes: Outcomes) -> None:
    keys = [one.key for made in outcomes.values() for one in made if isinstance(one, Capture)]
    assert len(keys) == len(set(keys))


# ---- the whole way


@dataclass(frozen=True, slots=True)
class Made:
    """What an ingest made of a case: kinds of what was refused, and the texts of its documents."""

    kinds: frozenset[str]
    texts: tuple[str, ...]
    said: str


@pytest.mark.slow
def test_a_whole_ingest_ends_each_case_as_it_should(zoo: Path, cases: list[Case], tmp_path: Path) -> None:
    with begin(raw=zoo / "raw", root=tmp_path / "clean", workers=2) as run:
        summary = ingest(run)
    assert sum(summary.counts.values()) == summary.captures
    made = _made_of(tmp_path / "clean")
    assert {case.name for case in cases} <= made.keys()
    wrong = {case.id: why for case in cases if (why := _wrong(case, made[case.name]))}
    assert wrong.keys() <= {"many-links"}, wrong  # its menu is taken for a page
    files = [path for path in (tmp_path / "clean").rglob("*") if path.is_file()]
    assert not [path for path in files if SECRET in path.read_bytes()]
    assert sorted(path.name for path in (zoo / "outside").iterdir()) == ["secret.txt"]


def _made_of(clean: Path) -> Mapping[str, Made]:
    texts = {
        row["doc_id"]: row["text"]
        for batch in open_corpus(clean).latest(["doc_id", "text"])
        for row in batch.to_pylist()
    }
    found: dict[str, list[dict[str, object]]] = {}
    for line in inputs(clean):
        found.setdefault(line["input"].partition("#offset")[0], []).append(line)
    return {
        name: Made(
            frozenset(str(line["error"]) for line in lines if line["error"]),
            tuple(texts.get(document, "") for line in lines for document in line["documents"]),  # type: ignore[attr-defined]
            " ".join(str(line["message"]) for line in lines),
        )
        for name, lines in found.items()
    }


def _wrong(case: Case, made: Made) -> str | None:
    """What is wrong with what an ingest made of a case, None if it is right."""
    if case.category == "xml" and case.expect == "extracted":
        return None if not made.kinds else f"is refused: {made.kinds}"
    if case.expect == "rejected":
        return None if not made.texts and made.kinds <= case.kinds else f"{len(made.texts)} texts, {made.kinds}"
    if case.expect == "partial":
        named = made.kinds | {kind for kind in case.kinds if kind in made.said}
        if not named or not made.kinds <= case.kinds:
            return f"names {set(named)}, not {set(case.kinds)}"
        return _wrong_count(case, len(made.texts))
    if case.expect == "empty":
        return None if not made.texts and made.kinds <= case.kinds else f"{len(made.texts)} texts, {made.kinds}"
    if not made.kinds <= case.kinds:
        return f"is refused: {made.kinds}"
    return None if made.kinds else _lacking(case, made)


def _lacking(case: Case, made: Made) -> str | None:
    """What a text lacks that it must have, or has that it must not."""
    whole = "\n".join(made.texts)
    for must in case.must:
        if must.startswith("has:") and must[4:] not in whole:
            return f"lacks {must[4:]}"
        if must == "noctl" and re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", whole):
            return "holds control characters"
    return _wrong_count(case, len(made.texts))
