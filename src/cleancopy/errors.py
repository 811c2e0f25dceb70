"""The errors of cleancopy, one small tree.

    CleancopyError
    ├── Rejection            one input cannot become a document; carries its reason, the run goes on
    ├── PolicyError         the settings are wrong
    ├── StoreError          clean/ cannot be read or written as it is
    │   ├── Busy            another run holds what this one needs
    │   └── ConflictError       another run published first; what was decided must be decided again
    └── ConservationError   clean text + cuts would not be the page text: a defect of cleancopy itself

Every message says what, why and what to do.
"""

from __future__ import annotations

from enum import StrEnum


class RejectReason(StrEnum):
    """Why an input was rejected; each rejected input has exactly one reason.

    ``meaning`` says what it is and ``remedy`` what to do; docs/sources.md has both as tables, one of them for
    those ``of_address``: what can happen to an address, before there is anything to read.
    """

    meaning: str
    remedy: str
    of_address: bool

    def __new__(cls, value: str, meaning: str = "", remedy: str = "", of_address: bool = False) -> RejectReason:
        """A member whose value is the stored name alone."""
        member = str.__new__(cls, value)
        member._value_ = value
        member.meaning, member.remedy, member.of_address = meaning, remedy, of_address
        return member

    BAD_URL = (
        "bad_url",
        "no web address, too long (`fetch.url_length`), or with a password in it",
        "correct it where it is listed",
        True,
    )
    FORBIDDEN_SCHEME = ("forbidden_scheme", "not http or https", "list its public address", True)
    FORBIDDEN_ADDRESS = (
        "forbidden_address",
        "a port, or an address, that may not be asked",
        "list its public address, or see `ports`, `allow`",
        True,
    )
    NO_CONTACT = ("no_contact", "nobody could be reached who fetches it", "set `fetch.contact`", True)
    ROBOTS_DISALLOWED = (
        "robots_disallowed",
        "the site's robots.txt does not allow it",
        "leave it out, or ask the site",
        True,
    )
    RESERVED = (
        "reserved",
        "its owner reserves it against mining or training",
        "leave it out; set `reserved` if you may take it",
        True,
    )
    PUT_OFF = (
        "put_off",
        "robots.txt cannot be had, the host asks to wait for more than five minutes or only fails, or its time "
        "in a run (`host_seconds`, `run_seconds`) is used up",
        "nothing: the next run asks for it first",
        True,
    )
    GONE = (
        "gone",
        "answers 410, or 404: its document is withdrawn, after a 404 only when the page stays away "
        "(`gone_after`, `gone_days`)",
        "nothing, or take it off the list",
        True,
    )
    HTTP_ERROR = ("http_error", "answers another status than 200", "open it to see why", True)
    REDIRECT_LOOP = (
        "redirect_loop",
        "redirects in a circle, or more than `fetch.redirects` times",
        "list the address that it leads to",
        True,
    )
    UNRESOLVED = ("unresolved", "its host has no address", "check the name", True)
    UNREACHABLE = ("unreachable", "the connection was refused or lost, at each try", "run again later", True)
    INSECURE = ("insecure", "its certificate or encryption is not sound", "open it to see why", True)
    PROTOCOL = ("protocol", "answers what is not HTTP", "run again later", True)
    TRUNCATED = ("truncated", "ends its answer too early", "run again later", True)
    TAKEN_DOWN = ("taken_down", "was taken down here", "see `cleancopy decisions list`", True)
    TOO_MANY_URLS = (
        "too_many_urls",
        "a list of more than 50,000 addresses, or a source with more than its `pages`",
        "split it; raise `pages`",
        True,
    )
    TIMEOUT = (
        "timeout",
        "took longer than allowed: to connect, to answer, or to be read",
        "run again later; look at the page, or raise `limits`, or `total_seconds` and `read_seconds`",
    )
    MEMORY = ("memory", "took more memory than the policy allows", "look at the page, or raise `limits`")
    TOO_LARGE = ("too_large", "larger than the policy allows", "raise `limits` if the page is wanted")
    DECOMPRESS_LIMIT = (
        "decompress_limit",
        "larger than the policy allows once it is inflated",
        "raise `limits` if the page is wanted",
    )
    BAD_COMPRESSION = ("bad_compression", "damaged", "get it again")
    WARC_MALFORMED = (
        "warc_malformed",
        "a damaged record of an archive; the other records are read",
        "get it again",
    )
    WARC_TRUNCATED = (
        "warc_truncated",
        "an archive that ends too early; the records before are read",
        "get it again",
    )
    NOT_HTML = ("not_html", "no page of text", "convert it to HTML or text first")
    BINARY = ("binary", "bytes that are no text", "convert it to HTML or text first")
    BAD_ENCODING = ("bad_encoding", "bytes in no encoding that is known", "convert it to UTF-8 first")
    EMPTY_INPUT = ("empty_input", "no bytes", "capture it again")
    NO_CONTENT = (
        "no_content",
        "no text, or nothing but chrome",
        "capture it again, in a browser if it needs one",
    )
    PARSE_DEPTH = ("parse_depth", "elements nested deeper than 256", "correct the page, or leave it out")
    PARSE_LIMIT = (
        "parse_limit",
        "more tags or attributes than any page for readers has",
        "correct the page, or leave it out",
    )
    CRASH = ("crash", "a library crashed on it", "keep the page and report it")
    INTERNAL = ("internal", "met a fault of cleancopy", "keep the page and report it")
    XML_MALFORMED = ("xml_malformed", "a broken list", "get it again")
    XML_ENTITY = ("xml_entity", "a list that declares entities, which can be used to attack", "leave it out")
    UNSAFE_PATH = ("unsafe_path", "a symbolic link", "put the file itself there")
    SPECIAL_FILE = ("special_file", "a device, pipe or socket", "leave it out")
    UNREADABLE = ("unreadable", "the system does not let us read it", "correct its rights")
    IGNORED = (
        "ignored",
        "hidden, or a download that is not complete; addresses of other hosts in a sitemap",
        "rename it; name those hosts in the source's `hosts`",
    )
    BAD_SIDECAR = ("bad_sidecar", "its `.capture.toml` or `site.toml` cannot be used", "correct or delete that")


class CleancopyError(Exception):
    """The base of all errors that cleancopy raises on purpose."""


class Rejection(CleancopyError):
    """One input cannot become a document.

    ``kind`` is what programs read; ``message`` (also ``str(error)``) is what people read.
    """

    def __init__(self, kind: RejectReason, message: str) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message

    def __reduce__(self) -> tuple[type[Rejection], tuple[RejectReason, str]]:
        return (Rejection, (self.kind, self.message))


class PolicyError(CleancopyError):
    """The settings are wrong; the message names the file, the key and the allowed values."""


class StoreError(CleancopyError):
    """clean/ cannot be read or written as it is; the message says how to repair it."""


class Busy(StoreError):
    """Another run holds what this one needs: the store, or its source."""


class ConflictError(StoreError):
    """Another run published first: read the store again, and decide again."""


class ConservationError(CleancopyError):
    """A stage proposed cuts under which clean text + cuts would not be the page text."""
