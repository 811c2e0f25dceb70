"""The Prefect flows of cleancopy. They own retries, schedules, run names and artifacts; the rest is cleancopy.

Importing this package sets what Prefect must know before it is imported itself: no telemetry, time enough for
its temporary server to start on a slow machine, and the server of this machine where one runs. What the
user's environment or Prefect profile says stands.
"""

from __future__ import annotations

import os
import tomllib

from cleancopy_flows import server

_DEFAULTS = {
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "180",
}


def _prepare() -> None:
    for name, value in _DEFAULTS.items():
        os.environ.setdefault(name, value)
    if "PREFECT_API_URL" in os.environ or profile_names_a_server():
        return
    # Only the server that ``cleancopy up`` noted: whatever else answers at its address may be anybody's.
    if (address := server.adopted()) is not None:
        os.environ["PREFECT_API_URL"] = address.api
        if server.secret_file().is_file():
            os.environ.setdefault("PREFECT_API_AUTH_STRING", server.secret())


def profile_names_a_server() -> bool:
    """Whether the user's Prefect profile says where the server is."""
    try:
        profiles = tomllib.loads((server.home() / "profiles.toml").read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError):
        return False
    active = os.environ.get("PREFECT_PROFILE") or profiles.get("active")
    return "PREFECT_API_URL" in profiles.get("profiles", {}).get(active, {})


_prepare()
