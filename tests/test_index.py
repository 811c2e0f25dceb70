"""The index of repetition: many runs decide as one, whatever happens between them; what it refuses."""

from __future__ import annotations

import itertools
import json
import multiprocessing
import os
import random
import shutil
import signal
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cleancopy import Policy, StoreError
from cleancopy.ingest.pipeline import begin, ingest
from cleancopy.minhash import NORMALISATION, Signing, candidates, union
from cleancopy.policy import DuplicatePolicy
from cleancopy.stages.duplicates import BUCKET, Candidate, DuplicateSet, bands_of, find_duplicates, signing
from cleancopy.store import dedup_index, index_files, tables
from test_duplicates import POLICY, changed, corpus, families, of, words

SIGNING = signing(POLICY)


@pytest.fixture(autouse=True)
def _no_power_cuts(monkeypatch):
    """A kill leaves what was written in the system's hands; waiting for the disk would only cost time."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


def run(root: Path, documents: list[Candidate], texts: dict[str, str]) -> DuplicateSet:
    """One run: the index learns the texts that it lacks, proposes, and keeps what was measured."""
    known = dedup_index.load(root, SIGNING)
    lacking = set(dedup_index.lacking(known, [d.text_sha256 for d in documents if d.words]))
    fresh = [d for d in documents if d.text_sha256 in lacking]
    rows = np.array([d.signature for d in fresh], np.uint32).reshape(-1, POLICY.num_perm)
    known = dedup_index.add(known, [d.text_sha256 for d in fresh], rows)
    bare = [Candidate(d.doc_id, d.text_sha256, d.words, d.captured, d.self_canonical) for d in documents]
    decision = find_duplicates(bare, of(texts), POLICY, partial(dedup_index.propose, known))
    dedup_index.commit(known, decision.measured)
    return decision


def alike(count: int, seed: int = 0) -> tuple[dict[str, str], list[Candidate]]:
    """Texts in families of changed copies, and their candidates."""
    rng = random.Random(seed)
    texts = {
        f"d{i:03d}": " ".join(
            changed(words(rng.randrange(1 + count // 5), 90), rng.randrange(7), rng.randrange(3))
        )
        for i in range(count)
    }
    return texts, corpus(texts)


def files(root: Path) -> list[str]:
    return sorted(path.name for path in dedup_index.folder(root).glob("*") if path.name != "manifest.json")


# --- many runs are one


@settings(max_examples=10)
@given(families(), st.lists(st.integers(1, 4), max_size=4), st.randoms(use_true_random=False))
def test_many_runs_in_any_order_decide_as_one(tmp_path_factory, made, sizes, rng):
    texts, documents = made
    once = find_duplicates(documents, of(texts), POLICY)
    root, seen = tmp_path_factory.mktemp("store"), 0
    mixed = rng.sample(documents, len(documents))
    for size in [*sizes, len(documents)]:
        seen += size
        last = run(root, mixed[:seen], texts)
    assert last.duplicates == once.duplicates
    assert last.missed == once.missed


def test_full_bands_are_cut_as_in_one_run(tmp_path):
    base = words(1, 120)
    texts = {f"d{i:03d}": " ".join([*base, f"x{i}"]) for i in range(BUCKET + 30)}
    documents = corpus(texts)
    once = find_duplicates(documents, of(texts), POLICY)
    assert once.overflow
    mixed = random.Random(1).sample(documents, len(documents))
    for seen in (50, BUCKET + 10, len(mixed)):
        last = run(tmp_path, mixed[:seen], texts)
    assert (last.duplicates, last.missed) == (once.duplicates, once.missed)


def test_copies_are_looked_at_again_when_their_keeper_goes(tmp_path):
    texts, documents = alike(40)
    keepers = {d.keeper for d in run(tmp_path, documents, texts).duplicates}
    left = [d for d in documents if d.doc_id not in keepers]
    assert keepers
    assert run(tmp_path, left, texts).duplicates == find_duplicates(left, of(texts), POLICY).duplicates


def test_what_is_known_is_neither_read_nor_written_again(tmp_path):
    texts, documents = alike(40)
    first = run(tmp_path, documents, texts)
    before = files(tmp_path)
    assert first.measured
    again = run(tmp_path, documents, {})
    assert again.duplicates == first.duplicates
    assert not again.measured
    assert files(tmp_path) == before


def test_another_threshold_needs_no_other_index(tmp_path):
    texts, documents = alike(40)
    run(tmp_path, documents, texts)
    strict = DuplicatePolicy(jaccard=0.95, containment=0.99)
    propose = partial(dedup_index.propose, dedup_index.load(tmp_path, SIGNING))
    expected = find_duplicates(documents, of(texts), strict).duplicates
    assert find_duplicates(documents, of(texts), strict, propose).duplicates == expected


def test_two_documents_with_one_text_are_one_entry(tmp_path):
    texts = {"a": " ".join(words(1, 50)), "b": " ".join(words(1, 50))}
    run(tmp_path, corpus(texts), texts)
    assert len(dedup_index.load(tmp_path, SIGNING).digests) == 1
    both = corpus(texts)
    known = dedup_index.load(tmp_path, SIGNING)
    again = dedup_index.add(known, [d.text_sha256 for d in both], np.array([d.signature for d in both]))
    assert again == known


def test_texts_that_the_index_lacks_cannot_be_proposed(tmp_path):
    with pytest.raises(ValueError, match="1 texts are not in the index"):
        dedup_index.propose(dedup_index.load(tmp_path, SIGNING), corpus({"a": "one two three"}))


# --- partitions


@pytest.mark.parametrize("partitions", [1, 2, 7])
def test_partitions_make_up_the_whole(tmp_path, partitions, monkeypatch):
    monkeypatch.setattr(index_files, "ROW_GROUP", 64)
    texts, documents = alike(60)
    for seen in (20, 40, 60):
        run(tmp_path, documents[:seen], texts)
    known = dedup_index.load(tmp_path, SIGNING)
    rows = np.arange(len(known.digests))
    parts = [dedup_index.candidates(known, rows, part, partitions) for part in range(partitions)]
    numbers = {digest.hex(): i for i, digest in enumerate(known.digests.to_pylist())}
    first = {numbers[d.text_sha256]: d.signature for d in documents}
    keys = bands_of(np.array([first[i] for i in rows]))
    found, expected = union(parts, len(rows)), candidates(keys)
    assert np.array_equal(found.pairs, expected.pairs)
    assert len(expected.pairs) > max(len(part.pairs) for part in parts) or partitions == 1


def test_texts_that_are_left_out_are_in_no_pair(tmp_path):
    texts, documents = alike(40)
    run(tmp_path, documents, texts)
    known = dedup_index.load(tmp_path, SIGNING)
    rows = np.arange(len(known.digests))
    rows[rows % 2 == 1] = -1
    found = dedup_index.candidates(known, rows)
    assert len(found.pairs)
    assert (found.pairs % 2 == 0).all()


# --- files


def test_few_files_however_many_runs(tmp_path):
    texts, documents = alike(60)
    for seen in range(2, len(documents) + 1, 2):
        run(tmp_path, documents[:seen], texts)
        assert len(files(tmp_path)) <= 3 * 6
    known = dedup_index.load(tmp_path, SIGNING)
    assert sum(file.rows for file in known.bands) == 14 * len(known.digests)
    for file in known.bands:
        keys = pq.read_table(dedup_index.folder(tmp_path) / file.name)["key"].to_numpy()
        assert (np.diff(keys) >= 0).all()
    assert run(tmp_path, documents, {}).duplicates == find_duplicates(documents, of(texts), POLICY).duplicates


def test_a_file_is_never_changed(tmp_path):
    texts, documents = alike(30)
    contents: dict[str, bytes] = {}
    for seen in (10, 11, 20, 30):
        run(tmp_path, documents[:seen], texts)
        now = {name: (dedup_index.folder(tmp_path) / name).read_bytes() for name in files(tmp_path)}
        assert all(contents.get(name, content) == content for name, content in now.items())
        contents |= now


# --- what is refused


def test_another_way_of_signing_is_refused(tmp_path):
    texts, documents = alike(10)
    run(tmp_path, documents, texts)
    with pytest.raises(StoreError, match=r"num_perm 112 \(now 64\).*remove the folder .*index") as error:
        dedup_index.load(tmp_path, Signing(num_perm=64))
    assert "bands 14 (now 8)" in str(error.value)
    for other in (Signing(seed=2), Signing(shingle=4), Signing(unit="char"), Signing(hash="sha1")):
        with pytest.raises(StoreError, match=r"the index was made with .* \(now"):
            dedup_index.load(tmp_path, other)


def test_an_index_that_has_lost_a_file_is_made_again(tmp_path):
    texts, documents = alike(10)
    expected = run(tmp_path, documents, texts).duplicates
    for kind, left in itertools.product(("texts", "bands", "pairs", "manifest"), (None, 0, -3)):
        path = next(dedup_index.folder(tmp_path).glob(f"{kind}*"))
        content = path.read_bytes()
        path.unlink()
        if left is not None:
            path.write_bytes(content[:left])
        assert len(dedup_index.load(tmp_path, SIGNING).digests) == 0
        assert run(tmp_path, documents, texts).duplicates == expected


def test_a_file_that_cannot_be_read_is_told_with_the_remedy(tmp_path):
    texts, documents = alike(10)
    run(tmp_path, documents, texts)
    for name in files(tmp_path):
        path = dedup_index.folder(tmp_path) / name
        content = path.read_bytes()
        path.write_bytes(bytes(len(content)))
        with pytest.raises(StoreError, match=f"{name}.*run cleancopy maintain"):
            run(tmp_path, documents, texts)
        path.write_bytes(content)


# --- in a store


def pages(raw: Path, count: int) -> None:
    """Text files in families of copies; each is written with a capture time of its own."""
    raw.mkdir()
    texts, _ = alike(count)
    for i, (name, text) in enumerate(texts.items()):
        (raw / f"{name}.txt").write_text(text)
        (raw / f"{name}.txt.capture.toml").write_text(f'captured = "2024-01-{1 + i % 28:02d}T00:00:00Z"\n')


def go(raw: Path, clean: Path, *paths: Path) -> None:
    with begin(raw=raw, root=clean, paths=paths) as under_way:
        ingest(under_way)


def pointers(clean: Path) -> dict[str, str | None]:
    table = tables.latest(clean, columns=["key", "duplicate_of", "match"])
    return {row["key"]: (row["duplicate_of"], row["match"]) for row in table.to_pylist()}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> tuple[Path, dict[str, str | None]]:
    """Raw pages, and what becomes of them when they are ingested at once."""
    folder = tmp_path_factory.mktemp("undisturbed")
    pages(folder / "raw", 12)
    go(folder / "raw", folder / "clean")
    return folder / "raw", pointers(folder / "clean")


def test_an_ingest_in_steps_points_as_one_at_once(undisturbed, tmp_path):
    raw, expected = undisturbed
    paths = sorted(raw.glob("*.txt"))
    random.Random(4).shuffle(paths)
    for part in (paths[:7], paths):
        go(raw, tmp_path / "clean", *part)
    assert pointers(tmp_path / "clean") == expected
    assert any(keeper for keeper, _ in expected.values())


def test_an_index_that_is_gone_is_made_again(undisturbed, tmp_path):
    raw, expected = undisturbed
    paths = sorted(raw.glob("*.txt"))
    go(raw, tmp_path / "clean", *paths[:6])
    shutil.rmtree(dedup_index.folder(tmp_path / "clean"))
    go(raw, tmp_path / "clean", *paths)
    assert pointers(tmp_path / "clean") == expected
    before = dedup_index.load(tmp_path / "clean", SIGNING)
    rebuilt = dedup_index.rebuild(tmp_path / "clean", SIGNING)
    assert sorted(rebuilt.digests.to_pylist()) == sorted(before.digests.to_pylist())
    go(raw, tmp_path / "clean", *paths)
    assert pointers(tmp_path / "clean") == expected


def test_an_index_of_another_version_is_made_again_by_an_ingest_or_by_maintain(undisturbed, tmp_path):
    raw, expected = undisturbed
    paths = sorted(raw.glob("*.txt"))
    manifest = dedup_index.folder(tmp_path / "clean") / "manifest.json"
    for again in (lambda: go(raw, tmp_path / "clean", *paths), lambda: dedup_index.repair(tmp_path / "clean")):
        go(raw, tmp_path / "clean", *paths)
        now = manifest.read_text()
        manifest.write_text(now.replace(f'"normalisation": {NORMALISATION}', '"normalisation": 1'))
        assert manifest.read_text() != now
        assert list(dedup_index.faults(tmp_path / "clean")) == [], "it is no damage"
        again()
        assert json.loads(manifest.read_text())["settings"]["normalisation"] == NORMALISATION
        go(raw, tmp_path / "clean", *paths)
        assert list(dedup_index.faults(tmp_path / "clean")) == []
        assert pointers(tmp_path / "clean") == expected


def test_a_policy_that_signs_otherwise_is_refused_by_an_ingest(undisturbed, tmp_path):
    raw, _ = undisturbed
    path = min(raw.glob("*.txt"))
    go(raw, tmp_path / "clean", path)
    other = Policy(duplicates=DuplicatePolicy(num_perm=64))
    with (
        pytest.raises(StoreError, match="remove the folder"),
        begin(raw=raw, root=tmp_path / "clean", paths=[path], policy=other) as under_way,
    ):
        ingest(under_way)


def killed(root: Path, documents: list[Candidate], texts: dict[str, str], step: int) -> None:
    """A run that is killed when the index is about to do something for the ``step``-th time."""
    left = step

    def deadly(function):
        def count(*arguments, **options):
            nonlocal left
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*arguments, **options)

        return count

    for name in ("write_file", "_write_manifest", "sweep", "commit"):
        setattr(dedup_index, name, deadly(getattr(dedup_index, name)))
    index_files.write_file = deadly(index_files.write_file)  # as merging calls it
    for name in ("fsync", "replace", "unlink"):
        setattr(os, name, deadly(getattr(os, name)))
    run(root, documents, texts)
    os._exit(0)


def test_a_kill_at_any_step_changes_no_decision(tmp_path):
    texts, documents = alike(20)
    expected = find_duplicates(documents, of(texts), POLICY).duplicates
    run(tmp_path / "begun", documents[:8], texts)
    context = multiprocessing.get_context("fork")
    for step in range(1, 60):
        root = tmp_path / f"store{step}"
        shutil.copytree(tmp_path / "begun", root)
        child = context.Process(target=killed, args=(root, documents, texts, step))
        child.start()
        child.join(60)
        if child.exitcode == 0:
            break
        assert child.exitcode == -signal.SIGKILL
        if step % 2:  # what the killed run left is in the way of no other decision
            run(root, documents[:12], texts)
        assert run(root, documents, texts).duplicates == expected
        named = json.loads((dedup_index.folder(root) / "manifest.json").read_text())
        kinds = ("texts", "bands", "pairs")
        assert files(root) == sorted(file["name"] for kind in kinds for file in named[kind])
    assert step > 12
