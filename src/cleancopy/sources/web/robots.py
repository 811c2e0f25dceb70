"""What a site's robots.txt asks of us (RFC 9309).

    rules_of(status, body)      the rules that an answer to GET /robots.txt makes
    Rules.allows(url)           whether an address may be asked for
    Rules.delay                 seconds between two requests, 0 where nothing is said
    Rules.sitemaps              the sitemaps that it names

No file (4xx) allows everything; a server that fails (5xx, 429) or does not answer allows nothing until it
does. Only the first 500 KiB count, as the RFC has it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from cleancopy.errors import Rejection, RejectReason
from cleancopy.sources.web.ssrf import AGENT

if TYPE_CHECKING:
    from protego import Protego

MAX_BYTES = 512_000
#: Rules are asked for again after this many seconds.
KEPT_SECONDS = 86_400.0

_AGENT_LINE = re.compile(r"([ \t]*user[ -]?agent[ \t]*:)([^#\n]*)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Rules:
    """What a robots.txt says, or that it could not be had: then ``text`` is None and ``fault`` says why."""

    text: str | None
    fault: Rejection | None = None

    def allows(self, url: str) -> bool:
        """Whether the rules let us ask for an address."""
        return self.text is not None and bool(_parsed(self.text).can_fetch(url, AGENT))

    @property
    def delay(self) -> float:
        """Seconds that are to lie between two requests: Crawl-delay or Request-rate, whichever is longer."""
        if not self.text:
            return 0.0
        rate = _parsed(self.text).request_rate(AGENT)
        spaced = rate.seconds / rate.requests if rate else 0.0
        return max(0.0, _parsed(self.text).crawl_delay(AGENT) or 0.0, spaced)

    @property
    def sitemaps(self) -> tuple[str, ...]:
        """The addresses of the sitemaps that are named, each once, as they are written."""
        return tuple(dict.fromkeys(_parsed(self.text).sitemaps)) if self.text else ()


#: What holds where there is no robots.txt.
ALL = Rules("")


def rules_of(status: int, body: bytes) -> Rules:
    """The rules that an answer makes."""
    if status == 429 or status >= 500:
        return Rules(None, Rejection(RejectReason.HTTP_ERROR, f"robots.txt answers {status}"))
    return Rules(_readable(body[:MAX_BYTES])) if status == 200 else ALL


def _readable(body: bytes) -> str:
    """The text of a robots.txt, every group that is not for us under one name.

    A parser keeps each rule for each of its group's agents: thousands of either would make millions.
    """
    lines = body.decode("utf-8", "replace").removeprefix("\ufeff").replace("\r", "\n").split("\n")
    return "\n".join(_for_us(line) for line in lines if line.strip())


def _for_us(line: str) -> str:
    field = _AGENT_LINE.match(line)
    if field is None:
        return line[:4096]
    name = field[2].strip().lower().split("/")[0].replace("*", "")
    ours = not name or AGENT.startswith(name)
    return f"User-agent: {name or '*'}" if ours else "User-agent: another"


@lru_cache(maxsize=64)
def _parsed(text: str) -> Protego:
    from protego import Protego

    return Protego.parse(text)
