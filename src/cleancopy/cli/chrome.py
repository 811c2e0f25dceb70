"""Commands on site chrome: ``cleancopy chrome list | show``."""

from __future__ import annotations

import typer
from rich.table import Table
from rich.text import Text

from cleancopy.cli.terminal import (
    CLEAN,
    RAW,
    AsJson,
    Clean,
    Raw,
    as_json_text,
    clear_errors,
    fail,
    out,
    printable,
    short,
)

chrome_app = typer.Typer(help="Look at what was learned of each site's chrome.", no_args_is_help=True)


@chrome_app.command("list")
@clear_errors
def chrome_list(raw: Raw = RAW, clean: Clean = CLEAN, as_json: AsJson = False) -> None:
    """The sites whose chrome was learned."""
    from cleancopy.store import chromes

    del raw
    known = [
        {"site": c.site, "version": c.version, "pages": c.pages, "entries": len(c.entries)}
        for c in chromes.sites(clean)
    ]
    if as_json:
        print(as_json_text(known))
        return
    table = Table(box=None, pad_edge=False)
    for column in ("site", "version", "pages", "entries"):
        table.add_column(column)
    for one in known:
        table.add_row(*(Text(printable(str(value))) for value in one.values()))
    out.print(table)


@chrome_app.command("show")
@clear_errors
def chrome_show(site: str, raw: Raw = RAW, clean: Clean = CLEAN, as_json: AsJson = False) -> None:
    """What was learned of one site's chrome."""
    from cleancopy.stages.chrome import chrome_to_json
    from cleancopy.store import chromes

    del raw
    chrome = chromes.current(clean, site)
    if chrome is None:
        fail(f"{site}: no chrome was learned for this site; see cleancopy chrome list", 2)
    if as_json:
        print(chrome_to_json(chrome))
        return
    out.print(Text(f"{chrome.site}, version {chrome.version}, learned from {chrome.pages} pages"))
    for entry in chrome.entries:
        out.print(Text(f"{entry.status:8} {entry.pages:5}  {short(printable(entry.example))}"))
