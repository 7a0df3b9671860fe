"""How executions end: failures, signals, timeouts, cancels, lost leases; and that nothing is left behind."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ferris.retry import Retry, Rule
from tasks.workplace import Workplace
from tests.executor.control_server import Platform, Result, lives, platform

IGNORES = "import signal\nfor s in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP): signal.signal(s, signal.SIG_IGN)\n"
# A child in its own session, whose own child ignores SIGTERM, too; each writes its pid.
BREEDS = (
    IGNORES + "import os, time\nprint(os.getpid(), flush=True)\n"
    "if os.fork() == 0:\n    os.setsid()\n    print(os.getpid(), flush=True)\n"
    "    if os.fork() == 0:\n        print(os.getpid(), flush=True)\n"
    "    time.sleep(600)\n"
    "time.sleep(0.2)\nprint('ready', flush=True)\ntime.sleep(600)\n"
)


def finish(ferris: Platform, thread: Any, order: Any) -> Result:
    """What became of a script that by itself would go on for ten minutes."""
    thread.join(60)
    assert not thread.is_alive(), "still running"
    return ferris.result(order.execution_id)


def nothing_left(result: Result) -> None:
    """No process of this execution lives, and its folders are gone."""
    for line in result.lines:
        if line["stream"] == "stdout" and line["message"].isdecimal():
            assert not lives(int(line["message"])), line


@pytest.mark.parametrize(
    ("code", "exit_code", "signal", "error"),
    [
        ("import sys; sys.exit(3)", 3, None, "main.py ended with exit status 3"),
        (
            "def f():\n    raise ValueError('no good')\nf()",
            1,
            None,
            "main.py ended with exit status 1: ValueError: no good",
        ),
        ("import os; os.kill(os.getpid(), 11)", None, "SIGSEGV", "main.py was ended by SIGSEGV"),
        ("import os; os.abort()", None, "SIGABRT", "main.py was ended by SIGABRT"),
        ("import os; os._exit(9)", 9, None, "main.py ended with exit status 9"),
        ("if x\n", 1, None, "main.py ended with exit status 1: SyntaxError: expected ':'"),
    ],
)
def test_a_script_that_fails(
    ferris: Platform, code: str, exit_code: int | None, signal: str | None, error: str
) -> None:
    result = ferris.run({"main.py": code})
    assert result.types == ["execution.started", "step.started", "step.failed", "execution.failed"]
    step, last = result.reports[-2:]
    assert (step.data["exit_code"], step.data["signal"], step.data["error"]) == (exit_code, signal, error)
    assert (last.data["reason"], last.data["error"]) == ("script_failed", error)
    assert result.lines[-1]["message"] == error
    assert result.lines[-1]["stream"] == "platform"


def test_a_failing_step_ends_the_execution(ferris: Platform) -> None:
    files = {
        "a.py": "open('x', 'w').write('1')",
        "b.py": "print(open('x').read())\n1 / 0",
        "c.py": "print('never')",
    }
    result = ferris.run(files)
    steps = [
        (e.type, e.data["step"], e.data["script"])
        for e in result.reports
        if e.type.startswith("ferris.step.")
    ]
    assert steps == [
        ("ferris.step.started", 0, "a.py"),
        ("ferris.step.completed", 0, "a.py"),
        ("ferris.step.started", 1, "b.py"),
        ("ferris.step.failed", 1, "b.py"),
    ]
    assert result.text("stdout") == "1\n"
    assert [line["step"] for line in result.lines][:1] == ["b.py"]


def test_a_script_that_is_not_there(ferris: Platform) -> None:
    result = ferris.run({"main.py": ""}, scripts=("other.py",))
    assert result.last.data["reason"] == "script_failed"
    assert "other.py" in result.text("stderr")


def test_no_scripts(ferris: Platform) -> None:
    result = ferris.run({"data.txt": ""}, retry=Retry(attempts=3))
    assert result.types == ["execution.started", "execution.failed"]
    assert result.last.data["reason"] == "no_scripts"


def test_no_package(ferris: Platform) -> None:
    result = ferris.run({}, digest="f" * 64, scripts=("main.py",))
    assert result.last.data["reason"] == "package"
    assert "not in the object store" in result.last.data["error"]


def test_a_timeout_counts_for_all_steps_together(ferris: Platform) -> None:
    files: dict[str, str | bytes] = {
        "a.py": "import time; time.sleep(3)",
        "b.py": "import time; time.sleep(600)",
    }
    result = ferris.run(files, timeout=6.0)
    assert result.types[-4:] == ["step.completed", "step.started", "step.failed", "execution.failed"]
    assert result.last.data["reason"] == "timeout"
    assert "b.py was still running when the timeout of 6 s ended" in result.last.data["error"]
    assert result.reports[-2].data["signal"] == "SIGTERM"
    first, second = (
        one.data["duration_ms"] for one in result.reports if "duration_ms" in one.data and "step" in one.data
    )
    assert first + second < 9000, "what b.py would have taken alone"


def test_a_timeout_ends_what_ignores_it_and_what_it_started(ferris: Platform) -> None:
    result = ferris.run({"main.py": BREEDS}, timeout=5.0)
    assert result.last.data["reason"] == "timeout"
    assert len([line for line in result.lines if line["message"].isdecimal()]) == 3
    nothing_left(result)


def test_a_cancel_within_two_seconds_even_if_it_is_ignored(ferris: Platform) -> None:
    order = ferris.order({"main.py": BREEDS}, retry=Retry(attempts=5))
    thread = ferris.start(order)
    ferris.wait_line(order.execution_id, "ready")
    ferris.control.stop[order.execution_id] = "cancelled"
    result = finish(ferris, thread, order)
    assert result.types == ["execution.started", "step.started", "step.failed", "execution.cancelled"]
    assert result.reports[-2].data["signal"] == "SIGKILL"
    assert len([line for line in result.lines if line["message"].isdecimal()]) == 3
    nothing_left(result)


def test_a_script_may_clean_up_when_it_is_cancelled(ferris: Platform) -> None:
    code = (
        "import signal, sys, time\nfrom ferris_ef import context\n"
        "def stop(*_):\n    context.events.send('cleaned.up')\n    print('cleaning')\n    sys.exit(0)\n"
        "signal.signal(signal.SIGTERM, stop)\nprint('ready', flush=True)\ntime.sleep(600)"
    )
    order = ferris.order({"main.py": code})
    thread = ferris.start(order)
    ferris.wait_line(order.execution_id, "ready")
    ferris.control.stop[order.execution_id] = "cancelled"
    result = finish(ferris, thread, order)
    assert result.types[-1] == "execution.cancelled"
    assert [event.type for event in result.events] == ["cleaned.up"]
    assert "cleaning" in result.text("stdout")


def test_what_was_fenced_reports_nothing_more(ferris: Platform) -> None:
    order = ferris.order({"main.py": "import time\nprint('ready', flush=True)\ntime.sleep(600)"})
    thread = ferris.start(order)
    ferris.wait_line(order.execution_id, "ready")
    ferris.control.stop[order.execution_id] = "fenced"
    result = finish(ferris, thread, order)
    assert result.types == ["execution.started", "step.started"]
    assert "fenced" in result.lines[-1]["message"]


def test_without_heartbeats_the_script_is_ended_before_the_lease_could_be_given_to_another(
    ferris: Platform,
) -> None:
    order = ferris.order({"main.py": BREEDS}, lease_seconds=5.0)
    ferris.control.answers_beats = False
    try:
        began = time.monotonic()
        thread = ferris.start(order)
        result = finish(ferris, thread, order)
        assert time.monotonic() - began > 4.9
    finally:
        ferris.control.answers_beats = True
    assert result.types == ["execution.started", "step.started"]
    nothing_left(result)


def test_heartbeats_keep_a_short_lease(ferris: Platform) -> None:
    beats = len(ferris.control.beats)
    result = ferris.run({"main.py": "import time; time.sleep(7)"}, lease_seconds=3.0)
    assert result.types[-1] == "execution.completed"
    assert len(ferris.control.beats) > beats + 5
    assert ferris.control.beats[-1]["executions"][0]["attempt"] == 1


def test_user_code_does_not_start_once_the_lease_is_lost(ferris: Platform) -> None:
    order = ferris.order({"main.py": "print('ran')"}, lease_seconds=0.0)
    thread = ferris.start(order)
    result = finish(ferris, thread, order)
    assert result.text("stdout") == ""
    assert "execution.completed" not in result.types


def test_retries_are_reported_with_their_time(ferris: Platform) -> None:
    retry = Retry(attempts=2, delay=60.0)
    order = ferris.order({"main.py": "raise SystemExit(3)"}, retry=retry)
    ferris.start(order).join()
    first = ferris.result(order.execution_id)
    assert first.types[-1] == "execution.retry_scheduled"
    assert first.last.data["reason"] == "script_failed"
    assert first.last.data["error"] == "main.py ended with exit status 3"
    assert first.last.data["attempt"] == 1
    assert first.last.data["not_before"] > first.last.time.isoformat()
    ferris.start(replace(order, attempt=2)).join()
    second = ferris.result(order.execution_id)
    assert second.types[-1] == "execution.failed"
    assert second.last.data["attempt"] == 2


def test_what_the_rules_leave_out_is_not_tried_again(ferris: Platform) -> None:
    retry = Retry(
        attempts=3, only_on=(Rule("error", ("ConnectionError",)),), never_on=(Rule("exit_code", (75,)),)
    )
    again = ferris.run({"main.py": "raise ConnectionError('refused')"}, retry=retry)
    assert again.types[-1] == "execution.retry_scheduled"
    other = ferris.run({"main.py": "raise ValueError('refused')"}, retry=retry)
    assert other.types[-1] == "execution.failed"
    assert "not tried again" in other.text("platform")
    assert ferris.run({"main.py": "raise SystemExit(75)"}, retry=retry).types[-1] == "execution.failed"


def test_what_a_script_leaves_running_ends_with_it(ferris: Platform) -> None:
    child = "    print(os.getpid(), flush=True)\n    time.sleep(600)\n"
    code = f"import os, time\nif os.fork() == 0:\n{child}time.sleep(0.3)"
    result = ferris.run({"main.py": code})
    assert result.types[-1] == "execution.completed"
    nothing_left(result)


def test_daemons_are_found_and_ended_too(ferris: Platform) -> None:
    code = (
        "import os, sys, time\nread, write = os.pipe()\n"
        "if os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0:\n"
        "        os.write(write, str(os.getpid()).encode())\n        os.closerange(0, 100)\n        time.sleep(600)\n"
        "    os._exit(0)\nprint(os.read(read, 99).decode())\n"
    )
    result = ferris.run({"main.py": code})
    assert result.types[-1] == "execution.completed"
    [pid] = [int(line["message"]) for line in result.lines]
    deadline = time.monotonic() + 60
    while lives(pid):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_output_without_end_is_cut_in_the_middle(tmp_path: Path) -> None:
    ferris = platform(tmp_path / "home", FERRIS_LOG_LIMIT="1000000")
    code = "for n in range(100_000): print(f'{n:07} ' + 'x' * 100)"
    result = ferris.run({"main.py": code})
    ferris.executor.close()
    ferris.control.close()
    said = [line for line in result.lines if line["stream"] == "stdout"]
    assert said[0]["message"].startswith("0000000")
    assert said[-1]["message"].startswith("0099999")
    notes = [line["message"] for line in result.lines if line["stream"] == "platform"]
    assert len(notes) == 2
    assert notes[0].startswith("The log's limit is reached")
    dropped = int(notes[1].split()[0])
    assert len(said) + dropped == 100_000
    assert sum(len(line["message"]) + 200 for line in said) <= 1_001_000
    assert [line["seq"] for line in result.lines] == list(range(1, len(result.lines) + 1))


def test_secrets_do_not_leave_in_lines_errors_or_events(ferris: Platform) -> None:
    code = (
        "import sys\nfrom ferris_ef import context\nimport base64\ns = context.secrets['a']\nprint('x' + s)\n"
        "sys.stdout.write(s[:5]); sys.stdout.flush(); sys.stdout.write(s[5:] + '\\n')\n"
        "print(base64.b64encode(s.encode()), file=sys.stderr)\ncontext.logging.info(s)\n"
        "context.events.send('a.thing', data={'k': [s]})\nraise ValueError(s)"
    )
    result = ferris.run({"main.py": code}, secrets={"a": "open sesame", "tiny": "ab"})
    text = repr(result)
    assert "open sesame" not in text
    assert "b3BlbiBzZXNhbWU" not in text
    assert result.events[0].data == {"k": ["***"]}
    assert result.last.data["error"].endswith("ValueError: ***")
    notes = [line["message"] for line in result.lines if line["stream"] == "platform"]
    assert any("held a secret" in note for note in notes)
    assert any("shorter than" in note for note in notes)


def test_the_folders_are_removed(ferris: Platform) -> None:
    ferris.run({"main.py": "import os\nos.mkdir('locked')\nopen('locked/x', 'w')\nos.chmod('locked', 0)"})
    deadline = time.monotonic() + 60
    while list(ferris.executor.workplace.attempts.iterdir()):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert list(Path(ferris.executor.workplace.socket_path()).parent.iterdir()) == []


def test_no_descriptor_is_left_open(ferris: Platform) -> None:
    ferris.run({"main.py": "from ferris_ef import context; context.events.send('x')"})
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        ferris.run({"main.py": "from ferris_ef import context; context.events.send('x')"})
        ferris.run({"main.py": "raise SystemExit(1)"})
    assert len(os.listdir("/proc/self/fd")) <= before + 1


def test_a_home_with_a_long_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with tempfile.TemporaryDirectory(prefix="short-", dir="/tmp") as short:
        monkeypatch.setattr(tempfile, "tempdir", short)
        _long_path(tmp_path)
        assert os.listdir(short) == []


MANAGER = """
import multiprocessing
from ferris_ef import context
if __name__ == "__main__":
    with multiprocessing.get_context("forkserver").Manager() as manager:
        context.events.send(manager.list(["x"])[0])
"""


def _long_path(tmp_path: Path) -> None:
    for length in (1, 12, 40):  # as usual; so that only the sockets of scripts are too long; that none fit
        ferris = platform(tmp_path / ("long" * length))
        result = ferris.run({"main.py": MANAGER})
        ferris.executor.close()
        ferris.control.close()
        assert [event.type for event in result.events] == ["x"], (length, result)


def test_what_dead_workers_left_is_swept(tmp_path: Path) -> None:
    parent = tmp_path / "work"
    first = Workplace(parent)
    dead = parent / "host-1"
    dead.mkdir()
    (dead / "left").write_text("x")
    (parent / "host-1.lock").touch()
    environ = {"FERRIS_CHANNEL": f"{dead}/sockets/3", "PATH": os.environ["PATH"]}
    daemon = subprocess.Popen(["sleep", "600"], env=environ)
    other = subprocess.Popen(["sleep", "600"], env={**environ, "FERRIS_CHANNEL": f"{dead}2/sockets/3"})
    try:
        first.close()
        second = Workplace(parent)
        assert not dead.exists()
        assert daemon.wait(60) == -9
        assert other.poll() is None
        second.close()
    finally:
        daemon.kill()
        other.kill()
        other.wait()
