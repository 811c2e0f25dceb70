"""Reading pages and web archives from the drop folder, or from paths that the user names.

    find_inputs(paths, raw)     Iterator[Input | RejectedInput], sorted; touches no content
    read_input(entry, limits)   Iterator[Capture | RejectedInput]; one for a page, many for a web archive
    is_list(entry)              whether it is a sitemap or feed: a list of pages to fetch, no page
    read_bytes(entry, limits)   the bytes of such a file

An input is a regular file below a root (``raw/``, or the folder or file that was named). Nothing below a
root is reached through a symbolic link, and files are opened one folder at a time, so that a link put there
between finding and reading is not followed either.

Beside a file may lie ``<file>.capture.toml``, which says what the file itself cannot:

    url, site, captured, media_type, charset, language, licence, source      (all optional, all strings)

and in a folder ``site.toml`` with ``site``, ``language`` and ``licence`` for all files in and below it. The
nearer one wins. A key that is not known or a value that makes no sense refuses the file, because
provenance that is wrong is worse than none.
"""

from __future__ import annotations

import errno
import os
import re
import stat
import tomllib
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from io import BufferedReader, FileIO
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NamedTuple
from urllib.parse import quote, urlsplit

from cleancopy.document import Capture
from cleancopy.errors import Rejection, RejectReason
from cleancopy.extract.encoding import looks_binary
from cleancopy.extract.limits import GZIP_MAGIC, inflate
from cleancopy.warc.address import canonical_url
from cleancopy.warc.choice import PAGE_TYPES, Choice
from cleancopy.warc.reader import RejectedInput, read_records
from cleancopy.warc.record import utc_time

if TYPE_CHECKING:
    from cleancopy.policy import Limits
    from cleancopy.sources.settings import Source

__all__ = ["Facts", "Input", "RejectedInput", "find_inputs", "is_list", "printable", "read_bytes", "read_input"]

SIDECAR = ".capture.toml"
SITE_FILE = "site.toml"

_NOT_INPUTS = frozenset(["README.md", ".gitignore", ".gitkeep"])
_PARTIAL = (".part", ".partial", ".crdownload", ".download", ".tmp", "~")
_HTML = frozenset([".html", ".htm", ".xhtml"])
_TEXT = frozenset([".txt", ".text"])
_XML = frozenset([".xml", ".rss", ".atom", ".rdf"])
_LIST_NAME = re.compile(r"\.(?:(?:xml|rss|atom|rdf)(?:\.gz)?|json)$", re.IGNORECASE)
_ARCHIVE = re.compile(r"\.(?:warc|wet)(?:\.wet)?(?:\.gz|\.zst)?$", re.IGNORECASE)
_MAX_SIDECAR = 1 << 16
_BUFFER = 1 << 16  # most pages in one go; with the size of a disk block it takes twice as long
_SPECIAL = "is a device, pipe or socket and no page; take it away"
_SUFFIX = re.compile(r"\.[A-Za-z0-9]{1,8}\Z")

# What may stand before the first element; possessive, so that a thousand comments cost one look each.
_BEFORE = r"(?:\s++|<\?[^>]*+>|<!--(?>.*?-->)|<!DOCTYPE[^\[>]*+(?:\[(?>.*?\]))?\s*+>)*+"
_PAGE = re.compile(
    rf"{_BEFORE}<(?:html|head|body|title|meta|div|p|h1|table|article)\b|(?:\s++|<!--(?>.*?-->))*+<!doctype\s+html\b",
    re.IGNORECASE | re.DOTALL,
)
_XML_ROOT = re.compile(rf"{_BEFORE}<([\w:.-]+)", re.DOTALL)
_LISTS = frozenset(["urlset", "sitemapindex", "rss", "feed", "RDF"])


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a page from beside it."""

    url: str | None = None
    site: str | None = None
    captured: str | None = None
    media_type: str | None = None
    charset: str | None = None
    language: str | None = None
    licence: str | None = None
    source: str | None = None


class Input(NamedTuple):
    """A regular file to read.

    ``name`` is its path relative to raw/, or as the user gave it, fit to print; ``key`` the same as an URI
    (``file:a%20page.html``); ``root`` the folder that it must not lead out of; ``facts`` its folder's;
    ``source`` the source that it belongs to, if sources.toml names one. ``described`` says whether a sidecar
    may lie beside it. ``state`` shows that it has changed: size in bytes, time in nanoseconds, inode.
    """

    name: str
    path: Path
    root: Path
    key: str
    facts: Facts = Facts()
    source: Source | None = None
    described: bool = True
    state: tuple[int, int, int] = (0, 0, 0)


def find_inputs(paths: Sequence[Path], raw: Path) -> Iterator[Input | RejectedInput]:
    """All files below the paths (below raw/, if none is given) in the order of their names, each once.

    What is there but no input is refused here: links (unsafe_path), devices and pipes (special_file), hidden
    and half-downloaded files (ignored), folders that cannot be listed (unreadable), all files of a folder
    whose ``site.toml`` is wrong (bad_sidecar). Sidecars, and README.md at the top of raw/, are passed over.
    """
    seen: set[str] = set()
    for path in sorted({Path(path) for path in paths} or {raw}, key=os.fsencode):
        for entry in _below(path, raw):
            if entry.name not in seen:
                seen.add(entry.name)
                yield entry


def read_input(entry: Input, limits: Limits) -> Iterator[Capture | RejectedInput]:
    """The captures of an input and what had to be refused in it; a fault of the input never raises."""
    data: bytes | None = None
    try:
        with _open(entry.root, entry.path) as file:
            size = os.fstat(file.fileno()).st_size
            if size and _is_archive(entry.path.name, file):
                yield from _read_archive(entry, file, limits)
                return
            data = _whole(file, limits)
        _check_size(len(data), limits)
        yield _capture(entry, data, limits)
    except Rejection as error:
        payload = data if data and len(data) <= limits.payload_bytes else None
        yield RejectedInput(entry.name, "", error.kind, f"{entry.name}: {error}", payload)
    except OSError as error:
        yield _unreadable(entry.name, error)


def is_list(entry: Input) -> bool:
    """Whether an input is by name and first bytes a sitemap, feed or other XML, so that no page is in it."""
    if not _LIST_NAME.search(entry.path.name):
        return False
    try:
        with _open(entry.root, entry.path) as file:
            start = file.read(4096)
    except (OSError, Rejection):
        return False
    if start.startswith(GZIP_MAGIC):
        return True
    wide = "utf-16" if start[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8"
    text = start.decode(wide, "replace").removeprefix("\ufeff")
    if entry.path.suffix.lower() == ".json":
        return "jsonfeed.org/version/" in text
    return bool(text.strip()) and _PAGE.match(text) is None


def names_more_than_a_page(entry: Input) -> bool:
    """Whether an input is by its name compressed, an archive or a list, and so not what its bytes are."""
    name = entry.path.name
    return name.lower().endswith(".gz") or bool(_LIST_NAME.search(name) or _ARCHIVE.search(name))


def described_by(entry: Input) -> tuple[int, int, int] | None:
    """What shows that the sidecar of an input has changed; None where there is none."""
    if not entry.described:
        return None
    try:
        status = os.lstat(entry.path.with_name(entry.path.name + SIDECAR))
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns, status.st_ino


def read_bytes(entry: Input, limits: Limits) -> bytes:
    """The bytes of an input as they are; raises Rejection where it is too large, empty or cannot be read."""
    try:
        with _open(entry.root, entry.path) as file:
            data = _whole(file, limits)
    except OSError as error:
        rejected = _unreadable(entry.name, error)
        raise Rejection(rejected.kind, rejected.message) from error
    _check_size(len(data), limits)
    return data


def printable(name: str) -> str:
    """A file's name fit for terminals, logs and tables: what is not printable, and ``\\``, as an escape."""
    if name.isprintable() and "\\" not in name:
        return name
    return "".join(_escaped(char) for char in name)


# ---- finding


def _below(path: Path, raw: Path) -> Iterator[Input | RejectedInput]:
    """The inputs at or below one path, after a look at each folder that leads there from its root."""
    root, parts, before = _rooted(path, raw)
    facts: Facts | Rejection = Facts()
    for depth in range(len(parts)):
        looked = _looked_at(root, parts[:depth], before) if depth else None
        if isinstance(looked, RejectedInput):
            yield replace(looked, name=_name(before, parts))
            return
        facts = _folder_facts(root, parts[:depth], facts)
    yield from _walk(root, parts, before, facts, is_raw=root == raw)


def _rooted(path: Path, raw: Path) -> tuple[Path, tuple[str, ...], str]:
    """The root that a path counts from, the parts from there to it, and what comes before them in names."""
    relative = os.path.relpath(os.path.abspath(path), os.path.abspath(raw))
    if relative == ".":
        return raw, (), ""
    if relative.split(os.sep)[0] != os.pardir:
        return raw, tuple(relative.split(os.sep)), ""
    given = Path(os.path.normpath(path))
    folder = given if given.is_dir() else given.parent
    # A name outside of raw/ must never be one inside it: ``./a.html`` is not ``a.html``.
    before = str(folder) if folder.is_absolute() else "." if folder == Path() else f"./{folder}"
    # Absolute: whoever reads it may be a worker that started in another folder.
    return folder.absolute(), () if folder == given else (given.name,), before


def _walk(
    root: Path, parts: tuple[str, ...], before: str, facts: Facts | Rejection, *, is_raw: bool
) -> Iterator[Input | RejectedInput]:
    """Depth first, by name; with a stack, because folders may be nested deeper than Python recurses."""
    stack = [(parts, facts, True)]
    while stack:
        parts, facts, described = stack.pop()
        path = root.joinpath(*parts)
        looked = _looked_at(root, parts, before) if parts else None
        if isinstance(looked, RejectedInput):
            yield looked
            continue
        if looked and not stat.S_ISDIR(looked.st_mode):
            entry = _input(path, root, parts, before, facts, described)
            state = looked.st_size, looked.st_mtime_ns, looked.st_ino
            yield entry._replace(state=state) if isinstance(entry, Input) else entry
            continue
        try:
            names = set(os.listdir(path))
        except OSError as error:
            yield _unreadable(_name(before, parts) or printable(str(root)), error)
            continue
        inner = _folder_facts(root, parts, facts) if SITE_FILE in names else facts
        passed = _NOT_INPUTS if is_raw and not parts else frozenset()
        chosen = [name for name in names - passed if not _is_sidecar(name, names)]
        ordered = sorted(chosen, key=os.fsencode, reverse=True)
        stack += [((*parts, name), inner, name + SIDECAR in names) for name in ordered]


def _input(
    path: Path, root: Path, parts: tuple[str, ...], before: str, facts: Facts | Rejection, described: bool
) -> Input | RejectedInput:
    name = _name(before, parts)
    if isinstance(facts, Rejection):
        return RejectedInput(name, "", facts.kind, f"{name}: {facts}")
    relative = "/".join([before, *parts] if before else parts)
    key = "file:" + quote(os.fsencode(relative), safe="/!$&'()+,;=@~")
    return Input(name, path, root, key, facts, described=described)


def _looked_at(root: Path, parts: tuple[str, ...], before: str) -> RejectedInput | os.stat_result:
    """What the system knows of a file or folder, or why it is not to be looked into; nothing is opened."""
    name, last = _name(before, parts), parts[-1]
    hidden = last.startswith(".") and not last.startswith("..")
    if hidden or last.lower().endswith(_PARTIAL):
        why = "hidden" if hidden else "a download that is not complete"
        return RejectedInput(name, "", RejectReason.IGNORED, f"{name}: is {why}; rename it if it is to be read")
    if last.endswith(SIDECAR):
        message = f"{name}: the file that it describes is not there; add that file or delete this one"
        return RejectedInput(name, "", RejectReason.BAD_SIDECAR, message)
    try:
        status = os.lstat(os.path.join(root, *parts))
    except OSError as error:
        return _unreadable(name, error)
    if stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode):
        return status
    if stat.S_ISLNK(status.st_mode):
        message = f"{name}: is a symbolic link and may lead anywhere; put the file itself here or name its path"
        return RejectedInput(name, "", RejectReason.UNSAFE_PATH, message)
    return RejectedInput(name, "", RejectReason.SPECIAL_FILE, f"{name}: {_SPECIAL}")


def _is_sidecar(name: str, names: set[str]) -> bool:
    return name == SITE_FILE or (name.endswith(SIDECAR) and name.removesuffix(SIDECAR) in names)


def _name(before: str, parts: tuple[str, ...]) -> str:
    return printable("/".join([before, *parts] if before else parts))


def _escaped(char: str) -> str:
    code = ord(char)
    # A byte that is no UTF-8. Not where the character of that number is shown as \xNN, too: U+0085 is.
    if 0xDC80 <= code <= 0xDCFF and chr(code - 0xDC00).isprintable():
        return f"\\x{code - 0xDC00:02x}"
    if char == "\\" or not char.isprintable():
        return "\\\\" if char == "\\" else char.encode("unicode_escape").decode()
    return char


def _unreadable(name: str, error: OSError) -> RejectedInput:
    """The rejection of an input that the system does not let us have."""
    if error.errno in (errno.ELOOP, errno.ENOTDIR):
        return RejectedInput(
            name, "", RejectReason.UNSAFE_PATH, f"{name}: a link was put in its path; put the file itself there"
        )
    if error.errno == errno.ENXIO:
        return RejectedInput(name, "", RejectReason.SPECIAL_FILE, f"{name}: {_SPECIAL}")
    why = error.strerror or str(error)
    return RejectedInput(
        name, "", RejectReason.UNREADABLE, f"{name}: cannot be read ({why}); put that right and run again"
    )


# ---- opening and reading


def _open(root: Path, path: Path) -> BufferedReader:
    """A regular file below a root, opened one folder at a time and through no link.

    Raises OSError, or Rejection(special_file) where it is no regular file.
    """
    above = root.parts
    if path.parts[: len(above)] != above:
        raise ValueError(f"{path}: does not lie below {root}")
    *folders, last = path.parts[len(above) :]
    parent = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for folder in folders:
            inner = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=parent)
            os.close(parent)
            parent = inner
        descriptor = os.open(last, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=parent)
    finally:
        os.close(parent)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise Rejection(RejectReason.SPECIAL_FILE, _SPECIAL)
    return BufferedReader(FileIO(descriptor), _BUFFER)


def _is_archive(name: str, file: BufferedReader) -> bool:
    """Whether a file is a web archive, by its name or by its first bytes; it is left at its start."""
    start = file.peek()[:4096]
    if start.startswith(GZIP_MAGIC):
        try:
            start = zlib.decompressobj(31).decompress(start, 5)
        except zlib.error:
            start = b""
    return start.startswith(b"WARC/") or _ARCHIVE.search(name) is not None


def _read_archive(entry: Input, file: BinaryIO, limits: Limits) -> Iterator[Capture | RejectedInput]:
    """The captures of a web archive; of its sidecar only what can hold for all its pages."""
    facts = _file_facts(entry)
    fields = {
        key: value for key in ("site", "language", "licence") if (value := getattr(facts, key)) is not None
    }
    choice = entry.source.choice if entry.source else Choice()
    for item in read_records(file, entry.name, limits, choice):
        if isinstance(item, RejectedInput):
            yield item
        elif urlsplit(item.url or "").path != "/robots.txt":  # crawlers archive it; it is for them, and no page
            yield replace(item, **fields)


def _whole(file: BinaryIO, limits: Limits) -> bytes:
    """The bytes of a file, at most one more than a page may have."""
    size = os.fstat(file.fileno()).st_size
    _check_size(size, limits)
    data = file.read(size + 1)  # not up to the limit: so much memory would be asked for each time
    return data if len(data) <= size else data + file.read(max(0, limits.payload_bytes - size))


def _check_size(size: int, limits: Limits) -> None:
    if size > limits.payload_bytes:
        raise Rejection(
            RejectReason.TOO_LARGE,
            f"has {size:,} bytes, the limit for a page is {limits.payload_bytes:,}; raise "
            "limits.payload_bytes in the policy if this is a page to read",
        )
    if not size:
        raise Rejection(RejectReason.EMPTY_INPUT, "is empty; get it again")


def _capture(entry: Input, data: bytes, limits: Limits) -> Capture:
    facts = _file_facts(entry)
    payload, name = data, entry.path.name
    if data.startswith(GZIP_MAGIC):
        payload, name = inflate(data, "gzip", limits), re.sub(r"\.gz$", "", name, flags=re.IGNORECASE)
        if payload.startswith(GZIP_MAGIC):
            raise Rejection(
                RejectReason.DECOMPRESS_LIMIT, "is gzip within gzip; one layer is undone, unpack it by hand"
            )
        _check_size(len(payload), limits)
    if not payload.removeprefix(b"\xef\xbb\xbf").strip():
        raise Rejection(RejectReason.EMPTY_INPUT, "holds no text; get it again")
    if binary := looks_binary(payload):
        raise Rejection(
            RejectReason.BINARY, f"is {binary}, not a page of text; convert it to HTML or text first"
        )
    suffix = _SUFFIX.search(name)
    media_type = _media_type(suffix[0].lower() if suffix else "", payload)
    key = canonical_url(facts.url) if facts.url else entry.key
    return Capture(
        payload=payload,
        key=key,
        url=facts.url,
        site=facts.site or (urlsplit(key).hostname if facts.url else None),
        media_type=facts.media_type or media_type,
        charset=facts.charset,
        captured=facts.captured,
        source=facts.source or "raw",
        language=facts.language,
        licence=facts.licence,
        folder=printable(entry.path.parent.name or entry.path.absolute().parent.name),
    )


def _media_type(suffix: str, payload: bytes) -> str:
    """What a page is, by its name where that can be true, by its first bytes otherwise.

    Raises Rejection(not_html) for text that is no page, Rejection(xml_entity) for XML that declares entities.
    """
    wide = "utf-16" if payload[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8"
    start = payload[:4096].decode(wide, "replace").removeprefix("\ufeff")
    if _PAGE.match(start):
        return "application/xhtml+xml" if suffix == ".xhtml" else "text/html"
    if suffix in _HTML:
        return "text/html" if b"<" in payload else "text/plain"
    root = _XML_ROOT.match(start)
    if suffix in _XML or (
        root and (start.lstrip().startswith("<?xml") or root[1].rpartition(":")[2] in _LISTS)
    ):
        raise _no_page_of_xml(root[1].rpartition(":")[2] if root else "", payload)
    if suffix in _TEXT or (not suffix and not start.lstrip().startswith(("{", "["))):
        return "text/plain"
    raise Rejection(
        RejectReason.NOT_HTML,
        f"is neither HTML nor a web archive, and {suffix or 'no suffix'} is not a name for text; "
        "rename it to .txt if it is a page of text",
    )


def _no_page_of_xml(root: str, payload: bytes) -> Rejection:
    if b"<!ENTITY" in payload:
        return Rejection(
            RejectReason.XML_ENTITY,
            "is XML that declares entities, which can be used to attack; it is not read",
        )
    if root in _LISTS:
        return Rejection(
            RejectReason.NOT_HTML,
            "is a sitemap or feed under another name; name it .xml, so that its pages are fetched",
        )
    return Rejection(
        RejectReason.NOT_HTML, f"is XML (<{root[:40]}>), not a page; put the pages here as HTML or text"
    )


# ---- what stands beside a file


def _file_facts(entry: Input) -> Facts:
    """What is known of a file from its sidecar and its folders; raises Rejection(bad_sidecar)."""
    if not entry.described:
        return entry.facts
    settings = _toml(entry.root, entry.path.with_name(entry.path.name + SIDECAR))
    return replace(entry.facts, **_checked(settings, _FILE_KEYS, f"its {SIDECAR}"))


def _folder_facts(root: Path, parts: tuple[str, ...], outer: Facts | Rejection) -> Facts | Rejection:
    """What is known of the files in a folder, or why its ``site.toml`` cannot be used."""
    if isinstance(outer, Rejection):
        return outer
    try:
        settings = _toml(root, root.joinpath(*parts, SITE_FILE))
        return replace(outer, **_checked(settings, _FOLDER_KEYS, f"the {SITE_FILE} of its folder"))
    except Rejection as error:
        return error


def _toml(root: Path, path: Path) -> Mapping[str, object]:
    """The settings of a TOML file, none if it is not there."""
    try:
        with _open(root, path) as file:
            content = file.read(_MAX_SIDECAR + 1)
        if len(content) > _MAX_SIDECAR:
            raise ValueError(f"is larger than {_MAX_SIDECAR:,} bytes")
        return tomllib.loads(content.decode())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        raise Rejection(
            RejectReason.BAD_SIDECAR, f"{printable(path.name)} cannot be used ({error}); correct or delete it"
        ) from error


def _checked(settings: Mapping[str, object], allowed: Sequence[str], where: str) -> dict[str, str]:
    facts = {}
    for key, value in settings.items():
        if key not in allowed:
            raise Rejection(
                RejectReason.BAD_SIDECAR, f"{where} has the unknown key {key!r}; known: {', '.join(allowed)}"
            )
        check, meaning = _CHECKS[key]
        text = value.isoformat() if isinstance(value, date) else value
        fact = check(text) if isinstance(text, str) else None
        if fact is None:
            raise Rejection(RejectReason.BAD_SIDECAR, f"{where} has {key} = {value!r}; that must be {meaning}")
        facts[key] = fact
    return facts


def _address(value: str) -> str | None:
    try:
        canonical_url(value)
    except Rejection:
        return None
    return value


def _like(pattern: str) -> Callable[[str], str | None]:
    compiled = re.compile(pattern)
    return lambda value: value if compiled.fullmatch(value) and value.isprintable() else None


_CHECKS: Mapping[str, tuple[Callable[[str], str | None], str]] = {
    "url": (_address, "http or https address of at most 8,192 characters"),
    "site": (_like(r"\w[\w.:-]{0,252}"), "host name or other short name"),
    "captured": (utc_time, "ISO 8601 time"),
    "media_type": (lambda value: value if value in PAGE_TYPES else None, " or ".join(sorted(PAGE_TYPES))),
    "charset": (_like(r"[A-Za-z0-9][\w.:+-]{0,39}"), "name of an encoding"),
    "language": (_like(r"[A-Za-z]{2,3}(?:-[A-Za-z0-9]{1,8})*"), "BCP 47 language tag"),
    "licence": (_like(r".{1,500}"), "short name or address of a licence"),
    "source": (_like(r".{1,500}"), "short text"),
}
_FILE_KEYS = tuple(_CHECKS)
_FOLDER_KEYS = ("site", "language", "licence")
