"""The Celery side: a worker in a thread, doorbells in lanes, shutdown."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import psutil
import pytest
from celery import Celery
from celery.contrib.testing.worker import start_worker

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
        records = consumer.poll(timeout=60)
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


def test_a_worker_that_was_stopped_stops_none_that_comes_later(
    running: tuple[Platform, worker.Handle],
) -> None:
    _, handle = running
    handle.stop(10.0)
    other = Celery("other", broker="memory://", set_as_current=False, fixups=[])
    answered = threading.Event()

    def ring_back() -> None:
        answered.set()

    other.task(ring_back, name="ring_back", shared=False)
    with start_worker(other, pool="threads", concurrency=1, perform_ping_check=False, shutdown_timeout=10):
        other.send_task("ring_back")
        assert answered.wait(60)


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


POOLS = pytest.mark.parametrize("pool", ["threads", "prefork"])
CELERY = "from celery.__main__ import main; main()"


@dataclass
class Worker:
    """`celery -A celery_app worker` as a process, on a broker of files, beside a platform."""

    ferris: Platform
    folder: Path
    process: subprocess.Popen[bytes]

    def ring(self, code: str) -> str:
        """Send the doorbell of an execution as another process would."""
        execution_id = self.ferris.offer(self.ferris.order({"main.py": code}))
        with self.app() as app:
            app.send_task(celery_app.EXECUTE, args=[execution_id], queue="slow")
        return execution_id

    def run(self, code: str) -> str:
        """What an execution says."""
        execution_id = self.ring(code)
        result = self.ferris.ended(execution_id, 60)
        assert result.types[-1] == "execution.completed", result.types
        return result.text("stdout").strip()

    @contextmanager
    def app(self) -> Iterator[Celery]:
        app = celery_app.make(replace(self.ferris.settings, broker_url="filesystem://localhost"))
        app.conf.broker_transport_options = {
            "data_folder_in": str(self.folder / "data_in"),
            "data_folder_out": str(self.folder / "data_in"),
            "control_folder": str(self.folder / "control"),
        }
        yield app
        app.close()

    def says(self, words: str) -> None:
        """Returns when it has said so in its log."""
        assert self.process.stdout is not None
        said: list[bytes] = []
        while not said or words.encode() not in said[-1]:
            said.append(self.process.stdout.readline())
            assert said[-1], b"".join(said).decode()

    def ended(self) -> str:
        """Its output, when it has ended by itself."""
        output, _ = self.process.communicate(timeout=60)
        return output.decode()


@contextmanager
def celery_worker(
    folder: Path, pool: str, *flags: str, start: str = CELERY, **settings: str
) -> Iterator[Worker]:
    ferris = platform(folder / "home")
    for name in ("data_in", "control"):
        (folder / name).mkdir()
    (folder / "data_out").symlink_to("data_in")
    environ = {
        **os.environ,
        "FERRIS_HOME": str(folder / "home"),
        "FERRIS_BROKER": "filesystem://localhost",
        "FERRIS_CONTROL_URL": ferris.settings.control_url,
        "FERRIS_EXECUTOR_TOKEN": ferris.settings.executor_token,
        "PYTHONPATH": str(Path(__file__).parents[2]),
        **settings,
    }
    command = [sys.executable, "-c", start, "-A", "celery_app", "worker", "-P", pool, "-c", "2", *flags]
    process = subprocess.Popen(
        command, cwd=folder, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    try:
        yield Worker(ferris, folder, process)
    finally:
        process.kill()
        process.wait()
        ferris.executor.close()
        ferris.control.close()


@POOLS
def test_celerys_own_command_finishes_what_runs_on_sigterm(pool: str, tmp_path: Path) -> None:
    with celery_worker(tmp_path, pool) as worker:
        execution_id = worker.ring("import time\nprint('up', flush=True)\ntime.sleep(1.5)\nprint('down')")
        worker.ferris.wait_line(execution_id, "up", 60)
        worker.process.terminate()
        output = worker.ended()
        result = worker.ferris.result(execution_id)
        assert result.types[-1] == "execution.completed", output
        assert result.text("stdout") == "up\ndown\n"
        left = [path for path in (tmp_path / "home" / "work").iterdir() if path.is_dir()]
        assert left == [worker.ferris.executor.workplace.attempts.parent]


@POOLS
def test_what_does_not_finish_in_time_is_ended_and_left_to_the_rescuer(pool: str, tmp_path: Path) -> None:
    with celery_worker(tmp_path, pool, FERRIS_STOP_GRACE="0.5") as worker:
        execution_id = worker.ring("import time\nprint('up', flush=True)\ntime.sleep(600)")
        worker.ferris.wait_line(execution_id, "up", 60)
        worker.process.terminate()
        worker.ended()
        assert worker.ferris.result(execution_id).types == ["execution.started", "step.started"]


@POOLS
def test_scripts_are_forks_of_warm_interpreters(pool: str, tmp_path: Path) -> None:
    code = "import os; print(open(f'/proc/{os.getppid()}/cmdline').read())"
    with celery_worker(tmp_path, pool) as worker:
        deadline = time.monotonic() + 60
        while "ferris-warm" not in worker.run(code):  # the first ones do not wait for it
            assert time.monotonic() < deadline
        worker.process.terminate()
        worker.ended()
        assert _warm_servers_of(tmp_path) == []


@POOLS
def test_max_tasks_per_child_is_harmless(pool: str, tmp_path: Path) -> None:
    with celery_worker(tmp_path, pool, "--max-tasks-per-child", "1") as worker:
        assert [worker.run(f"print({n})") for n in range(4)] == ["0", "1", "2", "3"]
        worker.process.terminate()
        worker.ended()
        assert _warm_servers_of(tmp_path) == []


@POOLS
def test_remote_shutdown_lets_what_runs_finish(pool: str, tmp_path: Path) -> None:
    with celery_worker(tmp_path, pool) as worker:
        execution_id = worker.ring("import time\nprint('up', flush=True)\ntime.sleep(1)\nprint('down')")
        worker.ferris.wait_line(execution_id, "up", 60)
        with worker.app() as app:
            app.control.shutdown()
        output = worker.ended()
        assert worker.ferris.result(execution_id).types[-1] == "execution.completed", output
        assert worker.process.returncode == 0, output


@POOLS
def test_a_worker_that_hears_its_canaries_stays(pool: str, tmp_path: Path) -> None:
    impatient = "import tasks.watchdog as w; w._PERIOD, w._PATIENCE = 0.2, 4.0; "
    with celery_worker(tmp_path, pool, start=impatient + CELERY) as worker:
        assert worker.run("print('before')") == "before"
        with pytest.raises(subprocess.TimeoutExpired):  # cut off after four seconds, it would end after eight
            worker.process.wait(11)
        assert worker.run("print('after')") == "after"


@POOLS
def test_drained_it_finishes_what_runs_and_takes_nothing_until_it_is_to_take_again(
    pool: str, tmp_path: Path
) -> None:
    never = "import tasks.lease as l; l._IDLE = 3600.0; "  # who drains asks often all the same
    never += "import celery.worker.consumer.consumer as c; c.info = c.warn; "  # else it would not be said
    gate = tmp_path / "gate"
    code = (
        f"import os, time\nprint('up', flush=True)\nwhile not os.path.exists({str(gate)!r}): time.sleep(0.05)"
    )
    with celery_worker(tmp_path, pool, start=never + CELERY) as worker:
        control = worker.ferris.control
        running = worker.ring(code)
        worker.ferris.wait_line(running, "up", 60)
        control.drains = True
        refused = worker.ring("print('refused')")
        worker.says("Canceling queue scheduled")  # the last one
        waiting = worker.ring("print('waited')")
        gate.touch()
        assert worker.ferris.ended(running, 60).types[-1] == "execution.completed"
        assert waiting not in control.claims
        control.drains = False
        assert worker.ferris.ended(waiting, 60).text("stdout") == "waited\n"
        assert worker.ferris.result(refused).types == []


@POOLS
def test_all_slots_are_one_worker_to_the_platform(pool: str, tmp_path: Path) -> None:
    with celery_worker(tmp_path, pool) as worker:
        control = worker.ferris.control
        name = f"{socket.gethostname()}:{worker.process.pid}"
        assert worker.run("print('here')") == "here"
        worker.process.terminate()
        worker.ended()
    told = [beat for beat in control.beats if "about" in beat]
    assert {beat["worker"] for beat in told} == control.claimants == {name}
    assert {beat["about"]["slots"] for beat in told} == {2}
    assert any(beat["about"]["stops"] for beat in told)
    assert told[-1]["about"]["leaves"]


def _warm_servers_of(folder: Path) -> list[int]:
    found = []
    for process in psutil.process_iter():
        try:
            if "ferris-warm" in process.cmdline() and str(folder) in process.cmdline()[0]:
                found.append(process.pid)
        except (psutil.Error, IndexError):
            continue
    return found
