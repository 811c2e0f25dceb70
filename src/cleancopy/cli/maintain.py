"""Commands that keep the store sound: ``cleancopy maintain | verify``."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from cleancopy.cli.terminal import (
    CLEAN,
    RAW,
    AsJson,
    Clean,
    Raw,
    as_json_text,
    clear_errors,
    out,
    printable,
    published,
)

if TYPE_CHECKING:
    pass


@clear_errors
def maintain(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")] = False,
    keep_days: Annotated[
        float, typer.Option("--keep-days", help="Days for which files stay that nothing needs; 7 or more.")
    ] = 7,
    raw: Raw = RAW,
    clean: Clean = CLEAN,
    as_json: AsJson = False,
) -> None:
    """Compact and checkpoint the tables, remove what nobody needs, mend and renew what is made from them."""
    from cleancopy.curation import maintain

    del raw
    published(clean)
    known = maintain.maintain(clean, keep_days=keep_days, dry_run=dry_run)
    if as_json:
        print(as_json_text(known))
        return
    would = "would be " if dry_run else ""
    out.print(f"{known['compacted']} data files {would}compacted into {known['into']}")
    out.print(f"checkpoints {would}written of: {', '.join(known['checkpointed']) or 'no table'}")
    out.print(f"{len(known['removed'])} files {would}removed, {known['freed']:,} bytes")
    for name in known["removed"]:
        out.print(Text(printable(f"  {name}")))
    out.print(f"{known['texts']} files of clean/text {would}written anew")
    for name, what in (("index", "the index"), ("captions", "the captions"), ("inputs", "the list of inputs")):
        if known[name]:
            out.print(f"{what} {would}made again")
    if known.get("purged"):
        out.print(f"{known['purged']} records {would}purged that a takedown had left")
    for name in known["exports"]:
        out.print(Text(printable(f"clean/exports/{name} {would}brought to the last release")))


@clear_errors
def verify(raw: Raw = RAW, clean: Clean = CLEAN, as_json: AsJson = False) -> None:
    """Read, hash and compare all that is stored; a line for each missing, altered or extra file."""
    from cleancopy.curation import maintain

    del raw
    published(clean)
    sound = True
    for fault in maintain.faults(clean):
        sound = False
        if as_json:
            print(as_json_text(asdict(fault)))
        else:
            out.print(Text(printable(str(fault))))
    if not sound:
        raise typer.Exit(1)
    if not as_json:
        out.print("nothing is missing, altered or extra")
