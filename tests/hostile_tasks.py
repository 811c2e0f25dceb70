"""What the isolation tests run in worker processes; it imports little, so that a new worker is soon there."""

from __future__ import annotations

import ctypes
import os
import signal
import time
from pathlib import Path

from cleancopy.errors import Rejection, RejectReason


def behave(task: str) -> str:
    """A task that does what its name says."""
    if task == "spin":
        while True:
            pass
    if task == "doze":
        time.sleep(60)
    if task == "grow":
        hoard = []
        while True:
            hoard.append(bytes(1_000_000))
    if task == "one big block":
        return str(len(bytes(3_000_000_000)))
    if task == "exit":
        os._exit(3)
    if task == "segfault":
        ctypes.string_at(0)
    if task == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if task == "system exit":
        raise SystemExit
    if task == "refuse":
        raise Rejection(RejectReason.NO_CONTENT, "nothing in it")
    if task == "fail":
        raise ZeroDivisionError("three words here")
    return task.upper()


def unpicklable(task: str) -> object:
    return lambda: task


def dies_once(marker: Path, task: str) -> str:
    """Kill the process the first time that ``frail`` comes by."""
    if task == "frail" and not marker.exists():
        marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return task


def nap(task: int) -> int:
    time.sleep(0.02 if task % 5 == 0 else 0)
    return -task


class Unloadable:
    """A function that ends the process which loads it."""

    def __reduce__(self) -> object:
        return os._exit, (7,)

    def __call__(self, task: int) -> int:
        return task
