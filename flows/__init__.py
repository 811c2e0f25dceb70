"""The Prefect flows of cleancopy. They own retries, schedules, run names and artifacts; the rest is cleancopy.

Importing this package sets what Prefect must know before it is imported itself: no telemetry, time enough for
its temporary server to start on a slow machine, and the server of this machine where one runs. What the
user's environment or Prefect profile says stands.
"""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from urllib.request import urlopen

#: Where a server that was started with ``cleancopy ui`` answers.
LOCAL_API = "http://127.0.0.1:4200/api"
_DEFAULTS = {
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "180",
}


def _prepare() -> None:
    for name, value in _DEFAULTS.items():
        os.environ.setdefault(name, value)
    if "PREFECT_API_URL" not in os.environ and not _profile_names_a_server() and _answers(LOCAL_API):
        os.environ["PREFECT_API_URL"] = LOCAL_API


def _profile_names_a_server() -> bool:
    home = Path(os.environ.get("PREFECT_HOME", "~/.prefect")).expanduser()
    try:
        known = tomllib.loads((home / "profiles.toml").read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError):
        return False
    active = os.environ.get("PREFECT_PROFILE") or known.get("active")
    return "PREFECT_API_URL" in known.get("profiles", {}).get(active, {})


def _answers(api: str) -> bool:
    try:
        with urlopen(f"{api}/health", timeout=0.5) as answer:  # noqa: S310 - a constant http address
            return bool(answer.status == 200)
    except OSError:
        return False


_prepare()
