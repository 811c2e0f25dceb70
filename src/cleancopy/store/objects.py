"""Paths in an object store, ``s3://bucket/prefix/...``, with what the store needs of a path.

An ``ObjectPath`` is joined and named like any path, and has the few methods of ``pathlib.Path`` that reading
needs. A write appears whole or not at all, and two kinds of it depend on what is there: ``create`` fails where
an object is there already, ``replace`` where it was changed since it was read (RFC 9110: ``If-None-Match: *``,
``If-Match``). By these two alone writers on many machines are kept apart; no lock table is needed.

Whoever the user is, and where the server stands, is read from the environment, as all S3 tools have it:
AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN, AWS_REGION, AWS_ENDPOINT_URL, or what a container
or instance is given. What the server refuses becomes a ``StoreError`` that says what to do; an object that is
not there is a ``FileNotFoundError``. Hides obstore, which is the client that deltalake has inside, too.
"""

from __future__ import annotations

import errno
import hashlib
import io
import os
import re
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from cleancopy.errors import PolicyError, StoreError
from cleancopy.store import lease

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.dataset as ds
    import pyarrow.parquet as pq
    from obstore.store import S3Store

SCHEME = "s3:"
#: Bytes that are read at once where an object is read from end to end.
_PORTION = 8 << 20
#: Bytes that are read first of a file, its last ones: a Parquet file says there what it holds.
_TAIL = 1 << 18
#: Objects that are asked for at once where many are read one after the other.
_AT_ONCE = 16
#: A server that does not answer is given up after so many tries, or seconds, whichever ends first.
_RETRIES, _RETRY_SECONDS = 20, 30


class Facts(NamedTuple):
    """What is known of an object: bytes, seconds when it was written, and a tag that no other state has."""

    st_size: int
    st_mtime: float
    tag: str


class ObjectPath(PurePosixPath):
    """The path of an object, or of the prefix that many have in common."""

    def __str__(self) -> str:
        parts = self.parts
        return f"s3://{'/'.join(parts[1:])}" if parts[:1] == (SCHEME,) else super().__str__()

    def __fspath__(self) -> str:
        raise TypeError(f"{self}: is in an object store, not on this machine")

    @property
    def bucket(self) -> str:
        """The bucket that it is in."""
        return self.parts[1]

    @property
    def key(self) -> str:
        """Its name in the bucket."""
        return "/".join(self.parts[2:])

    #: Whether runs on other machines may write here at the same time.
    shared = True
    #: No path on this machine: people find no files here.
    local: Path | None = None

    def scratch(self) -> Path:
        """The folder of what is private to this machine's runs, and may be removed while none is under way."""
        cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        above = os.environ.get("CLEANCOPY_WORK") or Path(cache) / "cleancopy"
        digest = hashlib.sha256(f"{endpoint()} {self}".encode()).hexdigest()[:12]
        return Path(above) / f"{self.bucket}-{digest}"

    def absolute(self) -> ObjectPath:
        """The path itself."""
        return self

    def as_uri(self) -> str:
        """Its address, ``s3://...``."""
        return str(self)

    def stat(self) -> Facts:
        """Size, time and tag; raises FileNotFoundError."""
        with _answered(self):
            head = _client(self).head(self.key)
            return Facts(head["size"], head["last_modified"].timestamp(), head["e_tag"] or "")

    def exists(self) -> bool:
        """Whether the object is there."""
        try:
            self.stat()
        except FileNotFoundError:
            return False
        return True

    is_file = exists

    def is_dir(self) -> bool:
        """Whether there are objects below."""
        return next(self._below(1), None) is not None

    def names(self) -> list[str]:
        """The names of the objects directly below, sorted; none where there are none."""
        with _answered(self):
            objects = _client(self).list_with_delimiter(self.key or None)["objects"]
            return sorted(item["path"].rpartition("/")[2] for item in objects)

    def glob(self, pattern: str) -> Iterator[ObjectPath]:
        """The objects below that fit a pattern, sorted: ``*`` is a part of a name, ``**/`` any prefix.

        With a slash at its end the prefixes that do.
        """
        plain = re.match(r"(?:[^*\[/]+/)*", pattern)
        begin = self / plain[0] if plain and plain[0] else self
        wanted = _pattern(pattern.rstrip("/"))
        keys = sorted(facts["path"][len(self.key) :].lstrip("/") for facts in begin._below())
        if pattern.endswith("/"):
            depth = pattern.count("/")
            folders = {tuple(key.split("/")[:depth]) for key in keys if key.count("/") >= depth}
            keys = sorted("/".join(folder) for folder in folders)
        return (self / key for key in keys if wanted.fullmatch(key))

    def read_bytes(self) -> bytes:
        """The object; raises FileNotFoundError."""
        return self.read()[0]

    def read_text(self, encoding: str = "utf-8") -> str:
        """The object as text; raises FileNotFoundError."""
        return self.read_bytes().decode(encoding)

    def read(self) -> tuple[bytes, str]:
        """The object and its tag, for ``replace``; raises FileNotFoundError."""
        with _answered(self):
            answer = _client(self).get(self.key)
            return bytes(answer.bytes()), answer.meta["e_tag"] or ""

    def read_range(self, start: int, length: int) -> bytes:
        """A part of the object."""
        with _answered(self):
            return bytes(_client(self).get_range(self.key, start=start, length=length))

    read_marked = read

    def reader(self) -> io.BufferedIOBase:
        """The object as a binary file; its end is fetched at once, the rest when it is read."""
        with _answered(self):
            answer = _client(self).get(self.key, options={"range": {"suffix": _TAIL}})
            return io.BufferedReader(_Remote(self, answer.meta["size"], bytes(answer.bytes())), 1 << 16)

    def digest(self) -> str:
        """The SHA-256 of the object, 64 hex digits."""
        sha256 = hashlib.sha256()
        with _answered(self):
            for part in _client(self).get(self.key).stream(_PORTION):
                sha256.update(part)
        return sha256.hexdigest()

    def write(self, content: bytes | Path) -> None:
        """Write the object, whatever is there; a ``Path`` is a local file."""
        with _answered(self):
            _client(self).put(self.key, content)

    def write_whole(self, data: bytes, durable: bool) -> None:
        """Write the object; whatever is written here is whole and durable."""
        del durable
        self.write(data)

    def take(self, temporary: Path) -> None:
        """Make a complete local file this object; it is gone where it was."""
        self.write(temporary)
        temporary.unlink()

    def rename_to(self, name: str) -> None:
        """Give the object another name; for a moment it has both."""
        self.with_name(name).write(self.read_bytes())
        self.unlink()

    def create_new(self, data: bytes) -> bool:
        """Write the object where there is none; whether there was none."""
        return self.create(data) is not None

    def replace_marked(self, data: bytes, mark: str) -> str | None:
        """Write the object where its tag is still this one, none for no object; its new tag, or None."""
        return self.replace(data, mark) if mark else self.create(data)

    def create(self, content: bytes) -> str | None:
        """Write the object where there is none; its tag, or None where there is one with another content."""
        return self._put(content, "create")

    def replace(self, content: bytes, tag: str) -> str | None:
        """Write the object where it has a tag still; its new tag, or None where another was faster."""
        return self._put(content, {"e_tag": tag})

    def unlink(self, missing_ok: bool = False) -> None:
        """Remove the object; one that is not there is no error, whatever ``missing_ok`` says."""
        with _answered(self):
            _client(self).delete(self.key)

    def remove(self) -> None:
        """Remove the object."""
        self.unlink()

    def total_size(self) -> int:
        """The bytes of the object."""
        return self.stat().st_size

    def stamp(self) -> object:
        """None: objects of a table are never written over."""
        return None

    def make_folder(self) -> None:
        """Nothing: there are no folders."""

    def sync_folder(self) -> None:
        """Nothing: what was answered is durable."""

    sync = sync_folder

    @contextmanager
    def lock(self, wait: float) -> Iterator[None]:
        """Hold the object as a lease, which others take over when its holder gives no sign of life."""
        with lease.leased(self, wait):
            yield

    def confirm_lock(self) -> None:
        """Raise ConflictError where another run took over the lease."""
        lease.confirm(self)

    def explain(self, error: Exception) -> StoreError | None:
        """The StoreError for an error whose cause is one of those that servers and clients are known by."""
        words = " ".join(str(error).split())
        return refusal(self, error) if any(re.search(pattern, words) for pattern, _, _ in _CAUSES) else None

    def delta_options(self) -> dict[str, str] | None:
        """How deltalake is to reach it: as this module does, with conditional puts."""
        options = {"aws_conditional_put": "etag", "max_retries": str(_RETRIES)}
        options["retry_timeout"] = f"{_RETRY_SECONDS}s"
        if endpoint():
            options |= {"aws_endpoint": endpoint()}
            options |= {"allow_http": str(endpoint().startswith("http:")).lower()}
        return options

    def delta_configuration(self) -> dict[str, str]:
        """The properties that a Delta table here has more than others."""
        # Each entry of the log is a request, whoever opens the table; a checkpoint stands for all before it.
        return {"delta.checkpointInterval": "10"}

    @staticmethod
    def parquets(paths: Sequence[ObjectPath]) -> Iterator[pq.ParquetFile]:
        """Parquet files to read, each until the next is asked for; only what is read is fetched."""
        import pyarrow.parquet as pq

        for content in _opened_ahead(paths):
            with content, pq.ParquetFile(content, pre_buffer=True) as file:
                yield file

    @staticmethod
    def datasets(paths: Sequence[ObjectPath], schema: pa.Schema) -> Iterator[ds.Dataset]:
        """The rows of Parquet files as datasets, one a file."""
        import pyarrow.dataset as ds

        kind = ds.ParquetFileFormat(pre_buffer=True)
        for content in _opened_ahead(paths):
            with content:
                yield ds.FileSystemDataset([kind.make_fragment(content)], schema, kind)

    def _put(self, content: bytes, mode: Any) -> str | None:
        from obstore.exceptions import AlreadyExistsError, PreconditionError

        try:
            with _answered(self):
                return str(_client(self).put(self.key, content, mode=mode, use_multipart=False)["e_tag"])
        except (AlreadyExistsError, PreconditionError):
            pass
        try:
            # An answer that was lost on its way makes the client ask again, and refuse what it did itself.
            there, tag = self.read()
        except FileNotFoundError:
            return None
        return tag if there == content else None

    def _below(self, limit: int | None = None) -> Iterator[Any]:
        prefix = f"{self.key}/" if self.key else None
        with _answered(self):
            for listed in _client(self).list(prefix, chunk_size=limit or 1000):
                yield from listed


def _opened_ahead(paths: Sequence[ObjectPath]) -> Iterator[io.BufferedIOBase]:
    """Each object as a binary file, several of them asked for at once."""
    if not paths:
        return
    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="cleancopy-objects") as threads:
        for first in range(0, len(paths), _AT_ONCE):
            yield from threads.map(ObjectPath.reader, paths[first : first + _AT_ONCE])


class _Remote(io.RawIOBase):
    """An object as a file that can be sought in."""

    def __init__(self, path: ObjectPath, size: int, tail: bytes) -> None:
        self._path, self._size, self._tail, self._at = path, size, tail, 0

    def readable(self) -> Literal[True]:
        return True

    def seekable(self) -> Literal[True]:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = offset + (0, self._at, self._size)[whence]
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: Any) -> int:
        length = min(len(buffer), max(0, self._size - self._at))
        in_tail = self._at - self._size + len(self._tail)  # where this is in the tail
        if in_tail >= 0:
            buffer[:length] = self._tail[in_tail : in_tail + length]
        elif length:
            buffer[:length] = self._path.read_range(self._at, length)
        self._at += length
        return length


def object_path(url: str) -> ObjectPath:
    """The path of ``s3://bucket/prefix``; raises PolicyError where it names no bucket."""
    rest = url.partition("://")[2].strip("/")
    if not url.startswith("s3://") or not rest:
        raise PolicyError(f"{url}: a store is a folder, or s3://bucket/prefix in an object store; name one")
    if {"..", "."} & set(rest.split("/")) or not re.fullmatch(r"[\w.=/-]+", rest, re.ASCII):
        raise PolicyError(
            f"{url}: a prefix has letters from a to z, digits and . _ = - in its parts, and none is . or ..; "
            "name another one"
        )
    return ObjectPath(SCHEME, *rest.split("/"))


def endpoint() -> str:
    """The server that is asked, as the environment names it; empty for AWS itself."""
    names = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")
    return next(filter(None, map(os.environ.get, names)), "")


# ---- the client


def _client(path: ObjectPath) -> S3Store:
    settings = tuple(sorted((name, value) for name, value in os.environ.items() if name.startswith("AWS_")))
    return _made(path.bucket, endpoint(), hash(settings))


@cache
def _made(bucket: str, server: str, environment: int) -> S3Store:
    """A client of a bucket; another one where the environment has changed."""
    from obstore.store import S3Store

    del environment
    return S3Store(
        bucket,
        config={"conditional_put": "etag", **({"endpoint": server} if server else {})},
        client_options={"allow_http": server.startswith("http:"), "connect_timeout": "5s", "timeout": "120s"},
        retry_config={"max_retries": _RETRIES, "retry_timeout": _seconds(_RETRY_SECONDS)},
    )


def _seconds(count: float) -> Any:
    from datetime import timedelta

    return timedelta(seconds=count)


def _pattern(pattern: str) -> re.Pattern[str]:
    """A pattern of ``glob`` as a regular expression."""
    parts = re.split(r"(\*\*/|\*|\[[^\]]*\])", pattern)
    meant = {"**/": "(?:.*/)?", "*": "[^/]*"}
    translated = (part if part[:1] == "[" else meant.get(part, re.escape(part)) for part in parts)
    return re.compile("".join(translated), re.DOTALL)


@contextmanager
def _answered(path: ObjectPath) -> Iterator[None]:
    """Raise FileNotFoundError for an object that is not there, StoreError for all that a person must mend."""
    from obstore.exceptions import AlreadyExistsError, BaseError, PreconditionError

    try:
        yield
    except (AlreadyExistsError, PreconditionError):
        raise
    except FileNotFoundError as error:
        if "NoSuchBucket" in str(error):
            raise refusal(path, error) from error
        raise FileNotFoundError(errno.ENOENT, "no such object", str(path)) from error
    except (BaseError, OSError) as error:
        raise refusal(path, error) from error


#: What a server or client says, what it means, and what to do.
_CAUSES = (
    (
        # Where nothing else names them, the client asks the instance that it would run on.
        r"169\.254\.169\.254",
        "there are no credentials",
        "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (and AWS_SESSION_TOKEN, if they are temporary)",
    ),
    (r"NoSuchBucket", "there is no bucket {bucket}", "create it, or name another"),
    (
        r"InvalidAccessKeyId|SignatureDoesNotMatch|InvalidToken|ExpiredToken|Unauthenticated|401 Unauthorized",
        "the server does not accept the credentials",
        "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (and AWS_SESSION_TOKEN, if they are temporary)",
    ),
    (
        r"AccessDenied|403 Forbidden|PermissionDenied",
        "the server does not let these credentials do this",
        "check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, and that they may list, get, put and delete there",
    ),
    (
        r"incorrectly configured region|AuthorizationHeaderMalformed|PermanentRedirect|301 Moved",
        "the bucket is in another region",
        "set AWS_REGION to it",
    ),
    (r"InvalidRange|416 ", "the object is shorter than it was", "restore it from a backup"),
    (r"NotImplemented|501 ", "the server does not know conditional puts", "use one that does: docs/deploy.md"),
    (
        r"error sending request|[Cc]onnection |tcp connect|client error|dns error|timed out|HTTP error",
        "the server {server} does not answer",
        "check the network and AWS_ENDPOINT_URL, then run again; nothing that was published is touched",
    ),
)


def refusal(path: ObjectPath, error: Exception) -> StoreError:
    """The StoreError for what a server or its client said: which object, why, what to do."""
    message = " ".join(str(error).split())
    names = {"bucket": path.bucket, "server": endpoint() or "of AWS"}
    for pattern, cause, remedy in _CAUSES:
        if re.search(pattern, message):
            return StoreError(f"{path}: {cause.format(**names)}; {remedy.format(**names)}")
    return StoreError(f"{path}: the object store refused this ({message[:300]}); mend that, then run again")
