"""What the layers of isolation cost: a cell made, a script started and its first line read, level by level in turn."""

from __future__ import annotations

import os
import select
import shutil
import statistics
import time
import uuid
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from ferris.config import Settings
from ferris.execution import ExecutionOrder
from ferris.isolation import BASIC, BEST, NONE, OFF
from tasks.cleaner import remove
from tasks.command import inherited
from tasks.environment import BuildStep, Environment, Environments
from tasks.isolation import Isolation
from tasks.runner import ColdRunner, Command, Runner
from tasks.spares import Spares
from tasks.warm import WarmRunner
from tests.bench.bare import FIRST_LINE

WITHOUT_MEMORY = "best, without the memory cgroup"
WITHOUT_PIDS = "best, without the PID namespace"
WITHOUT_FILTER = "basic, without the filter of system calls"
WITHOUT_NETWORK = 'best, with "network": "none"'
LEVELS: Mapping[str, dict[str, str]] = {
    OFF: {"level": OFF},
    WITHOUT_FILTER: {"level": BASIC},
    BASIC: {"level": BASIC},
    WITHOUT_MEMORY: {"level": BEST},
    WITHOUT_PIDS: {"level": BEST},
    BEST: {"level": BEST},
    WITHOUT_NETWORK: {"level": BEST, "network": NONE},
}


def measure(folder: Path, count: int) -> dict[str, dict[str, dict[str, float]]]:
    """Milliseconds to the first line (p50, p90) and of CPU of the script's process, by way to start and level."""
    with Environments(folder / "environments", 2**30).use(None, None, "", _build, time.sleep) as environment:
        return _measure(folder, count, environment)


def _measure(folder: Path, count: int, environment: Environment) -> dict[str, dict[str, dict[str, float]]]:
    runners: dict[str, Runner] = {"fork": WarmRunner(), "fresh": ColdRunner()}
    levels = {name: _isolation(folder / "home", name) for name in LEVELS}
    found: dict[str, dict[str, list[tuple[float, float]]]] = {
        way: {name: [] for name in LEVELS} for way in runners
    }
    try:
        warm = runners["fork"]
        assert isinstance(warm, WarmRunner)
        while not warm.warm(Command(environment.python, "x.py", folder, inherited(), b"{}")):
            time.sleep(0.05)
        for _ in range(count):
            for way, runner in runners.items():
                for name, isolation in levels.items():
                    found[way][name].append(_once(runner, isolation, name, environment, folder))
    finally:
        for runner in runners.values():
            runner.close()
        for isolation in levels.values():
            isolation.close()
    return {way: {name: _figures(rows) for name, rows in by.items()} for way, by in found.items()}


def _isolation(home: Path, name: str) -> Isolation:
    said = {"FERRIS_HOME": str(home), "FERRIS_ISOLATION": LEVELS[name]["level"]}
    isolation = Isolation(Settings.from_env(said))
    if name == WITHOUT_MEMORY:
        isolation._found = {**isolation.found, "cgroup_memory": {"ok": False, "said": "left out"}}
    if name == WITHOUT_FILTER:
        isolation._found = {**isolation.found, "system_calls": {"ok": False, "said": "left out"}}
    if name == WITHOUT_PIDS:
        isolation._found = {**isolation.found, "pid_namespace": {"ok": False, "said": "left out"}}
    return isolation


def _once(
    runner: Runner, isolation: Isolation, name: str, environment: Environment, folder: Path
) -> tuple[float, float]:
    network = LEVELS[name].get("network", "egress")
    order = _order(network)
    work = folder / "home" / "work" / uuid.uuid4().hex
    artifacts = work.with_name(f"{work.name}.artifacts")
    for one in (work, artifacts):
        one.mkdir(parents=True)
    (work / "s.py").write_text(FIRST_LINE + "print(repr(now))\n")
    channel = str(work) + ".socket"
    Path(channel).touch()
    began = time.time()
    cell = isolation.cell(order, channel, work, artifacts, Spares(folder))  # a new one each time
    cell.own(*cell.folders, Path(channel))
    command = Command(environment.python, "s.py", work, inherited() | isolation.environ(order, cell), b"{}")
    plan = isolation.plan(order, cell, environment, 20_000)
    process = runner.start(replace(command, plan=plan, inside=cell.inside))
    process.release()
    said = b""
    while b"\n" not in said:
        ready, _, _ = select.select([process.stdout, process.stderr], [], [], 60)
        assert process.stdout in ready, os.read(process.stderr, 4096)

        said += os.read(process.stdout, 4096)
    select.select([process.ended], [], [])
    process.reap()
    usage = process.usage
    process.close()
    cell.end_processes()
    for one in (*cell.folders, Path(channel)):
        remove(one) if one.is_dir() else one.unlink()
    isolation.give_back(cell)
    return float(said) - began, usage.cpu_seconds if usage else 0.0


def _order(network: str) -> ExecutionOrder:
    texts = dict.fromkeys(
        (
            *("token", "service", "service_id", "project", "digest", "event_id", "event_type"),
            *("flow_id", "correlation_id", "trigger_type"),
        ),
        "x",
    )
    return ExecutionOrder(
        execution_id=str(uuid.uuid4()),
        attempt=1,
        lease_seconds=30.0,
        scripts=("s.py",),
        network=network,
        **texts,
    )


def _figures(rows: list[tuple[float, float]]) -> dict[str, float]:
    times = sorted(1000 * seconds for seconds, _ in rows)
    return {
        "p50": statistics.median(times),
        "p90": times[int(len(times) * 0.9)],
        "cpu": statistics.median(1000 * cpu for _, cpu in rows),
    }


def _build(steps: list[BuildStep]) -> None:
    import subprocess

    for step in steps:
        subprocess.run(step.command, check=True, capture_output=True)


def main() -> None:
    import tempfile

    folder = Path(tempfile.mkdtemp(prefix="ferris-bench-"))
    try:
        found = measure(folder, 40)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    for line in lines(found):
        print(line)


def lines(found: dict[str, dict[str, dict[str, float]]]) -> list[str]:
    """The figures as a Markdown table."""
    rows = [
        "| isolation | way | first line p50 / p90, ms | beside off | CPU per script, ms |",
        "|---|---|---|---|---|",
    ]
    for way, by in found.items():
        rows += [
            f"| {name} | {way} | {one['p50']:.1f} / {one['p90']:.1f} | {one['p50'] / by[OFF]['p50']:.2f} "
            f"| {one['cpu']:.1f} |"
            for name, one in by.items()
        ]
    return rows


if __name__ == "__main__":
    main()
