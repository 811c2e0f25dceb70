"""Files to published release, against plain trafilatura on the same pages, in one run.

    python benchmarks/pipeline.py [--pages N]

Pages a CPU-second (user and system, all processes) and the peak memory of the largest process. The whole of
``cleancopy ingest --plain`` counts: archive, reading, metadata, chrome, captions, duplicates, store, text
tree. Trafilatura reads the files, decodes and extracts, without and with metadata, and writes nothing.
"""

from __future__ import annotations

import argparse
import gzip
import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SHARED = Path(__file__).resolve().parents[2] / "shared"
TRAFILATURA = """
import gzip, logging, sys
from pathlib import Path
import trafilatura
logging.disable(logging.CRITICAL)
words = 0
for path in sorted(Path(sys.argv[1]).glob("*.gz")):
    page = gzip.decompress(path.read_bytes())
    text = trafilatura.extract(page, include_comments=False, with_metadata={metadata})
    words += len((text or "").split())
print(words)
"""


def measured(command: list[str]) -> tuple[float, float, float, str]:
    """CPU seconds, wall seconds, peak memory (MB) of the largest process, and what the command printed."""
    # A child of a child that outlives it (a fork server) comes to this process, and its time is counted.
    code = """
import ctypes, os, resource, subprocess, sys
ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)
done = subprocess.run(sys.argv[1:], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True)
try:
    while os.wait():
        pass
except ChildProcessError:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)
print(done.stdout)
"""
    began = time.monotonic()
    done = subprocess.run([sys.executable, "-c", code, *command], stdout=subprocess.PIPE, text=True, check=True)
    first, _, rest = done.stdout.partition("\n")
    cpu, memory = map(float, first.split())
    return cpu, time.monotonic() - began, memory, rest


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pages", type=int, default=0, help="so many pages, evenly chosen; all by default")
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    pages = sorted((SHARED / "corpora" / "wcxb" / "html").glob("*.gz"))
    if not pages:
        sys.exit(f"{SHARED}: the corpora are not there; this benchmark needs their pages")
    step = max(1, len(pages) // options.pages) if options.pages else 1
    with tempfile.TemporaryDirectory() as home:
        raw, clean = Path(home, "raw"), Path(home, "clean")
        raw.mkdir()
        for path in pages[::step]:
            shutil.copy(path, raw)
        count = len(list(raw.iterdir()))
        ingest = [sys.executable, "-m", "cleancopy.cli", "ingest", "--plain", "--json", "--raw", str(raw)]
        ingest += ["--clean", str(clean), "--workers", str(options.workers)]
        rows = {"cleancopy ingest --plain": ingest, "the same again, nothing new": ingest}
        for name, metadata in {"trafilatura": False, "trafilatura with metadata": True}.items():
            script = TRAFILATURA.format(metadata=metadata)
            rows[name] = [sys.executable, "-c", script, str(raw)]
        size = sum(len(gzip.decompress(path.read_bytes())) for path in raw.iterdir())
        print(f"{count} pages, {size / 1e6:.0f} MB of HTML")
        print(f"{'':32}{'CPU s':>8}{'pages/CPU s':>13}{'wall s':>8}{'peak MB':>9}")
        for name, command in rows.items():
            cpu, wall, memory, said = measured(command)
            print(f"{name:32}{cpu:8.1f}{count / cpu:13.1f}{wall:8.1f}{memory:9.0f}", flush=True)
            if command is ingest:
                summary = json.loads(said)
                print(f"    {summary['captures']} captures: {summary['counts']} {summary['rejected']}")


if __name__ == "__main__":
    main()
