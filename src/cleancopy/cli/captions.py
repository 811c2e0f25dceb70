"""Commands on captions: ``cleancopy captions list | show | apart | merge | restore``."""

from __future__ import annotations

import json
from textwrap import shorten
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from cleancopy.cli.decisions import By, Note, print_applied
from cleancopy.cli.terminal import CLEAN, AsJson, Clean, as_json_text, clear_errors, out, printable

captions_app = typer.Typer(help="Look at the captions that documents share, and decide.", no_args_is_help=True)
CaptionId = Annotated[
    str, typer.Argument(metavar="ID", help="A caption's id, as captions list and a document's media name it.")
]


@captions_app.command("list")
@clear_errors
def captions_list(
    clean: Clean = CLEAN,
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 50,
    as_json: AsJson = False,
) -> None:
    """The captions of the corpus, those that most documents show first; --json: all, a line each.

    Example: cleancopy captions list --limit 20
    """
    from cleancopy.corpus.captions import read_captions

    clusters = read_captions(clean)
    if as_json:
        for cluster in clusters:
            print(json.dumps(cluster.as_dict(), ensure_ascii=False))
        return
    table = Table(box=None, pad_edge=False)
    for column in ("id", "documents", "times", "wordings", "caption"):
        table.add_column(column)
    for cluster in clusters[:limit]:
        counts = (cluster.documents, cluster.occurrences, len(cluster.wordings))
        table.add_row(cluster.id, *map(str, counts), Text(printable(shorten(cluster.caption, 90))))
    out.print(table)


@captions_app.command("show")
@clear_errors
def captions_show(caption: CaptionId, clean: Clean = CLEAN, as_json: AsJson = False) -> None:
    """One caption in all its wordings, the differing words marked, and where each stands.

    Words in [+ +] are in that wording only, those in [- -] in the kept one only.

    Example: cleancopy captions show 0f3a9c5d21b7e684
    """
    from cleancopy.corpus import captions

    clusters = captions.read_captions(clean)
    cluster = captions.caption_of(clusters, caption)
    kept = cluster.members[0]
    if as_json:
        members = [
            {
                "caption_id": member.caption_id,
                "doc_id": member.doc_id,
                "site": member.site,
                "captured": member.captured,
                "text": member.text,
                "credit": member.credit,
                "occurrences": member.occurrences,
                "places": [list(place) for place in member.places],
                "evidence": captions.evidence(kept, member),
            }
            for member in cluster.members
        ]
        print(as_json_text(cluster.as_dict() | {"members": members}))
        return
    for wording, count in cluster.wordings.items():
        text = wording if wording == kept.text else captions.marked_differences(kept.text, wording)
        out.print(Text(f"{count} x  {printable(text)}"))
        for member in cluster.members:
            if member.text == wording:
                where = ", ".join(f"{start}-{end}" for start, end in member.places)
                out.print(Text(f"      {member.doc_id}  {printable(member.site or '')}  at {where}"))
    for name, value in (("credit", cluster.credit), ("identifiers", ", ".join(cluster.identifiers))):
        if value:
            out.print(Text(f"{name}: {printable(value)}"))
    for other in cluster.related:
        out.print(Text(f"related: {other} has the same identifier and another caption"))
    for number in cluster.decisions:
        out.print(Text(f"decided: see decision {number} in cleancopy decisions list"))


@captions_app.command("apart")
@clear_errors
def captions_apart(
    caption: CaptionId,
    other: CaptionId,
    note: Note = "",
    by: By = "",
    clean: Clean = CLEAN,
    as_json: AsJson = False,
) -> None:
    """Keep two captions of one cluster apart, now and later; decisions undo takes it back.

    Example: cleancopy captions apart 0f3a9c5d21b7e684 77d0b1c09e4fa253 --note "two pictures of one event"
    """
    from cleancopy.curation import captions

    print_applied(captions.keep_apart(clean, caption, other, note, by=by), as_json)


@captions_app.command("merge")
@clear_errors
def captions_merge(
    caption: CaptionId,
    other: CaptionId,
    note: Note = "",
    by: By = "",
    clean: Clean = CLEAN,
    as_json: AsJson = False,
) -> None:
    """Make the clusters of two captions one, now and later; decisions undo takes it back.

    Example: cleancopy captions merge 0f3a9c5d21b7e684 77d0b1c09e4fa253
    """
    from cleancopy.curation import captions

    print_applied(captions.merge(clean, caption, other, note, by=by), as_json)


@captions_app.command("restore")
@clear_errors
def captions_restore(
    caption: CaptionId, note: Note = "", by: By = "", clean: Clean = CLEAN, as_json: AsJson = False
) -> None:
    """Let a caption stay in its document's text, though another document carries it.

    Example: cleancopy captions restore 77d0b1c09e4fa253 --note "the text refers to it"
    """
    from cleancopy.curation import captions

    for applied in captions.restore(clean, caption, note, by=by):
        print_applied(applied, as_json)
