"""What the platform costs while nothing happens."""

from __future__ import annotations

import time
from typing import Any

import psutil

from tests.acceptance.embedded import Platform

SETTLE = 3.0


def measure(platform: Platform, seconds: float) -> dict[str, Any]:
    """Memory of all its processes in MiB, and the share of one core they use, in per cent."""
    time.sleep(SETTLE)
    processes = platform.processes()
    before = sum(map(_cpu, processes))
    began = time.monotonic()
    time.sleep(seconds)
    used = sum(map(_cpu, processes)) - before
    share = 100 * used / (time.monotonic() - began)
    memory = [process.memory_full_info() for process in processes]
    return {
        "processes": len(processes),
        "pss_mib": sum(one.pss for one in memory) / 2**20,
        "rss_mib": sum(one.rss for one in memory) / 2**20,
        "cpu_percent": share,
        "seconds": seconds,
    }


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)
