"""Which documents are copies: exact, near, contained; what never is; that order and runs do not matter."""

from __future__ import annotations

import hashlib
import random
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cleancopy.errors import StoreError
from cleancopy.minhash import containment, jaccard, shingles, sign
from cleancopy.policy import DuplicatePolicy
from cleancopy.stages.duplicates import BUCKET, Candidate, Texts, find_duplicates, signing

POLICY = DuplicatePolicy()


def words(seed: int, count: int) -> list[str]:
    """Plain made-up words without numbers or capitals."""
    rng = random.Random(seed)
    return ["".join(rng.choices("abcdefghijklmnopqrstuvwxyz", k=5)) for _ in range(count)]


def corpus(texts: dict[str, str], **facts: tuple[str | None, bool]) -> list[Candidate]:
    """Candidates of the texts by id; ``facts`` gives a document's capture time and whether it is canonical."""
    rows = sign(list(texts.values()), signing(POLICY))
    return [
        Candidate(
            doc_id=doc_id,
            text_sha256=hashlib.sha256(text.encode()).hexdigest(),
            words=len(text.split()),
            captured=facts.get(doc_id, (None, False))[0],
            self_canonical=facts.get(doc_id, (None, False))[1],
            signature=row,
        )
        for (doc_id, text), row in zip(texts.items(), rows, strict=True)
    ]


def of(texts: dict[str, str]) -> Texts:
    """What gives these texts by id, as ``decide`` asks for them."""
    return lambda ids: [(doc_id, texts[doc_id]) for doc_id in ids]


def pointers(texts: dict[str, str], **facts: tuple[str | None, bool]) -> dict[str, tuple[str, str]]:
    """Each copy with its keeper and the rule."""
    found = find_duplicates(corpus(texts, **facts), of(texts), POLICY).duplicates
    return {d.doc_id: (d.keeper, d.rule) for d in found}


BASE = words(1, 120)
TEXT = " ".join(BASE)


# --- the three rules


def test_the_same_text_is_an_exact_copy():
    assert pointers({"a": TEXT, "b": TEXT, "c": " ".join(words(2, 120))}) == {"b": ("a", "exact")}


def test_a_text_with_few_changes_is_a_near_copy():
    assert pointers({"a": TEXT, "b": " ".join([*BASE[:60], "changed", *BASE[61:]])}) == {"b": ("a", "near")}


def test_a_near_copy_says_how_near():
    texts = {"a": TEXT, "b": " ".join([*BASE[:60], "changed", *BASE[61:]])}
    (copy,) = find_duplicates(corpus(texts), of(texts), POLICY).duplicates
    assert copy.jaccard == pytest.approx(111 / 121, abs=1e-4)
    assert copy.evidence == {"shared": 111, "shingles": 116, "keeper_shingles": 116}
    assert copy.reason == "shares 92% of all 5-word shingles with a, which comes first by id"


def test_a_text_that_a_larger_one_has_whole_is_contained():
    assert pointers({"a": " ".join(BASE[:92]), "b": TEXT}) == {"a": ("b", "contained")}


def test_the_larger_text_is_never_removed_for_what_it_contains():
    facts = {"a": ("2020-01-01T00:00:00Z", True), "b": (None, False)}
    assert pointers({"a": " ".join(BASE[:92]), "b": TEXT}, **facts) == {"a": ("b", "contained")}


def test_half_a_text_in_common_is_no_copy():
    assert pointers({"a": TEXT, "b": " ".join([*BASE[:80], *words(3, 40)])}) == {}


# --- guards


def test_other_numbers_on_either_side_are_no_containment():
    part = BASE[:92]
    assert pointers({"a": " ".join([*part, "room", "12"]), "b": " ".join([*BASE, "room", "13"])}) == {}
    assert pointers({"a": " ".join([*part, "room", "x"]), "b": " ".join([*BASE, "room", "y"])}) == {
        "a": ("b", "contained")
    }


def test_templated_pages_that_differ_in_numbers_and_names_are_no_copies():
    names = ["Alder", "Birch", "Cedar", "Elm", "Fir", "Hazel"]
    frame = (
        "On this day the forecast for the region around the town of {} is a high of {} degrees with wind at {}"
    )
    rng = random.Random(5)
    texts = {
        f"page{i}": " ".join(
            frame.format(rng.choice(names), rng.randrange(40), rng.randrange(90)) for _ in range(7)
        )
        for i in range(30)
    }
    assert pointers(texts) == {}


def test_short_texts_are_copies_only_when_exact():
    short = " ".join(BASE[: POLICY.min_words - 1])
    assert pointers({"a": short, "b": short, "c": short.upper()}) == {"b": ("a", "exact")}


def test_documents_without_words_are_nobodys_copies():
    assert pointers({"a": "", "b": ""}) == {}


def test_what_is_like_a_copy_but_not_like_its_keeper_stays():
    step = 7  # words changed at the end each time: 0.88 from one to the next, 0.78 over two steps
    second = [*BASE[:-step], *words(4, step)]
    third = [*words(5, step), *second[step:]]
    texts = {"a": TEXT, "b": " ".join(second), "c": " ".join(third)}
    sets = {name: shingles(text, 5) for name, text in texts.items()}
    assert jaccard(sets["a"], sets["b"]) > 0.8 < jaccard(sets["b"], sets["c"])
    assert jaccard(sets["a"], sets["c"]) < 0.8
    assert pointers(texts) == {"b": ("a", "near")}


def test_copies_of_a_contained_text_go_to_the_larger_one_together():
    texts = {"a": " ".join(BASE[:92]), "b": " ".join(BASE[:90]), "c": TEXT, "d": " ".join(BASE[:92])}
    keepers = {doc_id: keeper for doc_id, (keeper, _) in pointers(texts).items()}
    assert keepers == {"a": "c", "b": "c", "d": "c"}


def test_a_contained_text_stays_while_a_copy_depends_on_it():
    part = BASE[:95]
    copy = [*words(6, 12), *part[4:]]  # near to the part, but not contained in the whole
    texts = {"a": " ".join(part), "b": " ".join(copy), "c": TEXT}
    assert containment(shingles(texts["b"], 5), shingles(texts["c"], 5)) < 0.9
    assert pointers({"a": texts["a"], "c": TEXT}) == {"a": ("c", "contained")}
    assert pointers(texts, a=(None, True)) == {"b": ("a", "near")}


# --- which one is kept


@pytest.mark.parametrize(
    ("facts", "keeper"),
    [
        ({}, "a"),
        ({"b": ("2024-05-01T00:00:00Z", False)}, "b"),
        ({"a": ("2024-05-01T00:00:00Z", False), "b": ("2023-05-01T00:00:00Z", False)}, "b"),
        ({"a": ("2023-05-01T00:00:00Z", False), "b": ("2024-05-01T00:00:00Z", True)}, "b"),
    ],
    ids=["lowest id", "a known capture time", "earliest capture", "self-canonical"],
)
def test_the_keeper(facts, keeper):
    assert [keeper for keeper, _ in pointers({"a": TEXT, "b": TEXT}, **facts).values()] == [keeper]


def test_the_longest_is_kept_before_the_lowest_id():
    assert pointers({"a": " ".join(BASE[:-3]), "b": TEXT}) == {"a": ("b", "near")}


# --- what it costs


def test_only_texts_that_may_match_are_read():
    texts = {f"doc{i}": " ".join(words(i + 50, 80)) for i in range(30)} | {"a": TEXT, "b": " ".join(BASE[:-3])}
    read: list[str] = []

    def texts_of(ids):
        read.extend(ids)
        return of(texts)(ids)

    decision = find_duplicates(corpus(texts), texts_of, POLICY)
    assert sorted(read) == ["a", "b"]
    assert [sorted(fact.overlap) for fact in decision.measured.values()] == [[113, 113, 116]]


@pytest.mark.parametrize("memory", [1, 400, 10_000])
def test_little_memory_changes_nothing(memory, monkeypatch):
    texts = {f"d{i}": " ".join(changed(words(i % 3, 90), i % 7, i % 2)) for i in range(40)}
    expected = find_duplicates(corpus(texts), of(texts), POLICY)
    monkeypatch.setattr("cleancopy.stages.duplicates.MEMORY", memory)
    monkeypatch.setattr("cleancopy.stages.duplicates.AHEAD", 3)
    monkeypatch.setattr("cleancopy.stages.duplicates.TOGETHER", 2)
    assert find_duplicates(corpus(texts), of(texts), POLICY) == expected


def test_a_full_band_is_compared_with_its_first_documents_and_says_so():
    count = BUCKET + 40
    texts = {f"d{i:03d}": " ".join([*BASE, f"x{i}"]) for i in range(count)}
    decision = find_duplicates(corpus(texts), of(texts), POLICY)
    assert {d.keeper for d in decision.duplicates} == {"d000"}
    assert len(decision.duplicates) == count - 1
    assert decision.missed
    assert min(decision.missed) > f"d{BUCKET - 1:03d}"
    assert decision.overflow == sum(decision.missed.values())
    said = {d.doc_id: d.evidence["overflow"] for d in decision.duplicates if "overflow" in d.evidence}
    assert said == decision.missed


def test_signatures_may_be_bytes():
    texts = {"a": TEXT, "b": " ".join(BASE[:-3])}
    packed = [replace(d, signature=np.asarray(d.signature, "<u4").tobytes()) for d in corpus(texts)]
    assert (
        find_duplicates(packed, of(texts), POLICY).duplicates
        == find_duplicates(corpus(texts), of(texts), POLICY).duplicates
    )


def test_a_signature_under_another_policy_is_refused():
    with pytest.raises(StoreError, match="document a has 112 values where the policy says 64"):
        find_duplicates(corpus({"a": TEXT}), of({"a": TEXT}), DuplicatePolicy(num_perm=64))


def test_an_empty_corpus_has_no_copies():
    assert find_duplicates([], of({}), POLICY).duplicates == ()


# --- properties over families of copies


def changed(base: list[str], kind: int, seed: int) -> list[str]:
    """A copy of the words, changed in one of seven ways, from not at all to too much."""
    extra = words(seed + 100, 30)
    return [
        base,
        base[:-4],
        base[: len(base) * 4 // 5],
        [*extra[:5], *base],
        [*base[:40], extra[0], *base[41:]],
        [*base[:20], extra[1], *base[21:60], extra[2], *base[61:], "7"],
        [*base, *extra],
    ][kind]


@st.composite
def families(draw):
    """Texts by id and candidates: up to three families of changed copies, with all kinds of facts."""
    made = draw(
        st.lists(
            st.tuples(
                st.integers(0, 2),
                st.integers(0, 6),
                st.integers(0, 2),
                st.sampled_from([None, "2023-01-01T00:00:00Z", "2024-01-01T00:00:00Z"]),
                st.booleans(),
            ),
            min_size=2,
            max_size=10,
        )
    )
    texts = {f"d{i}": " ".join(changed(words(m[0], 90), m[1], m[2])) for i, m in enumerate(made)}
    return texts, corpus(texts, **{f"d{i}": (m[3], m[4]) for i, m in enumerate(made)})


@settings(max_examples=40, deadline=None)
@given(families(), st.randoms(use_true_random=False))
def test_the_order_of_documents_changes_nothing(made, rng):
    texts, documents = made
    expected = find_duplicates(documents, of(texts), POLICY)
    mixed = rng.sample(documents, len(documents))
    assert find_duplicates(mixed, of(texts), POLICY) == expected


@settings(max_examples=60, deadline=None)
@given(families())
def test_every_copy_matches_a_kept_document_itself(made):
    texts, documents = made
    found = find_duplicates(documents, of(texts), POLICY).duplicates
    copies = {d.doc_id for d in found}
    assert [d.doc_id for d in found] == sorted(copies)
    for copy in found:
        assert copy.keeper not in copies
        own, kept = shingles(texts[copy.doc_id], 5), shingles(texts[copy.keeper], 5)
        if copy.rule == "exact":
            assert texts[copy.doc_id] == texts[copy.keeper]
        elif copy.rule == "near":
            assert jaccard(own, kept) >= 0.8
        else:
            assert len(own) < len(kept)
            assert len(own & kept) >= 0.9 * len(own)
        assert copy.jaccard == pytest.approx(jaccard(own, kept), abs=1e-4)
        assert copy.containment == pytest.approx(len(own & kept) / len(own), abs=1e-4)


@settings(max_examples=40, deadline=None)
@given(families())
def test_equal_texts_have_one_fate(made):
    texts, documents = made
    keepers = {d.doc_id: d.keeper for d in find_duplicates(documents, of(texts), POLICY).duplicates}
    for text in set(texts.values()):
        same = [doc_id for doc_id in texts if texts[doc_id] == text]
        assert len({keepers.get(doc_id, doc_id) for doc_id in same}) == 1
