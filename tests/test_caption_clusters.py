"""Captions that several documents show: which are one, which wording is kept, and what becomes of the table."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Literal

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

import cleancopy
from cleancopy.cli import app
from cleancopy.corpus.captions import CaptionCluster, evidence, marked_differences
from cleancopy.curation import captions, decisions, maintain
from cleancopy.curation.rollback import rollback
from cleancopy.document import Block, Document, Media
from cleancopy.export.export import export
from cleancopy.export.jsonl import write_jsonl
from cleancopy.export.selection import plan
from cleancopy.ingest.pipeline import begin, ingest
from cleancopy.policy import CaptionPolicy, ContentPolicy, Policy
from cleancopy.stages.captions.clusters import (
    NOTHING_KNOWN,
    Caption,
    DecidedPairs,
    captions_of,
    cluster,
    columns_of,
)
from cleancopy.stages.captions.credits import split_credits
from cleancopy.stages.captions.wordings import APART, EQUAL, SAME, compare_wordings, read_wording
from cleancopy.store import caption_table

POLICY = CaptionPolicy()
SHIP = (
    "Sailors aboard the guided-missile destroyer USS Harbor line the rails as the ship returns to its homeport "
    "in Norfolk after seven months at sea, on May 4, 2021."
)
#: One press photo as six pages show it.
WORDINGS = (
    SHIP,
    "Sailors aboard the guided-missile destroyer USS Harbor line the rails as the ship returns to its...",
    f"NORFOLK, Va. (AP) — {SHIP}",
    f"{SHIP} (U.S. Navy photo by Anna Berg)",
    f"{SHIP} {SHIP}",
    "Sailors aboard the guided-missile destroyer USS Harbor line rails as the ship returns to its homeport in "
    "Norfolk after seven months at sea on May 4, 2021",
)
#: Another picture of the same event.
PIER = (
    "Families wait on the pier as the guided-missile destroyer USS Harbor returns to its homeport in Norfolk "
    "after seven months at sea, on May 4, 2021."
)


def page(title: str, caption: str, seed: int) -> str:
    """A page with a headline, prose of its own, and one figure."""
    words = random.Random(seed)
    letters = "abcdefghijklmnoprstuvw"
    prose = " ".join("".join(words.choices(letters, k=words.randint(3, 9))) for _ in range(120))
    figure = f'<figure><img src="/p/{seed}.jpg"><figcaption>{caption}</figcaption></figure>' if caption else ""
    return (
        f"<html><head><title>{title}</title></head><body><article><h1>{title}</h1>{figure}"
        f"<p>The {prose}.</p><p>And the {prose[::-1]} came back.</p></article></body></html>"
    )


def site(raw: Path) -> dict[str, str]:
    """Forty pages: twelve show one picture in six wordings, six another one of the event, the rest none."""
    raw.mkdir(parents=True, exist_ok=True)
    captions = [WORDINGS[i % 6] for i in range(12)] + [PIER] * 6 + [""] * 22
    named = {}
    for number, caption in enumerate(captions):
        path = raw / f"page{number:02}.html"
        path.write_text(page(f"Report number {number} of the week", caption, number), encoding="utf-8")
        named[path.name] = caption
    return named


def run(raw: Path, clean: Path, chosen: Policy | None = None, paths: list[Path] | None = None) -> None:
    chosen = chosen or policy("page")
    with begin(raw=raw, root=clean, paths=paths or (), workers=0, policy=chosen) as under_way:
        ingest(under_way)


def shape(clusters: list[CaptionCluster]) -> list[tuple[str, list[str]]]:
    """The kept wording and the documents of each cluster."""
    return [(one.caption, sorted(member.doc_id for member in one.members)) for one in clusters]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("captions")
    site(folder / "raw")
    run(folder / "raw", folder / "clean")
    return folder / "clean"


# ---- wordings


@pytest.mark.parametrize("wording", WORDINGS)
def test_each_wording_of_one_press_photo_is_the_same_caption(wording):
    assert compare_wordings(SHIP, wording.split(" (U.S.")[0], POLICY) in (SAME, EQUAL)


@pytest.mark.parametrize(
    "other",
    [
        PIER,
        SHIP.replace("May 4", "May 6"),
        SHIP.replace("2021", "2022"),
        SHIP.replace("Harbor", "Beacon"),
        SHIP.replace("Norfolk", "San Diego"),
        SHIP.replace("seven", "nine"),
        f"{SHIP} Left: the captain.".replace("returns to", "leaves"),
    ],
)
def test_another_date_name_place_or_number_is_another_caption(other):
    assert compare_wordings(SHIP, other, POLICY) == APART


def test_left_for_right_is_another_caption():
    caption = "Ann Lee, left, shakes hands with Bo Ray, right, before the meeting on trade in the old town hall"
    swapped = caption.replace("left", "x").replace("right", "left").replace("x", "right")
    assert compare_wordings(caption, swapped, POLICY) == APART
    assert compare_wordings(caption, caption.replace("Bo Ray, right", "Bo Ray, left"), POLICY) == APART


def test_a_word_in_the_place_of_another_is_no_addition():
    caption = (
        "Tomato hornworms can seriously damage tomato plants unless wasps are allowed to live in the garden"
    )
    assert compare_wordings(caption, caption.replace("Tomato", "Potato"), POLICY) == APART


def test_datelines_of_two_places_keep_captions_apart():
    caption = "Protesters march through the streets of the old town against higher prices of bread and fuel"
    assert compare_wordings(f"PARIS (AP) — {caption}", caption, POLICY) == EQUAL
    assert compare_wordings(f"PARIS (AP) — {caption}", f"BERLIN (AP) — {caption}", POLICY) == APART


def test_a_polish_credit_is_a_credit_and_a_word_that_ends_so_is_none():
    assert split_credits("Most nad rzeką po remoncie Fot. Jan Novak") == (
        "Most nad rzeką po remoncie", ["Fot. Jan Novak"]
    )  # fmt: skip
    assert split_credits("The parrot. Jan Novak feeds it at noon")[1] == []


def test_moved_sentences_are_the_same_caption():
    one, other = "Anna Berg opens the new wing of the museum.", "Tom Reyes watches from the stairs outside."
    assert compare_wordings(f"{one} {other}", f"{other} {one}", POLICY) == EQUAL


# ---- clusters


def rows_of(texts: list[str], identifiers: list[tuple[str, ...]] | None = None) -> list[Caption]:
    """A row for each text, each of a document of its own."""
    rows = []
    for number, text in enumerate(texts):
        media = Media(text, places=((0, len(text)),), identifiers=identifiers[number] if identifiers else ())
        block = Block(0, len(text), "caption")
        document = Document(f"file:{number:03}.html", text, (block,), media=(media,))
        rows += captions_of(document, f"{number:032x}", None)
    return rows


def groups(rows: list[Caption]) -> set[frozenset[str]]:
    """The clusters as sets of caption ids."""
    kept = cluster(columns_of(rows), NOTHING_KNOWN, POLICY).kept.tolist()
    ids = [row.caption_id for row in rows]
    return {frozenset(ids[i] for i, keeper in enumerate(kept) if keeper == one) for one in set(kept)}


def test_the_fullest_wording_is_kept_and_not_the_doubled_one():
    rows = rows_of([WORDINGS[1], WORDINGS[4], SHIP])
    kept = set(cluster(columns_of(rows), NOTHING_KNOWN, POLICY).kept.tolist())
    assert [rows[at].text for at in kept] == [SHIP]


def test_no_caption_joins_by_way_of_a_third():
    short = "The mayor opens the new bridge over the river in the old town"
    first = f"{short} together with Anna Berg of the council on Monday morning"
    second = f"{short} while Tom Reyes of the builders looks on from the crowd"
    rows = rows_of([short, first, second])
    kept = cluster(columns_of(rows), NOTHING_KNOWN, POLICY).kept.tolist()
    assert kept[1] != kept[2]
    assert kept[0] in (kept[1], kept[2])


def test_one_identifier_above_two_captions_is_related():
    rows = rows_of([SHIP, PIER], [("VIRIN: 210504-N-AB123-1001",)] * 2)
    found = cluster(columns_of(rows), NOTHING_KNOWN, POLICY)
    assert found.kept.tolist() == [0, 1]
    assert found.related.tolist() == [[0, 1]]


def test_a_bare_label_is_one_only_at_one_picture():
    rows = rows_of(["Watch live"] * 3, [("ID: 7",), (), ("ID: 7",)])
    kept = cluster(columns_of(rows), NOTHING_KNOWN, POLICY).kept.tolist()
    assert kept[0] == kept[2] != kept[1]
    title = "View of Mount Harbor from Lower Sender Park"
    assert len(set(cluster(columns_of(rows_of([title] * 3)), NOTHING_KNOWN, POLICY).kept.tolist())) == 1


def test_a_whole_caption_of_few_small_words_is_no_label():
    assert not read_wording("Looking back down the Sender Ladder on Harbor Way at noon").label
    assert read_wording("Looking back down Harbor Way").label
    assert read_wording("Ann Lee, Bo Ray, Cy Dow, Di Fay, Ed Gow and Flo Hay").label


def test_known_verdicts_are_not_asked_for_again(monkeypatch):
    columns = columns_of(rows_of([*WORDINGS, PIER]))
    first = cluster(columns, NOTHING_KNOWN, POLICY)

    def never(*_: object) -> int:
        raise AssertionError("a pair was compared twice")

    monkeypatch.setattr("cleancopy.stages.captions.clusters.compare_wordings", never)
    again = cluster(columns, first.new, POLICY)
    assert (again.kept == first.kept).all()
    assert not len(again.new.codes)


@settings(max_examples=25, deadline=None)
@given(st.permutations(range(len(WORDINGS) + 4)))
def test_order_makes_no_difference(order):
    rows = rows_of(
        [*WORDINGS, PIER, PIER.replace("May 4", "May 5"), SHIP.replace("Harbor", "Beacon"), "A ship"]
    )
    assert groups([rows[i] for i in order]) == groups(rows)


# ---- a site


def test_a_site_of_forty_pages_has_two_clusters(store: Path) -> None:
    clusters = cleancopy.open(store).captions()
    assert [(one.documents, one.occurrences, len(one.wordings)) for one in clusters] == [(12, 12, 5), (6, 6, 1)]
    assert [one.caption for one in clusters] == [SHIP, PIER]


def test_increments_come_to_what_one_batch_does(store: Path, tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    site(raw)
    pages = sorted(raw.iterdir())
    random.Random(5).shuffle(pages)
    for start in range(0, 40, 9):
        run(raw, tmp_path / "clean", paths=pages[start : start + 9])
    incremental = cleancopy.open(tmp_path / "clean").captions()
    assert shape(incremental) == shape(cleancopy.open(store).captions())


def test_a_few_new_captions_are_compared_with_those_like_them_only(tmp_path: Path, store: Path) -> None:
    raw, clean = tmp_path / "raw", tmp_path / "clean"
    site(raw)
    pages = sorted(raw.iterdir())
    run(raw, clean, paths=[*pages[:11], *pages[12:15], *pages[18:]])
    before = caption_table.load(clean, POLICY)
    for page in (pages[11], *pages[15:18]):
        run(raw, clean, paths=[page])
    after = caption_table.load(clean, POLICY)
    assert before.manifest
    assert after.manifest
    assert set(before.manifest.rows) < set(after.manifest.rows)
    assert len(after.manifest.rows) > 3
    assert shape(cleancopy.open(clean).captions()) == shape(cleancopy.open(store).captions())


def test_files_of_few_rows_are_made_one(tmp_path: Path, store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(caption_table, "MOST_FILES", 2)
    raw, clean = tmp_path / "raw", tmp_path / "clean"
    site(raw)
    pages = sorted(raw.iterdir())
    run(raw, clean, paths=[*pages[:11], *pages[12:15], *pages[18:]])
    for page in (pages[11], *pages[15:18]):
        run(raw, clean, paths=[page])
    table = caption_table.load(clean, POLICY)
    assert table.manifest
    assert len(table.manifest.rows) <= 3
    assert shape(cleancopy.open(clean).captions()) == shape(cleancopy.open(store).captions())
    assert not list(maintain.faults(clean))


def test_a_document_that_goes_takes_its_captions_along(tmp_path: Path) -> None:
    site(tmp_path / "raw")
    clean = tmp_path / "clean"
    run(tmp_path / "raw", clean)
    kept = cleancopy.open(clean).captions()[1].members[0]
    decisions.takedown(clean, kept.doc_id)
    after = cleancopy.open(clean).captions()
    assert [one.documents for one in after] == [12, 5]
    rows = caption_table.load(clean, POLICY).rows
    assert kept.doc_id not in rows["doc_id"].to_pylist()
    rollback(clean, 1)
    assert [one.documents for one in cleancopy.open(clean).captions()] == [12, 5]


def test_a_damaged_table_is_found_and_made_again(tmp_path: Path) -> None:
    site(tmp_path / "raw")
    clean = tmp_path / "clean"
    run(tmp_path / "raw", clean)
    before = shape(cleancopy.open(clean).captions())
    (rows,) = (clean / "captions").glob("rows-*.parquet")
    rows.write_bytes(rows.read_bytes()[:-40])
    assert [fault.what for fault in maintain.faults(clean)] == [f"captions/{rows.name}"]
    assert shape(cleancopy.open(clean).captions()) == before
    assert maintain.maintain(clean)["captions"] == 1
    assert not list(maintain.faults(clean))
    assert shape(cleancopy.open(clean).captions()) == before


def test_a_store_without_a_table_gets_one(tmp_path: Path) -> None:
    site(tmp_path / "raw")
    clean = tmp_path / "clean"
    run(tmp_path / "raw", clean)
    for path in (clean / "captions").iterdir():
        path.unlink()
    assert len(cleancopy.open(clean).captions()) == 2
    run(tmp_path / "raw", clean)
    assert (clean / "captions" / "manifest.json").exists()


@pytest.mark.parametrize(
    "step", ["caption_files.write_manifest", "caption_files.write", "caption_table.refresh"]
)
def test_a_run_that_is_cut_short_at_the_table_loses_nothing(
    step: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, store: Path
) -> None:
    site(tmp_path / "raw")
    clean = tmp_path / "clean"
    pages = sorted((tmp_path / "raw").iterdir())
    run(tmp_path / "raw", clean, paths=pages[:9])

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    module = import_module(f"cleancopy.store.{step.partition('.')[0]}")
    monkeypatch.setattr(module, step.partition(".")[2], killed)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "raw", clean, paths=pages[9:])
    monkeypatch.undo()
    assert shape(cleancopy.open(clean).captions()) == shape(cleancopy.open(store).captions())
    run(tmp_path / "raw", clean)
    assert not list(maintain.faults(clean))
    assert shape(cleancopy.open(clean).captions()) == shape(cleancopy.open(store).captions())


KILLED = """
import os, signal, sys
from pathlib import Path
import cleancopy.store.caption_files as table
from test_caption_clusters import policy, run
folder, step, which = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
whole, calls = getattr(table, step), []
def killed(*arguments):
    calls.append(step)
    if len(calls) == which:
        os.kill(os.getpid(), signal.SIGKILL)
    return whole(*arguments)
setattr(table, step, killed)
run(folder / "raw", folder / "clean", policy("corpus"))
"""


@pytest.mark.parametrize(
    ("step", "which"),
    [
        ("atomic_write", 1),
        *(pytest.param(*moment, marks=pytest.mark.slow) for moment in [("atomic_write", 3), ("sweep", 1)]),
    ],
)
def test_kill_9_while_the_table_is_written_loses_nothing(
    step: str, which: int, tmp_path: Path, cut: Path
) -> None:
    site(tmp_path / "raw")
    pages = sorted((tmp_path / "raw").iterdir())
    clean = tmp_path / "clean"
    run(tmp_path / "raw", clean, policy("corpus"), pages[:11])
    command = [sys.executable, "-c", KILLED, str(tmp_path), step, str(which)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])}
    done = subprocess.run(command, env=environment, capture_output=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert shape(cleancopy.open(clean).captions()) == shape(cleancopy.open(cut / "clean").captions())
    run(tmp_path / "raw", clean, policy("corpus"))
    assert everything(clean) == everything(cut / "clean")
    assert not list(maintain.faults(clean))


def test_a_purge_leaves_no_word_of_a_caption_in_the_table(tmp_path: Path) -> None:
    site(tmp_path / "raw")
    clean = tmp_path / "clean"
    run(tmp_path / "raw", clean)
    for member in cleancopy.open(clean).captions()[1].members:
        decisions.takedown(clean, member.doc_id, purge=True)
    words = [pq.read_table(path).to_pylist() for path in (clean / "captions").glob("rows-*.parquet")]
    assert "Sailors" in str(words)
    assert "Families" not in str(words)


def test_a_row_has_the_address_of_its_picture(store: Path) -> None:
    rows = caption_table.load(store, POLICY).rows.to_pylist()
    assert len(rows) == 18
    assert all(len(row["pictures"]) == 1 and row["pictures"][0].endswith(".jpg") for row in rows)


def test_the_page_of_a_run_shows_the_captions_that_it_brought_and_the_largest(tmp_path: Path) -> None:
    from cleancopy_flows.page import of_captions

    site(tmp_path / "raw")
    clean = tmp_path / "clean"
    pages = sorted((tmp_path / "raw").iterdir())
    tables = []
    for paths in (pages[:12], pages[12:]):
        with begin(
            raw=tmp_path / "raw", root=clean, paths=paths, workers=0, policy=policy("page")
        ) as under_way:
            summary = ingest(under_way)
            tables += [json.loads(shown.data) for shown in of_captions(under_way, summary.release or 0)]
    columns = ("documents", "of this run", "wordings")
    assert [[tuple(row[name] for name in columns) for row in rows] for rows in tables] == [
        [(12, 12, 5)], [(6, 6, 1), (12, 0, 5)]
    ]  # fmt: skip
    assert tables[1][1]["caption"] == SHIP


def test_the_list_is_a_line_a_cluster(store: Path) -> None:
    result = CliRunner().invoke(app, ["captions", "list", "--clean", str(store), "--json"])
    lines = [json.loads(line) for line in result.output.splitlines()]
    assert [line["documents"] for line in lines] == [12, 6]
    assert lines[0].keys() >= {"id", "caption", "credit", "identifiers", "documents", "occurrences", "wordings"}
    assert lines[0]["credit"] == "U.S. Navy photo by Anna Berg"


def test_exports_name_the_cluster_of_each_caption_and_how_many_documents_show_it(
    store: Path, tmp_path: Path
) -> None:
    write_jsonl(store, tmp_path / "out.jsonl")
    export(plan(store), tmp_path / "parquet", "parquet")
    lines = list(map(json.loads, (tmp_path / "out.jsonl").read_text(encoding="utf-8").splitlines()))
    table = pq.read_table(tmp_path / "parquet" / "data")
    found = {
        (member.doc_id, member.caption_id, one.id, one.documents)
        for one in cleancopy.open(store).captions()
        for member in one.members
    }
    for rows in (lines, table.to_pylist()):
        assert found == {
            (row["id"], media["caption_id"], media["cluster"], media["documents"])
            for row in rows
            for media in row["media"]
        }
    doc, caption, cluster, documents = min(found)
    (media,) = cleancopy.open(store).media(doc)
    assert (media["caption_id"], media["cluster"], media["documents"]) == (caption, cluster, documents)
    shown = json.loads(CliRunner().invoke(app, ["show", doc, "--clean", str(store), "--json"]).output)
    assert shown["media"][0]["cluster"] == cluster


def test_an_export_of_an_earlier_release_counts_the_documents_of_that_release(tmp_path: Path) -> None:
    site(tmp_path / "raw")
    clean = tmp_path / "clean"
    pages = sorted((tmp_path / "raw").iterdir())
    run(tmp_path / "raw", clean, paths=pages[:9])
    run(tmp_path / "raw", clean)
    first = next(member for member in cleancopy.open(clean).captions()[0].members if member.text == SHIP)
    decisions.takedown(clean, first.doc_id)
    of_first = caption_table.shares(clean, 1)
    assert len(of_first) == len({share.documents for share in of_first.values()} | {0}) + 6
    assert {share.documents for share in caption_table.shares(clean, 2).values()} == {11, 6}


def test_a_caption_is_shown_with_what_differs(store: Path) -> None:
    clusters = cleancopy.open(store).captions()
    result = CliRunner().invoke(app, ["captions", "show", clusters[0].id, "--clean", str(store)])
    assert result.exit_code == 0
    assert "[+NORFOLK, Va. (AP) —+]" in result.output
    assert clusters[0].members[-1].doc_id in result.output


# ---- captions that another document carries are cut


def policy(scope: Literal["page", "site", "corpus"]) -> Policy:
    # All blocks are content: the pages are made of words that no language has, which the model is in doubt of.
    return Policy(captions=CaptionPolicy(scope=scope), content=ContentPolicy(method="all"))


def everything(clean: Path) -> dict[str, str]:
    """The clean text of each live document by key."""
    return {
        key: text
        for batch in cleancopy.open(clean).latest(["key", "text"])
        for key, text in zip(batch["key"].to_pylist(), batch["text"].to_pylist(), strict=True)
    }


def carrying(clean: Path) -> tuple[list[str], list[str]]:
    """The keys of the documents whose clean text has the ship's caption, and of those with the pier's."""
    texts = everything(clean)
    return (
        sorted(key for key, text in texts.items() if "Sailors aboard" in text),
        sorted(key for key, text in texts.items() if "Families wait" in text),
    )


def test_page_scope_cuts_nothing_that_another_page_has(store: Path) -> None:
    assert tuple(map(len, carrying(store))) == (12, 6)


def test_the_scope_is_no_part_of_the_digest():
    assert policy("corpus").digest == policy("page").digest


@pytest.fixture(scope="module")
def cut(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site under the scope corpus."""
    folder = tmp_path_factory.mktemp("cut")
    site(folder / "raw")
    run(folder / "raw", folder / "clean", policy("corpus"))
    return folder


def test_a_caption_stands_once_in_the_corpus_in_its_fullest_wording(cut: Path) -> None:
    ship, pier = carrying(cut / "clean")
    assert (len(ship), len(pier)) == (1, 1)
    assert SHIP in everything(cut / "clean")[ship[0]]
    assert PIER in everything(cut / "clean")[pier[0]]


def test_a_cut_names_the_document_that_carries_the_caption(cut: Path) -> None:
    corpus = cleancopy.open(cut / "clean")
    kept = next(one for one in corpus.captions() if "Sailors" in one.caption)
    assert kept.documents == 12
    for member in kept.members[1:]:
        (found,) = (one for one in corpus.document(member.doc_id).cuts if one.rule == "repeated-elsewhere")
        assert found.evidence["document"] == kept.members[0].doc_id
        assert kept.members[0].doc_id in found.reason


def test_a_cut_store_is_whole_and_a_second_run_makes_no_release(cut: Path) -> None:
    clean = cut / "clean"
    before = everything(clean)
    run(cut / "raw", clean, policy("corpus"))
    assert [one.release for one in cleancopy.open(clean).releases()] == [1]
    assert everything(clean) == before
    assert not list(maintain.faults(clean))


def test_two_sites_keep_a_caption_each(tmp_path: Path) -> None:
    for name in ("one.example", "two.example"):
        site(tmp_path / "raw" / name)
        for path in (tmp_path / "raw" / name).iterdir():
            own = path.read_text(encoding="utf-8").replace("Report number", f"At {name}, report")
            path.write_text(f"{own[:-14]}<p>{page(name, '', hash(path.name) % 999)}</p>", encoding="utf-8")
    run(tmp_path / "raw", tmp_path / "clean", policy("site"))
    hosts = sorted(key.split("/")[0] for key in carrying(tmp_path / "clean")[1])
    assert hosts == ["file:one.example", "file:two.example"]


def test_a_caption_comes_back_when_the_page_that_carried_it_goes(tmp_path: Path) -> None:
    site(tmp_path / "raw")
    clean = tmp_path / "clean"
    run(tmp_path / "raw", clean, policy("corpus"))
    (first,) = carrying(clean)[0]
    decisions.takedown(clean, f"url:{first}")
    run(tmp_path / "raw", clean, policy("corpus"))
    (second,) = carrying(clean)[0]
    assert second != first
    version = cleancopy.open(clean).version(second)
    assert (version.change, version.seq) == ("captions", 2)
    assert SHIP in version.document.clean
    assert not list(maintain.faults(clean))


def test_the_scope_can_be_set_later_and_taken_back(tmp_path: Path, store: Path) -> None:
    site(tmp_path / "raw")
    clean = tmp_path / "clean"
    run(tmp_path / "raw", clean)
    run(tmp_path / "raw", clean, policy("corpus"))
    assert tuple(map(len, carrying(clean))) == (1, 1)
    run(tmp_path / "raw", clean)
    assert everything(clean) == everything(store)
    changes = [version.change for version in cleancopy.open(clean).history(carrying(clean)[0][1])]
    assert set(changes[1:]) <= {"captions"}


def test_increments_and_order_leave_the_texts_of_one_batch(tmp_path: Path, cut: Path) -> None:
    site(tmp_path / "raw")
    pages = sorted((tmp_path / "raw").iterdir())
    random.Random(11).shuffle(pages)
    for start in range(0, 40, 13):
        run(tmp_path / "raw", tmp_path / "steps", policy("corpus"), pages[start : start + 13])
    assert everything(tmp_path / "steps") == everything(cut / "clean")


def test_a_restored_caption_stays(tmp_path: Path) -> None:
    site(tmp_path / "raw")
    clean = tmp_path / "clean"
    run(tmp_path / "raw", clean, policy("corpus"))
    cluster = next(one for one in cleancopy.open(clean).captions() if "Families" in one.caption)
    other = cluster.members[1].doc_id
    cuts = cleancopy.open(clean).document(other).cuts
    number = next(i for i, cut in enumerate(cuts, 1) if cut.rule == "repeated-elsewhere")
    decisions.restore_cut(clean, other, number)
    for _ in range(2):
        assert len(carrying(clean)[1]) == 2
        run(tmp_path / "raw", clean, policy("corpus"))


def test_a_lost_index_is_made_again_with_the_captions_in_their_texts(tmp_path: Path) -> None:
    site(tmp_path / "raw")
    clean = tmp_path / "clean"
    run(tmp_path / "raw", clean, policy("corpus"))
    before = everything(clean)
    for path in (clean / "index").iterdir():
        path.unlink()
    (tmp_path / "raw" / "one-more.html").write_text(page("One more report", PIER, 99), encoding="utf-8")
    run(tmp_path / "raw", clean, policy("corpus"))
    after = everything(clean)
    assert tuple(map(len, carrying(clean))) == (1, 1)
    assert len(after) == len(before) + 1


# ---- what people decide


def ids_of(clean: Path) -> dict[str, str]:
    """The id of one caption of each wording."""
    return {
        member.text: member.caption_id for one in cleancopy.open(clean).captions() for member in one.members
    }


def cli(*arguments: str, clean: Path) -> str:
    result = CliRunner().invoke(app, [*arguments, "--clean", str(clean)])
    return f"{result.exit_code} {result.output}"


def test_captions_that_people_keep_apart_are_two_until_it_is_undone(tmp_path: Path) -> None:
    clean = tmp_path / "clean"
    site(tmp_path / "raw")
    run(tmp_path / "raw", clean, policy("corpus"))
    ids = ids_of(clean)
    assert cli("captions", "apart", ids[SHIP], ids[WORDINGS[5]], clean=clean).startswith("0 decision 1")
    assert [one.documents for one in cleancopy.open(clean).captions()] == [10, 6, 2]
    assert "caption-apart" in cli("decisions", "list", clean=clean)
    run(tmp_path / "raw", clean, policy("corpus"))
    assert len(carrying(clean)[0]) == 2
    more = tmp_path / "raw" / "page40.html"
    more.write_text(page("One more", WORDINGS[5], 40), encoding="utf-8")
    run(tmp_path / "raw", clean, policy("corpus"))
    assert [one.documents for one in cleancopy.open(clean).captions()] == [10, 6, 3]
    decisions.undo(clean, 1)
    run(tmp_path / "raw", clean, policy("corpus"))
    assert [one.documents for one in cleancopy.open(clean).captions()] == [13, 6]
    assert len(carrying(clean)[0]) == 1


def test_captions_that_people_merge_are_one_until_it_is_undone(tmp_path: Path) -> None:
    clean = tmp_path / "clean"
    site(tmp_path / "raw")
    run(tmp_path / "raw", clean, policy("corpus"))
    ids = ids_of(clean)
    captions.merge(clean, ids[PIER], ids[SHIP], "one picture, twice described")
    (one,) = cleancopy.open(clean).captions()
    assert (one.documents, one.caption, one.decisions) == (18, SHIP, (1,))
    assert evidence(one.members[0], next(m for m in one.members if m.text == PIER))["rule"] == "merged"
    run(tmp_path / "raw", clean, policy("corpus"))
    assert tuple(map(len, carrying(clean))) == (1, 0)
    decisions.undo(clean, 1)
    run(tmp_path / "raw", clean, policy("corpus"))
    assert tuple(map(len, carrying(clean))) == (1, 1)


def test_the_last_decision_on_two_captions_holds(tmp_path: Path) -> None:
    clean = tmp_path / "clean"
    site(tmp_path / "raw")
    run(tmp_path / "raw", clean)
    ids = ids_of(clean)
    captions.merge(clean, ids[PIER], ids[SHIP])
    captions.keep_apart(clean, ids[SHIP], ids[PIER])
    assert len(cleancopy.open(clean).captions()) == 2


def test_a_caption_is_restored_by_its_id(tmp_path: Path) -> None:
    clean = tmp_path / "clean"
    site(tmp_path / "raw")
    run(tmp_path / "raw", clean, policy("corpus"))
    cluster = next(one for one in cleancopy.open(clean).captions() if "Families" in one.caption)
    assert cli("captions", "restore", cluster.members[1].caption_id, clean=clean).startswith("0 decision 1")
    run(tmp_path / "raw", clean, policy("corpus"))
    assert len(carrying(clean)[1]) == 2
    assert "was not cut" in cli("captions", "restore", cluster.members[1].caption_id, clean=clean)


def test_decisions_that_say_nothing_are_refused(store: Path) -> None:
    first, second = cleancopy.open(store).captions()
    twice = [member.caption_id for member in second.members[:2]]
    assert "have the same words" in cli("captions", "apart", *twice, clean=store)
    assert "are not one caption" in cli("captions", "apart", first.id, second.id, clean=store)
    assert "are one caption" in cli("captions", "merge", *twice, clean=store)
    assert "no such caption" in cli("captions", "merge", first.id, "ffff", clean=store)


@settings(max_examples=40, deadline=None)
@given(
    order=st.permutations(range(len(WORDINGS) + 3)),
    pairs=st.lists(st.tuples(st.booleans(), st.integers(0, 8), st.integers(0, 8)), max_size=5),
)
def test_decided_pairs_hold_in_any_order(order, pairs):
    rows = rows_of([*WORDINGS, PIER, PIER.replace("May 4", "May 5"), SHIP.replace("Harbor", "Beacon")])
    digests = [
        (apart, rows[a].wording, rows[b].wording) for apart, a, b in pairs if rows[a].wording != rows[b].wording
    ]
    apart = tuple((a, b) for is_apart, a, b in digests if is_apart)
    decided = DecidedPairs(apart, tuple((a, b) for is_apart, a, b in digests if not is_apart))

    def clusters(chosen: list[Caption]) -> dict[int, str]:
        kept = cluster(columns_of(chosen), NOTHING_KNOWN, POLICY, decided).kept.tolist()
        return {row.wording: chosen[keeper].caption_id for row, keeper in zip(chosen, kept, strict=True)}

    found = clusters(rows)
    assert clusters([rows[i] for i in order]) == found
    assert all(found[a] != found[b] for a, b in apart)


def test_differing_words_are_marked():
    assert marked_differences("a b c", "a x c d") == "a [-b-] [+x+] c [+d+]"
