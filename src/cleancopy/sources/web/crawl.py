"""From sources to fetched pages: lists are asked for and read first, then the pages that they name.

    crawl(sources, fetching, ...)       hands each input's outcome to ``emit``, once

It goes in steps: everything known is asked for, then what came back and names more (sitemaps, feeds, pages of a
site that is followed) is read in processes of its own, and the next step asks for what that named. So the order
in which hosts answer does not change what is taken.

What comes is kept as it comes (``crawl_log``): the next run goes on where one was killed or stopped.
"""

from __future__ import annotations

import asyncio
import hashlib
import io
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

from cleancopy.document import Capture
from cleancopy.errors import PolicyError, Rejection, RejectReason
from cleancopy.extract.isolation import run_isolated
from cleancopy.sources.files import Input, printable, read_bytes
from cleancopy.sources.lists import read_list, read_text_list
from cleancopy.sources.settings import KINDS, Fetching, Source, allowed_pairs
from cleancopy.sources.url_list import MAX_URLS, UrlList
from cleancopy.sources.web.crawl_log import CrawlLog
from cleancopy.sources.web.fetcher import Ask, Fetched, Fetcher, Gone, Held, Outcome, Settle, TakenDown
from cleancopy.sources.web.http_cache import NAME, HttpCache
from cleancopy.sources.web.links import read_links
from cleancopy.sources.web.robots import Rules
from cleancopy.sources.web.ssrf import check_url, open_session
from cleancopy.sources.web.traps import Traps
from cleancopy.store.archive import read_capture, read_member
from cleancopy.store.paths import StorePath, scratch_folder
from cleancopy.store.spool import Spool, read_spool
from cleancopy.warc.reader import RejectedInput, read_records

if TYPE_CHECKING:
    from aiohttp import ClientSession
    from aiohttp.abc import AbstractResolver

    from cleancopy.policy import Limits

#: Sitemap indexes may name indexes; deeper than this they lead nowhere.
MAX_NESTING = 5


@dataclass(frozen=True, slots=True)
class Page:
    """A page or list that was fetched for a source: an input like a file.

    ``name`` is the address as the source has it. ``listed`` says what a list is, empty for a page.
    """

    name: str
    source: str
    got: Fetched
    site: str | None = None
    language: str | None = None
    licence: str | None = None
    listed: str = ""


@dataclass(frozen=True, slots=True)
class Missing:
    """An address that answers that its page is gone."""

    name: str
    source: str
    gone: Gone


@dataclass(frozen=True, slots=True)
class Listed:
    """A sitemap or feed among the files, whose pages are inputs of their own; ``message`` says what it is."""

    file: Input
    payload_sha256: str
    message: str

    @property
    def name(self) -> str:
        """What the file is called."""
        return self.file.name


Found = Page | Missing | RejectedInput


def crawl(
    sources: Iterable[Source],
    fetching: Fetching,
    *,
    limits: Limits,
    root: StorePath,
    name: str,
    work: Path,
    workers: int,
    held: Held,
    emit: Callable[[Found], object],
    refused: Callable[[str, str | None], str | None] = lambda url, site: None,
    taken_down: TakenDown | None = None,
    resolver: AbstractResolver | None = None,
) -> None:
    """Ask for every address of the sources, archive what comes, and hand on what became of each.

    ``root`` is the store, ``name`` the run's, ``work`` a folder for what lies between the steps, ``held`` tells
    what the archive has, ``refused`` why the page of an address and site is not to be asked for (None: it may
    be), ``taken_down`` the same of what comes back, before it is archived. An address beyond
    ``fetching.allow`` is refused where no contact is named.
    """
    by_name = {source.name: source for source in sources}
    if not by_name:
        return
    with (
        CrawlLog(root, work / "crawl", name) as log,
        HttpCache(scratch_folder(root) / NAME) as cache,
        asyncio.Runner() as runner,
    ):
        frontier = _Frontier(by_name, fetching, emit, refused, root, cache)
        session = runner.run(_opened(fetching, resolver))
        try:
            fetcher = Fetcher(session, log.archive, cache, fetching, limits, held, taken_down)
            _go_in_steps(frontier, log, work, limits, workers, lambda *asked: runner.run(fetcher.fetch(*asked)))
        finally:
            runner.run(session.close())
        frontier.end()


def _go_in_steps(
    frontier: _Frontier,
    log: CrawlLog,
    work: Path,
    limits: Limits,
    workers: int,
    fetch: Callable[[Iterator[Ask], Settle], None],
) -> None:
    """Ask for what is known, then for what that has named, until nothing names more."""
    asks, step = frontier.begin(), 0
    first = next(asks, None)
    while first is not None:
        path = work / f"lists-{step:03d}"
        with Spool(path) as spool:
            settle = partial(_settle, frontier, log, spool)
            fetch(_not_yet_asked(_chained(first, asks), frontier, log, spool), settle)
        asks, step = frontier.expand(path, limits, workers), step + 1
        if (first := next(asks, None)) is None:
            asks = frontier.fall_back()
            first = next(asks, None)


async def _opened(fetching: Fetching, resolver: AbstractResolver | None) -> ClientSession:
    return open_session(fetching, resolver)


def _settle(
    frontier: _Frontier, log: CrawlLog, spool: Spool, ask: Ask, outcome: Outcome, payload: bytes
) -> None:
    log.add(ask, outcome)
    frontier.settle(ask, outcome, payload, spool)


def _not_yet_asked(asks: Iterable[Ask], frontier: _Frontier, log: CrawlLog, spool: Spool) -> Iterator[Ask]:
    """The asks that no earlier attempt of the run has an outcome of; the others are settled by that."""
    for ask in asks:
        outcome = log.outcome(ask)
        if outcome is None:
            yield ask
        else:
            frontier.settle(ask, outcome, b"", spool)


def _chained(first: Ask, others: Iterator[Ask]) -> Iterator[Ask]:
    yield first
    yield from others


@dataclass(slots=True)
class _Frontier:
    """What was asked for, and what is to be asked next."""

    sources: Mapping[str, Source]
    fetching: Fetching
    emit: Callable[[Found], object]
    refused: Callable[[str, str | None], str | None]
    root: StorePath
    cache: HttpCache
    seen: set[int] = field(default_factory=set)
    taken: Counter[str] = field(default_factory=Counter)
    full: set[str] = field(default_factory=set)
    paged: set[str] = field(default_factory=set)
    late: dict[str, list[tuple[str, int]]] = field(default_factory=dict)  # by source: what was put off
    waited: dict[str, list[str]] = field(
        default_factory=dict
    )  # by source: what was put off before, asked first
    elsewhere: dict[str, Counter[str]] = field(default_factory=dict)  # by source: hosts that are not the site's
    traps: dict[str, Traps] = field(default_factory=dict)  # by source: what its links led to

    def begin(self) -> Iterator[Ask]:
        """What was put off before, then what the sources themselves name."""
        for source in self.sources.values():
            yield from self._waiting(source)
        for source in self.sources.values():
            first = KINDS[source.kind].asks
            if first is not None:
                yield from self._asks(source, _named(source), kind=first)

    def _waiting(self, source: Source) -> Iterator[Ask]:
        """What the run before put off; of a list of addresses what it still names."""
        waiting = self.cache.waiting(source.name)
        listed = set(_named(source)) if waiting and source.kind == "urls" else None
        self.waited[source.name] = [url for url, _ in waiting]
        for url, depth in waiting:
            if listed is None or url in listed:
                yield from self._asks(source, [url], depth=depth, quiet=True)

    def end(self) -> None:
        """Keep what was put off for the next run, and say what was left out."""
        for name in self.sources:
            self.cache.put_off(name, self.late.get(name, ()), self.waited.get(name, ()))
        for name, hosts in self.elsewhere.items():
            named = ", ".join(sorted(hosts)[:5]) + (", ..." if len(hosts) > 5 else "")
            message = (
                f"source {name!r}: its sitemaps name {hosts.total():,} addresses of other hosts ({named}); "
                "they were left out: list those hosts under its hosts if they are to be taken"
            )
            self.emit(RejectedInput(f"source:{name}", "hosts", RejectReason.IGNORED, message))
        for name, traps in self.traps.items():
            if traps.left_out:
                shapes = ", ".join(f"{shape} ({count:,})" for shape, count in traps.left_out.most_common(5))
                message = (
                    f"source {name!r}: {traps.left_out.total():,} links were left out, as they seem to go on "
                    f"without an end: {shapes}; list those that are wanted under its urls, or exclude them"
                )
                self.emit(RejectedInput(f"source:{name}", "links", RejectReason.IGNORED, message))

    def fall_back(self) -> Iterator[Ask]:
        """The start pages of the sites whose sitemaps named no page that is to be asked for."""
        for source in self.sources.values():
            if source.kind == "site" and source.name not in self.paged:
                yield from self._asks(source, source.urls)

    def settle(self, ask: Ask, outcome: Outcome, payload: bytes, spool: Spool) -> None:
        """Hand on what became of an ask, and keep what names more for the next step."""
        source = self.sources[ask.source]
        name = printable(ask.asked)
        if isinstance(outcome, Rejection):
            if outcome.kind is RejectReason.PUT_OFF and ask.kind == "page":
                self.late.setdefault(source.name, []).append((ask.asked, ask.depth))
            self.emit(RejectedInput(name, "", outcome.kind, f"{name}: {outcome}"))
        elif isinstance(outcome, Gone):
            self.emit(Missing(name, source.name, outcome))
        elif isinstance(outcome, Rules):
            spool.append((ask, outcome, b""))
        else:
            if ask.kind == "page":
                self.emit(self._page(source, name, outcome))
            if ask.kind == "list" or (source.kind == "site" and ask.depth < source.depth):
                payload = payload or read_capture(self.root, outcome.ref, outcome.payload_sha256)
                spool.append((ask, outcome, payload))

    def expand(self, path: Path, limits: Limits, workers: int) -> Iterator[Ask]:
        """What the lists and pages of a step name."""
        read = partial(_read, limits=limits)
        for (ask, outcome, _), named in run_isolated(read, read_spool(path), workers=workers, limits=limits):
            source = self.sources[ask.source]
            if isinstance(outcome, Rules):
                yield from self._of_site(source, ask, outcome)
            elif isinstance(named, Rejection):
                if ask.kind == "list":
                    name = printable(ask.asked)
                    self.emit(RejectedInput(name, "", named.kind, f"{name}: {named}"))
            elif isinstance(named, UrlList):
                self.emit(self._page(source, printable(ask.asked), outcome, str(named)))
                yield from self._asks(source, self._of_the_site(source, named))
                if ask.depth < MAX_NESTING:
                    yield from self._asks(source, named.lists, kind="list", depth=ask.depth + 1)
            else:
                passed = self.traps.setdefault(source.name, Traps()).passed
                links = (passed(link) for link in named if self._within(source, link) and source.takes(link))
                yield from self._asks(source, filter(None, links), depth=ask.depth + 1, quiet=True)

    def _of_site(self, source: Source, ask: Ask, rules: Rules) -> Iterator[Ask]:
        """A site's sitemaps, or where there are none its start pages."""
        sitemaps = [urljoin(ask.url, sitemap) for sitemap in rules.sitemaps]
        if sitemaps:
            yield from self._asks(source, sitemaps, kind="list")
        else:
            yield from self._asks(source, [ask.asked])

    def _asks(
        self, source: Source, urls: Iterable[str], kind: str = "page", depth: int = 0, *, quiet: bool = False
    ) -> Iterator[Ask]:
        """Asks for addresses that no source has named before and that may be asked.

        ``quiet``: an address that may not be is passed over without a word, as in links, which nobody listed.
        """
        for url in urls:
            try:
                address = check_url(url, self.fetching)
            except Rejection as rejected:
                if not quiet and hash(url) not in self.seen:
                    self.seen.add(hash(url))
                    self.emit(RejectedInput(_short(url), "", rejected.kind, str(rejected)))
                continue
            # The rules of a host may be asked for by the address of a page that is asked for, too.
            mark = hash((address, kind == "rules"))
            if (kind == "page" and not source.takes(address)) or mark in self.seen:
                continue
            if not self._room(source):
                return
            self.seen.add(mark)
            if kind == "page" and not quiet:
                self.paged.add(source.name)
            if not may_ask(address, self.fetching):
                name = printable(url)
                self.emit(RejectedInput(name, "", RejectReason.NO_CONTACT, f"{name}: {_NO_CONTACT}"))
                continue
            if kind == "page" and (why := self.refused(address, source.site)):
                name = printable(url)
                self.emit(RejectedInput(name, "", RejectReason.TAKEN_DOWN, f"{name}: {why}"))
                continue
            yield Ask(address, url, source.name, kind=kind, depth=depth)  # type: ignore[arg-type]

    def _room(self, source: Source) -> bool:
        """Whether a source may ask for one more; where it may not, that is said once."""
        self.taken[source.name] += 1
        if self.taken[source.name] <= source.pages:
            return True
        if source.name not in self.full:
            self.full.add(source.name)
            message = (
                f"source {source.name!r} names more addresses than it may ask for in a run ({source.pages:,}); "
                "the rest was left out: raise its pages, or exclude some"
            )
            self.emit(RejectedInput(f"source:{source.name}", "", RejectReason.TOO_MANY_URLS, message))
        return False

    def _of_the_site(self, source: Source, named: UrlList) -> Iterator[str]:
        """The pages that a list names; of a sitemap those of the source's own hosts, the others are counted.

        The sitemap protocol lets a sitemap speak for its own host alone; a feed links where it likes.
        """
        for url in named.pages:
            if named.kind != "sitemap" or self._within(source, url):
                yield url
            else:
                host = _host(url) or "no host"
                self.elsewhere.setdefault(source.name, Counter())[host] += 1

    def _within(self, source: Source, link: str) -> bool:
        """Whether a link stays on the hosts that a source begins at, with or without ``www``, or allows."""
        host = _host(link)
        home_hosts = {_host(url).removeprefix("www.") for url in source.urls}
        return host.removeprefix("www.") in home_hosts or any(
            fnmatchcase(host, pattern) for pattern in source.hosts
        )

    def _page(self, source: Source, name: str, fetched: Fetched, listed: str = "") -> Page:
        return Page(name, source.name, fetched, source.site, source.language, source.licence, listed)


def _host(url: str) -> str:
    """The host of an address, in lower case; empty where there is none."""
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def _short(url: str) -> str:
    """An address as the name of an input; one that is too long to be asked for by its start and a digest."""
    if len(url) <= 200:
        return printable(url)
    return f"{printable(url[:200])}… ({hashlib.sha256(url.encode('utf-8', 'surrogatepass')).hexdigest()[:12]})"


_NO_CONTACT = (
    "is not asked for without a contact; set fetch.contact in sources.toml to a web or mail address by which "
    "the site's people can reach you"
)


def check_contact(sources: Iterable[Source], fetching: Fetching) -> None:
    """Raise PolicyError where a source names an address that may not be asked for as no contact is set."""
    for source in sources:
        for url in () if source.is_local else source.urls:
            if not may_ask(url, fetching):
                raise PolicyError(f"{printable(url[:200])}: {_NO_CONTACT}")


def may_ask(url: str, fetching: Fetching) -> bool:
    """Whether an address may be asked for: with a contact any, without one only what is allowed by name."""
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return bool(fetching.contact) or (parts.hostname, port) in allowed_pairs(fetching)


def read_dropped(
    lists: Iterable[Input], limits: Limits, workers: int, emit: Callable[[RejectedInput | Listed], object]
) -> list[Source]:
    """Sources of the pages that sitemaps and feeds among the files name; what became of the files is told."""
    sources: list[Source] = []
    read = partial(_read_dropped, limits=limits)
    for dropped, named in run_isolated(read, lists, workers=workers, limits=limits):
        if isinstance(named, Rejection):
            message = named.message.removeprefix(f"{dropped.name}: ")
            emit(RejectedInput(dropped.name, "", named.kind, f"{dropped.name}: {message}"))
        else:
            urls, digest = named
            emit(Listed(dropped, digest, str(urls)))
            facts = dropped.facts
            pages = Source(
                dropped.name,
                "urls",
                site=facts.site,
                language=facts.language,
                licence=facts.licence,
                pages=MAX_URLS,
            )
            of_pages = replace(pages, urls=urls.pages)
            of_lists = replace(pages, name=f"{dropped.name}#lists", kind="sitemap", urls=urls.lists)
            sources += [source for source in (of_pages, of_lists) if source.urls]
    return sources


def open_page(root: StorePath, page: Page, limits: Limits) -> Capture | RejectedInput:
    """The capture of a fetched page, read from the archive; or why there is none in its response."""
    member = io.BytesIO(read_member(root, page.got.ref))
    refused: RejectedInput | None = None
    for item in read_records(member, page.name, limits):
        if isinstance(item, Capture):
            return replace(
                item,
                key=page.got.key,
                url=page.got.url,
                site=page.site or item.site,
                captured=page.got.captured,
                source=page.source,
                language=page.language,
                licence=page.licence,
            )
        refused = item if item.lost else refused
    if refused is None:
        return RejectedInput(
            page.name, "", RejectReason.NOT_HTML, f"{page.name}: says nothing of its type and begins as no page"
        )
    message = f"{page.name}: {refused.message.partition(': ')[2]}"
    return replace(refused, member="", message=message, payload=None)


def of_source(
    source: Source | None, captures: Iterable[Capture | RejectedInput]
) -> Iterator[Capture | RejectedInput]:
    """What a source of files or archives takes of what was read, with what it says of all its pages."""
    for item in captures:
        if source is None or isinstance(item, RejectedInput):
            yield item
        elif source.kind != "warc" or source.takes(item.url or ""):
            yield replace(
                item,
                site=source.site or item.site,
                language=source.language or item.language,
                licence=source.licence or item.licence,
            )


def _named(source: Source) -> Iterator[str]:
    """The addresses of a source of kind urls: its own, and those of its file."""
    yield from source.urls
    if source.list:
        try:
            yield from read_text_list(source.list.read_bytes()).pages
        except OSError as error:
            raise PolicyError(
                f"{source.list}: cannot be read ({error.strerror}); it is the list of source {source.name!r}"
            ) from error


def _read_dropped(entry: Input, limits: Limits) -> tuple[UrlList, str]:
    payload = read_bytes(entry, limits)
    return read_list(payload, None, limits), hashlib.sha256(payload).hexdigest()


def _read(task: tuple[Ask, Outcome, bytes], limits: Limits) -> UrlList | tuple[str, ...]:
    """What a list or page names; run apart from everything else."""
    ask, outcome, payload = task
    if not isinstance(outcome, Fetched):
        return ()
    if ask.kind == "list":
        return read_list(payload, outcome.url, limits)
    return read_links(payload, outcome.url, limits)
