"""Commands that keep the store sound: ``cleancopy maintain | verify``."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer
from rich.text import Text

from cleancopy.cli.decisions import erase_elsewhere, print_erased
from cleancopy.cli.terminal import (
    CLEAN,
    AsJson,
    Clean,
    as_json_text,
    clear_errors,
    counted,
    out,
    printable,
    published,
)


@clear_errors
def maintain(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")] = False,
    keep_days: Annotated[
        float, typer.Option("--keep-days", help="Days for which files stay that nothing needs; 7 or more.")
    ] = 7,
    clean: Clean = CLEAN,
    as_json: AsJson = False,
) -> None:
    """Compact and checkpoint the tables, remove what nobody needs, repair and renew what is made from them.

    Example: cleancopy maintain --dry-run
    """
    from cleancopy.curation import maintain
    from cleancopy.curation.erase import Erased

    published(clean)
    report = maintain.maintain(clean, keep_days=keep_days, dry_run=dry_run, elsewhere=erase_elsewhere)
    if as_json:
        print(as_json_text(report))
        return
    would = "would be " if dry_run else ""
    out.print(f"{counted(report['compacted'], 'data file')} {would}compacted into {report['into']}")
    out.print(f"checkpoints {would}written of: {', '.join(report['checkpointed']) or 'no table'}")
    out.print(f"{counted(len(report['removed']), 'file')} {would}removed, {counted(report['freed'], 'byte')}")
    for name in report["removed"]:
        out.print(Text(printable(f"  {name}")))
    out.print(f"{counted(report['texts'], 'file')} of clean/text {would}written again")
    for name, label in (("index", "the index"), ("captions", "the captions"), ("inputs", "the list of inputs")):
        if report[name]:
            out.print(f"{label} {would}made again")
    if report.get("purged"):
        out.print(f"{counted(report['purged'], 'record')} {would}purged that a takedown had left")
    if report["erased"]["lines"]:
        print_erased(Erased(**report["erased"]))
    for name in report["exports"]:
        out.print(Text(printable(f"clean/exports/{name} {would}brought to the last release")))


@clear_errors
def verify(clean: Clean = CLEAN, as_json: AsJson = False) -> None:
    """Read, hash and compare all that is stored; a line for each missing, altered or extra file.

    Example: cleancopy verify
    """
    from cleancopy.curation import maintain

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
