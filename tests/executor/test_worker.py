"""The Celery side: a worker in a thread, doorbells in lanes, shutdown."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

import celery_app
from ferris.config import LIFECYCLE
from tasks import executor as executors
from tasks import worker
from tests.executor.control_server import Platform, platform


@pytest.fixture
def running(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Platform, worker.Handle]]:
    """A platform whose executor is the one of a Celery worker in this process."""
    made = platform(tmp_path / "home")
    monkeypatch.setitem(executors._made, os.getpid(), made.executor)
    handle = worker.start_in_thread(made.settings, concurrency=2)
    yield made, handle
    handle.stop(2.0)
    made.control.close()


def ring(execution_id: str, lane: str = "default") -> None:
    celery_app.app.send_task(celery_app.EXECUTE, args=[execution_id], queue=lane)


def wait_for(ferris: Platform, kind: str, count: int) -> None:
    log = ferris.executor.reporter._log
    consumer = log.subscribe("test", [LIFECYCLE])
    seen = 0
    while seen < count:
        records = consumer.poll(timeout=20)
        assert records, f"only {seen} of {count} {kind}"
        seen += sum(f'"{kind}"'.encode() in record.value for record in records)
    consumer.close()


def test_doorbells_of_every_lane_are_answered(running: tuple[Platform, worker.Handle]) -> None:
    ferris, _ = running
    lanes = ["priority", "default", "slow", "scheduled"]
    orders = [ferris.offer(ferris.order({"main.py": f"print({lane!r})"})) for lane in lanes]
    for execution_id, lane in zip(orders, lanes, strict=True):
        ring(execution_id, lane)
    wait_for(ferris, "ferris.execution.completed", 4)
    for execution_id, lane in zip(orders, lanes, strict=True):
        assert ferris.result(execution_id).text("stdout") == f"{lane}\n"


def test_a_doorbell_that_comes_twice_runs_once(running: tuple[Platform, worker.Handle]) -> None:
    ferris, _ = running
    execution_id = ferris.offer(ferris.order({"main.py": "print('once')"}))
    for _ in range(3):
        ring(execution_id)
    wait_for(ferris, "ferris.execution.completed", 1)
    assert ferris.result(execution_id).text("stdout") == "once\n"
    assert ferris.result(execution_id).types.count("execution.started") == 1


def test_stop_lets_what_runs_finish(running: tuple[Platform, worker.Handle]) -> None:
    ferris, handle = running
    execution_id = ferris.offer(
        ferris.order({"main.py": "import time\nprint('up', flush=True)\ntime.sleep(0.7)\nprint('down')"})
    )
    ring(execution_id)
    ferris.wait_line(execution_id, "up")
    handle.stop(10.0)
    assert ferris.result(execution_id).types[-1] == "execution.completed"
    assert not handle.alive


def test_stop_ends_what_does_not_finish_and_leaves_the_verdict_to_the_rescuer(
    running: tuple[Platform, worker.Handle],
) -> None:
    ferris, handle = running
    execution_id = ferris.offer(
        ferris.order({"main.py": "import time\nprint('up', flush=True)\ntime.sleep(60)"})
    )
    ring(execution_id)
    ferris.wait_line(execution_id, "up")
    handle.stop(0.2)
    assert not handle.alive
    assert ferris.result(execution_id).types == ["execution.started", "step.started"]


def test_importing_the_app_does_not_import_the_executor() -> None:
    code = "import sys, celery_app; celery_app.app.finalize(); print([m for m in sys.modules if m.startswith('tasks')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("pool", ["threads", "prefork"])
def test_celerys_own_command_finishes_what_runs_on_sigterm(pool: str, tmp_path: Path) -> None:
    ferris = platform(tmp_path / "home")
    for name in ("data_in", "control"):
        (tmp_path / name).mkdir()
    (tmp_path / "data_out").symlink_to("data_in")
    environ = {
        **os.environ,
        "FERRIS_HOME": str(tmp_path / "home"),
        "FERRIS_BROKER": "filesystem://localhost",
        "FERRIS_CONTROL_URL": ferris.settings.control_url,
        "FERRIS_EXECUTOR_TOKEN": ferris.settings.executor_token,
        "PYTHONPATH": str(Path(__file__).parents[2]),
    }
    command = [sys.executable, "-m", "celery", "-A", "celery_app", "worker", "-P", pool, "-c", "2"]
    process = subprocess.Popen(
        command, cwd=tmp_path, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    try:
        code = "import time\nprint('up', flush=True)\ntime.sleep(1.5)\nprint('down')"
        execution_id = ferris.offer(ferris.order({"main.py": code}))
        _ring_through_files(ferris, tmp_path, execution_id)
        ferris.wait_line(execution_id, "up", 60)
        process.terminate()
        output, _ = process.communicate(timeout=30)
    finally:
        process.kill()
        process.wait()
    result = ferris.result(execution_id)
    assert result.types[-1] == "execution.completed", output.decode()
    assert result.text("stdout") == "up\ndown\n"
    left = [path for path in (tmp_path / "home" / "work").iterdir() if path.is_dir()]
    assert left == [ferris.executor.workplace.attempts.parent]
    ferris.executor.close()
    ferris.control.close()


def _ring_through_files(ferris: Platform, folder: Path, execution_id: str) -> None:
    """Send the doorbell as another process would, over the folder that the worker reads."""
    app = celery_app.make(replace(ferris.settings, broker_url="filesystem://localhost"))
    app.conf.broker_transport_options = {
        "data_folder_in": str(folder / "data_in"),
        "data_folder_out": str(folder / "data_in"),
        "control_folder": str(folder / "control"),
    }
    app.send_task(celery_app.EXECUTE, args=[execution_id], queue="slow")
    app.close()
