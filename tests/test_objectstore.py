"""A store in an object store: the same corpus as in a folder, and no writer harms another."""

from __future__ import annotations

import json
import random
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import partial
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

import cleancopy
from cleancopy.cli import app
from cleancopy.corpus import captions
from cleancopy.curation import decisions, maintain
from cleancopy.errors import Busy, ConflictError, PolicyError, StoreError
from cleancopy.ingest.pipeline import begin, clean_shard, discover, ingest, learn, read_shard
from cleancopy.ingest.publish import publish as publish_run
from cleancopy.ingest.run import Summary
from cleancopy.store import compaction, data_files, lease, paths, releases, tables, vacuum, verify, workdir
from cleancopy.store import decisions as record
from cleancopy.store.objects import ObjectPath, object_path
from conftest import ROOT
from test_caption_clusters import site
from test_cli_corpus import HTML, TIDES
from test_store import commit, page, publish, texts

runner = CliRunner()


@pytest.fixture(scope="module")
def served() -> Iterator[Any]:
    """A server on this machine that keeps conditions, as S3 does."""
    sys.path.insert(0, str(ROOT))
    try:
        module = import_module("benchmarks.object_server")
    finally:
        sys.path.remove(str(ROOT))
    with module.serving() as server:
        yield server


@pytest.fixture
def server(served: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The server as the environment names it; the work of runs lies below the test's own folder."""
    for name, value in served.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("CLEANCOPY_WORK", str(tmp_path / "work"))
    honest = served.around
    yield served
    served.around = honest


@pytest.fixture
def root(server: Any, tmp_path: Path) -> ObjectPath:
    """A place where no store is yet."""
    return object_path(f"{server.bucket}/{tmp_path.parent.name}/{tmp_path.name}")


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leases that end quickly where their holder gives no sign."""
    monkeypatch.setattr(lease, "LEASE", 0.3)
    monkeypatch.setattr(lease, "BEAT", 0.1)


def raw_folder(folder: Path) -> Path:
    harbour = folder / "raw" / "harbour.example"
    harbour.mkdir(parents=True)
    (harbour / "gauge.html").write_text(HTML, encoding="utf-8")
    (harbour / "tides.txt").write_text(TIDES)
    (harbour / "copy.txt").write_text(TIDES)
    return folder / "raw"


def run(raw: Path, root: paths.StorePath, source: str = "raw") -> Summary:
    with begin(raw=raw, root=root, workers=0, source=source) as under_way:
        return ingest(under_way)


# ---- the same corpus


def test_the_corpus_is_the_one_that_a_folder_gives(root: ObjectPath, tmp_path: Path) -> None:
    raw = raw_folder(tmp_path)
    stored, local = run(raw, root), run(raw, tmp_path / "clean")
    assert stored.content_root == local.content_root
    assert stored.counts == local.counts
    assert texts(root) == texts(tmp_path / "clean")
    columns = ["doc_id", "version_id", "text", "cuts", "blocks", "signature", "status", "duplicate_of"]
    assert tables.latest(root, columns).equals(tables.latest(tmp_path / "clean", columns))
    assert [path.name for path in (tmp_path / "work").glob("*/.work/raw/*")] == [paths.LOCK]


@pytest.mark.slow
def test_another_machine_goes_on_where_the_first_ended(
    root: ObjectPath, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = raw_folder(tmp_path)
    run(raw, root)
    assert run(raw, root).release is None
    monkeypatch.setenv("CLEANCOPY_WORK", str(tmp_path / "another"))
    (raw / "harbour.example" / "again.txt").write_text(TIDES)
    summary = run(raw, root)
    assert (summary.release, summary.counts["unchanged"], summary.counts["duplicate"]) == (2, 1, 2)
    # The index of the first machine was fetched.
    fetched = {path.name for path in (tmp_path / "another").glob("*/index/*.parquet")}
    assert fetched <= set((root / "index").names())
    assert list(maintain.faults(root)) == []


@pytest.mark.slow
def test_what_a_run_on_another_machine_has_archived_is_left_alone(
    root: ObjectPath, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = raw_folder(tmp_path)
    run(raw, root)
    (raw / "harbour.example" / "moon.txt").write_text("Once a month the moon is full.\n")
    later = time.time() + 30 * 86_400
    with begin(raw=raw, root=root, workers=0, source="slow") as under_way:
        read_shard(under_way, discover(under_way) - 1)
        with monkeypatch.context() as patch:
            patch.setenv("CLEANCOPY_WORK", str(tmp_path / "another"))
            patch.setattr(vacuum, "time", SimpleNamespace(time=lambda: later))
            assert maintain.maintain(root)["removed"] == ()
            assert list(maintain.faults(root)) == []
        assert under_way.name in workdir.active_runs(root)
        learn(under_way, 1)
        clean_shard(under_way, 0)
        assert publish_run(under_way, 1).release == 2
    assert workdir.active_runs(root) == frozenset()
    assert list(maintain.faults(root)) == []


@pytest.mark.slow
def test_what_a_machine_that_died_for_good_has_archived_is_removed_in_the_end(
    root: ObjectPath, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(root, page("one", "first text\n"))
    with suppress(KeyboardInterrupt), workdir.claim_workdir(root, "web", "plan", "20240301T000000-dead"):
        (root / "archive" / "20240301T000000-dead-0000.warc.gz").write(b"raw")
        raise KeyboardInterrupt
    with workdir.claim_workdir(root, "other", "plan", "20240301T000000-live"):
        (root / "archive" / "20240301T000000-live-0000.warc.gz").write(b"raw")
        mine, other = paths.scratch_folder(root), tmp_path / "another"
        monkeypatch.setenv("CLEANCOPY_WORK", str(other))
        assert workdir.active_runs(root) == {"20240301T000000-dead", "20240301T000000-live"}
        later = SimpleNamespace(time=lambda: time.time() + 8 * 86_400, strftime=time.strftime)
        monkeypatch.setattr(workdir, "_changed", lambda path: time.time() + 8 * 86_400 * ("other" in str(path)))
        monkeypatch.setattr(workdir, "time", later)
        monkeypatch.setattr(vacuum, "time", later)
        assert workdir.active_runs(root) == {"20240301T000000-live"}
        assert maintain.maintain(root)["removed"] == ("archive/20240301T000000-dead-0000.warc.gz",)
        assert not (root / ".work" / "web" / "20240301T000000-dead.run").exists()
        assert (root / "archive").names() == ["20240301T000000-live-0000.warc.gz"]
    monkeypatch.setattr(paths, "scratch_folder", lambda _: mine)
    monkeypatch.setattr(workdir, "scratch_folder", lambda _: mine)
    # What it archived is gone, so the machine that comes back begins anew.
    with workdir.claim_workdir(root, "web", "plan", "20240309T000000-anew") as name:
        assert name == "20240309T000000-anew"


@pytest.mark.slow
def test_every_command_takes_a_store_in_an_object_store(root: ObjectPath, tmp_path: Path) -> None:
    raw = raw_folder(tmp_path)
    options = ["--raw", str(raw), "--clean", str(root)]

    def said(*arguments: str, code: int = 0) -> str:
        result = runner.invoke(app, [*arguments, *options])
        assert result.exit_code == code, result.output
        return result.output

    assert "release 1: 2 live documents" in said("ingest", "--plain", "--workers", "0")
    (raw / "harbour.example" / "tides.txt").write_text(TIDES.replace("twice a day", "each day"))
    said("ingest", "--plain", "--workers", "0")
    assert json.loads(said("status", "--json"))["release"] == 2
    assert json.loads(said("status", "--as-of", "1", "--json"))["documents"]["live"] == 2
    assert len(said("status", "--inputs").splitlines()) == 3
    assert len(said("releases").splitlines()) == 2
    assert "each day" in said("show", "tides.txt")
    assert len(said("history", "tides.txt").splitlines()) == 3
    assert "1 changed" in said("diff", "1", "2")
    assert "archive" in said("trace", "gauge.html", "--find", "pen draws")
    said("reclean")
    said("chrome", "list")
    said("pin", "tides.txt")
    purged = json.loads(said("takedown", "gauge.html", "--purge", "--yes", "--json"))
    assert purged["decision"]["purged"]
    for as_of in ((), ("--as-of", "2")):
        wanted = ("trace", purged["documents"][0], "--find", "pen draws", *as_of)
        assert "was erased by a takedown" in said(*wanted, code=1)
    assert "release 4" in said("rollback", "1")
    assert len(said("decisions", "list").splitlines()) == 2
    out = tmp_path / "pages.jsonl"
    said("export", "--format", "jsonl", "--out", str(out))
    assert len(out.read_text().splitlines()) == json.loads(said("status", "--json"))["documents"]["live"]
    assert "removed" in said("maintain")
    assert "nothing is missing" in said("verify")


@pytest.mark.slow
def test_the_python_api_reads_it(root: ObjectPath) -> None:
    publish(root, page("one", "first text\n"), page("two"))
    publish(root, page("one", "second text\n"))
    found = cleancopy.open(str(root))
    assert sorted(found.latest(["key", "text"]).read_all()["text"].to_pylist())[1] == "second text\n"
    assert found.as_of(1, ["text"]).read_all()["text"].to_pylist().count("first text\n") == 1
    assert [one.kind for one in found.diff(1, 2).documents] == ["changed"]
    assert [one.seq for one in found.history("one")] == [1, 2]
    uris = found.latest(["archive_uri"]).read_all()["archive_uri"].to_pylist()
    assert all(uri is None or uri.startswith(f"{root}/archive/") for uri in uris)


@pytest.mark.slow
def test_maintenance_compacts_and_verify_names_what_is_damaged(root: ObjectPath) -> None:
    for number in range(4):
        publish(root, page("same", f"text {number}\n"))
    with vacuum.maintaining(root) as done:
        assert (done.compacted, done.into) == (8, 2)
    assert texts(root) == {"same": "text 3\n"}
    assert texts(root, as_of=2) == {"same": "text 1\n"}
    assert list(verify.verify(root)) == []
    with vacuum.maintaining(root) as done:
        assert (done.compacted, done.removed) == (0, ())
    (file,) = (path for path in tables.data_files(root, "documents"))
    assert isinstance(file, ObjectPath)
    content = bytearray(file.read_bytes())
    content[100] ^= 1
    file.write(bytes(content))
    (fault,) = verify.verify(root)
    assert fault.what.startswith("tables/documents/compacted-")
    assert "altered" in fault.why


def test_captions_are_those_that_a_folder_gives_whatever_is_taken_down_or_damaged(
    root: ObjectPath, tmp_path: Path
) -> None:
    site(tmp_path / "raw")
    for place in (root, tmp_path / "clean"):
        run(tmp_path / "raw", place)
    first, second = captions.read_captions(root)
    assert captions.read_captions(tmp_path / "clean") == [first, second]
    decisions.takedown(root, second.members[0].doc_id)
    assert [cluster.documents for cluster in captions.read_captions(root)] == [12, 5]
    (root / "captions" / "manifest.json").write(b"{")
    assert [fault.what for fault in maintain.faults(root)] == ["captions/manifest.json"]
    assert maintain.maintain(root)["captions"] == 1
    assert [cluster.documents for cluster in captions.read_captions(root)] == [12, 5]


# ---- writers


def test_a_lease_is_held_by_one_and_freed_at_the_end(root: ObjectPath, short: None) -> None:
    with paths.locked(root), pytest.raises(Busy, match="another run is writing"), paths.locked(root):
        pytest.fail("two held it")
    with paths.locked(root):
        paths.confirm_lock(root)


def test_the_lease_of_a_dead_writer_is_taken_over(root: ObjectPath, short: None) -> None:
    (root / paths.LOCK).write(b'{"holder": "elsewhere:1:0", "renewed": 7}\n')
    with releases.writing(root) as release:
        assert release == 1


def test_a_writer_that_slept_finds_that_it_was_overtaken(
    root: ObjectPath, short: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease._Lease, "keep", lambda _: None)  # it gives no sign of life
    with paths.locked(root):
        with paths.locked(root):
            pass
        with pytest.raises(ConflictError, match="stood still"):
            paths.confirm_lock(root)


def test_an_answer_that_is_lost_does_not_lose_the_lease(
    root: ObjectPath, short: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = ObjectPath.replace

    def lost(path: ObjectPath, content: bytes, tag: str) -> None:
        honest(path, content, tag)

    with lease.leased(root / "lease"):
        with monkeypatch.context() as patch:
            patch.setattr(ObjectPath, "replace", lost)
            lease.confirm(root / "lease")
        lease.confirm(root / "lease")


def test_what_another_run_has_published_stays_where_the_run_that_began_it_was_overtaken(
    root: ObjectPath, short: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = paths.create_exclusive

    def slow(path: paths.StorePath, data: bytes) -> bool:
        made = honest(path, data)
        releases._recover(root)  # another run takes the place of this one, and finishes what it began
        return made

    with monkeypatch.context() as patch:
        patch.setattr(releases, "create_exclusive", slow)
        with pytest.raises(ConflictError):
            publish(root, page("one"))
    assert set(texts(root)) == {"one"}
    publish(root, page("two"))
    assert set(texts(root)) == {"one", "two"}


@pytest.mark.slow
def test_a_run_that_is_overtaken_decides_again(
    root: ObjectPath, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw, honest = raw_folder(tmp_path), releases.commit
    rival = tmp_path / "rival"
    shutil.copytree(raw, rival)

    def late(*arguments: Any, **options: Any) -> Any:
        """Another machine, which holds the lease to be dead, publishes the same pages at the last moment."""
        monkeypatch.setattr(releases, "commit", honest)
        (root / paths.LOCK).write(lease._FREE)
        run(rival, root, source="rival")
        return honest(*arguments, **options)

    monkeypatch.setattr(releases, "commit", late)
    summary = run(raw, root)
    assert summary.counts == {"new": 0, "unchanged": 2, "duplicate": 1, "rejected": 0}
    table = tables.latest(root, ["doc_id", "seq"])
    assert table["seq"].to_pylist() == [1, 1, 1]
    assert list(maintain.faults(root)) == []


@pytest.mark.slow
def test_a_decision_is_written_once_though_its_release_was_overtaken(
    root: ObjectPath, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(root, page("one"), page("two"))
    honest = releases.commit

    def late(*arguments: Any, **options: Any) -> Any:
        monkeypatch.setattr(releases, "commit", honest)
        commit(root, 2, (page("three"),))
        return honest(*arguments, **options)

    monkeypatch.setattr(releases, "commit", late)
    done = decisions.takedown(root, cleancopy.open(str(root)).version("one").doc_id)
    assert (done.decision.number, done.release) == (1, 3)
    assert [one.number for one in record.read_all(root)] == [1]
    live = tables.latest(root, ["key"], status="live")["key"].to_pylist()
    assert sorted(live) == ["three", "two"]


@pytest.mark.slow
def test_what_a_killed_run_decided_is_finished_by_the_next(
    root: ObjectPath, short: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    def killed(*_: Any, **__: Any) -> Any:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(tables, "append", killed)
        with pytest.raises(Killed):
            publish(root, page("one"))
    assert texts(root) == {}
    publish(root, page("two"))
    assert set(texts(root)) == {"one", "two"}
    assert releases.read_manifest(root, 1).recovered
    with monkeypatch.context() as patch:
        patch.setattr(compaction, "_swap", killed)
        with pytest.raises(Killed):
            compaction.compact(root, "documents", _files(root))
    with vacuum.maintaining(root):
        assert compaction.records(root) == []
    assert list(verify.verify(root)) == []


def _files(root: ObjectPath) -> list[data_files.DataFile]:
    return list(releases.expected(root, "documents").values())


def test_four_writers_of_the_same_documents_store_each_once(root: ObjectPath, short: None) -> None:
    batch = (page("one"), page("two"))

    def write() -> None:
        with releases.writing(root, wait=60) as release:
            if not {one.doc_id for one in batch} <= tables.heads(root).keys():
                commit(root, release, batch)

    writers = [threading.Thread(target=write) for _ in range(4)]
    for one in writers:
        one.start()
    for one in writers:
        one.join()
    assert [head.seq for head in tables.heads(root).values()] == [1, 1]
    assert paths.published_releases(root) == [1]


@pytest.mark.slow
def test_writers_that_are_taken_for_dead_again_and_again_harm_nobody(
    root: ObjectPath, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No holder renews its lease, each sleeps longer than it lasts, and all write the same documents."""
    monkeypatch.setattr(lease, "LEASE", 0.1)
    monkeypatch.setattr(lease._Lease, "keep", lambda _: None)
    chance, honest, overtaken = random.Random(7), data_files.write_file, []

    def drowsy(*arguments: Any) -> Any:
        time.sleep(chance.uniform(0, 0.5))
        return honest(*arguments)

    monkeypatch.setattr(data_files, "write_file", drowsy)

    def write(number: int) -> None:
        batch = tuple(page(f"{number}/{n}") for n in range(2))
        try:
            with releases.writing(root, wait=60) as release:
                if not {one.doc_id for one in batch} <= tables.heads(root).keys():
                    commit(root, release, batch)
        except ConflictError:
            overtaken.append(number)
            raise

    def write_all() -> None:
        for number in range(3):
            releases.again(partial(write, number))

    writers = [threading.Thread(target=write_all) for _ in range(4)]
    for one in writers:
        one.start()
    for one in writers:
        one.join()
    assert overtaken, "the leases held, so nothing was shown"
    assert [head.seq for head in tables.heads(root).values()] == [1] * 6
    assert paths.published_releases(root) == [1, 2, 3]
    with vacuum.maintaining(root, wait=5):
        pass
    assert list(verify.verify(root)) == []


# ---- servers at their worst


def refused(code: str, status: str) -> Callable[..., Iterable[bytes]]:
    def around(app: Any, environ: Any, start: Any) -> Iterable[bytes]:
        start(status, [("Content-Type", "application/xml")])
        return [f"<Error><Code>{code}</Code><Message>no</Message></Error>".encode()]

    return around


def without_conditions(app: Any, environ: Any, start: Any) -> Iterable[bytes]:
    environ.pop("HTTP_IF_NONE_MATCH", None)
    environ.pop("HTTP_IF_MATCH", None)
    return app(environ, start)  # type: ignore[no-any-return]


@pytest.mark.slow
def test_answers_that_are_lost_lose_nothing(server: Any, root: ObjectPath) -> None:
    asked: list[str] = []

    def lossy(app: Any, environ: Any, start: Any) -> Iterable[bytes]:
        if environ["REQUEST_METHOD"] == "PUT" and environ["PATH_INFO"] not in asked:
            asked.append(environ["PATH_INFO"])
            app(environ, lambda *_: None)
            start("503 Slow Down", [])
            return [b""]
        return app(environ, start)  # type: ignore[no-any-return]

    server.around = lossy
    publish(root, page("one", "first text\n"))
    publish(root, page("one", "second text\n"))
    assert any(path.endswith(".pending") for path in asked)
    assert any("_delta_log" in path for path in asked)
    assert texts(root) == {"one": "second text\n"}
    assert list(verify.verify(root)) == []


def test_a_server_without_conditional_puts_is_refused_before_anything_is_stored(
    server: Any, root: ObjectPath
) -> None:
    server.around = without_conditions
    with pytest.raises(StoreError, match="ignores the conditions"):
        publish(root, page("one"))
    assert not root.is_dir()


@pytest.mark.parametrize(
    ("code", "status", "said"),
    [
        ("SignatureDoesNotMatch", "403 Forbidden", "does not accept the credentials; set AWS_ACCESS_KEY_ID"),
        ("AccessDenied", "403 Forbidden", "let these credentials do this; check AWS_ACCESS_KEY_ID"),
        ("NoSuchBucket", "404 Not Found", "there is no bucket bucket; create it, or name another"),
        ("PermanentRedirect", "301 Moved Permanently", "in another region; set AWS_REGION"),
    ],
    ids=lambda value: value if " " not in value else None,
)
def test_what_a_server_refuses_is_one_line_with_a_remedy(
    server: Any, root: ObjectPath, code: str, status: str, said: str
) -> None:
    server.around = refused(code, status)
    for arguments in (["status"], ["ingest", "--plain", "--raw", str(ROOT / "raw")]):
        result = runner.invoke(app, [*arguments, "--clean", str(root)])
        assert result.exit_code == 1
        (line,) = result.output.strip().splitlines()
        assert said in line


def test_a_server_that_does_not_answer_is_named(root: ObjectPath, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setattr("cleancopy.store.objects._RETRIES", 1)
    with pytest.raises(StoreError, match=r"127\.0\.0\.1:1 does not answer; check the network"):
        cleancopy.open(str(root))


@pytest.mark.parametrize("name", ["gs://bucket/a", "s3://", "s3://bucket/../a", "s3://bucket/100%"])
def test_a_name_that_is_no_place_is_refused(name: str) -> None:
    with pytest.raises(PolicyError, match="name"):
        paths.store_path(name)
    result = runner.invoke(app, ["status", "--clean", name])
    assert result.exit_code == 2
    assert "Traceback" not in result.output


# ---- paths

parts = st.sampled_from(["a", "b1", ".hidden.tmp", "000001.json", "x.parquet"])
keys = st.sets(st.lists(parts, min_size=1, max_size=3).map(tuple), max_size=8)
patterns = st.sampled_from(["*", "*.json", "*/*", "*/[0-9]*.json", "a/*.parquet", "**/.*.tmp", "[0-9]*.json"])


@settings(max_examples=20)
@given(keys, patterns)
def test_globs_find_what_they_find_in_a_folder(
    tmp_path_factory: pytest.TempPathFactory, found: set[tuple[str, ...]], pattern: str
) -> None:
    # A name cannot be both an object and a folder there.
    found = {key for key in found if not any(other[: len(key)] == key for other in found - {key})}
    folder, place = tmp_path_factory.mktemp("tree"), object_path("s3://bucket/tree")
    for key in found:
        folder.joinpath(*key).parent.mkdir(parents=True, exist_ok=True)
        folder.joinpath(*key).touch()

    def below(self: ObjectPath, limit: int | None = None) -> Iterator[Any]:
        names = ("/".join(("tree", *key)) for key in found)
        return iter([{"path": name} for name in names if name.startswith(f"{self.key}/")])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ObjectPath, "_below", below)
        names = [path.relative_to(place).as_posix() for path in place.glob(pattern)]
    files = (path for path in folder.glob(pattern) if path.is_file())
    assert names == sorted(path.relative_to(folder).as_posix() for path in files)


def test_a_path_is_named_as_it_was_given() -> None:
    place = object_path("s3://bucket/some/prefix/")
    assert str(place / "releases" / "000001.json") == "s3://bucket/some/prefix/releases/000001.json"
    assert (place / "a").relative_to(place).as_posix() == "a"
    assert ((place / "a").bucket, (place / "a").key) == ("bucket", "some/prefix/a")
    assert object_path("s3://bucket/a/") == paths.store_path("s3://bucket//a")
    with pytest.raises(TypeError, match="not on this machine"):
        open(place)  # type: ignore[call-overload] # noqa: SIM115
