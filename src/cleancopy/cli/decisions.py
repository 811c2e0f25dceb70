"""Commands for what people decide: ``cleancopy restore | pin | takedown | decisions``."""

from __future__ import annotations

import sys
from collections.abc import Collection, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from cleancopy.cli.terminal import (
    CLEAN,
    AsJson,
    Clean,
    Doc,
    as_json_text,
    clear_errors,
    counted,
    fail,
    find,
    flows,
    out,
    printable,
    published,
)

if TYPE_CHECKING:
    from cleancopy.curation.decisions import Applied, Preview
    from cleancopy.curation.erase import Erased
    from cleancopy.store.decision_log import Decision
    from cleancopy.store.needles import Needles
    from cleancopy.store.paths import StorePath

decisions_app = typer.Typer(help="Look at what people decided, or undo it.", no_args_is_help=True)
#: So many documents are named before a takedown.
_SHOWN = 20
Note = Annotated[str, typer.Option(help="Why, in your words; kept with the decision.")]
By = Annotated[str, typer.Option(help="Who decides; the system's user by default.", show_default=False)]


@clear_errors
def restore(
    doc: Doc,
    cut: Annotated[int | None, typer.Option(min=1, help="A cut, by its number in cleancopy explain.")] = None,
    note: Note = "",
    by: By = "",
    clean: Clean = CLEAN,
    as_json: AsJson = False,
) -> None:
    """Let a cut stay in a document's text; without --cut, let a copy stand by itself.

    Example: cleancopy restore gauge.html --cut 3 --note "a caption that the text needs"
    """
    from cleancopy.curation import decisions

    document = find(clean, doc).doc_id
    if cut is None:
        print_applied(decisions.restore(clean, document, note, by=by), as_json)
    else:
        print_applied(decisions.restore_cut(clean, document, cut, note, by=by), as_json)


@clear_errors
def pin(doc: Doc, note: Note = "", by: By = "", clean: Clean = CLEAN, as_json: AsJson = False) -> None:
    """Let a document's text stay as it is, whatever its page or the pipeline becomes.

    Example: cleancopy pin gauge.html
    """
    from cleancopy.curation import decisions

    print_applied(decisions.pin(clean, find(clean, doc).doc_id, note, by=by), as_json)


@clear_errors
def takedown(
    target: Annotated[
        str,
        typer.Argument(metavar="DOC|url:URL|site:SITE|capture:SHA256", help="What is to go, now and later."),
    ],
    purge: Annotated[
        bool, typer.Option("--purge", help="Erase all that is stored of it; that cannot be undone.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask; for scripts.")] = False,
    note: Note = "",
    by: By = "",
    clean: Clean = CLEAN,
    as_json: AsJson = False,
) -> None:
    """Take a document, an address or a site out of every export and later release, and read it no more.

    What would go is shown first, and asked for. An address is known whatever its scheme, the case of its host,
    its fragment and its tracking parameters; where nothing is meant, the command ends with code 2.

    Example: cleancopy takedown url:https://example.org/page --dry-run

    Example: cleancopy takedown site:example.org --purge --yes --note "asked to by its owner"
    """
    from cleancopy.curation import decisions

    published(clean)
    named = target.partition(":")[0] in ("url", "site", "capture")
    meant = target if named else find(clean, target).doc_id
    wanted = decisions.preview(clean, meant, purge=purge)
    if not wanted.found:
        near = "".join(f"\n  {name}" for name in decisions.near(clean, meant))
        fail(f"{target}: nothing that is stored is meant" + (f"; near are:{near}" if near else ""), 2)
    if dry_run and as_json:
        print(as_json_text(asdict(wanted)))
    if not as_json:
        _print_wanted(wanted, purge)
    if dry_run:
        return
    if not yes:
        _ask(purge)
    done = decisions.takedown(clean, meant, note, purge=purge, by=by, elsewhere=erase_elsewhere)
    print_applied(done, as_json)
    if as_json:
        return
    if done.held:
        held = ", ".join(map(str, done.held))
        out.print(Text(f"older releases still hold the text: {held} (as-of readers see it, exports do not)"))
    _print_what_stays(clean, done)


def _print_wanted(wanted: Preview, purge: bool) -> None:
    """What a takedown would take, before it does."""
    out.print(Text(f"{counted(len(wanted.documents), 'document')}, {counted(wanted.captures, 'capture')}:"))
    for key in wanted.documents[:_SHOWN]:
        out.print(Text(printable(f"  {key}")))
    if len(wanted.documents) > _SHOWN:
        out.print(Text(f"  and {len(wanted.documents) - _SHOWN:,} more"))
    if purge:
        out.print(
            Text(f"with --purge all of it is erased, {counted(wanted.records, 'record')} of the archive, too")
        )


def _ask(purge: bool) -> None:
    """Ask whether that is meant; where nobody can answer, say how to go on."""
    if not sys.stdin.isatty():
        fail("nothing was changed: give --yes where nobody can be asked", 2)
    if not typer.confirm("Erase it for good?" if purge else "Take it down?"):
        fail("nothing was changed", 1)


def erase_elsewhere(needles: Needles) -> list[str]:
    """Erase from what the orchestrator keeps, too."""
    lines: list[str] = flows("forget").erase(needles)
    return lines


def print_erased(erased: Erased) -> None:
    """What an erasure did, and what it cannot reach."""
    out.print(
        Text(
            f"erased: {counted(erased.rows, 'row')}, {counted(erased.records, 'record')} of the archive, "
            f"{counted(erased.chrome, 'entry')} of chrome, {counted(erased.decisions, 'field')} of decisions; "
            f"{counted(len(erased.exports), 'export')} renewed"
        )
    )
    if erased.shared:
        out.print(Text(f"{counted(erased.shared, 'line')} of it stay, as documents that stay have them, too"))
    if erased.held:
        held = ", ".join(erased.held)
        out.print(
            Text(f"a run is under way ({held}): run cleancopy maintain when it has ended, to erase its work")
        )
    searched = f"everything was searched for {counted(erased.lines, 'line')}"
    if erased.left:
        out.print(Text(f"{searched}; some are left in:"))
        for name in erased.left:
            out.print(Text(printable(f"  {name}")))
    else:
        out.print(Text(f"{searched}: nothing left"))
    out.print(Text("not touched: raw/, backups, copies that others made, older versions of an object store"))


def _print_what_stays(clean: StorePath, done: Applied) -> None:
    """What a takedown leaves: copies, records that they were read from, and exports until they are renewed."""
    from cleancopy.export import kept

    if done.shared:
        records = ", ".join(done.shared)
        out.print(Text(f"not purged, as a copy that stays was read from the same bytes: {records}"))
    if done.copies:
        copies = ", ".join(done.copies)
        out.print(Text(f"copies stay, and the next ingest makes one live; take them down, too: {copies}"))
    if done.erased:
        print_erased(done.erased)
    elif next(kept.found(clean), None):
        out.print(Text("the exports in clean/exports may hold the text still: run cleancopy maintain"))


@decisions_app.command("list")
@clear_errors
def decisions_list(clean: Clean = CLEAN, as_json: AsJson = False) -> None:
    """Every decision, in the order they were made; of restored cuts also which find their place no more.

    Example: cleancopy decisions list
    """
    from cleancopy.curation.restored import without_place
    from cleancopy.store import decisions

    holding, lost = decisions.holding(clean), without_place(clean)
    for decision in decisions.read_all(clean):
        if as_json:
            print(as_json_text(_described(decision, holding, lost)))
            continue
        says_of_others = decision.kind in ("undo", "chrome-undo", "forget")
        state = "" if decision.number in holding or says_of_others else " (undone)"
        quoted = f": {' | '.join(text[:80] for text in decision.text.splitlines())}" if decision.text else ""
        why = f" ({decision.note})" if decision.note else ""
        why += f" by {decision.by}" if decision.by else ""
        why += f" (without effect: {lost[decision.number]})" if decision.number in lost else ""
        out.print(
            Text(
                printable(
                    f"{decision.number:4}  {decision.time}  {decision.kind} "
                    f"{decision.target}{quoted}{why}{state}"
                )
            )
        )


def _described(decision: Decision, holding: Collection[int], lost: Mapping[int, str]) -> dict[str, Any]:
    """A decision as JSON values: whether it holds, and why a restored cut has no effect, null if it has."""
    effect = {"without_effect": lost.get(decision.number)} if decision.kind == "restore" else {}
    return asdict(decision) | {"holds": decision.number in holding} | effect


@decisions_app.command("undo")
@clear_errors
def decisions_undo(
    number: Annotated[int, typer.Argument(metavar="N", help="The decision, by its number.")],
    note: Note = "",
    by: By = "",
    clean: Clean = CLEAN,
    as_json: AsJson = False,
) -> None:
    """Let a decision hold no more: a page comes back at once, a restored cut goes at the next ingest.

    Example: cleancopy decisions undo 4
    """
    from cleancopy.curation import decisions

    print_applied(decisions.undo(clean, number, note, by=by), as_json)


@decisions_app.command("forget")
@clear_errors
def decisions_forget(
    numbers: Annotated[list[int], typer.Argument(metavar="N...", help="All decisions that are lost.")],
    note: Note = "",
    by: By = "",
    clean: Clean = CLEAN,
) -> None:
    """Give up decisions that the record has lost and no backup has; what they took down is published again.

    Example: cleancopy decisions forget 3 --note "the disk failed and no backup has it"
    """
    from cleancopy.curation import decisions

    decision = decisions.forget(clean, numbers, note, by=by)
    out.print(Text(f"decision {decision.number}: decisions {decision.target} are forgotten"))


@decisions_app.command("case")
@clear_errors
def decisions_case(
    doc: Doc,
    file: Annotated[Path, typer.Option("--out", metavar="FILE", help="The annotated case to write.")],
    clean: Clean = CLEAN,
) -> None:
    """Write a document as an annotated test case: each block marked keep or cut, as decided.

    Example: cleancopy decisions case gauge.html --out gauge.case
    """
    from cleancopy.curation.decisions import as_case
    from cleancopy.store.paths import store_errors

    version = find(clean, doc)
    with store_errors(file, "writing the case"):
        file.write_text(as_case(version.document), encoding="utf-8")
    out.print(Text(f"{file}: {counted(len(version.document.blocks), 'block')}"))


def print_applied(done: Applied, as_json: bool) -> None:
    """What a decision did, in a line or as JSON."""
    if as_json:
        print(as_json_text(asdict(done)))
        return
    release = f"release {done.release}" if done.release else "nothing to publish now"
    out.print(Text(f"decision {done.decision.number}: {done.decision.kind}; {release}"))
