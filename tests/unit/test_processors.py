"""A process that keeps to one processor, and what it starts. Each in a process of its own: it stays so."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(
    not hasattr(os, "sched_getaffinity") or len(os.sched_getaffinity(0)) < 2, reason="needs two processors"
)

KEEPS = """
import json, os, subprocess, sys, threading
from ferris.adapters import processors

SAY = "import json, os; print(json.dumps(sorted(os.sched_getaffinity(0))))"

def child():
    return json.loads(subprocess.run([sys.executable, "-c", SAY], capture_output=True, check=True).stdout)

def look():
    with processors.all_allowed():
        found["child"] = child()
    found["thread"] = sorted(os.sched_getaffinity(0))

found = {"before": sorted(os.sched_getaffinity(0))}
with processors.all_allowed():
    found["unkept child"] = child()
found["one"] = processors.keep_to_one()
thread = threading.Thread(target=look)
thread.start()
thread.join()
found["main"] = sorted(os.sched_getaffinity(0))
found["plain child"] = child()
print(json.dumps(found))
"""


def test_threads_keep_to_one_and_other_programs_do_not() -> None:
    done = subprocess.run([sys.executable, "-c", KEEPS], capture_output=True, check=True, text=True)
    found = json.loads(done.stdout)
    everything, one = found["before"], [found["one"]]
    assert len(everything) > 1
    assert found["one"] in everything
    assert found["thread"] == found["main"] == one
    assert found["child"] == found["unkept child"] == everything
    assert found["plain child"] == one  # what `all_allowed` is for


def test_where_there_is_one_it_is_left_as_it_is() -> None:
    code = (
        "import os; from ferris.adapters import processors\n"
        "os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"
        "assert processors.keep_to_one() is None"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
