"""The yardstick: `python script.py` as a shell would start it, by the interpreter that runs users' scripts."""

from __future__ import annotations

import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.acceptance.embedded import PYTHON

# The first statement takes the time; what follows tells it.
FIRST_LINE = "import time; now = time.time()\nimport os, sys\n"
ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"}


def first_line(folder: Path) -> float:
    """Seconds from before the start of the process to the first statement of its script."""
    script = folder / "bare.py"
    if not script.exists():
        script.write_text(FIRST_LINE + "print(repr(now))\n")
    began = time.time()
    done = subprocess.run([PYTHON, script], env=ENVIRONMENT, capture_output=True, text=True, check=True)
    return float(done.stdout) - began


def spawns_per_second(folder: Path, count: int, parallel: int) -> float:
    """How many trivial scripts this machine runs per second, so many at a time."""
    script = folder / "trivial.py"
    script.write_text("pass\n")

    def spawn(_: int) -> None:
        subprocess.run([PYTHON, script], env=ENVIRONMENT, stdout=subprocess.DEVNULL, check=True)

    with ThreadPoolExecutor(parallel) as pool:
        began = time.monotonic()
        list(pool.map(spawn, range(count)))
        return count / (time.monotonic() - began)
