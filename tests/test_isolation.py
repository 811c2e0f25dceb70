"""Hostile work in processes of its own, and the limits that need no process."""

from __future__ import annotations

import contextlib
import gc
import gzip
import itertools
import multiprocessing
import subprocess
import sys
import threading
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import html

from cleancopy.errors import Rejection, RejectReason
from cleancopy.extract.isolation import relaxed_gc, run_isolated
from cleancopy.extract.limits import Coding, check_markup, check_tree, inflate
from cleancopy.policy import Limits
from conftest import corpus
from hostile_tasks import Unloadable, behave, dies_once, nap, unpicklable

LIMITS = Limits(wall_seconds=1.0, memory_bytes=300_000_000)


def outcomes(function: Callable[[str], object], tasks: list[str], workers: int = 2) -> dict[str, object]:
    results = run_isolated(function, tasks, workers=workers, limits=LIMITS)
    return {task: one.kind.value if isinstance(one, Rejection) else one for task, one in results}


def test_hostile_documents_are_named_and_their_neighbours_unharmed() -> None:
    expected: dict[str, object] = {
        "a": "A",
        "spin": "timeout",
        "b": "B",
        "exit": "crash",
        "c": "C",
        "segfault": "crash",
        "d": "D",
        "killed": "memory",
        "grow": "memory",
        "e": "E",
        "one big block": "memory",
        "system exit": "crash",
        "refuse": "no_content",
        "fail": "internal",
        "f": "F",
    }
    assert outcomes(behave, list(expected)) == expected


@pytest.mark.parametrize("workers", [0, 1])
def test_messages_say_what_happened(workers: int) -> None:
    ((_, refused), (_, failed)) = run_isolated(behave, ["refuse", "fail"], workers=workers, limits=LIMITS)
    assert isinstance(refused, Rejection)
    assert isinstance(failed, Rejection)
    assert refused.message == "nothing in it"
    assert "ZeroDivisionError: three words here" in failed.message


def test_a_document_has_less_time_to_compute_than_to_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cleancopy.extract.isolation._CPU_SHARE", 0.001)
    limits = Limits(wall_seconds=300.0)
    (_, spun), (_, fine) = run_isolated(behave, ["spin", "a"], workers=1, limits=limits)
    assert isinstance(spun, Rejection)
    assert (spun.kind, fine) == (RejectReason.TIMEOUT, "A")
    assert "more than 0.3 CPU-seconds" in str(spun)
    assert outcomes(behave, ["doze", "b"]) == {"doze": "timeout", "b": "B"}


def test_a_result_that_cannot_be_sent_is_an_internal_fault() -> None:
    assert outcomes(unpicklable, ["a"]) == {"a": "internal"}


def test_what_dies_once_has_its_second_try(tmp_path: Path) -> None:
    tasks = ["a", "frail", "b"]
    assert outcomes(partial(dies_once, tmp_path / "marker"), tasks) == {task: task for task in tasks}


def test_results_come_in_the_order_of_the_tasks() -> None:
    results = run_isolated(nap, range(50), workers=3, limits=LIMITS)
    assert list(results) == [(task, -task) for task in range(50)]


def test_endless_tasks_are_read_only_a_little_ahead_and_closing_ends_all() -> None:
    taken: list[int] = []
    before = set(multiprocessing.active_children())

    def endless() -> Iterator[int]:
        for task in itertools.count():
            taken.append(task)
            yield task

    results = run_isolated(nap, endless(), workers=2, limits=LIMITS)
    assert list(itertools.islice(results, 20)) == [(task, -task) for task in range(20)]
    assert len(taken) <= 20 + 2 * 8
    assert set(multiprocessing.active_children()) > before
    results.close()  # type: ignore[attr-defined]
    assert set(multiprocessing.active_children()) == before
    assert not [one for one in threading.enumerate() if one.name.startswith("cleancopy-isolation")]


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_an_interrupt_or_a_fault_of_the_tasks_ends_all_workers(error: type[BaseException]) -> None:
    before = set(multiprocessing.active_children())

    def interrupted() -> Iterator[int]:
        yield from range(12)
        raise error

    with pytest.raises(error):
        list(run_isolated(nap, interrupted(), workers=2, limits=LIMITS))
    assert set(multiprocessing.active_children()) == before


def test_parents_with_threads_may_use_it_at_once() -> None:
    results: dict[int, list[tuple[int, int | Rejection]]] = {}

    def run(number: int) -> None:
        results[number] = list(run_isolated(nap, range(number, number + 20), workers=1, limits=LIMITS))

    threads = [threading.Thread(target=run, args=(number,)) for number in (0, 100, 200)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == {n: [(task, -task) for task in range(n, n + 20)] for n in (0, 100, 200)}


def test_a_worker_that_cannot_start_says_so() -> None:
    with pytest.raises(RuntimeError, match="did not start"):
        list(run_isolated(Unloadable(), [1], workers=1, limits=LIMITS))


# ---- limits


MANY = " ".join(f"a{n}=1" for n in range(5_000))


@pytest.mark.parametrize(
    "markup",
    [
        f"<p>text</p><a {MANY}>",
        f'<p title="a > b" {MANY}>',
        f"<script>var a = 1</script><svg {MANY}",
        "<p>x</p>" * (Limits().tags + 1),
    ],
)
def test_markup_that_costs_too_much_to_parse_is_refused(markup: str) -> None:
    for form in (markup, markup.encode()):
        with pytest.raises(Rejection) as error:
            check_markup(form, Limits())
        assert error.value.kind is RejectReason.PARSE_LIMIT


@pytest.mark.parametrize(
    "markup",
    [
        "",
        "word " * 100_000,
        f"<script>if (a<b) {MANY}</script><p>text</p>",
        f"<!-- <b {MANY} --><p>text</p>",
        f"<p title='<b {MANY}>'>text</p>",
        f"<p>1 < 2 {MANY}</p>",
        "<p>x</p>" * 100_000,
        "<a " + " ".join(f"a{n}" for n in range(900)) + ">" + "x" * 10_000,
    ],
)
def test_markup_that_only_looks_like_it_is_not(markup: str) -> None:
    check_markup(markup, Limits())


def test_no_real_page_is_refused() -> None:
    pages = sorted((corpus("corpora/wcxb") / "html").glob("*.html.gz"))[::10]
    assert len(pages) > 100
    for path in pages:
        check_markup(gzip.decompress(path.read_bytes()), Limits())


@given(st.text(alphabet="<>ab =1'\"/!-\n", max_size=2_000))
def test_any_markup_is_looked_at_without_a_fault(markup: str) -> None:
    few = [tag for tag in markup.split("<") if len(tag) <= 2 * 20]
    if len(few) == len(markup.split("<")):
        check_markup(markup, Limits(attributes=20))
        return
    with contextlib.suppress(Rejection):
        check_markup(markup, Limits(attributes=20))


@pytest.mark.parametrize(("depth", "allowed", "fits"), [(240, 256, True), (300, 256, False), (40, 30, False)])
def test_depth_is_what_the_parser_met(depth: int, allowed: int, fits: bool) -> None:
    parser = html.HTMLParser()
    tree = html.document_fromstring("<div>" * depth + "text", parser=parser)
    if fits:
        check_tree(tree, parser.error_log, Limits(depth=allowed))
        return
    with pytest.raises(Rejection) as error:
        check_tree(tree, parser.error_log, Limits(depth=allowed))
    assert error.value.kind is RejectReason.PARSE_DEPTH


@given(st.binary(max_size=500), st.sampled_from(["gzip", "deflate"]))
def test_inflating_undoes_deflating(data: bytes, coding: Coding) -> None:
    packed = gzip.compress(data) if coding == "gzip" else zlib.compress(data)
    assert inflate(packed, coding, Limits()) == data


@pytest.mark.parametrize(
    ("data", "coding", "kind"),
    [
        (gzip.compress(bytes(5_000_000)), "gzip", RejectReason.DECOMPRESS_LIMIT),
        (gzip.compress(bytes(900_000)) * 3, "gzip", RejectReason.DECOMPRESS_LIMIT),
        (zlib.compress(bytes(5_000_000)), "deflate", RejectReason.DECOMPRESS_LIMIT),
        (gzip.compress(b"text")[:-1], "gzip", RejectReason.BAD_COMPRESSION),
        (b"text", "gzip", RejectReason.BAD_COMPRESSION),
        (b"text", "br", RejectReason.BAD_COMPRESSION),
        (b"text", "zstd", RejectReason.BAD_COMPRESSION),
    ],
)
def test_what_inflates_too_far_or_not_at_all_is_refused(
    data: bytes, coding: Coding, kind: RejectReason
) -> None:
    with pytest.raises(Rejection) as error:
        inflate(data, coding, Limits(inflated_bytes=2_000_000))
    assert error.value.kind is kind


def test_a_file_of_many_members_is_inflated_in_one_go() -> None:
    members = gzip.compress(b"", mtime=0) * 20_000 + gzip.compress(b"text", mtime=0) + bytes(100)
    assert inflate(members, "gzip", Limits()) == b"text"


def test_looks_for_garbage_are_as_before_when_the_last_of_two_runs_ends() -> None:
    usual = gc.get_threshold()
    first, second = relaxed_gc(), relaxed_gc()
    first.__enter__()
    rarely = gc.get_threshold()
    second.__enter__()
    first.__exit__(None, None, None)
    assert gc.get_threshold() == rarely != usual
    second.__exit__(None, None, None)
    assert gc.get_threshold() == usual


def test_a_worker_loads_no_more_than_reading_needs() -> None:
    """Every worker of every run pays for what it imports; the store and its tables cost a second."""
    loaded = subprocess.run(
        [sys.executable, "-c", "import cleancopy.ingest.isolated, sys; print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert "cleancopy.clean" in loaded
    heavy = ("pyarrow", "deltalake", "prefect", "scipy", "cleancopy.store", "cleancopy.sources")
    assert [name for name in loaded if name.startswith(heavy)] == []
