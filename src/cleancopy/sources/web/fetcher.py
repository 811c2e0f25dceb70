"""Asking many hosts at once, and each of them politely.

    fetcher = Fetcher(...)
    await fetcher.fetch(asks, settle)       settle(ask, outcome, payload), once for every ask

A host has one request in flight, and its delay after each (its robots.txt's, if that is longer). Its
robots.txt is asked for first. A redirect to another host waits its turn there, under that host's rules.
Every response goes into the archive before anything looks at it.

What is tried again: 429, 500, 502, 503, 504 and faults of the connection, after a pause that doubles, with
jitter, or after the time that Retry-After names. What would take longer than five minutes is put off: the
host's pages are refused in this run, and asked for in the next. So are they when ten requests have failed one
after the other, and when the host's time in a run, or the run's, is used up: a slow host holds up others for no
longer than that.
"""

from __future__ import annotations

import asyncio
import hashlib
import heapq
import random
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

from cleancopy.errors import Rejection, RejectReason
from cleancopy.extract.usage import (
    TDMREP,
    Usage,
    from_json,
    is_reserved,
    of_headers,
    of_page,
    of_robots,
    of_tdmrep,
    to_json,
)
from cleancopy.sources.settings import Fetching
from cleancopy.sources.web.http import (
    PASSING,
    PERMANENT,
    REDIRECTS,
    Answer,
    exchange,
    large_rooms,
    origin,
    payload_of,
)
from cleancopy.sources.web.http_cache import HttpCache, Validators, validators
from cleancopy.sources.web.robots import ALL, MAX_BYTES, Rules, rules_of
from cleancopy.sources.web.ssrf import AGENT, check_url
from cleancopy.store.archive import Archive, ArchiveRef
from cleancopy.warc.address import canonical_url

if TYPE_CHECKING:
    from aiohttp import ClientSession

    from cleancopy.policy import Limits

#: A host that asks for a longer pause is put off to the next run.
LONGEST_WAIT = 300.0
#: After this many failures in a row a host is left alone.
FAULTS = 10
#: How many pages wait for their turn at once; the others are not drawn from the list yet.
WINDOW = 5_000
_BACKOFF = 2.0

AskKind = Literal["page", "list", "rules"]


@dataclass(frozen=True, slots=True)
class Ask:
    """Something to ask for.

    ``url`` is canonical, ``asked`` how the source has it, ``source`` the source's name. ``kind``: a page; a
    list of addresses; or only the rules of the host. ``depth`` counts the links that led here, ``hops`` are the
    addresses that redirected here, ``permanent`` whether all of them did so for good, ``tries`` counts what
    failed. ``owner`` is set in asks for a robots.txt: the host and origin that wait for it.
    """

    url: str
    asked: str
    source: str
    kind: AskKind = "page"
    depth: int = 0
    hops: tuple[str, ...] = ()
    tries: int = 0
    owner: tuple[str, str] | None = None
    permanent: bool = True


@dataclass(frozen=True, slots=True)
class Fetched:
    """A page or list that was fetched, or that its server says is still as the archive has it.

    ``ref`` is where its response is archived. ``changed`` is False where the server answered 304. ``usage`` is
    what page, header fields and the site's files say about its use now. ``moved_from`` is the address that it
    had, if that answers that the page is here for good (301, 308).
    """

    url: str
    payload_sha256: str
    ref: ArchiveRef
    captured: str
    changed: bool = True
    usage: Usage = ()
    moved_from: str | None = None

    @property
    def key(self) -> str:
        """The key of the document that it is."""
        return canonical_url(self.url)


@dataclass(frozen=True, slots=True)
class Gone:
    """The server says that there is no such page any more (404, 410), under any of these addresses.

    Or, by ``kind``, that its owner reserves it, and such pages are not taken.
    """

    urls: tuple[str, ...]
    message: str
    kind: RejectReason = RejectReason.GONE
    usage: Usage = ()


Outcome = Fetched | Gone | Rejection | Rules
Settle = Callable[[Ask, Outcome, bytes], None]
#: Where the archive has what an address (as asked, and its own) last gave, if it gave that payload.
Held = Callable[[str, str, str], ArchiveRef | None]
#: Why what an address gives, or a payload by SHA-256, is taken down; None where it is not.
TakenDown = Callable[[str, str | None], str | None]


@dataclass(slots=True)
class _Host:
    name: str
    asks: deque[Ask] = field(default_factory=deque)
    rules: dict[str, Rules | None] = field(default_factory=dict)  # by origin; None while it is asked for
    tdmrep: dict[str, str] = field(default_factory=dict)  # by origin, empty where there is none
    free_at: float = 0.0
    queued: bool = False
    busy: bool = False
    faults: int = 0
    closed: str = ""


class Fetcher:
    """The hosts that are being asked; it lives as long as a run, so that their pauses hold over its steps."""

    def __init__(
        self,
        session: ClientSession,
        archive: Archive,
        cache: HttpCache,
        fetching: Fetching,
        limits: Limits,
        held: Held,
        taken_down: TakenDown | None = None,
    ) -> None:
        self._session, self._archive, self._cache = session, archive, cache
        self._fetching, self._limits, self._held = fetching, limits, held
        self._taken_down = taken_down
        self._hosts: dict[str, _Host] = {}
        self._begun: dict[str, float] = {}  # when each host was first asked, on the loop's clock
        self._run_begun: float | None = None
        self._ready: list[tuple[float, str]] = []
        self._open = 0
        self._running = 0
        self._rooms = large_rooms()
        self._wake = asyncio.Event()
        self._settle: Settle = lambda ask, outcome, payload: None

    async def fetch(self, asks: Iterator[Ask], settle: Settle) -> None:
        """Ask for all of them; each is settled exactly once, in no certain order."""
        self._settle = settle
        try:
            async with asyncio.TaskGroup() as group:
                more = True
                while more or self._open:
                    more = more and self._draw(asks)
                    self._start(group)
                    if self._open:
                        await self._pause()
        except BaseExceptionGroup as errors:
            # One is as good as all: a full disk or a stop meets every request under way.
            raise errors.exceptions[0] from None

    def _draw(self, asks: Iterator[Ask]) -> bool:
        """Queue as many asks as may wait at once; whether there are more."""
        while self._open < WINDOW:
            ask = next(asks, None)
            if ask is None:
                return False
            self._open += 1
            self._queue(ask)
        return True

    # ---- whose turn it is

    def _queue(self, ask: Ask, *, first: bool = False) -> None:
        name = urlsplit(ask.url).hostname or ""
        host = self._hosts.setdefault(name, _Host(name))
        host.asks.appendleft(ask) if first else host.asks.append(ask)
        self._ready_again(host)

    def _ready_again(self, host: _Host) -> None:
        """Put a host in line, unless it is there, is being asked, or waits for its rules."""
        if host.queued or host.busy:
            return
        waits = (
            host.asks and host.asks[0].owner is None and host.rules.get(origin(host.asks[0].url), ALL) is None
        )
        if not waits:
            host.queued = True
            heapq.heappush(self._ready, (host.free_at, host.name))
            self._wake.set()

    def _start(self, group: asyncio.TaskGroup) -> None:
        now = asyncio.get_running_loop().time()
        while self._ready and self._running < self._fetching.hosts and self._ready[0][0] <= now:
            host = self._hosts[heapq.heappop(self._ready)[1]]
            host.queued = False
            if not host.asks and not host.busy and None not in host.rules.values():
                # Its pause is over and nothing is left to ask: nothing of it needs to be kept.
                del self._hosts[host.name]
            elif host.asks:
                host.busy = True
                self._running += 1
                group.create_task(self._turn(host))

    async def _pause(self) -> None:
        """Wait until a turn has ended or the next host's pause is over."""
        timer = None
        if self._ready and self._running < self._fetching.hosts:
            timer = asyncio.get_running_loop().call_at(self._ready[0][0], self._wake.set)
        await self._wake.wait()
        self._wake.clear()
        if timer:
            timer.cancel()

    async def _turn(self, host: _Host) -> None:
        """One request to a host, and all that can be said of its other pages without one."""
        asked, pause = False, self._fetching.delay
        self._close_if_late(host, 0.0)
        while host.asks and not asked:
            ask = host.asks.popleft()
            place = origin(ask.url)
            if ask.owner is None and host.closed:
                self._settled(ask, _put_off(host.closed))
            elif ask.owner is None and place not in host.rules:
                host.asks.appendleft(ask)
                kept = self._cache.rules(place)
                host.rules[place] = kept
                if kept is None:
                    url = f"{place}/robots.txt"
                    await self._ask_rules(host, Ask(url, url, ask.source, owner=(host.name, place)))
                    asked = True
            elif ask.owner is not None:
                await self._ask_rules(host, ask)
                asked = True
            elif (rules := host.rules[place]) is None:
                host.asks.appendleft(ask)
                break
            elif (refused := self._refused(host, ask, rules)) is not None:
                self._settled(ask, refused)
            elif ask.kind == "page" and place not in host.tdmrep:
                host.asks.appendleft(ask)
                if await self._learn_tdmrep(host, place, rules):
                    # Where a longer pause would put off every page, it comes right before one, like robots.txt.
                    asked, pause = True, max(pause, rules.delay if rules.delay <= LONGEST_WAIT else 0.0)
            else:
                await self._ask(host, ask)
                asked, pause = True, max(pause, rules.delay)
        if pause > LONGEST_WAIT:
            host.closed = f"its robots.txt asks for {pause:.0f} s between requests"
        elif asked:
            self._close_if_late(host, pause)
            if not host.closed:
                self._rest(host, pause)
        host.busy = False
        self._running -= 1
        self._ready_again(host)
        self._wake.set()

    def _close_if_late(self, host: _Host, pause: float) -> None:
        """Ask a host no more in this run where its time, or the run's, is over after a pause."""
        now = asyncio.get_running_loop().time()
        host_begun = self._begun.setdefault(host.name, now)
        self._run_begun = now if self._run_begun is None else self._run_begun
        if now + pause - host_begun > self._fetching.host_seconds:
            host.closed = (
                f"the host was asked for as long as fetch.host_seconds ({self._fetching.host_seconds:g}) allows"
            )
        elif now + pause - self._run_begun > self._fetching.run_seconds:
            host.closed = (
                f"the run has taken as long as fetch.run_seconds ({self._fetching.run_seconds:g}) allows"
            )

    def _rest(self, host: _Host, seconds: float) -> None:
        host.free_at = max(host.free_at, asyncio.get_running_loop().time() + seconds)

    def _refused(self, host: _Host, ask: Ask, rules: Rules) -> Outcome | None:
        """What can be said of an ask without a request, if anything."""
        if host.closed:
            return _put_off(host.closed)
        if rules.text is None:
            return _without_rules(rules.fault)
        if ask.kind == "rules":
            return rules
        if not rules.allows(ask.url):
            return Rejection(
                RejectReason.ROBOTS_DISALLOWED,
                "the site's robots.txt does not allow it; leave it out, or ask the site",
            )
        if ask.kind == "page" and self._fetching.reserved == "refuse":
            usage = of_robots(rules.text, ask.url, AGENT)
            return _reserved(ask, usage) if is_reserved(usage) else None
        return None

    def _settled(self, ask: Ask, outcome: Outcome, payload: bytes = b"") -> None:
        self._open -= 1
        self._settle(ask, outcome, payload)

    # ---- requests

    async def _ask(self, host: _Host, ask: Ask) -> None:
        """Ask for a page or a list, and settle it, queue where it leads to, or queue it again."""
        stored, ref = self._known(ask)
        async with AsyncExitStack() as held:
            answer = await exchange(
                self._session,
                ask.url,
                self._fetching,
                most=self._limits.payload_bytes,
                rooms=self._rooms,
                held=held,
                headers=stored.headers if stored else None,
            )
            if why := self._is_down(ask, answer):
                self._settled(ask, Rejection(RejectReason.TAKEN_DOWN, why))
                return
            same = ref if stored and answer.status == 200 and stored.body == _digest(answer) else None
            kept = self._archived(answer, ref if answer.status == 304 else same)
            if self._again(host, ask, answer):
                return
            if host.closed and answer.fault is None and answer.status in PASSING:
                self._settled(ask, _put_off(f"it answers {answer.status}, and {host.closed}"))
            elif answer.fault:
                # Not raised: a fault that is raised and its answer would keep each other, and the body, alive.
                self._settled(ask, answer.fault)
            else:
                self._answered(host, ask, answer, kept, stored)

    def _is_down(self, ask: Ask, answer: Answer) -> str | None:
        """Why an answer is not to be archived: it is, or leads to, what somebody took down."""
        if self._taken_down is None or answer.fault:
            return None
        if answer.status in REDIRECTS:
            return self._taken_down(answer.location, None)
        try:
            payload = payload_of(answer, self._limits, a_list=True)
        except Rejection:
            return self._taken_down(ask.url, None)
        return self._taken_down(ask.url, hashlib.sha256(payload).hexdigest())

    def _answered(
        self, host: _Host, ask: Ask, answer: Answer, ref: ArchiveRef | None, stored: Validators | None
    ) -> None:
        """Settle an ask by its answer, or queue where that leads to.

        ``ref`` is where the answer is archived, or what it confirms; ``stored`` what the archive has of it.
        """
        try:
            if answer.status in REDIRECTS:
                self._queue(self._redirected(ask, answer), first=True)
            elif answer.status in (404, 410) and ask.kind == "page":
                self._settled(ask, self._missing(ask, answer.status))
            elif answer.status == 304 and stored and ref and answer.response:
                self._cache.not_missing(_start(ask))
                fetched = Fetched(ask.url, stored.payload, ref, answer.response.time, changed=False)
                self._settled(ask, self._with_usage(host, ask, fetched, _usage_now(stored, answer)))
            else:
                self._new(host, ask, answer, ref)
        except Rejection as rejected:
            # A new one: what was raised holds on to the frames that it went through, and their bodies.
            self._settled(ask, Rejection(rejected.kind, rejected.message))

    def _known(self, ask: Ask) -> tuple[Validators | None, ArchiveRef | None]:
        """By what an address can be asked about again, and where the archive has what it gave."""
        stored = self._cache.validators(ask.url)
        ref = self._held(ask.asked, ask.url, stored.payload) if stored else None
        return (stored, ref) if ref else (None, None)

    def _archived(self, answer: Answer, same: ArchiveRef | None) -> ArchiveRef | None:
        return self._archive.append_response(answer.response, same) if answer.response else None

    def _new(self, host: _Host, ask: Ask, answer: Answer, ref: ArchiveRef | None) -> None:
        """Settle an ask by the page of its answer, and keep its validators."""
        payload = payload_of(answer, self._limits, a_list=ask.kind == "list")
        assert answer.response is not None
        assert ref is not None
        digest = hashlib.sha256(payload).hexdigest()
        usage = (*of_page(payload), *of_headers(answer.headers)) if ask.kind == "page" else ()
        self._cache.not_missing(_start(ask))
        self._cache.remember(ask.url, validators(answer.headers, _digest(answer), digest, to_json(usage)))
        fetched = Fetched(ask.url, digest, ref, answer.response.time)
        self._settled(ask, self._with_usage(host, ask, fetched, usage), payload)

    def _with_usage(self, host: _Host, ask: Ask, fetched: Fetched, usage: Usage) -> Fetched | Gone:
        """A page with what its owner says about its use, there and for the site; or why it is not taken."""
        if ask.kind != "page":
            return fetched
        place = origin(ask.url)
        rules = host.rules.get(place)
        usage += of_tdmrep(host.tdmrep.get(place, ""), ask.url)
        usage += of_robots((rules and rules.text) or "", ask.url, AGENT)
        if self._fetching.reserved == "refuse" and is_reserved(usage):
            return _reserved(ask, usage)
        # What leads to the start of a site is a page that is not there any more, not one that has moved.
        is_move = ask.hops and ask.permanent and urlsplit(ask.url).path not in ("", "/")
        return replace(fetched, usage=usage, moved_from=ask.hops[0] if is_move else None)

    def _missing(self, ask: Ask, status: int) -> Gone | Rejection:
        """A page that is not there: gone where the server says so for good, or has said so for long enough."""
        urls, settings = (ask.url, *ask.hops), self._fetching
        if status == 410:
            return Gone(urls, "answers 410: there is no such page any more")
        times, days = self._cache.count_missing(_start(ask))
        if times >= settings.gone_after and days >= settings.gone_days:
            return Gone(urls, f"answers 404, {times} times in a row: there is no such page any more")
        return Rejection(
            RejectReason.GONE,
            f"answers 404, {times} times in a row; a document of it stays until it has done so "
            f"{settings.gone_after} times over {settings.gone_days:g} days (fetch.gone_after, fetch.gone_days)",
        )

    def _redirected(self, ask: Ask, answer: Answer) -> Ask:
        """Where a redirect leads, vetted as any other address."""
        url = check_url(answer.location, self._fetching)
        hops = (*ask.hops, ask.url)
        if url in hops:
            why = f"redirects in a circle, back to {url[:80]!r}; open it to see why"
            raise Rejection(RejectReason.REDIRECT_LOOP, why)
        if len(hops) > self._fetching.redirects:
            why = f"redirects more than {self._fetching.redirects} times; list the address that it leads to"
            raise Rejection(RejectReason.REDIRECT_LOOP, why)
        permanent = ask.permanent and answer.status in PERMANENT
        return replace(ask, url=url, hops=hops, tries=0, permanent=permanent)

    def _again(self, host: _Host, ask: Ask, answer: Answer) -> bool:
        """Whether an ask goes back into its host's queue, because another try may bring the page."""
        passing = answer.again or (answer.fault is None and answer.status in PASSING)
        late = answer.fault is not None and answer.fault.kind is RejectReason.TIMEOUT
        host.faults = host.faults + 1 if passing or late else 0
        wait = answer.wait if passing else None
        if wait is not None and wait > LONGEST_WAIT:
            host.closed = f"it asks to wait {wait:.0f} s"
        elif host.faults >= FAULTS:
            host.closed = f"its last {host.faults} requests failed"
        if not passing or host.closed or ask.tries >= self._fetching.retries:
            return False
        # Jitter keeps many clients from coming back at the same moment.
        pause = _BACKOFF * 2**ask.tries * random.uniform(0.5, 1.5)  # noqa: S311
        self._rest(host, pause if wait is None else wait)
        self._queue(replace(ask, tries=ask.tries + 1), first=True)
        return True

    async def _ask_rules(self, host: _Host, ask: Ask) -> None:
        """Ask for a robots.txt, and give its rules to the host that waits for them."""
        async with AsyncExitStack() as held:
            answer = await exchange(
                self._session,
                ask.url,
                self._fetching,
                most=MAX_BYTES,
                rooms=self._rooms,
                held=held,
                start_will_do=True,
            )
            self._archived(answer, None)
        if self._again(host, ask, answer):
            return
        if answer.status in REDIRECTS and answer.fault is None:
            try:
                self._queue(self._redirected(ask, answer), first=True)
            except Rejection:
                # RFC 9309, 2.3.1.2: a robots.txt that cannot be reached by redirects counts as not there.
                self._rules_known(ask, ALL)
            return
        self._rules_known(ask, self._rules_of(answer))

    def _rules_of(self, answer: Answer) -> Rules:
        if answer.fault and answer.fault.kind is not RejectReason.TOO_LARGE:
            return Rules(None, answer.fault)
        try:
            body = payload_of(answer, self._limits, a_list=True) if answer.status == 200 else b""
        except Rejection as rejected:
            return ALL if rejected.kind is RejectReason.EMPTY_INPUT else Rules(None, rejected)
        return rules_of(answer.status, body)

    async def _learn_tdmrep(self, host: _Host, place: str, rules: Rules) -> bool:
        """Give a host its site's tdmrep.json, of today; whether it was asked for.

        It is asked for once a day. One that cannot be had says nothing, and is asked for in the next run.
        """
        url = place + TDMREP
        kept = self._cache.rules(url)
        host.tdmrep[place] = (kept and kept.text) or ""
        if kept is not None or not rules.allows(url):
            return False
        async with AsyncExitStack() as held:
            answer = await exchange(
                self._session, url, self._fetching, most=MAX_BYTES, rooms=self._rooms, held=held
            )
            self._archived(answer, None)
        try:
            text = payload_of(answer, self._limits, a_list=True).decode("utf-8-sig", "replace")
        except Rejection:
            text = ""
        if answer.fault is None and answer.status not in PASSING:
            self._cache.keep_rules(url, Rules(text))
        host.tdmrep[place] = text
        return True

    def _rules_known(self, ask: Ask, rules: Rules) -> None:
        assert ask.owner is not None
        name, place = ask.owner
        host = self._hosts[name]
        host.rules[place] = rules
        self._cache.keep_rules(place, rules)
        self._ready_again(host)


def _start(ask: Ask) -> str:
    """The address that an ask began with, before redirects."""
    return ask.hops[0] if ask.hops else ask.url


def _usage_now(stored: Validators, answer: Answer) -> Usage:
    """What page and header fields say where the page is as it was; a 304 may leave header fields out."""
    kept = from_json(stored.usage)
    fields = of_headers(answer.headers) or tuple(said for said in kept if said.where == "header")
    return (*(said for said in kept if said.where == "page"), *fields)


def _reserved(ask: Ask, usage: Usage) -> Gone:
    """A page that is not taken, as its owner reserves it."""
    why = "; ".join(f"{where}: {says}" for where, says in usage)
    message = (
        f"its owner reserves it against mining or training ({why}); set fetch.reserved to 'mark' or 'keep' if "
        "you may take it"
    )
    return Gone((ask.url, *ask.hops), message, RejectReason.RESERVED, usage)


def _without_rules(fault: Rejection | None) -> Rejection:
    """Why a page is not asked for whose robots.txt could not be had."""
    if fault and fault.kind in (RejectReason.FORBIDDEN_ADDRESS, RejectReason.BAD_URL):
        return fault
    return _put_off(f"its robots.txt cannot be had: {fault}")


def _put_off(why: str) -> Rejection:
    return Rejection(RejectReason.PUT_OFF, f"put off, as {why}; the next run asks for it first")


def _digest(answer: Answer) -> str:
    return hashlib.sha256(answer.response.body).hexdigest() if answer.response else ""
