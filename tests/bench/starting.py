"""What it takes to start a script: as a fork of a warm interpreter, freshly by the executor, and bare; and what
Celery does with a script, in a task that runs it as a subprocess.
"""

from __future__ import annotations

import json
import os
import select
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from tasks.command import inherited
from tasks.environment import BuildStep, Environments
from tasks.runner import ColdRunner, Command, Runner
from tasks.warm import WarmRunner
from tests.acceptance.embedded import ROOT
from tests.executor.test_environments import wheel

SCRIPTS = {
    "nothing": "",
    "common modules": "import json, logging, datetime, urllib.request\n",
    "helper library": "from ferris_ef import context\ncontext.params\n",
}
"""What a script imports before it prints its first line."""
_PATIENCE = 60.0


def measure(folder: Path, count: int) -> dict[str, Any]:
    """First lines by what is imported, and by environment; CPU per script; memory of a fork server."""
    environments = Environments(folder / "environments", 2**40)

    def build(steps: list[BuildStep]) -> None:
        for step in steps:
            subprocess.run(step.command, cwd=folder, check=True, capture_output=True)

    with environments.use(None, None, "", build, lambda _: None) as found:
        plain = found.python
    package = wheel(folder, "wanted", "1.0", {"wanted.py": "import asyncio, email.message, sqlite3\n"})
    lines = f"wanted @ {package.as_uri()}\n"
    (folder / "requirements.txt").write_text(lines)
    with environments.use(lines, None, "", build, lambda _: None) as found:
        own = found.python
    warm = WarmRunner()
    try:
        first = {
            name: _compare(warm, plain, folder / "scripts" / str(number), script, count)
            for number, (name, script) in enumerate(SCRIPTS.items())
        }
        first["requirements.txt"] = _compare(warm, own, folder / "scripts" / "own", "import wanted\n", count)
        return {"first": first, "server_pss_mib": _memory(), "n": count}
    finally:
        warm.close()


def _compare(warm: WarmRunner, python: str, folder: Path, script: str, count: int) -> dict[str, Any]:
    """Milliseconds from the order to the first line, of each way in turn."""
    folder.mkdir(parents=True)
    (folder / "s.py").write_text(script + "print('first', flush=True)\n")
    command = Command(python, "s.py", folder, inherited(), b"{}")
    deadline = time.monotonic() + _PATIENCE
    while not warm.warm(command):
        if time.monotonic() > deadline:
            raise TimeoutError("no fork server came up")
        time.sleep(0.01)
    cold = ColdRunner()
    ways: dict[str, Callable[[], float]] = {
        "warm": lambda: _started(warm, command),
        "fresh": lambda: _started(cold, command),
        "bare": lambda: _bare(command),
    }
    took: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(count + 3):
        for name, way in ways.items():
            seconds = way()
            if turn >= 3:
                took[name].append(seconds * 1000)
    return {name: _percentiles(values) for name, values in took.items()}


def _started(runner: Runner, command: Command) -> float:
    began = time.perf_counter()
    process = runner.start(command)
    process.release()
    select.select([process.stdout], [], [], _PATIENCE)
    took = time.perf_counter() - began
    assert os.read(process.stdout, 100) == b"first\n"
    select.select([process.ended], [], [], _PATIENCE)
    process.close()
    return took


def _bare(command: Command) -> float:
    began = time.perf_counter()
    with subprocess.Popen(
        [command.python, command.script, command.argument.decode()],
        cwd=command.folder,
        env=dict(command.environment) | {"PYTHONPATH": str(ROOT / "sdk")},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"first\n"
        return time.perf_counter() - began


def _memory() -> float:
    """PSS of one fork server without children, in MiB; they share what is mapped from files."""
    servers = [one for one in psutil.Process().children() if "ferris-warm" in one.cmdline()]
    return statistics.median(one.memory_full_info().pss for one in servers) / 2**20


def _percentiles(values: list[float]) -> dict[str, float]:
    cuts = statistics.quantiles(values, n=100, method="inclusive")
    return {"p50": cuts[49], "p99": cuts[98]}


CELERY = """
import json, subprocess, sys, threading, time
from celery import Celery
python, script, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
app = Celery(broker="memory://", set_as_current=False)
app.conf.update(task_ignore_result=True, broker_transport_options={"polling_interval": 0.005},
                worker_prefetch_multiplier=4, worker_enable_remote_control=False)
ended = threading.Semaphore(0)
@app.task(name="run")
def run(argument):
    subprocess.run([python, script, argument], check=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    ended.release()
ready = threading.Event()
options = dict(pool_cls="threads", concurrency=2, loglevel="ERROR", ready_callback=lambda _: ready.set(),
               without_heartbeat=True, without_mingle=True, without_gossip=True)
threading.Thread(target=app.WorkController(app=app, **options).start, daemon=True).start()
assert ready.wait(30)
def burst(n):
    began = time.monotonic()
    for number in range(n):
        app.send_task("run", args=[json.dumps({"n": number})])
    for _ in range(n):
        assert ended.acquire(timeout=60)
    return n / (time.monotonic() - began)
burst(10)
print(json.dumps(burst(count)), flush=True)
import os; os._exit(0)
"""


def celery_per_second(folder: Path, python: Path, count: int) -> float:
    """Trivial scripts per second by a Celery task that runs each as a subprocess; broker in memory, two threads."""
    script = folder / "celery_trivial.py"
    script.write_text("pass\n")
    command = [sys.executable, "-c", CELERY, str(python), str(script), str(count)]
    environ = {name: value for name, value in os.environ.items() if not name.startswith("FERRIS_")}
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=600, check=True)
    return float(json.loads(done.stdout))
