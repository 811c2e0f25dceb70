"""Commands on site chrome: ``cleancopy chrome list | show | pin | drop | undo``, and ``cleancopy reclean``."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import unified_diff
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table
from rich.text import Text

from cleancopy.cli.decisions import By, Note
from cleancopy.cli.terminal import (
    CLEAN,
    RAW,
    WORKERS,
    AsJson,
    Clean,
    PolicyFile,
    Raw,
    Workers,
    as_json_text,
    clear_errors,
    counted,
    fail,
    out,
    policy_file,
    printable,
    published,
    short,
)

if TYPE_CHECKING:
    from cleancopy.ingest.preview import Difference
    from cleancopy.stages.chrome.profile import ChromeDecision, ChromeEntry
    from cleancopy.store.paths import StorePath

chrome_app = typer.Typer(
    help="Look at what was learned of each site's chrome, and decide on it.", no_args_is_help=True
)
Site = Annotated[str, typer.Argument(metavar="SITE", help="A site, as chrome list names it.")]
Entry = Annotated[
    str, typer.Argument(metavar="ENTRY", help="An entry's id, as chrome show prints it, or the line itself.")
]


@chrome_app.command("list")
@clear_errors
def chrome_list(clean: Clean = CLEAN, as_json: AsJson = False) -> None:
    """The sites whose chrome was learned.

    Example: cleancopy chrome list
    """
    from cleancopy.store import chrome_profiles

    sites = [
        {"site": c.site, "version": c.version, "pages": c.pages, "entries": len(c.entries)}
        for c in chrome_profiles.sites(clean)
    ]
    if as_json:
        print(as_json_text(sites))
        return
    table = Table(box=None, pad_edge=False)
    for column in ("site", "version", "pages", "entries"):
        table.add_column(column)
    for site in sites:
        table.add_row(*(Text(printable(str(value))) for value in site.values()))
    out.print(table)


@chrome_app.command("show")
@clear_errors
def chrome_show(site: Site, clean: Clean = CLEAN, as_json: AsJson = False) -> None:
    """What was learned of one site's chrome, and what people decided on it.

    Example: cleancopy chrome show example.org
    """
    from cleancopy.stages.chrome.cut import chrome_to_json
    from cleancopy.store import chrome_profiles

    chrome = chrome_profiles.current(clean, site)
    if chrome is None:
        fail(f"{site}: no chrome was learned for this site; see cleancopy chrome list", 2)
    if as_json:
        print(chrome_to_json(chrome))
        return
    out.print(Text(f"{chrome.site}, version {chrome.version}, learned from {counted(chrome.pages, 'page')}"))
    for entry in chrome.entries:
        out.print(Text(_told(entry, chrome.pages)))


def _told(entry: ChromeEntry, pages: int) -> str:
    """An entry in words: its id, status, frequency, positions, dates and example, its DOM paths below."""
    status = f"{entry.status}, else {entry.learned}" if entry.learned else entry.status
    where = f"on {entry.pages} of {counted(pages, 'page')}" if entry.pages else "on no page yet"
    facts = [where, *entry.positions]
    seen = (entry.first_seen, entry.last_seen)
    facts += [f"seen {seen[0]} to {seen[1]}"] if all(seen) else []
    facts += [f"decided {entry.decided}"] if entry.decided else []
    paths = "".join(f"\n          at {printable(path)}" for path in entry.paths)
    return f"{entry.id}  {status}; {', '.join(facts)}\n          {short(printable(entry.example))}{paths}"


@chrome_app.command("pin")
@clear_errors
def chrome_pin(site: Site, entry: Entry, note: Note = "", by: By = "", clean: Clean = CLEAN) -> None:
    """Have an entry cut wherever it stands, whatever is learned of it.

    Example: cleancopy chrome pin example.org "Subscribe to our newsletter"
    """
    _decide(clean, site, entry, "pinned", note, by)


@chrome_app.command("drop")
@clear_errors
def chrome_drop(site: Site, entry: Entry, note: Note = "", by: By = "", clean: Clean = CLEAN) -> None:
    """Have an entry never cut: it is content, whatever is learned of it.

    Example: cleancopy chrome drop example.org 4f1d
    """
    _decide(clean, site, entry, "dropped", note, by)


@chrome_app.command("undo")
@clear_errors
def chrome_undo(site: Site, entry: Entry, note: Note = "", by: By = "", clean: Clean = CLEAN) -> None:
    """Take a pin or drop back: what is learned of the entry holds again.

    Example: cleancopy chrome undo example.org 4f1d
    """
    _decide(clean, site, entry, None, note, by)


def _decide(
    clean: StorePath, site: str, entry: str, decision: ChromeDecision | None, note: str, by: str
) -> None:
    from cleancopy.curation.decisions import decide_chrome

    chrome = decide_chrome(clean, site, entry, decision, note=note, by=by)
    outcome = f"{decision} in" if decision else "left to learning in"
    out.print(Text(f"{short(printable(entry))}: {outcome} the chrome of {site}, version {chrome.version}"))
    out.print(
        Text(f"what it changes: cleancopy reclean --dry-run {site}; to apply it: cleancopy reclean {site}")
    )


@clear_errors
def reclean(
    sites: Annotated[
        list[str] | None, typer.Argument(metavar="[SITE]...", help="Sites to look at; all if none is named.")
    ] = None,
    raw: Raw = RAW,
    clean: Clean = CLEAN,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would change, and publish nothing.")
    ] = False,
    workers: Workers = WORKERS,
    policy: PolicyFile = None,
    as_json: AsJson = False,
) -> None:
    """Clean stored documents again where policy, code or site chrome changed; nothing is fetched.

    Example: cleancopy reclean --dry-run

    Example: cleancopy reclean example.org
    """
    from cleancopy.ingest.pipeline import begin, reclean_sites
    from cleancopy.ingest.preview import differences, without_spans
    from cleancopy.ingest.publish import publish
    from cleancopy.policy import read_policy
    from cleancopy.store.rows import FROM_ARCHIVE

    published(clean)
    settings = read_policy(policy_file(policy))
    with begin(raw=raw, root=clean, policy=settings, workers=workers, source=FROM_ARCHIVE) as run:
        shards = reclean_sites(run, sites or ())
        if dry_run:
            _print_differences(differences(run, shards), as_json)
            return
        summary = publish(run, shards)
    if as_json:
        print(as_json_text(summary.as_dict()))
        return
    release = "nothing changed" if summary.release is None else f"release {summary.release}"
    out.print(f"{release}: {counted(summary.recleaned, 'document')} with a new text or structure")
    for alarm in summary.alarms:
        out.print(Text(f"alarm: {printable(alarm.message)}"))
    for key, reason in without_spans(clean):
        out.print(Text(f"without links, tables and lists beside its text: {printable(key)}, as {reason}"))


def _print_differences(differences: Iterable[Difference], as_json: bool) -> None:
    """Each document with what its clean text loses and gains, and the counts."""
    documents = removed = added = 0
    for difference in differences:
        documents, before, after = documents + 1, difference.before.splitlines(), difference.after.splitlines()
        lines = list(unified_diff(before, after, "stored", "new", lineterm=""))
        removed += sum(line.startswith("-") for line in lines[2:])
        added += sum(line.startswith("+") for line in lines[2:])
        if as_json:
            fields = {
                "id": difference.doc_id,
                "key": difference.key,
                "site": difference.site,
                "change": difference.change,
                "diff": lines,
            }
            print(as_json_text(fields))
            continue
        same = "; the text stays, links, tables and lists come beside it" if before == after else ""
        out.print(Text(f"{difference.doc_id[:12]}  {printable(difference.key)} ({difference.change}{same})"))
        out.print(Text(printable("\n".join(lines[2:]))))
    if not as_json:
        out.print(
            f"would change: {counted(documents, 'document')}; "
            f"{counted(removed, 'line')} would go, {added:,} come back; nothing was published"
        )
