"""Which process runs a flow: so that its death is noticed, and a cancelled run of the command line ended."""

from __future__ import annotations

import os
import signal
import socket
from contextlib import suppress
from typing import Any

from cleancopy_flows import server


def this_process() -> dict[str, bool | int | float | str]:
    """The labels that name this process: host, id, and when it began (process ids are used again)."""
    return {
        "cleancopy.host": _here(),
        "cleancopy.process": os.getpid(),
        "cleancopy.began": server.began(os.getpid()) or 0,
    }


def _here() -> str:
    """This machine, and the namespace of its process ids: a container has its own under the same host name."""
    try:
        return f"{socket.gethostname()} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return socket.gethostname()


def gone(labels: dict[str, Any]) -> bool:
    """Whether labels name a process of this machine that no longer runs."""
    if labels.get("cleancopy.host") != _here():
        return False
    now = server.began(int(labels["cleancopy.process"]))
    return now is None or (now != 0 and now != int(labels["cleancopy.began"]))


def interrupt(labels: dict[str, Any]) -> bool:
    """Stop the process that labels name; whether there is one on this machine.

    By SIGTERM: what a script started in its background does not heed SIGINT.
    """
    if labels.get("cleancopy.host") != _here() or gone(labels):
        return False
    with suppress(ProcessLookupError, PermissionError):
        os.kill(int(labels["cleancopy.process"]), signal.SIGTERM)
        return True
    return False
