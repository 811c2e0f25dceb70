"""JSON Lines: one JSON object a live document, in the order of their ids."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cleancopy import views
from cleancopy.store import corpus, rows
from cleancopy.store.layout import mendable
from cleancopy.store.rows import Version


def write_jsonl(root: Path, out: Path, as_of: int | None = None) -> int:
    """Write every live document of a release (the latest by default) to a file; how many there are.

    The file appears whole or not at all.
    """
    temporary = out.with_name(f".{out.name}.{os.getpid()}.tmp")
    count = 0
    with mendable(out, "exporting"):
        out.parent.mkdir(parents=True, exist_ok=True)
        try:
            with open(temporary, "w", encoding="utf-8") as lines:
                for version in live_versions(root, as_of):
                    lines.write(json.dumps(line(version), ensure_ascii=False, default=list) + "\n")
                    count += 1
            os.replace(temporary, out)
        finally:
            temporary.unlink(missing_ok=True)
    return count


def line(version: Version) -> dict[str, Any]:
    """What the export says of a document."""
    known = views.provenance(version)
    document = version.document
    first = {"id": version.doc_id, "url": document.url, "site": document.site, "text": document.clean}
    rest = ("metadata", "media", "cuts", "version", "release", "key", "media_type", "captured", "text_sha256")
    return first | {name: known[name] for name in rest}


def live_versions(root: Path, as_of: int | None = None) -> Iterator[Version]:
    """The live versions of a release, in the order of their document ids."""
    ids = corpus.latest(root, columns=["doc_id"], as_of=as_of, status="live")["doc_id"].to_pylist()
    waiting: dict[str, Version] = {}
    wanted = iter(sorted(ids))
    following = next(wanted, None)
    for batch in corpus.latest_batches(root, as_of=as_of, status="live"):
        for version in rows.table_to_versions(batch):
            waiting[version.doc_id] = version
        while following in waiting:
            yield waiting.pop(following)
            following = next(wanted, None)
