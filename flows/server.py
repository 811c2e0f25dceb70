"""Prefect's server as cleancopy starts it: with a password, for its own page only, telling nobody.

Where a server of ours runs, and its password, stand in two files of Prefect's home that only the user can read.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from cleancopy.errors import CleancopyError

#: Seconds from a server's start to its first answer, at most; on a loaded machine it takes half a minute.
SERVER_START_SECONDS = 180
#: The path of the page that logs a browser in (``serving``); the token stands behind its ``#``.
LOGIN = "/cleancopy/login"


@dataclass(frozen=True, slots=True)
class Address:
    """Where a server listens, and the process that keeps it running."""

    host: str = "127.0.0.1"
    port: int = 4200
    keeper: int = 0
    began: int = 0
    server: int = 0
    server_began: int = 0

    @property
    def url(self) -> str:
        """The address of the UI, as this machine asks for it."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)  # noqa: S104 - what is listened on
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"

    @property
    def api(self) -> str:
        """The address of the API."""
        return f"{self.url}/api"


def home() -> Path:
    """Prefect's own folder."""
    return Path(os.environ.get("PREFECT_HOME", "~/.prefect")).expanduser()


def private_home() -> Path:
    """Prefect's own folder, made where it is missing; nobody but the user can look into it from here on.

    Its database holds parameters, logs and tables of runs. Where the folder is another user's, that is said.
    """
    folder = home()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        folder.chmod(0o700)
        for path in folder.glob("prefect.db*"):
            path.chmod(0o600)
    except PermissionError as error:
        print(f"{folder}: stays open to others, as it is not yours ({error.strerror})", file=sys.stderr)
    except FileNotFoundError:  # a file beside the database that the last of its users has taken away
        pass
    return folder


def secret_file() -> Path:
    """The file with ``user:password`` for the server and UI that cleancopy starts."""
    return home() / "cleancopy-secret"


def secret() -> str:
    """The ``user:password`` of the server, made at first use; only the user can read its file."""
    path = private_home() / secret_file().name
    if not path.exists():
        temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as lines:
            lines.write(f"cleancopy:{secrets.token_urlsafe(24)}\n")
        with suppress(FileExistsError):  # another process was faster; its secret holds
            os.link(temporary, path)
        temporary.unlink()
    password = path.read_text(encoding="utf-8").strip()
    if ":" not in password:
        raise CleancopyError(f"{path}: holds no user:password; remove it, and a new one is made")
    return password


def login_file() -> Path:
    """The file with the digest of the token that logs a browser in; it goes when the token is used."""
    return home() / "cleancopy-login"


def new_login() -> str:
    """A token that logs one browser in, one time; the one before is worth nothing from now on."""
    token = secrets.token_urlsafe(24)
    temporary = login_file().with_name(f".{login_file().name}.{os.getpid()}.tmp")
    with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(hashlib.sha256(token.encode()).hexdigest())
    temporary.replace(login_file())
    return token


def use_login(token: str) -> bool:
    """Whether a token is the one that logs in; it is used up by this."""
    try:
        digest = login_file().read_text(encoding="utf-8")
        if not hmac.compare_digest(digest, hashlib.sha256(token.encode()).hexdigest()):
            return False
        login_file().unlink()  # of two that come at once, one finds it gone
    except OSError:
        return False
    return True


def adopted() -> Address | None:
    """The server that ``cleancopy up`` noted, if the very process that it started lives and answers there.

    Whatever else listens at the address is never given the password.
    """
    address = running()
    if address is None or not _lives(address.server, address.server_began):
        return None
    return address if answers(address.api) else None


def running() -> Address | None:
    """The server that ``cleancopy up`` keeps running on this machine, if the process that keeps it lives."""
    address = _noted()
    return address if address and _lives(address.keeper, address.began) else None


def end_orphan() -> Address | None:
    """End a server whose keeper died without ending it, as kill -9 leaves it; where it was."""
    address = _noted()
    if (
        address is None
        or _lives(address.keeper, address.began)
        or not _lives(address.server, address.server_began)
    ):
        return None
    os.kill(address.server, signal.SIGTERM)
    end = time.monotonic() + 20
    while _lives(address.server, address.server_began):
        if time.monotonic() > end:
            os.kill(address.server, signal.SIGKILL)
        time.sleep(0.1)
    return address


def _noted() -> Address | None:
    try:
        return Address(**json.loads(_note().read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def _lives(process: int, at: int) -> bool:
    # Process ids are used again, in containers at once: the same one must have begun at the same time.
    return process not in (0, os.getpid()) and began(process) == at


def announce(address: Address, process: subprocess.Popen[bytes]) -> None:
    """Note where the server is and which process, for the other commands."""
    address = replace(address, server=process.pid, server_began=began(process.pid) or 0)
    temporary = _note().with_suffix(f".{os.getpid()}.tmp")
    temporary.write_text(json.dumps(asdict(address)), encoding="utf-8")
    temporary.chmod(0o600)
    temporary.replace(_note())


def retract() -> None:
    """Take back this process's note, as the server has stopped."""
    try:
        mine = json.loads(_note().read_text(encoding="utf-8"))["keeper"] == os.getpid()
    except (OSError, ValueError, KeyError, TypeError):
        return
    if mine:
        _note().unlink(missing_ok=True)


def began(process: int) -> int | None:
    """When a process of this machine began, in clock ticks since the machine did; None where it is gone."""
    try:
        os.kill(process, 0)
        stat = Path(f"/proc/{process}/stat").read_text(encoding="utf-8", errors="replace")
    except ProcessLookupError:
        return None
    except OSError:  # no /proc here, or another user's process: it lives
        return 0
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] == "Z" else int(fields[19])


def _note() -> Path:
    return home() / "cleancopy-server.json"


def start(address: Address, password: str | None) -> subprocess.Popen[bytes]:
    """Start the server and UI as a process; its output goes to a log in Prefect's home."""
    command = [sys.executable, "-m", "cleancopy_flows.serving", address.host, str(address.port)]
    private_home()
    with open(log_file(), "ab") as log:
        # A group of its own: Ctrl-C reaches the keeper, which ends the server when its runs have ended.
        return subprocess.Popen(
            command,
            env=_environment(address, password),
            stdout=log,
            stderr=log,
            stdin=subprocess.DEVNULL,
            process_group=0,
            umask=0o077,
        )


def log_file() -> Path:
    """What the server says."""
    return home() / "cleancopy-server.log"


def _environment(address: Address, password: str | None) -> dict[str, str]:
    """The environment of the server: pages of other origins, telemetry and strangers stay out."""
    settings = {
        # Where it is copied to for this address; Prefect's own place is its package, which may be read-only.
        "PREFECT_SERVER_UI_STATIC_DIRECTORY": str(home() / "cleancopy-ui"),
        # Looked after less often than every 5 seconds: a server at rest takes a fifth less CPU.
        "PREFECT_SERVER_SERVICES_LATE_RUNS_LOOP_SECONDS": "15",
        "PREFECT_SERVER_SERVICES_PAUSE_EXPIRATIONS_LOOP_SECONDS": "30",
        "PREFECT_SERVER_SERVICES_CLEANUP_RECONCILER_LOOP_SECONDS": "30",
        # What ``cleancopy schedule next`` can show.
        "PREFECT_SERVER_SERVICES_SCHEDULER_MIN_RUNS": "5",
        "PREFECT_SERVER_API_HOST": address.host,
        "PREFECT_SERVER_API_PORT": str(address.port),
        # The page asks for the API by the address below, also where it was opened as localhost.
        "PREFECT_SERVER_CORS_ALLOWED_ORIGINS": f"{address.url},http://localhost:{address.port}",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
        "PREFECT_API_URL": address.api,
    }
    if password:
        settings["PREFECT_SERVER_API_AUTH_STRING"] = password
        settings["PREFECT_API_AUTH_STRING"] = password
    return os.environ | settings


def check_free(address: Address) -> None:
    """Raise CleancopyError where another process listens on the address already."""
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address.host, address.port))
        except OSError as error:
            raise CleancopyError(
                f"cannot listen on port {address.port} of {address.host} ({error.strerror}); if a server runs "
                f"there already, open {address.url}, else name another with --host or --port"
            ) from None


def wait(address: Address, server: subprocess.Popen[bytes]) -> None:
    """Wait until the server answers.

    Raises CleancopyError where it ends, or says nothing for too long.
    """
    end = time.monotonic() + SERVER_START_SECONDS
    while time.monotonic() < end:
        if server.poll() is not None:
            raise CleancopyError(f"the server ended with code {server.returncode}; {log_file()} says why")
        if answers(address.api):
            return
        time.sleep(0.2)
    raise CleancopyError(
        f"the server does not answer after {SERVER_START_SECONDS} seconds; {log_file()} says why"
    )


def answers(api: str) -> bool:
    """Whether a Prefect server answers here, or asks for a password."""
    try:
        with urlopen(f"{api}/health", timeout=2) as answer:  # noqa: S310 - the user's own server
            return bool(answer.status == 200)
    except HTTPError as error:
        return error.code == 401
    except (OSError, ValueError):
        return False


def check_access(api: str, password: str | None) -> None:
    """Raise CleancopyError where the server at this address is not there, or refuses the password."""
    from base64 import b64encode

    headers = {"Authorization": "Basic " + b64encode(password.encode()).decode()} if password else {}
    try:
        with urlopen(Request(f"{api}/admin/version", headers=headers), timeout=10):  # noqa: S310 - as above
            return
    except HTTPError as error:
        if error.code in (401, 403):
            raise CleancopyError(
                f"{api}: the server refuses the password; put its user:password into PREFECT_API_AUTH_STRING"
            ) from None
        raise CleancopyError(f"{api}: is no Prefect server (it answers {error.code})") from None
    except (OSError, ValueError) as error:
        cause = getattr(error, "reason", error)
        raise CleancopyError(
            f"{api}: no server answers there ({cause}); start one with cleancopy up, correct PREFECT_API_URL, "
            "or run with --plain"
        ) from None
