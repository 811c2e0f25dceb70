"""JSON Lines in Dolma's form: one JSON object a live document, in the order of their ids.

Dolma's fields come first (``id``, ``text``, ``source``, ``created``, ``added``, ``metadata``); what else is
known of a document stands beside them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa

from cleancopy.document import Span
from cleancopy.export.lines import Lines, by_suffix, write_file
from cleancopy.export.selection import Plan, plan
from cleancopy.export.writers import LinesWriter
from cleancopy.store import releases
from cleancopy.store.paths import StorePath

_METADATA = ("title", "author", "date", "site_name", "description", "language", "licence", "canonical_url")
_BESIDE = ("version", "release", "key", "media_type", "captured", "text_sha256", "reserved")
#: What a span's fields are where they say nothing.
_USUAL = Span._field_defaults
_encode = json.JSONEncoder(ensure_ascii=False, check_circular=False).encode


def write_jsonl(root: StorePath, out: Path, as_of: int | None = None) -> int:
    """Write every live document of a release (the latest by default) to one file; how many there are.

    The file appears whole or not at all; its suffix says whether it is compressed (``.gz``, ``.zst``).
    """
    chosen = plan(root, as_of=as_of)
    write_file(chosen, out, as_lines(chosen), by_suffix(out))
    return chosen.documents


def as_lines(chosen: Plan) -> Lines:
    """How the documents of a plan become lines."""
    return Lines(b"", partial(encoded, added=release_times(chosen)))


def encoded(table: pa.Table, added: Mapping[int, str]) -> Iterator[bytes]:
    """The lines of a table of ``EXPORT`` rows, many at a time; ``added`` is the time of each release."""
    for batch in table.to_batches(max_chunksize=256):
        yield "".join(f"{_encode(line(row, added))}\n" for row in batch.to_pylist()).encode()


def line(row: Mapping[str, Any], added: Mapping[int, str]) -> dict[str, Any]:
    """What the export says of a document.

    ``source`` is its site, ``created`` when it was published, else captured, ``added`` when the release that
    brought this version was.
    """
    dolma = {
        "id": row["id"],
        "text": row["text"],
        "source": row["site"] or "unknown",
        "created": timestamp(row["date"]) or timestamp(row["captured"]),
        "added": added.get(row["release"]),
        "metadata": {name: row[name] for name in _METADATA},
        "url": row["url"],
        "site": row["site"],
    }
    beside = {name: row[name] for name in _BESIDE}
    beside["usage"] = json.loads(row["usage"]) if row["usage"] else []
    listed = {
        "blocks": row["blocks"],
        "cuts": list(map(_cut, row["cuts"])),
        "media": list(map(_with_places, row["media"])),
        "structure": None if row["structure"] is None else list(map(_span, row["structure"])),
    }
    return dolma | beside | listed


def timestamp(text: str | None) -> str | None:
    """An ISO 8601 date or time as Dolma writes times, in UTC (``2024-03-01T00:00:00.000Z``).

    A time without a zone is taken for UTC; None for anything else, such as a year or a month alone.
    """
    try:
        moment = datetime.fromisoformat(text or "")
        moment = moment.astimezone(UTC) if moment.tzinfo else moment
    except (ValueError, OverflowError):
        return None
    return f"{moment.replace(tzinfo=None).isoformat(timespec='milliseconds')}Z"


def release_times(chosen: Plan) -> dict[int, str]:
    """When each release up to the plan's was published, as Dolma writes times."""
    numbers = range(1, chosen.release + 1)
    return {number: timestamp(releases.read_manifest(chosen.root, number).time) or "" for number in numbers}


def _cut(cut: dict[str, Any]) -> dict[str, Any]:
    return cut | {"evidence": json.loads(cut["evidence"])}


def _span(span: dict[str, Any]) -> dict[str, Any]:
    """A span with the fields that say something; the others are as in ``Span``."""
    return {name: value for name, value in span.items() if value != _USUAL.get(name)}


def _with_places(entry: dict[str, Any]) -> dict[str, Any]:
    return entry | {"places": [[place["start"], place["end"]] for place in entry["places"]]}


WRITER = LinesWriter(".jsonl", as_lines, compression="zstd")
