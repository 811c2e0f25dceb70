"""Who runs an ingest of the command line: Prefect where a server is there, else this process with a note."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import cleancopy_flows
from cleancopy_flows import noted
from cleancopy_flows.parameters import IngestParameters, checked

from cleancopy.policy import read_policy

LATER = "Prefect's history has this run from the next `cleancopy up` on."


def ingest(progress: noted.Progress, **parameters: Any) -> tuple[dict[str, Any], str | None]:
    """Run an ingest once; its summary, and a line on where its history is if that comes later.

    Raises CleancopyError with the reason where it refused its input or the store, or where a server that is set
    up does not answer.
    """
    given = checked(IngestParameters, parameters)
    policy = read_policy(Path(given.policy) if given.policy else None)
    if prefect_is_set_up() or policy.engine != "local":
        from cleancopy_flows import ingest as flow

        summary: dict[str, Any] = flow.run(**parameters)
        return summary, None
    return noted.ingest(given, progress), LATER


def prefect_is_set_up() -> bool:
    """Whether the user's settings name a server, or say anything of Prefect: then Prefect runs the ingest.

    Looks at the environment (where ``cleancopy_flows`` has put the server that answers), profiles, and the
    settings that Prefect reads from the folder; without importing Prefect.
    """
    if "PREFECT_API_URL" in os.environ or cleancopy_flows.profile_names_a_server():
        return True
    return Path("prefect.toml").exists() or any(
        word in _text(Path(name))
        for name, word in ((".env", "PREFECT_API_URL"), ("pyproject.toml", "[tool.prefect"))
    )


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
