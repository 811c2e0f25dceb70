"""The errors of cleancopy, one small tree.

    CleancopyError
    ├── Rejection            one input cannot become a document; carries its kind, the run goes on
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
    """Why an input was rejected; each rejected input has exactly one kind.

    docs/sources.md says of each what it means and what to do.
    """

    TOO_LARGE = "too_large"
    DECOMPRESS_LIMIT = "decompress_limit"
    BAD_COMPRESSION = "bad_compression"
    NOT_HTML = "not_html"
    BINARY = "binary"
    EMPTY_INPUT = "empty_input"
    BAD_ENCODING = "bad_encoding"
    PARSE_DEPTH = "parse_depth"
    PARSE_LIMIT = "parse_limit"
    TIMEOUT = "timeout"
    MEMORY = "memory"
    CRASH = "crash"
    INTERNAL = "internal"
    XML_ENTITY = "xml_entity"
    XML_MALFORMED = "xml_malformed"
    TOO_MANY_URLS = "too_many_urls"
    WARC_MALFORMED = "warc_malformed"
    WARC_TRUNCATED = "warc_truncated"
    UNSAFE_PATH = "unsafe_path"
    SPECIAL_FILE = "special_file"
    UNREADABLE = "unreadable"
    IGNORED = "ignored"
    BAD_SIDECAR = "bad_sidecar"
    FORBIDDEN_SCHEME = "forbidden_scheme"
    FORBIDDEN_ADDRESS = "forbidden_address"
    BAD_URL = "bad_url"
    ROBOTS_DISALLOWED = "robots_disallowed"
    RESERVED = "reserved"
    NO_CONTACT = "no_contact"
    PUT_OFF = "put_off"
    HTTP_ERROR = "http_error"
    GONE = "gone"
    REDIRECT_LOOP = "redirect_loop"
    UNRESOLVED = "unresolved"
    UNREACHABLE = "unreachable"
    INSECURE = "insecure"
    PROTOCOL = "protocol"
    TRUNCATED = "truncated"
    NO_CONTENT = "no_content"
    TAKEN_DOWN = "taken_down"


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
    """clean/ cannot be read or written as it is; the message says how to mend it."""


class Busy(StoreError):
    """Another run holds what this one needs: the store, or its source."""


class ConflictError(StoreError):
    """Another run published first: read the store again, and decide again."""


class ConservationError(CleancopyError):
    """A stage proposed cuts under which clean text + cuts would not be the page text."""
