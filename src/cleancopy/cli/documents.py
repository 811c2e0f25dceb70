"""Commands on a document: ``cleancopy show | explain | history | diff | trace`` (``diff`` of releases too)."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
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
    err,
    fail,
    find,
    out,
    printable,
    short,
)

if TYPE_CHECKING:
    from cleancopy.corpus.reader import Corpus, Difference, ReleaseDiff
    from cleancopy.corpus.trace import Piece, Source
    from cleancopy.document import Document
    from cleancopy.store.paths import StorePath
    from cleancopy.store.rows import Version

AsOf = Annotated[
    int | None, typer.Option("--as-of", metavar="RELEASE", help="As it was in this release.", min=1)
]


@clear_errors
def show(doc: Doc, as_of: AsOf = None, clean: Clean = CLEAN, as_json: AsJson = False) -> None:
    """Print a document's clean text, or all that is known of it as JSON.

    Example: cleancopy show gauge.html

    Example: cleancopy show 5a1c --as-of 2
    """
    version = _version(clean, doc, as_of)
    if as_json:
        from cleancopy.corpus import captions, views

        media = captions.media_of(clean, version, as_of)
        facts = {**views.provenance(version), "media": media, "text": version.document.clean}
        print(as_json_text(facts))
        return
    _with_text(version, doc)
    _print_standing(clean, version)
    sys.stdout.write(printable(version.document.clean))


@clear_errors
def explain(doc: Doc, as_of: AsOf = None, clean: Clean = CLEAN, as_json: AsJson = False) -> None:
    """Print a document's page text with every cut: its stage, rule, reason and evidence.

    Example: cleancopy explain gauge.html
    """
    version = _with_text(_version(clean, doc, as_of), doc)
    if as_json:
        from cleancopy.corpus import views

        for cut in views.cuts(version):
            print(as_json_text(cut))
        return
    _print_standing(clean, version)
    for line in _explained(version.document):
        out.print(line)


def _version(clean: StorePath, doc: str, as_of: int | None) -> Version:
    """The version of a document that a user means, of a release or the latest."""
    latest = find(clean, doc)
    if as_of is None:
        return latest
    from cleancopy.store import tables

    version = tables.version(clean, latest.doc_id, as_of)
    if version is None:
        fail(f"{doc}: was not there in release {as_of} yet; see cleancopy history {latest.doc_id[:12]}", 2)
    return version


def _with_text(version: Version, doc: str) -> Version:
    """The version, unless it is that of a document which was taken down: that has no text."""
    if version.erased_sha256:
        fail(f"{doc}: was erased by a takedown with --purge; its ids and digests are all that is left", 1)
    if version.change == "takedown":
        message = (
            f"{doc}: was taken down in release {version.release}; --as-of {version.release - 1} shows it before"
        )
        fail(message, 1)
    return version


def _print_standing(clean: StorePath, version: Version) -> None:
    """Say, before its text, that a document is gone or a copy; beside the output, which is the text alone."""
    from cleancopy.store import tables

    if version.status == "gone":
        why = {"source": "its server says so", "restored": "a rollback"}.get(version.change, version.change)
        new = tables.moved(clean).get(version.document.key)
        why = f"moved to {printable(new)}" if new and version.change == "source" else why
        err.print(Text(f"gone since release {version.release} ({why}); this is its last text", "bold"))
    if version.duplicate_of:
        reason = version.match.get("reason", "")
        err.print(Text(f"duplicate of {version.duplicate_of}: {printable(str(reason))}", "bold"))


def _explained(document: Document) -> Iterator[Text]:
    """The page text as lines: kept ones plain, cut ones marked with ``-`` and followed by why."""
    position = 0
    for number, cut in enumerate(document.cuts, 1):
        yield from _marked(document.text[position : cut.start], "  ", "")
        yield from _marked(document.text[cut.start : cut.end], "- ", "red")
        evidence = ", ".join(f"{name} {short(value)}" for name, value in sorted(cut.evidence.items()))
        why = f"    cut {number}: {cut.stage}, {cut.rule}: {cut.reason}" + (
            f" [{evidence}]" if evidence else ""
        )
        yield Text(printable(why), "dim")
        position = cut.end
    yield from _marked(document.text[position:], "  ", "")


def _marked(text: str, mark: str, style: str) -> Iterator[Text]:
    for line in text.splitlines():
        if line.strip():
            yield Text(mark + printable(line), style)


@clear_errors
def history(doc: Doc, clean: Clean = CLEAN, as_json: AsJson = False) -> None:
    """List all versions of a document: when it changed, and why.

    Example: cleancopy history https://example.org/page
    """
    from cleancopy.document import doc_id
    from cleancopy.store import tables

    latest = find(clean, doc)
    versions = tables.history(clean, latest.doc_id)
    for old in _moved_here(tables.moved(clean), latest.document.key):
        versions = [*tables.history(clean, doc_id(old)), *versions]
    if as_json:
        for version in versions:
            print(as_json_text(_facts(version)))
        return
    out.print(Text(printable(versions[-1].document.key)))
    for version in versions:
        change = version.change + (f" from release {version.restored_from}" if version.restored_from else "")
        size = f"{len(version.document.clean):,} characters"
        when = f"captured {version.captured or 'at an unknown time'}"
        line = (
            f"{version.seq:>3}  release {version.release:<5} {version.status:<9} "
            f"{change:<24} {size:>20}  {when}"
        )
        out.print(Text(line))


def _moved_here(moved: Mapping[str, str], key: str) -> list[str]:
    """The keys that a page had before, the last one first; each once, as addresses may lead back."""
    olds: list[str] = []
    news = {key}
    while news:
        news = {old for old, new in moved.items() if new in news} - {key, *olds}
        olds += sorted(news)
    return olds


def _facts(version: Version) -> dict[str, Any]:
    names = ("seq", "release", "status", "change", "restored_from", "version_id", "parent", "duplicate_of")
    facts = {name: getattr(version, name) for name in (*names, "captured", "text_sha256", "fingerprint")}
    return facts | {"characters": len(version.document.clean), "cuts": len(version.document.cuts)}


# ---- diff


@clear_errors
def diff(
    doc: Annotated[
        str, typer.Argument(metavar="DOC|RELEASE", help="A document, as for show, or the first release.")
    ],
    release: Annotated[str | None, typer.Argument(metavar="[RELEASE]", help="The second release.")] = None,
    before: Annotated[int | None, typer.Option("--from", help="Number of the older version.")] = None,
    after: Annotated[int | None, typer.Option("--to", help="Number of the newer version.")] = None,
    side: Annotated[bool, typer.Option("--side-by-side", help="In two columns.")] = False,
    words: Annotated[bool, typer.Option("--words", help="[-Words that went-] and {+that came+}.")] = False,
    text: Annotated[bool, typer.Option("--text", help="Of releases: the texts, too.")] = False,
    content: Annotated[bool, typer.Option("--content", help="Of releases: no changes of chrome only.")] = False,
    clean: Clean = CLEAN,
    as_json: AsJson = False,
) -> None:
    """Show what changed: in a document between versions (the last two by default), or between two releases.

    Example: cleancopy diff gauge.html --words

    Example: cleancopy diff 1 2 --content
    """
    if release is None:
        _diff_document(clean, doc, before, after, side, words, as_json)
        return
    if not (doc.isdecimal() and release.isdecimal()) or (before, after) != (None, None):
        fail("diff takes one document (with --from and --to), or the numbers of two releases", 2)
    from cleancopy.corpus import reader

    corpus = reader.open(clean)
    release_diff = corpus.diff(int(doc), int(release))
    chosen = [difference for difference in release_diff.documents if difference.content or not content]
    if as_json:
        _print_differences(corpus, chosen, text)
        return
    out.print(_counted(release_diff))
    for difference in chosen:
        out.print(_told(difference))
        if text and difference.kind == "changed":
            old, new = _texts(corpus, difference)
            _print_diff(old, new, (f"release {doc}", f"release {release}"), side, words)


def _diff_document(
    clean: StorePath, doc: str, before: int | None, after: int | None, side: bool, words: bool, as_json: bool
) -> None:
    from cleancopy.store import tables

    versions = {version.seq: version for version in tables.history(clean, find(clean, doc).doc_id)}
    after = after if after is not None else max(versions)
    before = before if before is not None else max((seq for seq in versions if seq < after), default=after)
    for seq in (before, after):
        if seq not in versions:
            fail(f"there is no version {seq} of it; there are {', '.join(map(str, sorted(versions)))}", 2)
    old, new = versions[before], versions[after]
    texts = old.document.clean, new.document.clean
    names = (
        f"version {before} (release {old.release})",
        f"version {after} (release {new.release}, {new.change})",
    )
    if as_json:
        from cleancopy.cli import differences

        lines = [line.plain for line in differences.unified(*texts, names)]
        rows = differences.as_json(*texts)
        print(as_json_text({"from": before, "to": after, "change": new.change, "diff": lines, "rows": rows}))
    elif texts[0] == texts[1]:
        same = f"versions {before} and {after} have the same text"
        out.print(same if before != after else "there is one version")
    else:
        _print_diff(*texts, names, side, words)


def _print_diff(old: str, new: str, names: tuple[str, str], side: bool, words: bool) -> None:
    from cleancopy.cli import differences

    width = out.width if out.is_terminal else None
    for line in (
        differences.side_by_side(old, new, names, width)
        if side
        else differences.unified(old, new, names, words=words)
    ):
        out.print(line)


def _print_differences(corpus: Corpus, chosen: Iterable[Difference], text: bool) -> None:
    """The differences of two releases, a JSON object a document."""
    from cleancopy.cli import differences
    from cleancopy.corpus import views

    for difference in chosen:
        facts = {**views.fields_of(difference), "content": difference.content}
        if text and difference.kind == "changed":
            facts["rows"] = differences.as_json(*_texts(corpus, difference))
        print(as_json_text(facts))


def _texts(corpus: Corpus, difference: Difference) -> tuple[str, str]:
    versions = {version.seq: version for version in corpus.history(difference.doc_id)}
    old, new = (versions[seq].document.clean if seq else "" for seq in (difference.before, difference.after))
    return old, new


def _counted(release_diff: ReleaseDiff) -> Text:
    content = sum(difference.content for difference in release_diff.changed)
    return Text(
        f"release {release_diff.before} to {release_diff.after}: "
        f"{len(release_diff.added)} added, {len(release_diff.removed)} removed, "
        f"{len(release_diff.changed)} changed "
        f"({content} in content, {len(release_diff.changed) - content} in chrome only)"
    )


def _told(difference: Difference) -> Text:
    style = {"added": "green", "removed": "red", "changed": ""}[difference.kind]
    return Text(
        f"{difference.kind:8} {', '.join(dict.fromkeys(difference.changes)):20} {printable(difference.key)}",
        style,
    )


# ---- trace


@clear_errors
def trace(
    doc: Doc,
    text: Annotated[str | None, typer.Option("--find", help="Text to look for in the clean text.")] = None,
    at: Annotated[int | None, typer.Option("--at", min=0, help="Offset in the clean text.")] = None,
    as_of: AsOf = None,
    clean: Clean = CLEAN,
    as_json: AsJson = False,
) -> None:
    """Follow clean text back to its element, and to the bytes of the archived capture.

    Example: cleancopy trace gauge.html --find "high water"
    """
    from cleancopy.corpus.reader import payload_of
    from cleancopy.corpus.trace import pieces, source_of
    from cleancopy.errors import StoreError

    if (text is None) == (at is None):
        fail("trace needs either --find TEXT or --at OFFSET", 2)
    version = _with_text(_version(clean, doc, as_of), doc)
    start, end = _range(version.document.clean, text, at)
    try:
        source, missing = source_of(version.document, payload_of(clean, version)), None
    except StoreError as error:
        # What the store itself knows can be shown without the archive.
        source, missing = None, str(error)
    text_pieces = pieces(version.document, source, start, end)
    facts = _traced(version, source, text_pieces, (start, end), missing)
    if as_json:
        print(as_json_text(facts))
        return
    for line in _trace_lines(facts):
        out.print(line)


def _range(clean: str, text: str | None, at: int | None) -> tuple[int, int]:
    if at is not None:
        if at >= len(clean):
            fail(f"--at {at}: the clean text has {len(clean)} characters", 2)
        return at, at + 1
    start = clean.find(text) if text else -1
    if start < 0 or not text:
        fail(f"--find {text!r}: is not in the clean text; cleancopy explain shows what was cut", 2)
    return start, start + len(text)


def _traced(
    version: Version,
    source: Source | None,
    text_pieces: list[Piece],
    where: tuple[int, int],
    missing: str | None,
) -> dict[str, Any]:
    from cleancopy.corpus import views

    document, ref = version.document, version.archive
    return {
        "id": version.doc_id,
        "key": document.key,
        "version": version.version_id,
        "release": version.release,
        "start": where[0],
        "end": where[1],
        "text": document.clean[slice(*where)],
        "pieces": [_piece(document, source, piece) for piece in text_pieces],
        "decoding": views.fields_of(document.decoding) if document.decoding else None,
        "payload_sha256": document.payload_sha256,
        "archive": {**ref._asdict(), "uri": f"archive/{ref.file}"} if ref else None,
        "same_page_text_today": source.same if source else None,
        "missing": missing,
    }


#: Bytes of the payload that are shown before and after what was traced, and of it at most.
_AROUND, _AT_MOST = 40, 400


def _piece(document: Document, source: Source | None, piece: Piece) -> dict[str, Any]:
    from cleancopy.corpus import views

    facts = {**views.fields_of(piece), "text": document.clean[piece.start : piece.end]}
    facts["page_end"] = piece.page_start + piece.end - piece.start
    facts["kind"] = None if piece.block is None else document.blocks[piece.block].kind
    facts["raw"] = None
    if source and piece.byte_start is not None and piece.byte_end is not None:
        end = min(piece.byte_end, piece.byte_start + _AT_MOST)
        cut = source.payload[max(0, piece.byte_start - _AROUND) : end + _AROUND]
        facts["raw"] = cut.decode("ascii", "backslashreplace")
    return facts


def _trace_lines(facts: dict[str, Any]) -> Iterator[Text]:
    yield Text(printable(facts["key"]), "bold")
    yield _line("clean text", f"{facts['start']}-{facts['end']}  {facts['text']!r}")
    for piece in facts["pieces"]:
        yield _line("", f"{piece['start']}-{piece['end']}  {piece['origin']}  {short(repr(piece['text']))}")
        yield _line("page text", f"{piece['page_start']}-{piece['page_end']}")
        if piece["block"] is not None:
            yield _line("block", f"{piece['block']}, {piece['kind']}")
        if piece["path"]:
            yield _line("element", piece["path"])
        if piece["original"] is not None:
            yield _line("was", repr(piece["original"]))
        if piece["raw"] is not None:
            yield _line("bytes", f"{piece['byte_start']}-{piece['byte_end']} of the payload")
            yield _line("raw", " ".join(piece["raw"].split()))
    if decoding := facts["decoding"]:
        declared = f", declared {decoding['declared']}" if decoding["declared"] else ""
        yield _line("decoding", f"{decoding['encoding']} by {decoding['rule']}{declared}")
    yield _line("payload", f"sha256 {facts['payload_sha256']}")
    if ref := facts["archive"]:
        place = f"{ref['uri']}, bytes {ref['offset']}-{ref['offset'] + ref['length']}, {ref['record_id']}"
        yield _line("record", place)
    if facts["same_page_text_today"] is False:
        yield _line("note", "these bytes read otherwise today; elements are named as they were stored")
    if facts["missing"]:
        yield _line("note", facts["missing"])


def _line(name: str, value: str) -> Text:
    return Text(f"  {name:10} {printable(value)}".rstrip())
