"""One HTTP request, and what its answer is worth.

    exchange(session, url, ...)     Answer: the response as received, and what went wrong on the way
    payload_of(answer, ...)         the page or list that it holds, or Rejection

Nothing here waits for a turn, tries again or follows a redirect: ``cleancopy.sources.web.fetcher`` does that.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

from cleancopy.errors import Rejection, RejectReason
from cleancopy.sources.settings import Fetching
from cleancopy.sources.web.ssrf import ForbiddenAddress
from cleancopy.store.archive import Response
from cleancopy.warc.choice import PAGE_TYPES
from cleancopy.warc.payload import response_payload

if TYPE_CHECKING:
    from aiohttp import ClientResponse, ClientSession

    from cleancopy.policy import Limits

#: Pairs: of bodies larger than this many bytes, this many may be read at once.
ROOMS = ((1 << 18, 16), (1 << 21, 2))
REDIRECTS = frozenset([301, 302, 303, 307, 308])
PERMANENT = frozenset([301, 308])
#: Answers after which another try may bring the page.
PASSING = frozenset([429, 500, 502, 503, 504])


Rooms = Sequence[tuple[int, asyncio.Semaphore]]


def large_rooms() -> Rooms:
    """The places for large bodies, all free: what bounds the memory of many requests at once."""
    return tuple((size, asyncio.Semaphore(count)) for size, count in ROOMS)


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of a request.

    ``response`` is None where there was none. ``fault`` says what cut it short; ``again`` whether that was a
    fault of the connection, which another try may not meet. ``wait`` is what Retry-After asks for, in seconds.
    """

    response: Response | None
    headers: Mapping[str, str] = field(default_factory=dict)
    fault: Rejection | None = None
    again: bool = False

    @property
    def status(self) -> int:
        """The HTTP status, 0 where no response came."""
        return self.response.status if self.response else 0

    @property
    def wait(self) -> float | None:
        """The seconds that Retry-After asks to wait, None where it is not there or makes no sense."""
        return _seconds(self.headers.get("retry-after", ""))

    @property
    def location(self) -> str:
        """Where a redirect leads; raises Rejection where it does not say."""
        header = self.headers.get("location", "").strip()
        if not header or self.response is None:
            raise Rejection(
                RejectReason.HTTP_ERROR, f"answers {self.status} without saying where to; look at the page"
            )
        try:
            return urljoin(self.response.url, header).partition("#")[0]
        except ValueError as error:
            raise Rejection(
                RejectReason.BAD_URL, f"redirects to {header[:80]!r}, no web address ({error})"
            ) from error


async def exchange(
    session: ClientSession,
    url: str,
    fetching: Fetching,
    *,
    most: int,
    rooms: Rooms,
    held: AsyncExitStack,
    headers: Mapping[str, str] | None = None,
    start_will_do: bool = False,
) -> Answer:
    """What an address answers to GET, its body as received, at most ``most`` bytes of it.

    A body that says it is larger is not begun, unless its start will do. All of it takes at most
    ``fetching.total_seconds``. ``rooms`` are the places for large bodies; one that the body needs is held by
    ``held`` until whoever asked is done with it.
    """
    import aiohttp
    from yarl import URL

    body = _Body(most, rooms, held)
    head: _Head | None = None
    fault: Rejection | None = None
    again, truncated = False, None
    try:
        async with (
            asyncio.timeout(fetching.total_seconds) as deadline,
            session.get(URL(url, encoded=True), headers=headers, allow_redirects=False) as response,
        ):
            head = _Head.of(url, response)
            announced = response.content_length or 0
            is_begun = announced <= most or start_will_do
            fault = await body.read(response, deadline) if is_begun else _too_large(announced, most)
            truncated = "length" if fault else None
    except TimeoutError as error:
        again, truncated = isinstance(error, aiohttp.ConnectionTimeoutError), "time"
        fault = Rejection(RejectReason.TIMEOUT, _late(head is not None, again, fetching))
    except (aiohttp.ClientError, aiohttp.http_exceptions.HttpProcessingError, OSError, ValueError) as error:
        fault, again = _fault(error)
        truncated = "disconnect"
    if head is None:
        return Answer(None, fault=fault, again=again)
    return Answer(head.response(b"".join(body.parts), truncated), head.fields, fault, again)


def payload_of(answer: Answer, limits: Limits, *, a_list: bool = False) -> bytes:
    """The page of a response with status 200 as it was meant: without content coding.

    Raises Rejection for another media type than a page's (unless it is a list that was asked for), for an empty
    body, and for whatever is wrong with its coding.
    """
    response = answer.response
    if response is None or response.status != 200:
        raise Rejection(RejectReason.HTTP_ERROR, f"answers {answer.status}; open the address to see why")
    essence = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
    if not a_list and essence and essence not in PAGE_TYPES:
        raise Rejection(
            RejectReason.NOT_HTML, f"is {essence[:60]!r}, not a page of text; exclude such addresses"
        )
    payload = response_payload(response.head + response.body, limits)
    if not payload.strip():
        raise Rejection(RejectReason.EMPTY_INPUT, "the answer is empty; open the address to see why")
    if len(payload) > limits.payload_bytes and not a_list:
        raise _too_large(len(payload), limits.payload_bytes)
    return payload


def origin(url: str) -> str:
    """Scheme, host and port of a canonical address: what one robots.txt holds for."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


@dataclass(slots=True)
class _Body:
    """At most ``most`` bytes of a body, in parts: growing large bodies side by side would fragment memory."""

    most: int
    rooms: Rooms
    held: AsyncExitStack
    parts: list[bytes] = field(default_factory=list)
    length: int = 0

    async def read(self, response: ClientResponse, deadline: asyncio.Timeout) -> Rejection | None:
        """Take the body as it comes; what is wrong where it is larger."""
        async for part in response.content.iter_any():
            for size, room in self.rooms:
                if self.length <= size < self.length + len(part):
                    await _place(room, self.held, deadline)
            self.parts.append(part[: self.most - self.length])
            self.length += len(part)
            if self.length > self.most:
                return _too_large(self.length, self.most)
        return None


@dataclass(frozen=True, slots=True)
class _Head:
    url: str
    status: int
    raw: bytes
    fields: Mapping[str, str]
    time: str

    @classmethod
    def of(cls, url: str, response: ClientResponse) -> _Head:
        version = response.version or (1, 1)
        lines = [b"HTTP/%d.%d %d %s" % (version[0], version[1], response.status, _reason(response.reason))]
        lines += [name + b": " + value for name, value in response.raw_headers]
        fields: dict[str, str] = {}
        for name, value in response.raw_headers:
            key, text = name.decode("latin-1").lower(), _text(value)
            fields[key] = (
                f"{fields[key]}, {text}" if key in _LISTED and key in fields else fields.get(key, text)
            )
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return cls(url, response.status, b"\r\n".join([*lines, b"", b""]), fields, now)

    def response(self, body: bytes, truncated: str | None) -> Response:
        return Response(self.url, self.status, self.raw, body, self.time, truncated)


#: Fields that may stand several times and mean all that they say.
_LISTED = frozenset(["content-encoding", "x-robots-tag", "content-usage", "content-signal", "link"])


def _reason(reason: str | None) -> bytes:
    return re.sub(r"[^\x20-\x7e]", " ", reason or "").encode()


def _text(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")


async def _place(room: asyncio.Semaphore, held: AsyncExitStack, deadline: asyncio.Timeout) -> None:
    """Wait for a place among the large bodies; the deadline does not count that."""
    began, due = asyncio.get_running_loop().time(), deadline.when()
    deadline.reschedule(None)
    await held.enter_async_context(room)
    if due is not None:
        deadline.reschedule(due + asyncio.get_running_loop().time() - began)


def _too_large(size: int, most: int) -> Rejection:
    return Rejection(
        RejectReason.TOO_LARGE,
        f"sends {size:,} bytes or more, the limit is {most:,}; raise limits.payload_bytes in the policy if the "
        "page is wanted",
    )


def _late(began: bool, connecting: bool, fetching: Fetching) -> str:
    if connecting:
        return f"did not take the connection within {fetching.connect_seconds:g} s; try again later"
    state = "its answer did not end" if began else "did not answer"
    return (
        f"{state} in time (fetch.read_seconds {fetching.read_seconds:g}, fetch.total_seconds "
        f"{fetching.total_seconds:g}); try again later"
    )


def _fault(error: Exception) -> tuple[Rejection, bool]:
    """What an error of the client means, and whether another try may go better."""
    import aiohttp

    cause = getattr(error, "os_error", error)
    if isinstance(cause, ForbiddenAddress):
        message = f"is not asked: {cause}"
        return Rejection(RejectReason.FORBIDDEN_ADDRESS, message), False
    if isinstance(error, (aiohttp.InvalidURL, UnicodeError)):
        return Rejection(RejectReason.BAD_URL, "is an address that cannot be asked for; check it"), False
    why = _one_line(str(cause) or type(error).__name__)
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return Rejection(RejectReason.UNRESOLVED, f"its host has no address ({why}); check the name"), False
    if isinstance(error, aiohttp.ClientSSLError):
        message = f"its certificate or encryption is not sound ({why}); open it to see why"
        return Rejection(RejectReason.INSECURE, message), False
    if isinstance(error, aiohttp.ClientPayloadError):
        return Rejection(RejectReason.TRUNCATED, f"its answer ended too early ({why}); try again later"), True
    if isinstance(error, (aiohttp.ServerDisconnectedError, OSError)):
        return Rejection(RejectReason.UNREACHABLE, f"the connection failed ({why}); try again later"), True
    return Rejection(RejectReason.PROTOCOL, f"does not answer as HTTP asks ({why}); open it to see why"), False


def _one_line(text: str) -> str:
    """What a server or library said, fit for a log: one line, printable, not long."""
    return "".join(char if char.isprintable() else " " for char in text)[:160].strip()


def _seconds(header: str) -> float | None:
    """Retry-After in seconds: it is a number of them or a date (RFC 9110, 10.2.3)."""
    from email.utils import parsedate_to_datetime

    if re.fullmatch(r"\s*\d{1,9}\s*", header, re.ASCII):
        return float(header)
    try:
        due = parsedate_to_datetime(header[:64])
    except ValueError:
        return None
    due = due if due.tzinfo else due.replace(tzinfo=UTC)
    return max(0.0, (due - datetime.now(UTC)).total_seconds())
