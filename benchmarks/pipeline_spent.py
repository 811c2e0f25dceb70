"""What a command costs, with every process that it starts, and those that outlive it.

    python benchmarks/pipeline_spent.py REPORT COMMAND [ARGUMENT ...]

Writes a JSON object to REPORT: CPU seconds (user and system, of all processes, by ``wait``), wall seconds, the
peak of the memory that all hold together (proportional set size, seen twice a second) and of the largest one,
and the CPU seconds of Prefect's temporary server, which are part of the first number. Linux only.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

#: ``prctl``: children whose parent has died come to this process, so that their time is counted.
SUBREAPER = 36
SECONDS = 0.5
TICKS = os.sysconf("SC_CLK_TCK")


def main() -> None:
    """Run the command, its output being this one's, and write what it cost."""
    report, *command = sys.argv[1:]
    ctypes.CDLL(None).prctl(SUBREAPER, 1, 0, 0, 0)
    began = time.monotonic()
    together, server = 0.0, dict[int, float]()
    child = subprocess.Popen(command)
    while child.returncode is None or _children_left():
        memory, seen = _sample()
        together, server = max(together, memory), server | seen
        if child.returncode is None:
            try:
                child.wait(SECONDS)
            except subprocess.TimeoutExpired:
                continue
        else:
            time.sleep(SECONDS / 10)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = {
        "cpu": used.ru_utime + used.ru_stime,
        "wall": time.monotonic() - began,
        "memory": together,
        "largest": used.ru_maxrss / 1024,
        "server": sum(server.values()),
    }
    Path(report).write_text(json.dumps(spent), encoding="utf-8")
    sys.exit(child.returncode)


def _children_left() -> bool:
    """Whether a process lives that outlived the command; what has ended is waited for."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return False
    return True


def processes() -> tuple[dict[int, int], dict[int, float]]:
    """Of each process of the machine the one that started it, and its CPU seconds with those of its dead."""
    parents: dict[int, int] = {}
    times: dict[int, float] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        except OSError:
            continue
        parents[int(folder.name)] = int(fields[1])
        times[int(folder.name)] = sum(map(int, fields[11:15])) / TICKS
    return parents, times


def _sample() -> tuple[float, dict[int, float]]:
    """MB that all processes below this one hold, and the CPU seconds of those that are Prefect's server."""
    parents, times = processes()
    memory, server = 0.0, {}
    for process in parents:
        if not _below(process, parents):
            continue
        try:
            facts = Path(f"/proc/{process}/smaps_rollup").read_text(encoding="utf-8")
            name = Path(f"/proc/{process}/cmdline").read_bytes()
        except OSError:
            continue
        memory += sum(int(line.split()[1]) for line in facts.splitlines() if line.startswith("Pss:")) / 1024
        if b"prefect.server" in name:
            server[process] = times[process]
    return memory, server


def _below(process: int, parents: dict[int, int]) -> bool:
    above = parents.get(process, 0)
    while above and above != os.getpid():
        above = parents.get(above, 0)
    return above == os.getpid()


if __name__ == "__main__":
    main()
