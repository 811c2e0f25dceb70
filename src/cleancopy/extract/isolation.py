"""Work on documents in processes of their own, so that a hostile page harms no other.

    run_isolated(function, tasks, *, workers, limits, preload=()) -> Iterator[(task, result or Rejection)]

Each worker is one process, one pipe and one thread that waits at it. A worker holds one document at a time,
so a death, a deadline or a lack of memory belongs to exactly that document: there is no shared queue to lose
documents in and no lock to die with. (pebble's pool shares one pipe: an idle worker that is killed breaks it.)

What a document may do, and what comes of it:

    raise Rejection              comes back as it is
    raise anything else         Rejection(internal), the one place where such errors are caught
    run past wall_seconds       its process is killed; Rejection(timeout)
    compute for a third of it   the same: a page that waits for a busy machine has more time than one that loops
    use more than memory_bytes  tried once more, alone, in a new process; then Rejection(memory)
    kill its process            tried once more, alone, in a new process; then Rejection(crash)

Processes come from a fork server (``spawn`` where there is none), so that a parent with threads is safe. As
with all such processes, a script that calls this needs its ``if __name__ == "__main__":``.
"""

from __future__ import annotations

import gc
import multiprocessing
import pickle
import queue
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.context import BaseContext
from multiprocessing.process import BaseProcess
from typing import TYPE_CHECKING, Generic, TypeVar

from cleancopy.errors import Rejection, RejectReason

if TYPE_CHECKING:
    from cleancopy.policy import Limits

A = TypeVar("A")
R = TypeVar("R")

# Documents under way for each worker: enough that a slow one does not make its neighbours wait at once.
_AHEAD = 8
# A new process needs this long at most to import its modules on a slow machine.
_START_SECONDS = 120.0

# Of the time that a document has, so much may be computing: 10 CPU-seconds of the usual 30.
_CPU_SHARE = 1 / 3

_starting = threading.Lock()


def run_isolated(
    function: Callable[[A], R],
    tasks: Iterable[A],
    *,
    workers: int,
    limits: Limits,
    preload: Sequence[str] = (),
) -> Iterator[tuple[A, R | Rejection]]:
    """Each task with what ``function(task)`` made of it, or the ``Rejection`` that stands for it, in order.

    ``function`` is sent to each worker once (so ``functools.partial(clean, policy=..., chrome=...)`` is cheap)
    and must be importable; tasks and results are pickled. ``tasks`` may be endless: it is read at most
    eight tasks a worker ahead of what was taken. ``preload`` names modules that the fork server imports
    once for all workers; it counts only for the first call in a program. ``workers=0`` runs everything
    here, with no deadline and no memory cap. Closing the iterator ends all workers.
    """
    if workers == 0:
        for task in tasks:
            yield task, result_or_rejection(function, task)
        return
    crew = _Crew(function, limits, _context(preload), workers)
    pending: deque[tuple[A, Future[R | Rejection | _Death]]] = deque()
    try:
        for task in tasks:
            pending.append((task, crew.submit(task)))
            if len(pending) >= workers * _AHEAD:
                oldest, future = pending.popleft()
                yield oldest, crew.outcome(oldest, future, [other for _, other in pending])
        while pending:
            oldest, future = pending.popleft()
            yield oldest, crew.outcome(oldest, future, [other for _, other in pending])
    finally:
        crew.close()


@dataclass(frozen=True, slots=True)
class _Death:
    """A worker died, or ran out of memory, at a document."""

    verdict: Rejection


@dataclass(frozen=True, slots=True)
class _Worker:
    process: BaseProcess
    pipe: Connection


class _Crew(Generic[A, R]):
    """Workers, and as many threads that each wait at the pipe of one of them."""

    def __init__(self, function: Callable[[A], R], limits: Limits, context: BaseContext, workers: int) -> None:
        self._function = function
        self._limits = limits
        self._context = context
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix="cleancopy-isolation")
        self._idle: queue.SimpleQueue[_Worker | None] = queue.SimpleQueue()
        self._alive: set[_Worker] = set()
        self._closed = False
        for _ in range(workers):
            self._idle.put(None)

    def submit(self, task: A) -> Future[R | Rejection | _Death]:
        return self._threads.submit(self._run, task)

    def outcome(
        self, task: A, future: Future[R | Rejection | _Death], others: list[Future[R | Rejection | _Death]]
    ) -> R | Rejection:
        """What came of a task; one whose worker died has its second try now, alone."""
        first = future.result()
        if not isinstance(first, _Death):
            return first
        wait(others)
        second = self.submit(task).result()
        return second.verdict if isinstance(second, _Death) else second

    def close(self) -> None:
        """End all workers and threads; what they were at is lost."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        with _starting:
            self._closed = True
            for worker in self._alive:
                worker.process.kill()
        self._threads.shutdown(wait=True)
        with _starting:
            for worker in self._alive:
                _bury(worker)

    def _run(self, task: A) -> R | Rejection | _Death:
        worker = self._idle.get()
        verdict: R | Rejection | _Death | None = None
        try:
            worker = worker or self._start()
            verdict = self._ask(worker, task)
            return verdict
        finally:
            fit = worker is not None and verdict is not None and not _ends_worker(verdict)
            if worker is not None and not fit:
                self._retire(worker)
            self._idle.put(worker if fit else None)

    def _ask(self, worker: _Worker, task: A) -> R | Rejection | _Death:
        try:
            worker.pipe.send(task)
            if not worker.pipe.poll(self._limits.wall_seconds):
                return _late(f"took longer than {self._limits.wall_seconds:g} s")
            answer: R | Rejection = worker.pipe.recv()
        except (EOFError, OSError):
            verdict = _verdict(worker, self._limits)
            return verdict if verdict.kind is RejectReason.TIMEOUT else _Death(verdict)
        return (
            _Death(answer) if isinstance(answer, Rejection) and answer.kind is RejectReason.MEMORY else answer
        )

    def _start(self) -> _Worker:
        """A new worker that has said that it is ready, so that its imports count against no document."""
        with _starting:
            if self._closed:
                raise RuntimeError("the workers have been closed")
            ours, theirs = self._context.Pipe()
            computing = _CPU_SHARE * self._limits.wall_seconds
            arguments = (theirs, self._function, self._limits.memory_bytes, computing)
            process: BaseProcess = self._context.Process(  # type: ignore[attr-defined]
                target=_serve, args=arguments, name="cleancopy-worker", daemon=True
            )
            process.start()
            theirs.close()
            worker = _Worker(process, ours)
            self._alive.add(worker)
        try:
            if ours.poll(_START_SECONDS) and ours.recv() is None:
                return worker
        except (EOFError, OSError):
            pass
        self._retire(worker)
        raise RuntimeError(
            "a worker process did not start: is the calling script guarded by `if __name__ == '__main__':`, "
            f"can {self._function!r} be imported, and is limits.memory_bytes enough for its modules?"
        )

    def _retire(self, worker: _Worker) -> None:
        worker.process.kill()
        with _starting:
            self._alive.discard(worker)
            _bury(worker)


def _context(preload: Sequence[str]) -> BaseContext:
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["__main__", "cleancopy.extract.isolation", *preload])
    return context


def _ends_worker(verdict: object) -> bool:
    return isinstance(verdict, _Death) or (
        isinstance(verdict, Rejection) and verdict.kind is RejectReason.TIMEOUT
    )


def _bury(worker: _Worker) -> None:
    worker.process.join(5)
    worker.pipe.close()


def _late(how: str) -> Rejection:
    message = f"{how} and was stopped; look at the page, or raise limits.wall_seconds in the policy"
    return Rejection(RejectReason.TIMEOUT, message)


def _verdict(worker: _Worker, limits: Limits) -> Rejection:
    """Why a worker died: SIGKILL that we did not send is the kernel's, for want of memory."""
    with _starting:
        worker.process.join(5)
        code = worker.process.exitcode
    if _PROFILED and code == -signal.SIGPROF:
        return _late(f"took more than {_CPU_SHARE * limits.wall_seconds:g} CPU-seconds")
    if code == -signal.SIGKILL:
        return Rejection(
            RejectReason.MEMORY,
            "had its process killed by the system, twice, as happens when memory runs out; look at the page, "
            "or run fewer workers",
        )
    how = f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"
    return Rejection(
        RejectReason.CRASH,
        f"ended its process, twice ({how}); keep the page and report it, it shows a fault in a library",
    )


def result_or_rejection(function: Callable[[A], R], task: A) -> R | Rejection:
    """A function's result for a task, in this process, or the ``Rejection`` for what it raised."""
    try:
        return function(task)
    except Rejection as rejected:
        return rejected
    except MemoryError:
        return Rejection(
            RejectReason.MEMORY,
            "needs more memory than limits.memory_bytes; look at the page, or raise it in the policy",
        )
    except Exception as error:
        return Rejection(
            RejectReason.INTERNAL,
            f"met a fault of cleancopy: {type(error).__name__}: {error}; keep the page and report it",
        )


#: Whether the system can end a process that has computed for long enough.
_PROFILED = hasattr(signal, "SIGPROF")


def _serve(pipe: Connection, function: Callable[[A], R], memory_bytes: int, computing: float) -> None:
    """A worker's life: say ready, then answer tasks until the pipe closes or memory runs short."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _cap_memory(memory_bytes)
    pipe.send(None)
    memory_left = True
    with relaxed_gc():
        while memory_left:
            try:
                message = pipe.recv_bytes()
            except EOFError:
                return
            _cap_time(computing)
            answer = result_or_rejection(lambda data: _pickled(function(pickle.loads(data))), message)
            _cap_time(0)
            memory_left = not (isinstance(answer, Rejection) and answer.kind is RejectReason.MEMORY)
            pipe.send_bytes(_pickled(answer) if isinstance(answer, Rejection) else answer)


@contextmanager
def relaxed_gc() -> Iterator[None]:
    """Let this process look for cycles of garbage a hundred times less often than Python does by itself.

    A page is thousands of blocks and cuts, none in a cycle, and each look visits all that are alive: an ingest
    spent an eighth of its CPU on that. What is loaded already is not looked at meanwhile. The last of several
    that overlap brings the usual thresholds back.
    """
    with _rarely:
        _usual.append(_usual[0] if _usual else gc.get_threshold())
        gc.freeze()
        gc.set_threshold(100_000, 20, 20)
    try:
        yield
    finally:
        with _rarely:
            thresholds = _usual.pop()
            if not _usual:
                gc.set_threshold(*thresholds)
                gc.unfreeze()


_rarely = threading.Lock()
#: The thresholds of before, once for each ``relaxed_gc`` under way.
_usual: list[tuple[int, int, int]] = []


def _pickled(value: object) -> bytes:
    """A task or result as bytes for the pipe between this process and a worker."""
    return pickle.dumps(value, pickle.HIGHEST_PROTOCOL)


def _cap_time(seconds: float) -> None:
    """End this process, by SIGPROF, once it has computed for so long from now; never, for 0."""
    if _PROFILED:
        signal.setitimer(signal.ITIMER_PROF, seconds)


def _cap_memory(size: int) -> None:
    """Let this process hold no more private memory than that, and leave no core files."""
    if sys.platform == "win32":
        return
    import resource

    # Address space counts what libraries reserve and never touch, so data is capped where the system does that.
    kinds = [resource.RLIMIT_CORE, resource.RLIMIT_DATA if sys.platform == "linux" else resource.RLIMIT_AS]
    for kind, cap in zip(kinds, (0, size), strict=True):
        hard = resource.getrlimit(kind)[1]
        resource.setrlimit(kind, (cap if hard == resource.RLIM_INFINITY else min(cap, hard), hard))
