"""Captions: which two texts are one caption, and how a page says each caption once."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cleancopy.document import Block, BlockKind, Cut, Document
from cleancopy.extract.html import read_plain
from cleancopy.policy import CaptionPolicy
from cleancopy.stages.captions.collapse import collapse_captions
from cleancopy.stages.captions.compare import compare_captions
from conftest import corpus

POLICY = CaptionPolicy()
BRIDGE = "Workers repair the old stone bridge over the Lorem river near Dolor on May 8, 2017."

SAME = [
    # what differs, a, b, which to keep
    ("nothing", BRIDGE, BRIDGE, "either"),
    (
        "case, quotes, hyphens",
        "The “old” stone‑bridge over the river",
        'the "Old" Stone-Bridge over the river',
        "either",
    ),
    (
        "entities and tags",
        "<p>Salt &amp; pepper on the long table</p>",
        "Salt & pepper on the long table",
        "either",
    ),
    ("soft hyphens", "Sche\u00adma\u00adtisch gezeichnete Kanten", "Schematisch gezeichnete Kanten", "either"),
    ("umlauts spelt out", "Bäume und Blüten für Gärten", "baeume und blueten fuer gaerten", "either"),
    ("a gallery counter", f"Image 1 of 4 {BRIDGE}", BRIDGE, "either"),
    ("a counter glued on", f"3of8{BRIDGE}", BRIDGE, "either"),
    ("a zoom button", f"Click to enlarge {BRIDGE}", BRIDGE, "either"),
    ("a hidden label", f"Image caption {BRIDGE}", BRIDGE, "either"),
    ("a labelled credit", f"{BRIDGE} Photo: Ana Dolor", BRIDGE, "a"),
    ("a credit in brackets", BRIDGE, f"{BRIDGE} (AP Photo/Ana Dolor)", "b"),
    ("an agency glued on", BRIDGE, f"{BRIDGE}Ana Dolor / Getty Images", "b"),
    ("a German credit", BRIDGE, f"{BRIDGE} Foto: Ana Dolor/dpa", "b"),
    ("a copyright", f"{BRIDGE} © 2017 Ana Dolor. All rights reserved.", BRIDGE, "a"),
    ("a credit before it", f"Image copyright Getty Images Image caption {BRIDGE}", BRIDGE, "a"),
    ("one credit, two styles", f"{BRIDGE} (AP Photo/Ana Dolor)", f"{BRIDGE} Photo: Ana Dolor, AP", "either"),
    ("an ellipsis", "Workers repair the old stone bridge over the Lorem riv…", BRIDGE, "b"),
    ("the end cut off in a word", "Workers repair the old stone bridge over the Lor", BRIDGE, "b"),
    ("a topic, and cut off", "bridges - workers repair the old stone bridge over the lorem...", BRIDGE, "b"),
    ("said twice over", f"{BRIDGE} {BRIDGE}", BRIDGE, "either"),
    ("a typing error", BRIDGE.replace("repair", "repiar"), BRIDGE, "either"),
    ("a month abbreviated", BRIDGE, BRIDGE.replace("May 8", "May 08"), "either"),
    (
        "thousands",
        "A crowd of 11,500 people fills the square",
        "A crowd of 11500 people fills the square",
        "either",
    ),
    ("a short alt", "old stone bridge repair", BRIDGE, "b"),
    ("a credit line and its caption", "Photo: Ana Dolor", f"{BRIDGE} Photo: Ana Dolor", "b"),
    (
        "a number of names",
        "Sed Ut, left, and Ana Dolor",
        "Sed Ut, left, and Ana Dolor meet in the old town",
        "b",
    ),
]

NOT_SAME = [
    # what differs, a, b
    ("the day", BRIDGE, BRIDGE.replace("May 8", "May 9")),
    ("the month", BRIDGE, BRIDGE.replace("May", "June")),
    ("the year", BRIDGE, BRIDGE.replace("2017", "2018")),
    ("the place", BRIDGE, BRIDGE.replace("Dolor", "Amet")),
    ("the place and a credit", BRIDGE, BRIDGE.replace("Dolor", "Amet") + " Photo: Ana Dolor"),
    (
        "the person",
        "Ana Dolor, left, meets Sed Ut in the town hall",
        "Ana Dolor, left, meets Eli Amet in the town hall",
    ),
    ("the score", "The home team won the match 3-1 on Sunday", "The home team won the match 1-3 on Sunday"),
    (
        "the score by repetition",
        "They won the last match 3-3 on Sunday",
        "They won the last match 3-1 on Sunday",
    ),
    (
        "a count at the beginning",
        "3 of 5 bridges over the river are old",
        "4 of 5 bridges over the river are old",
    ),
    ("a fraction at the beginning", "1/2 cup of sugar in the bowl", "1/4 cup of sugar in the bowl"),
    ("signs only", "☀", "☂"),
    ("the model", "M8 Pro single monitor arm with long links", "M2 Pro single monitor arm with long links"),
    ("the colour", "Modern sofa in beige with clean lines", "Modern sofa in green with clean lines"),
    ("a prefix that turns it round", "List of active versions of it", "List of inactive versions of it"),
    (
        "countries two letters apart",
        "A border post in Slovenia at dawn in winter",
        "A border post in Slovakia at dawn in winter",
    ),
    ("the figure", "Figure 2. Latency by token count", "Figure 3. Latency by token count"),
    ("the photographer", f"{BRIDGE} (Photo: Ana Dolor)", f"{BRIDGE} (Photo: Eli Amet)"),
    ("credits alone", "Photo: Ana Dolor", "Photo: Eli Amet"),
    ("an agency alone", "Photo: Getty Images", f"{BRIDGE} Image copyright Getty Images"),
    ("a credit and a caption naming the maker", "Credit: Dolor", BRIDGE),
    (
        "some of a list of names",
        "Ana Dolor, Eli Amet",
        "Ana Dolor, Sed Ut, Tom Vero, Eli Amet, Ida Quo, Max Sit, Rex Non",
    ),
    ("a name and more", "Lorem Tab 15", "Lorem Tab 15 Pro"),
    ("a word within a product's name", "Ridge Down Jacket for Men", "Ridge Light Down Jacket for Men"),
    ("a colour behind a model", "Hall X200 Steel Kettle Pro", "Hall X200 Steel Kettle Pro White"),
    ("with and without", "A picture of a house with a fence", "A picture of a house without a fence"),
    ("a denial", "The old bridge is open to cars", "The old bridge is not open to cars"),
    (
        "who does it, of two who are named",
        "Ana Dolor reacts as she speaks with Eli Amet during the long debate",
        "Eli Amet reacts as she speaks with Ana Dolor during the long debate",
    ),
    ("Chinese places", "北京市的一座古老石桥正在维修", "南京市的一座古老石桥正在维修"),
    ("everything", BRIDGE, "A quite different picture of three sleeping cats"),
]


@pytest.mark.parametrize(("what", "a", "b", "keep"), SAME, ids=[case[0] for case in SAME])
def test_one_caption(what: str, a: str, b: str, keep: str) -> None:
    mirrored = {"a": "b", "b": "a", "either": "either"}
    there, back = compare_captions(a, b), compare_captions(b, a)
    assert (there.label, there.keep) == ("same", keep), there.evidence
    assert (back.label, back.keep) == ("same", mirrored[keep]), back.evidence


@pytest.mark.parametrize(("what", "a", "b"), NOT_SAME, ids=[case[0] for case in NOT_SAME])
def test_two_captions(what: str, a: str, b: str) -> None:
    for match in (compare_captions(a, b), compare_captions(b, a)):
        assert match.label != "same", match.evidence
        assert match.keep is None


def test_evidence_says_what_each_side_has_of_its_own() -> None:
    match = compare_captions(f"{BRIDGE} Photo: Ana Dolor", BRIDGE.replace("May 8", "June 9"))
    assert match.label == "related"
    assert match.evidence["rule"] == "both-name-something"
    assert match.evidence["only_a"] == "month5 8"
    assert match.evidence["only_b"] == "month6 9"
    assert match.evidence["credit_a"] == "Photo: Ana Dolor"
    assert 0.5 < float(match.evidence["containment"]) < 1


def test_what_is_longer_than_any_caption_is_only_compared_for_being_equal() -> None:
    text = "lorem ipsum " * 2_000
    assert compare_captions(text, text + "\n").label == "same"
    assert compare_captions(text, text + "dolor").label == "different"


@pytest.mark.xfail(reason="a reworded caption whose changed words are names is told apart")
def test_another_word_for_the_same() -> None:
    assert (
        compare_captions(
            "Ana Dolor Seen With Tom's New Girl", "Ana Dolor Seen With Tom Vero's New Friend"
        ).label
        == "same"
    )


def test_the_labelled_pairs_keep_their_floor() -> None:
    lines = (corpus("corpora/captions") / "dev.jsonl").read_text(encoding="utf-8").splitlines()
    pairs = [json.loads(line) for line in lines]
    found = [(pair, compare_captions(pair["a"], pair["b"])) for pair in pairs]
    for flat in (False, True):
        scored = [(pair, match) for pair, match in found if not (flat and pair["nested"])]
        said = [(pair, match) for pair, match in scored if match.label == "same"]
        right = [(pair, match) for pair, match in said if pair["label"] == "same"]
        assert len(right) / len(said) >= 0.99
        assert len(right) / sum(pair["label"] == "same" for pair, _ in scored) >= 0.9
        assert sum(pair["keep"] == match.keep for pair, match in right) / len(right) >= 0.95


# --- pages: each line with what becomes of it. "keep", "cut" with its rule, "credit" keeps all but the suffix

LEDE = "The town council decided on Monday that the bridge will be repaired before the winter."
BODY = "“We have waited for this a long time,” the mayor said after the meeting in the old town hall."
SIGNED = f"{BRIDGE} Town photo by Sgt. Ana Dolor"

PAGES: dict[str, list[tuple[str, str]]] = {
    "a caption four times, with title, credit and identifier": [
        (LEDE, "keep"),
        ("", ""),
        (SIGNED, "credit"),
        (SIGNED, "repeated-caption"),
        (SIGNED, "repeated-caption"),
        ("Bridge Repair", "caption-title"),
        (BRIDGE, "repeated-caption"),
        ("Photo By: Sgt. Ana Dolor", "caption-credit"),
        ("VIRIN: 170508-D-GY869-042", "caption-identifier"),
        ("", ""),
        (BODY, "keep"),
    ],
    "the fullest stays, wherever it stands": [
        (LEDE, "keep"),
        ("", ""),
        ("Workers repair the old stone bridge over the Lorem…", "repeated-caption"),
        (SIGNED, "credit"),
        ("", ""),
        (BODY, "keep"),
    ],
    "one caption with a credit line": [
        (LEDE, "keep"),
        ("", ""),
        (BRIDGE, "keep"),
        ("Photo: Ana Dolor", "caption-credit"),
        ("", ""),
        (BODY, "keep"),
    ],
    "one caption with a credit at its end": [
        (LEDE, "keep"),
        ("", ""),
        (SIGNED, "credit"),
        ("", ""),
        (BODY, "keep"),
    ],
    "no credit, but packed together": [
        (LEDE, "keep"),
        ("", ""),
        (BRIDGE, "keep"),
        (BRIDGE, "repeated-caption"),
        ("", ""),
        (BODY, "keep"),
    ],
    "captions that differ in a day stay": [
        (LEDE, "keep"),
        ("", ""),
        (SIGNED, "credit"),
        (SIGNED.replace("May 8", "May 9"), "credit"),
        ("", ""),
        (BODY, "keep"),
    ],
    "far apart, both signed": [
        (SIGNED, "credit"),
        *[("", ""), (BODY, "keep")] * 20,
        ("", ""),
        (SIGNED, "repeated-caption"),
    ],
    "prose that says a photo is by someone": [
        ("The first prize went to a photo by Ana Dolor", "keep"),
        ("", ""),
        ("They asked who had made it. The picture was by Ana Dolor, of course.", "keep"),
    ],
    "a paragraph that repeats a caption, prose between": [
        (SIGNED, "credit"),
        ("", ""),
        (LEDE, "keep"),
        ("", ""),
        (BRIDGE, "keep"),
    ],
    "a pull quote": [(BODY, "keep"), ("", ""), (LEDE, "keep"), ("", ""), (BODY, "keep")],
    "a refrain": [
        ("Lorem ipsum dolor sit amet and the long road home again", "keep"),
        ("Lorem ipsum dolor sit amet and the long road home again", "keep"),
        ("", ""),
        ("Consectetur the lantern and the morning rain", "keep"),
        ("Adipiscing the harbour and the evening train", "keep"),
        ("And nobody asks where the summer has gone to now", "keep"),
        ("", ""),
        ("Lorem ipsum dolor sit amet and the long road home again", "keep"),
        ("Lorem ipsum dolor sit amet and the long road home again", "keep"),
    ],
    "speaker labels": [
        ("MR. DOLOR:", "keep"),
        (LEDE, "keep"),
        ("MS. AMET:", "keep"),
        (BODY, "keep"),
        ("MR. DOLOR:", "keep"),
    ],
    "specifications": [
        ("Graphics: Lorem GTX 770", "keep"),
        ("Memory: 8 GB", "keep"),
        ("Graphics: Lorem GTX 770", "keep"),
    ],
    "a page's copyright line": [
        (LEDE, "keep"),
        (BODY, "keep"),
        ("© 2020 Lorem Dolor. All Rights Reserved.", "keep"),
    ],
    "an identifier that belongs to no caption": [(LEDE, "keep"), ("", ""), ("ISBN: 978-3-16-148410-0", "keep")],
}


def decided(document: Document, cuts: Sequence[Cut]) -> list[str]:
    """What becomes of each block: "keep", "credit" where only its end goes, else the rule that cuts it."""
    fates = []
    for block in document.blocks:
        inside = [cut for cut in cuts if cut.start < block.end and block.start < cut.end]
        assert len(inside) <= 1
        whole = bool(inside) and inside[0].start == block.start
        fates.append(inside[0].rule if whole else "credit" if inside else "keep")
    return fates


@pytest.mark.parametrize("name", PAGES)
def test_pages(name: str) -> None:
    page = PAGES[name]
    read = read_plain("\n".join(line for line, _ in page))
    document = Document(name, read.text, read.blocks)
    cuts, _ = collapse_captions(document, POLICY)
    assert decided(document, cuts) == [fate for line, fate in page if line]
    assert document.with_cuts(cuts).clean.count(BRIDGE) <= max(
        1, sum(fate in ("keep", "credit") for _, fate in page)
    )


def test_what_is_lifted() -> None:
    read = read_plain(
        "\n".join(line for line, _ in PAGES["a caption four times, with title, credit and identifier"])
    )
    cuts, (media,) = collapse_captions(Document("key", read.text, read.blocks), POLICY)
    assert media.caption == BRIDGE
    assert media.credit == "Town photo by Sgt. Ana Dolor"
    assert media.title == "Bridge Repair"
    assert media.identifiers == ("VIRIN: 170508-D-GY869-042",)
    assert media.occurrences == 4
    assert [read.text[start:end].startswith(BRIDGE) for start, end in media.places] == [True] * 4
    second = cuts[1]
    assert second.reason == "repeats the caption above (occurrence 2 of 4)"
    assert read.text[int(second.evidence["kept_start"]) : int(second.evidence["kept_end"])] == SIGNED


def page_of(*blocks: tuple[str, BlockKind, str]) -> Document:
    """A document as it is read from HTML: texts with their kind and DOM path."""
    text, made = "", []
    for line, kind, path in blocks:
        made.append(Block(len(text), len(text) + len(line), kind, path=path))
        text += line + "\n\n"
    return Document("https://example.org/", text, tuple(made))


FIGURE = "/html/body/figure[%d]/figcaption"


def test_captions_of_html_collapse_over_the_whole_page_and_prose_stays() -> None:
    document = page_of(
        (BRIDGE, "caption", FIGURE % 1),
        ("Ana Dolor/Lorem Press", "credit", "/html/body/figure[1]/span"),
        (LEDE, "paragraph", "/html/body/p[1]"),
        (BRIDGE, "paragraph", "/html/body/p[2]"),
        (BODY, "paragraph", "/html/body/p[3]"),
        (f"{BRIDGE} Photo: Ana Dolor", "caption", FIGURE % 2),
    )
    cuts, (media,) = collapse_captions(document, POLICY)
    assert decided(document, cuts) == ["keep", "caption-credit", "keep", "keep", "keep", "repeated-caption"]
    assert media.credit == "Ana Dolor/Lorem Press"
    assert media.occurrences == 2


def test_labels_marked_as_captions_stay() -> None:
    speaker = ("Ana Dolor, Mayor of Lorem", "caption", "/html/body/blockquote/p")
    prose = (LEDE, "paragraph", "/html/body/p")
    cuts, _ = collapse_captions(page_of(speaker, prose, speaker, prose, speaker), POLICY)
    assert cuts == ()


@pytest.mark.parametrize("kind", ["table_row", "code", "quote", "heading"])
def test_repeated_blocks_of_other_kinds_stay(kind: BlockKind) -> None:
    cuts, media = collapse_captions(page_of(*[(SIGNED, kind, "/html/body/*")] * 3), POLICY)
    assert (cuts, media) == ((), ())


def test_what_earlier_stages_cut_is_not_kept_for() -> None:
    first, second = (SIGNED, "caption", FIGURE % 1), (SIGNED, "caption", FIGURE % 2)
    document = page_of(first, (LEDE, "paragraph", "/html/body/p"), second)
    document = document.with_cuts(
        [Cut(0, document.blocks[1].start, "content", "not-main", "is no main content")]
    )
    cuts, (media,) = collapse_captions(document, POLICY)
    assert document.with_cuts(cuts).clean.count(BRIDGE) == 1
    assert media.occurrences == 2


def test_the_seed_page_says_its_caption_once() -> None:
    pages = sorted(corpus("seeds").glob("*.txt"))
    cleaned = {}
    for path in pages:
        read = read_plain(path.read_text(encoding="utf-8"))
        document = Document(path.name, read.text, read.blocks)
        cuts, media = collapse_captions(document, POLICY)
        cleaned[path.name[:3]] = (document.with_cuts(cuts).clean, media)
    clean, media = cleaned["002"]
    (picture,) = media
    assert clean.count("arrives in Copenhagen to attend a ministerial") == 1
    assert not any(gone in clean for gone in ("Jette Carr", "VIRIN", "Copenhagen Arrival"))
    assert picture.occurrences == 4
    assert picture.identifiers == ("VIRIN: 170508-D-GY869-042",)
    assert picture.title == "Copenhagen Arrival"
    assert cleaned["000"][1] == ()


# --- properties

WORDS = [
    "harbour",
    "lantern",
    "bridge",
    "worker",
    "mayor",
    "square",
    "river",
    "old",
    "stone",
    "crowd",
    "market",
]
NAMES = ["Dolor", "Amet", "Lorem", "Ipsum"]
captions = st.builds(
    lambda words, name, day, end: f"{' '.join(words).capitalize()} in {name} on May {day}.{end}",
    st.lists(st.sampled_from(WORDS), min_size=6, max_size=9),
    st.sampled_from(NAMES),
    st.integers(1, 31),
    st.sampled_from(["", " Photo: Ana Vero", " (AP Photo/Eli Quo)", "Sed Ut / Reuters"]),
)
lines = st.one_of(
    captions,
    st.sampled_from(
        [LEDE, BODY, "Photo by Ana Vero", "VIRIN: 170508-D-GY869-042", "Bridge Repair", "MR. DOLOR:", "(", "©"]
    ),
)
kinds = st.sampled_from(["paragraph", "caption", "credit", "list_item", "heading"])


@st.composite
def documents(draw: st.DrawFn) -> Document:
    pool = draw(st.lists(lines, min_size=1, max_size=6))
    chosen = draw(
        st.lists(st.tuples(st.sampled_from(pool), kinds, st.sampled_from(["\n", "\n\n"])), max_size=14)
    )
    path = draw(st.sampled_from(["", "/html/body/figure/p"]))
    text, blocks = "", []
    for line, kind, gap in chosen:
        blocks.append(Block(len(text), len(text) + len(line), kind, path=path))
        text += line + gap
    return Document("key", text, tuple(blocks))


@given(documents())
def test_an_occurrence_of_each_caption_stays(document: Document) -> None:
    cuts, media = collapse_captions(document, POLICY)
    cleaned = document.with_cuts(cuts)
    for picture in media:
        assert picture.occurrences == len(picture.places)
        assert picture.caption in cleaned.clean
    assert len(cleaned.cuts) == len(cuts)  # none overlaps another


@given(documents())
def test_cuts_are_whole_blocks_or_the_end_of_one(document: Document) -> None:
    cuts, _ = collapse_captions(document, POLICY)
    starts = {block.start for block in document.blocks}
    nexts = [*(block.start for block in document.blocks[1:]), len(document.text)]
    for cut in cuts:
        (index,) = [i for i, b in enumerate(document.blocks) if b.start <= cut.start < b.end]
        block = document.blocks[index]
        assert cut.end == (nexts[index] if cut.start in starts else block.end)
        assert block.kind in ("paragraph", "caption", "credit", "list_item")
        assert cut.stage == "captions"


@given(documents())
def test_collapsing_is_pure(document: Document) -> None:
    once = collapse_captions(document, POLICY)
    assert collapse_captions(document, POLICY) == once


@given(captions, captions)
def test_merged_captions_never_differ_in_digits(a: str, b: str) -> None:
    match = compare_captions(a, b)
    if match.label == "same":
        assert [c for c in a if c.isdigit()] == [c for c in b if c.isdigit()]
        assert {name for name in NAMES if name in a} == {name for name in NAMES if name in b}


@given(captions, st.integers(1, 31))
def test_another_day_is_another_caption(caption: str, day: int) -> None:
    head, _, tail = caption.rpartition("on May ")
    digits = "".join(c for c in tail[:2] if c.isdigit())
    other = f"{head}on May {day}{tail[len(digits) :]}"
    assert (compare_captions(caption, other).label == "same") == (int(digits) == day)


@given(st.text(max_size=120), st.text(max_size=120))
def test_any_two_texts_compare_the_same_both_ways(a: str, b: str) -> None:
    mirrored = {"a": "b", "b": "a", "either": "either", None: None}
    there, back = compare_captions(a, b), compare_captions(b, a)
    assert there.label == back.label
    assert mirrored[there.keep] == back.keep


@given(st.text(max_size=60), st.text(max_size=60))
def test_any_two_texts_can_be_compared(a: str, b: str) -> None:
    match = compare_captions(a, b)
    assert (match.keep is None) == (match.label != "same")


def test_words_of_marks_alone_compare_as_they_are() -> None:
    assert compare_captions("นี้", "โรงเรียน ประถม").label == "different"


@pytest.mark.parametrize(
    ("caption", "other"),
    [
        # The new word stands elsewhere in the caption, too, and so does the old one.
        ("The mayor thanks the crew and the crew thanks the team of the mayor",
         "The mayor thanks the crew and the team thanks the team of the mayor"),
        ("市长在新市政厅前会见市民代表和新代表", "市长在新市政厅前会见代表代表和新代表"),
        ("नदी के किनारे लोग मेला देख रहे हैं", "नदी के किनारे लोग माला देख रहे हैं"),  # one vowel sign
        ("ชาวนาเดินเข้าไปในนาข้าวใกล้หมู่บ้าน", "ชาวนาเดินเข้าไปในนาขาวใกล้หมู่บ้าน"),  # one tone
    ],
)  # fmt: skip
def test_a_word_in_anothers_place_makes_another_caption(caption, other):
    assert compare_captions(caption, caption).label == "same"
    assert compare_captions(caption, other).label != "same"
    assert compare_captions(other, caption).label != "same"


def test_a_caption_that_is_said_twice_is_the_same():
    caption = "Rescue workers carry sandbags along the flooded river bank"
    assert compare_captions(caption, f"{caption}. {caption}, Oslo").label == "same"
