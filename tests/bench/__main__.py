"""`python -m tests.bench`: the platform's figures on this machine, ratios first, beside bare Python in the same run.

Prints a table in Markdown and writes the same figures to build/bench.json. Nothing is asserted: figures are for
people to compare. The platform is measured from outside, as processes; only the matching of events is measured
inside this process, and the starts of scripts, which it orders itself.
"""

from __future__ import annotations

import argparse
import json
import platform as machine
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.acceptance.embedded import PYTHON, ROOT, Platform
from tests.bench import bare, executions, idle, isolation, routing, starting, table

QUICK = {
    "latency": 20,
    "starts": 10,
    "burst": 60,
    "idle": 5.0,
    "routed": 1_000,
    "journal": 2_000,
    "services": 200,
    "isolation": 5,
    "tables": (10, 1_000, 10_000),
    "storm": 5_000,
    "why": (10_000, 200),
}
FULL = {
    "latency": 100,
    "starts": 100,
    "burst": 1_500,
    "idle": 60.0,
    "routed": 20_000,
    "journal": 20_000,
    "services": 10_000,
    "isolation": 40,
    "tables": routing.SIZES,
    "storm": 100_000,
    "why": (1_000_000, 10_000),
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="small numbers: does it work at all?")
    sizes = QUICK if parser.parse_args().quick else FULL
    with tempfile.TemporaryDirectory(prefix="ferris-bench-") as folder:
        figures = measure(Path(folder), sizes)
    text = table.render(figures)
    print(text)
    out = ROOT / "build"
    out.mkdir(exist_ok=True)
    (out / "bench.json").write_text(json.dumps(figures, indent=2) + "\n")
    (out / "bench.md").write_text(text + "\n")


def measure(folder: Path, sizes: dict[str, Any]) -> dict[str, Any]:
    """All figures, in the order in which they disturb each other least."""
    figures: dict[str, Any] = {"machine": describe()}
    platform = Platform(folder / "home")
    try:
        say("time to ready")
        figures["ready"] = {"first": platform.start()}
        platform.stop()
        figures["ready"]["again"] = platform.start()
        say(f"idle for {sizes['idle']:g} s")
        figures["idle"] = idle.measure(platform, sizes["idle"])
        say("latency, bare Python in turn with the platform")
        figures["latency"] = executions.latency(platform, folder, sizes["latency"])
        say("bare spawns")
        figures["spawns"] = {n: bare.spawns_per_second(folder, sizes["burst"], n) for n in (1, 2)}
        say("a Celery task that runs a script as a subprocess")
        figures["celery"] = starting.celery_per_second(folder, PYTHON, sizes["burst"])
        say("executions")
        figures["executions"] = executions.throughput(platform, folder, sizes["burst"])
        say("events")
        executions.many_services(platform, folder, 10)
        figures["journal"] = executions.journal(platform, folder, sizes["journal"])
        say("a replay of them")
        figures["replay"] = executions.replay(platform)
        say(f"events with {sizes['services']:,} services")
        figures["services"] = sizes["services"]
        figures["sync_seconds"] = executions.many_services(platform, folder, sizes["services"])
        figures["journal_many"] = executions.journal(platform, folder, sizes["journal"])
    finally:
        if platform.running():
            platform.stop()
    say(f"a storm of {sizes['storm']:,} events")
    figures["storm"] = asked("storm", sizes["storm"])
    say("why, with {:,} events and {:,} services".format(*sizes["why"]))
    figures["why"] = asked("journal", *sizes["why"])
    say("layers of isolation")
    figures["isolation"] = isolation.measure(folder / "isolation", sizes["isolation"])
    say("starts of scripts")
    figures["starts"] = starting.measure(folder, sizes["starts"])
    say("matching")
    figures["tables"] = routing.measure(sizes["tables"], sizes["routed"])
    figures["matching"] = {n: figures["tables"][n]["events_per_second"] for n in sizes["tables"]}
    return figures


def asked(module: str, *sizes: int) -> dict[str, Any]:
    """The figures of one that is a program of its own. The storm's counts are exact, or it fails."""
    command = [PYTHON, "-m", f"tests.bench.{module}", *map(str, sizes)]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True, timeout=1800)
    figures: dict[str, Any] = json.loads(done.stdout)
    return figures


def describe() -> dict[str, Any]:
    import psutil

    return {
        "cores": psutil.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30),
        "system": machine.platform(terse=True),
        "python": machine.python_version(),
        "load_before": round(psutil.getloadavg()[0], 2),
    }


def say(what: str) -> None:
    print(f"... {what}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
