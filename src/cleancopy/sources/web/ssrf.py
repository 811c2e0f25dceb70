"""What may be asked for: addresses of the public web, checked where they are written and where they connect.

    check_url(url, fetching)            its canonical form, or Rejection
    check_address(address, port, ...)   nothing, or ForbiddenAddress
    open_session(fetching, resolver)    an aiohttp session that cannot connect elsewhere

What an address *says* is checked first (scheme, port, length, literal numbers), what a name *resolves* to
next, and last the very address that a socket is about to connect to. The last is what holds: a name that
resolves to something else the second time (DNS rebinding) fails there too.

The session keeps no cookies, knows no proxy of the environment, follows no redirect by itself and inflates
nothing.
"""

from __future__ import annotations

import re
import socket
from functools import partial
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from cleancopy.errors import Rejection, RejectReason
from cleancopy.sources.settings import Fetching, allowed_pairs
from cleancopy.warc.address import canonical_url

if TYPE_CHECKING:
    from aiohttp import ClientSession
    from aiohttp.abc import AbstractResolver, ResolveResult

#: The longest header line and the most lines that are read of a response.
HEADER_BYTES = 40_960
HEADER_LINES = 128

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")
# A host that ends in a number is an IPv4 address in the eyes of every resolver (WHATWG URL, 3.5).
_NUMBER = re.compile(r"(?:.*\.)?(?:\d+|0[xX][0-9a-fA-F]*)")
# What Python calls global of these depends on its version (IANA's special-purpose registries).
_NOT_PUBLIC = tuple(map(ip_network, ("192.0.0.0/24", "192.88.99.0/24", "2001::/23", "2002::/16", "3fff::/20")))
_IPV6_PUBLIC = ip_network("2000::/3")


class ForbiddenAddress(OSError):
    """A socket was about to connect to an address that is not public."""


def check_url(url: str, fetching: Fetching) -> str:
    """The canonical form of an address that may be asked for.

    Raises Rejection: bad_url, forbidden_scheme, or forbidden_address for a port or a literal address that may
    not be asked.
    """
    shown = f"{url[:80]!r}"
    if len(url) > fetching.url_length:
        raise Rejection(
            RejectReason.BAD_URL,
            f"{shown}… has {len(url):,} characters, more than fetch.url_length ({fetching.url_length:,})",
        )
    scheme = _SCHEME.match(url)
    if scheme and scheme[1].lower() not in ("http", "https"):
        raise Rejection(
            RejectReason.FORBIDDEN_SCHEME, f"{shown} is no http or https address; only those are fetched"
        )
    canonical = canonical_url(_encoded(url))
    parts = urlsplit(canonical)
    host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    if (host, port) in allowed_pairs(fetching):
        return canonical
    if port not in fetching.ports:
        raise Rejection(
            RejectReason.FORBIDDEN_ADDRESS,
            f"{shown} names port {port}; add it to fetch.ports if it is to be asked",
        )
    _check_host(host, port, shown)
    return canonical


def check_address(address: str, port: int, allowed: frozenset[tuple[str, int]] = frozenset()) -> None:
    """Raise ForbiddenAddress unless an IP address is public, or it and the port are a pair allowed."""
    if (address, port) in allowed:
        return
    try:
        ip = ip_address(address)
    except ValueError:
        raise ForbiddenAddress(f"{address} is no address that can be vetted") from None
    if not _is_public(ip):
        raise ForbiddenAddress(f"{address} is not a public address")


def open_session(fetching: Fetching, resolver: AbstractResolver | None = None) -> ClientSession:
    """An HTTP session that connects to nothing but public addresses and the pairs allowed.

    To be called, and closed, in a running event loop. ``resolver`` stands in for the system's.
    """
    import aiohttp

    allowed = allowed_pairs(fetching)
    connector = aiohttp.TCPConnector(
        resolver=_vetting(resolver or aiohttp.ThreadedResolver(), allowed),
        socket_factory=partial(_vetted_socket, allowed=allowed),
        limit=0,
        use_dns_cache=False,
        # Kept over a host's pause and not much longer: idle connections to many hosts cost memory.
        keepalive_timeout=min(15.0, 2 * fetching.delay + 1),
    )
    return aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,
        auto_decompress=False,
        max_line_size=HEADER_BYTES,
        max_field_size=HEADER_BYTES,
        max_headers=HEADER_LINES,
        timeout=aiohttp.ClientTimeout(
            total=None,
            connect=fetching.connect_seconds,
            sock_connect=fetching.connect_seconds,
            sock_read=fetching.read_seconds,
        ),
        headers={"User-Agent": user_agent(fetching), "Accept": _ACCEPT, "Accept-Encoding": "gzip, br"},
    )


def user_agent(fetching: Fetching) -> str:
    """How requests sign: the program, and how to reach whoever runs it."""
    from importlib.metadata import version

    contact = f" (+{fetching.contact})" if fetching.contact else ""
    return f"{AGENT}/{version('cleancopy')}{contact}"


#: The name that robots.txt files know us by.
AGENT = "cleancopy"
_ACCEPT = "text/html,application/xhtml+xml,text/plain;q=0.8,application/xml;q=0.7,*/*;q=0.1"


def _encoded(url: str) -> str:
    """The address with what may not stand in one percent-encoded; escapes stay as they are."""
    from w3lib.url import safe_url_string

    if url.isascii() and not re.search(r"[\s\"<>\\^`{|}\x00-\x1f\x7f]", url):
        return url
    if re.search(r"[\x00-\x20\x7f\\]", url):
        raise Rejection(
            RejectReason.BAD_URL, f"{url[:80]!r} holds a blank or a control character; it is no web address"
        )
    try:
        return str(safe_url_string(url))
    except ValueError as error:
        raise Rejection(RejectReason.BAD_URL, f"{url[:80]!r} is no web address ({error})") from error


def _check_host(host: str, port: int, shown: str) -> None:
    literal = ":" in host
    if not literal and _NUMBER.fullmatch(host):
        literal = True
        try:
            plain = str(IPv4Address(host)) == host
        except ValueError:
            plain = False
        if not plain:
            raise Rejection(
                RejectReason.FORBIDDEN_ADDRESS, f"{shown} hides its address in another form; it is not asked"
            )
    if not literal:
        if len(host) > 253 or any(not 0 < len(label) < 64 for label in host.split(".")):
            raise Rejection(RejectReason.BAD_URL, f"{shown} has a host that no name server knows; check it")
        return
    try:
        check_address(host, port)
    except ForbiddenAddress as error:
        raise Rejection(RejectReason.FORBIDDEN_ADDRESS, f"{shown} is not asked: {error}") from None


def _is_public(ip: IPv4Address | IPv6Address) -> bool:
    # Forms of IPv6 that carry an IPv4 address (mapped, NAT64, 6to4, Teredo) lie outside or are taken out here.
    if ip.version == 6 and (ip not in _IPV6_PUBLIC or getattr(ip, "scope_id", None)):
        return False
    if any(ip in network for network in _NOT_PUBLIC if network.version == ip.version):
        return False
    return ip.is_global and not (ip.is_multicast or ip.is_reserved or ip.is_unspecified)


def _vetted_socket(info: tuple[Any, ...], allowed: frozenset[tuple[str, int]]) -> socket.socket:
    """A socket for an address that was vetted; aiohttp connects it to exactly that address."""
    family, kind, protocol, _, place = info
    check_address(place[0], place[1], allowed)
    vetted = socket.socket(family, kind, protocol)
    vetted.setblocking(False)
    return vetted


def _vetting(inner: AbstractResolver, allowed: frozenset[tuple[str, int]]) -> AbstractResolver:
    """A resolver that leaves out what may not be asked, so that the reason is plain where nothing is left."""
    from aiohttp.abc import AbstractResolver

    class Vetting(AbstractResolver):
        async def resolve(
            self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
        ) -> list[ResolveResult]:
            resolved = await inner.resolve(host, port, family)
            public: list[ResolveResult] = []
            refused: ForbiddenAddress | None = None
            for host_address in resolved:
                try:
                    check_address(host_address["host"], port, allowed)
                    public.append(host_address)
                except ForbiddenAddress as error:
                    refused = error
            if refused and not public:
                raise refused
            return public

        async def close(self) -> None:
            await inner.close()

    return Vetting()
