"""The conservation law, and what a document is made of."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cleancopy import Block, ConservationError, Cut, Document


def cut(start: int, end: int, stage: str = "chrome") -> Cut:
    return Cut(start, end, stage, "rule", "reason")


@st.composite
def texts_and_proposals(draw: st.DrawFn) -> tuple[str, list[list[Cut]]]:
    """A text, and the cuts that several stages propose: any ranges, as long as one stage's own are apart."""
    text = draw(st.text(min_size=1, max_size=60))
    stages = []
    for name in draw(st.lists(st.sampled_from(["chrome", "content", "captions"]), max_size=3)):
        edges = sorted(draw(st.sets(st.integers(0, len(text)), max_size=8)))
        stages.append([cut(a, b, name) for a, b in zip(edges[::2], edges[1::2], strict=False) if a < b])
    return text, stages


def restored(document: Document) -> str:
    """The page text, put together from clean text and cuts alone."""
    clean, parts, position = document.clean, [], 0
    taken = 0
    for one in document.cuts:
        kept = one.start - position
        parts += [clean[taken : taken + kept], document.text[one.start : one.end]]
        taken, position = taken + kept, one.end
    return "".join([*parts, clean[taken:]])


@given(texts_and_proposals())
def test_clean_text_and_cuts_are_the_page_text(example: tuple[str, list[list[Cut]]]) -> None:
    text, stages = example
    document = Document(key="k", text=text, blocks=())
    for cuts in stages:
        document = document.with_cuts(cuts)
    assert restored(document) == text
    assert len(document.clean) == len(text) - sum(one.end - one.start for one in document.cuts)
    assert "".join(text[start : start + size] for _, start, size in document.mapping) == document.clean


@given(texts_and_proposals())
def test_an_earlier_stage_keeps_what_it_took(example: tuple[str, list[list[Cut]]]) -> None:
    text, stages = example
    document = Document(key="k", text=text, blocks=())
    for cuts in stages:
        before = document.cuts
        document = document.with_cuts(cuts)
        assert all(one in document.cuts for one in before)
        proposed = {at for one in cuts for at in range(one.start, one.end)}
        taken = {at for one in document.cuts for at in range(one.start, one.end)}
        assert proposed <= taken


@pytest.mark.parametrize("ranges", [[(0, 0)], [(3, 2)], [(0, 99)], [(0, 4), (3, 6)], [(4, 6), (0, 2)]])
def test_a_document_that_breaks_the_law_cannot_be_made(ranges: list[tuple[int, int]]) -> None:
    with pytest.raises(ConservationError, match="cut"):
        Document(key="k", text="0123456789", blocks=(), cuts=tuple(cut(a, b) for a, b in ranges))
    with pytest.raises(ConservationError, match="block"):
        Document(key="k", text="0123456789", blocks=tuple(Block(a, b) for a, b in ranges))


def test_identities_are_digests_that_do_not_move() -> None:
    document = Document(key="https://example.org/a", text="a", blocks=())
    assert document.doc_id == "b5b10dd0429e69ac7cfaf0a20b6901c1"
    assert document.doc_id != Document(key="https://example.org/b", text="a", blocks=()).doc_id
