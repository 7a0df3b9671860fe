"""Scripts that misbehave: each has the outcome that docs/isolation.md states, and the next execution runs normally."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.executor.control_server import Platform, Result, lives, lives_inside, platform
from tests.waiting import until

ROOT = os.geteuid() == 0
DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "isolation.md"
MB = 1 << 20


@pytest.fixture(scope="module", params=["basic", "best"])
def ferris(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    made = platform(
        tmp_path_factory.mktemp("home"), FERRIS_ISOLATION=request.param, FERRIS_LOG_LIMIT="1000000"
    )
    made.executor.prepare()
    yield made
    made.executor.close()
    made.control.close()


@pytest.fixture(autouse=True)
def _the_next_runs_normally(ferris: Platform) -> Iterator[None]:
    yield
    result = ferris.run({"main.py": "from ferris_ef import context\ncontext.events.send('x')\nprint('fine')"})
    assert result.types == ["execution.started", "step.started", "step.completed", "execution.completed"]
    assert result.text("stdout") == "fine\n"
    assert [event.type for event in result.events] == ["x"]


def has(ferris: Platform, *layers: str) -> bool:
    """Whether any of these can be had here."""
    return any(ferris.executor.isolation.found[layer]["ok"] for layer in layers)


def best(ferris: Platform) -> bool:
    return ferris.settings.isolation == "best"


def limits_processes(ferris: Platform) -> bool:
    return has(ferris, "cgroup_pids") or (best(ferris) and has(ferris, "user", "user_namespace"))


def ended(result: Result, status: str, reason: str | None, words: str) -> dict[str, Any]:
    """The step's report, once the execution has ended so."""
    assert result.types[-1] == f"execution.{status}", result
    assert result.last.data.get("reason") == reason
    [step] = [
        event for event in result.reports if event.type in ("ferris.step.completed", "ferris.step.failed")
    ]
    assert words in step.data["exit_reason"], step.data
    return dict(step.data)


def gone(result: Result) -> None:
    """Whoever has printed a pid lives no more: a number of this test's PID namespace, or of the execution's own."""
    [report] = [event for event in result.reports if event.type == "ferris.step.started"]
    own = "pid_namespace" in report.data["isolation"]["layers"]
    pids = [int(line["message"]) for line in result.lines if line["message"].isdecimal()]
    assert pids, result
    until(lambda: not any(map(lives_inside if own else lives, pids)), f"{pids} live on")


FAILS_TO_FORK = (
    "import os, time\nchildren = []\ntry:\n    for _ in range(60):\n        pid = os.fork()\n"
    "        if pid == 0: time.sleep(60); os._exit(0)\n        children.append(pid)\n"
    "finally:\n    for pid in children: print(pid, flush=True)\n"
)
BOMB = (
    "import os, time\nprint(os.getpid(), flush=True)\nuntil = time.monotonic() + 20\n"
    "while time.monotonic() < until:\n    try:\n        os.fork()\n    except OSError:\n        time.sleep(0.01)\n"
)


def test_too_many_processes(ferris: Platform) -> None:
    result = ferris.run({"main.py": FAILS_TO_FORK}, limits={"processes": 20})
    if limits_processes(ferris):
        ended(result, "failed", "script_failed", "too many processes and threads, the limit is 20")
        assert len([line for line in result.lines if line["message"].isdecimal()]) < 20
    else:
        ended(result, "completed", None, "ended normally")
        [started] = [event for event in result.reports if event.type == "ferris.step.started"]
        assert "cgroup_pids" in started.data["isolation"]["lacking"]
    gone(result)


def test_a_fork_bomb(ferris: Platform) -> None:
    if not limits_processes(ferris):
        return  # it is said, see above; and nothing would stop it here
    result = ferris.run({"main.py": BOMB}, limits={"processes": 30}, timeout=2.0)
    ended(result, "failed", "timeout", "its timeout ran out")
    gone(result)
    name = str(ferris.executor.workplace.attempts)
    until(lambda: not any(name in folder for folder in working_folders()), "bombs go on")


def working_folders() -> list[str]:
    found = []
    for pid in filter(str.isdecimal, os.listdir("/proc")):
        try:
            found.append(os.readlink(f"/proc/{pid}/cwd"))
        except OSError:
            continue
    return found


def test_memory_without_end(ferris: Platform) -> None:
    code = "x = []\nwhile True: x.append(bytearray(5_000_000))"
    result = ferris.run({"main.py": code}, limits={"memory": 200 * MB})
    if result.reports[-2].data["signal"]:  # its control group was faster
        ended(result, "failed", "script_failed", "killed by the memory limit of 200 MB")
    else:
        ended(result, "failed", "script_failed", "out of memory, the limit is 200 MB")


def test_shared_memory_without_end(ferris: Platform) -> None:
    """It is no process's data: only a control group counts it."""
    code = (
        "import mmap\nx = mmap.mmap(-1, 400 << 20)\nfor i in range(0, len(x), 4096): x[i] = 1\nprint('all')"
    )
    result = ferris.run({"main.py": code}, limits={"memory": 150 * MB})
    if best(ferris) and has(ferris, "cgroup_memory"):
        step = ended(result, "failed", "script_failed", "killed by the memory limit of 150 MB")
        assert step["error"] == "main.py was killed by the memory limit of 150 MB"
        assert step["usage"]["memory_of"] == "execution"
    else:
        ended(result, "completed", None, "ended normally")


def test_a_file_without_end(ferris: Platform) -> None:
    code = "with open('x', 'wb') as file:\n    while True: file.write(bytes(100_000))"
    result = ferris.run({"main.py": code}, limits={"file_size": 3 * MB})
    ended(result, "failed", "script_failed", "a file reached the size limit of 3 MB")


def test_open_files_without_end(ferris: Platform) -> None:
    code = "x = [open('/dev/null') for _ in range(10_000)]"
    result = ferris.run({"main.py": code}, limits={"files": 100})
    ended(result, "failed", "script_failed", "too many open files, the limit is 100")


def test_cpu_without_end(ferris: Platform) -> None:
    result = ferris.run({"main.py": "while True: pass"}, limits={"cpu": 1})
    step = ended(result, "failed", "script_failed", "killed by the CPU limit of 1 s")
    assert step["error"] == "main.py was killed by the CPU limit of 1 s"
    assert step["signal"] == "SIGXCPU"
    assert 700 <= step["usage"]["cpu_ms"] < 3000


@pytest.mark.timeout(400)  # on a busy machine
def test_a_gigabyte_of_output(ferris: Platform) -> None:
    writes = 1024 if best(ferris) else 16384  # of 64 KiB: once is enough
    code = f"import os\nfor n in range({writes}): os.write(1, b'%06d' % n + b'x' * 65529 + b'\\n')"
    result = ferris.run({"main.py": code}, timeout=300.0)
    step = ended(result, "completed", None, "ended normally")
    assert step["usage"]["output_bytes"] == writes * 65536
    said = [line["message"] for line in result.lines if line["stream"] == "stdout"]
    assert said[0].startswith("000000")
    assert sum(len(line) for line in said) < 1_100_000
    notes = result.text("platform")
    assert "The log's limit is reached" in notes


def test_a_closed_standard_output(ferris: Platform) -> None:
    code = "import os\nfor n in (0, 1, 2): os.close(n)\nopen('x', 'w').write('1')"
    ended(ferris.run({"main.py": code}), "completed", None, "ended normally")


def test_sigterm_ignored(ferris: Platform) -> None:
    code = (
        "import os, signal, time\nfor s in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):\n"
        "    signal.signal(s, signal.SIG_IGN)\nprint(os.getpid(), flush=True)\ntime.sleep(600)"
    )
    result = ferris.run({"main.py": code}, timeout=5.0)
    assert ended(result, "failed", "timeout", "its timeout ran out")["signal"] == "SIGKILL"
    gone(result)


DAEMON = (
    "import os, time\nread, write = os.pipe()\nif os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0:\n"
    "        os.write(write, str(os.getpid()).encode())\n        os.closerange(0, 100)\n        {}\n"
    "    os._exit(0)\nprint(os.read(read, 99).decode())\n"
)


def test_a_daemon(ferris: Platform) -> None:
    result = ferris.run({"main.py": DAEMON.format("time.sleep(600)")})
    ended(result, "completed", None, "ended normally")
    gone(result)


def test_a_daemon_that_hides(ferris: Platform) -> None:
    """With an empty environment it is known by its user or its control group, and by nothing else."""
    code = DAEMON.format("os.execve('/bin/sleep', ['sleep', '600'], {})")
    result = ferris.run({"main.py": code})
    ended(result, "completed", None, "ended normally")
    if has(ferris, "cgroup_pids") or (best(ferris) and has(ferris, "user")):
        gone(result)
    else:
        [pid] = [int(line["message"]) for line in result.lines if line["message"].isdecimal()]
        os.kill(pid, 9)


@pytest.mark.parametrize(("status", "words"), [(0, "ended normally"), (7, "ended with exit status 7")])
def test_os_exit(ferris: Platform, status: int, words: str) -> None:
    result = ferris.run({"main.py": f"import os\nprint('said')\nos._exit({status})"})
    ended(result, "failed" if status else "completed", "script_failed" if status else None, words)
    assert result.text("stdout") == "said\n"


def test_a_segmentation_fault(ferris: Platform) -> None:
    result = ferris.run({"main.py": "import ctypes\nctypes.string_at(0)"})
    ended(result, "failed", "script_failed", "killed by SIGSEGV")


def test_its_parent_killed(ferris: Platform) -> None:
    result = ferris.run({"main.py": "import os, time\nos.kill(os.getppid(), 9)\ntime.sleep(1)"})
    assert result.types[-1] == "execution.failed"
    if best(ferris) and has(ferris, "pid_namespace"):
        assert "SIGKILL" in result.last.data["error"]  # its parent has no number for it: 0 is its own group
    elif "does not keep" not in ferris.executor.isolation.found["rules"]["said"] and has(ferris, "rules"):
        assert "PermissionError" in result.last.data["error"]


def test_all_processes_killed(ferris: Platform) -> None:
    """Only where it has a user of its own: without one, and without rules for signals, it would end this test, too."""
    if not (best(ferris) and has(ferris, "user")):
        return
    result = ferris.run({"main.py": "import os, time\nos.kill(-1, 9)\ntime.sleep(0.2)\nprint('still here')"})
    assert result.types[-1] in ("execution.completed", "execution.failed")


def test_its_own_folder_removed(ferris: Platform) -> None:
    code = (
        "import os, shutil\n"
        "for folder in (os.getcwd(), os.environ['TMPDIR']): shutil.rmtree(folder, ignore_errors=True)"
    )
    ended(ferris.run({"main.py": code}), "completed", None, "ended normally")


def test_the_document_states_each() -> None:
    text = DOCUMENT.read_text()
    here = {name for name in globals() if name.startswith("test_")} - {"test_the_document_states_each"}
    assert here <= set(re.findall(r"`(test_\w+)`", text)), "docs/isolation.md has a row for each of these"
