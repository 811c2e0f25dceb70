"""Prefect's server and UI, in the foreground."""

from __future__ import annotations

import os
import socket
import subprocess
import sys


def start(host: str, port: int) -> None:
    """Start the server and UI; the runs of before are in its history. Ends with Ctrl-C."""
    with socket.socket() as probe:
        if probe.connect_ex((host, port)) == 0:
            print(
                f"cleancopy: port {port} of {host} is in use, perhaps by a server that runs already: open "
                f"http://{host}:{port}, or name another port with --port",
                file=sys.stderr,
            )
            raise SystemExit(1)
    environment = os.environ | {"PREFECT_SERVER_API_HOST": host, "PREFECT_SERVER_API_PORT": str(port)}
    print(f"The UI is at http://{host}:{port} (Ctrl-C stops it)")
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", host, "--port", str(port)]
    raise SystemExit(subprocess.run(command, env=environment, check=False).returncode)
