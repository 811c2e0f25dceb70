"""All benchmarks, one after the other: ``python -m benchmarks``. Each can be run by itself, too."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ORDER = (
    "pipeline",
    "alignment",
    "sites",
    "captions",
    "repetition",
    "metadata",
    "encoding",
    "reading",
    "fetch",
    "store",
    "exports",
)

for name in ORDER:
    print(f"\n== {name}", flush=True)
    subprocess.run([sys.executable, str(Path(__file__).with_name(f"{name}.py"))], check=False)
