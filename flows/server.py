"""Prefect's server and UI, in the foreground."""

from __future__ import annotations

import os
import socket
import subprocess
import sys


def start(host: str, port: int) -> None:
    """Start the server and UI; the runs of before are in its history. Ends with Ctrl-C."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            print(
                f"cleancopy: cannot listen on port {port} of {host} ({error.strerror}); if a server runs there "
                f"already, open http://{host}:{port}, else name another with --host or --port",
                file=sys.stderr,
            )
            raise SystemExit(1) from None
    environment = os.environ | {"PREFECT_SERVER_API_HOST": host, "PREFECT_SERVER_API_PORT": str(port)}
    print(f"The UI is at http://{host}:{port} (Ctrl-C stops it)")
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", host, "--port", str(port)]
    raise SystemExit(subprocess.run(command, env=environment, check=False).returncode)
