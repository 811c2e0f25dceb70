"""A Hugging Face dataset card: what the dataset holds, where it comes from, under which licences."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from cleancopy.corpus.columns import EXPORT
from cleancopy.export import parquet
from cleancopy.export.folder import File
from cleancopy.export.selection import Plan
from cleancopy.export.writers import FolderWriter
from cleancopy.export.yamltext import front_matter, quoted

#: How many sites, languages and licences are listed; the others are counted.
LISTED = 20
_SIZES = (
    (1_000, "n<1K"),
    (10_000, "1K<n<10K"),
    (100_000, "10K<n<100K"),
    (10**6, "100K<n<1M"),
    (10**7, "1M<n<10M"),
)
# Licences by what pages say, as the identifiers that the Hub knows.
_CREATIVE = re.compile(
    r"(?:https?://)?creativecommons\.org/(licenses|publicdomain)/([a-z-]+)/(\d\.\d)(?:/.*)?", re.I
)
_SHORT = re.compile(r"cc[- ]?(by(?:-(?:nc|sa|nd))*)[- ](\d\.\d)", re.I)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_MARKUP = re.compile(r"([\\`*_\[\]<>|&])")


def card(chosen: Plan, name: str, facts: Mapping[str, Any]) -> str:
    """The README.md of a dataset folder; ``facts`` are what its manifest says of the release."""
    about = chosen.about
    licences = counted(about, "licence")
    identifiers = sorted({hub_licence(licence) or "other" for licence in licences})
    fields = {
        "pretty_name": name,
        "license": identifiers[0] if len(identifiers) == 1 else "other",
        "license_name": None if len(identifiers) == 1 and identifiers != ["other"] else "per-document",
        "language": sorted({code for code in map(_language, counted(about, "language")) if code}),
        "size_categories": [_size_category(chosen.documents)],
        "task_categories": ["text-generation"],
        "tags": ["web", "cleancopy", "provenance"],
    }
    head = front_matter(fields)[: -len("---\n")]
    return f"{head}{_configs()}---\n\n{_body(chosen, name, facts, licences)}"


def counted(about: pa.Table, column: str) -> dict[str, int]:
    """How many documents have each value of a column, most frequent first; ``""`` stands for none."""
    counts = Counter(value or "" for value in about.column(column).to_pylist())
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def hub_licence(licence: str) -> str | None:
    """The Hub's identifier of a licence, None where it has none or nothing is said."""
    if match := _CREATIVE.fullmatch(licence.strip()):
        if match[1].lower() == "publicdomain":
            return "cc0-1.0" if match[2].lower() == "zero" else None
        return f"cc-{match[2].lower()}-{match[3]}"
    match = _SHORT.fullmatch(licence.strip())
    return f"cc-{match[1].lower()}-{match[2]}" if match else None


def plain(text: str) -> str:
    """A page's text in one line of Markdown, with everything in it escaped that would be markup."""
    line = _CONTROL.sub(" ", text).strip()[:200]
    return _MARKUP.sub(r"\\\1", line)


def cell(text: str) -> str:
    """A page's text as code in a table: it can be copied, and is neither markup nor a link."""
    line = _CONTROL.sub(" ", text).strip()[:200].replace("`", "'").replace("|", "\\|")
    return f"`{line}`" if line else "not stated"


def _language(tag: str) -> str | None:
    """The ISO 639 part of a language tag: the Hub takes no more."""
    match = re.match(r"([A-Za-z]{2,3})(?:$|[-_])", tag)
    return match[1].lower() if match else None


def _size_category(documents: int) -> str:
    return next((name for size, name in _SIZES if documents < size), "n>10M")


def _configs() -> str:
    path = quoted("data/train-*.parquet")
    return f"configs:\n- config_name: default\n  data_files:\n  - split: train\n    path: {path}\n"


def _body(chosen: Plan, name: str, facts: Mapping[str, Any], licences: Mapping[str, int]) -> str:
    captured = pc.min_max(chosen.about.column("captured")).as_py()
    times = f"{captured['min']} to {captured['max']}" if captured["min"] else "not recorded"
    sections = [
        f"# {plain(name)}",
        f"{chosen.documents:,} web documents as clean text ({chosen.words:,} words), one row each, by `id`.",
        "## Where it comes from",
        _listing(
            {
                "Release": f"{facts['release']} of the store, published {facts['released']}",
                "Captured": times,
                "Content root": f"`{facts['content_root']}` (SHA-256 over the sorted version ids)",
                "Pipeline": f"`{facts['fingerprint']}` (digest of code, libraries, policy)",
            }
        ),
        "Made by cleancopy: pages become text in reading order, and stages cut what is not the page's own text "
        "(site chrome, what is not main content, repeated captions). Each cut stands in `cuts` with its stage, "
        "reason and text; clean text and cuts together are the page text, exactly. Copies of a document are "
        "left out, and so is what was taken down. `manifest.json` has the SHA-256 of every file.",
        "## Licences",
        "As each page states it; a page that states none is its publisher's. Check `licence` and `url` of a "
        "document before you use it.",
        _table("licence", licences),
        "## Sites",
        _table("site", counted(chosen.about, "site")),
        "## Languages",
        _table("language", counted(chosen.about, "language")),
        "## Columns",
        "\n".join(["| column | type | meaning |", "| --- | --- | --- |", *map(_column, EXPORT)]),
    ]
    return "\n\n".join(sections) + "\n"


def _listing(entries: Mapping[str, str]) -> str:
    return "\n".join(f"- {name}: {value}" for name, value in entries.items())


def _table(column: str, counts: Mapping[str, int]) -> str:
    entries: Sequence[tuple[str, int]] = list(counts.items())
    rows = [f"| {cell(value)} | {count:,} |" for value, count in entries[:LISTED]]
    if unlisted := entries[LISTED:]:
        rows.append(f"| {len(unlisted):,} more | {sum(count for _, count in unlisted):,} |")
    return "\n".join([f"| {column} | documents |", "| --- | ---: |", *rows])


def _column(field: pa.Field) -> str:
    kind = "list of objects" if pa.types.is_list(field.type) else str(field.type)
    return f"| `{field.name}` | {kind} | {field.metadata[b'comment'].decode()} |"


def _beside(chosen: Plan, name: str, facts: Mapping[str, Any], files: Sequence[File]) -> Mapping[str, str]:
    return {"README.md": card(chosen, name, facts)}


WRITER = FolderWriter(partial(parquet.write_shard, "train"), _beside, is_table=True, is_named=True)
