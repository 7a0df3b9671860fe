"""What scripts are kept from, seen from inside a script: whatever this machine allows is in force, the rest is said."""

from __future__ import annotations

import json
import os
import resource
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tasks import runner
from tasks.executor import Executor
from tasks.warm import WarmRunner
from tests.executor.control_server import Platform, Result, platform

ROOT = os.geteuid() == 0
WAYS = [("basic", "cold"), ("basic", "warm"), ("best", "cold"), ("best", "warm")]


def started(home: Path, level: str, runner: str, **changes: str) -> Platform:
    made = platform(home, FERRIS_ISOLATION=level, FERRIS_RUNNER=runner, **changes)
    if runner == "warm":
        until_warm(made)
    return made


def until_warm(ferris: Platform) -> None:
    """Run scripts until one is a fork."""
    deadline = time.monotonic() + 60
    while "warm" not in ferris.run({"main.py": TELLS_ITS_WAY}).text("stdout"):
        assert time.monotonic() < deadline, "no fork server came up"
    assert isinstance(ferris.executor.runner, WarmRunner)


TELLS_ITS_WAY = "import sys; print('warm' if 'uuid' in sys.modules else 'cold')"


@pytest.fixture(scope="module", params=WAYS, ids=["-".join(way) for way in WAYS])
def confined(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """An executor of each level, with each way to start scripts."""
    yield from closing(started(tmp_path_factory.mktemp("home"), *request.param))


@pytest.fixture(scope="module", params=["cold", "warm"])
def best(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    yield from closing(started(tmp_path_factory.mktemp("home"), "best", request.param))


@pytest.fixture
def off(tmp_path: Path) -> Iterator[Platform]:
    yield from closing(started(tmp_path / "home", "off", "cold"))


def closing(made: Platform) -> Iterator[Platform]:
    yield made
    made.executor.close()
    made.control.close()


def has(ferris: Platform, layer: str) -> bool:
    return bool(ferris.executor.isolation.found[layer]["ok"])


def tried(ferris: Platform, attempts: dict[str, str], **changes: Any) -> dict[str, Any]:
    """Try expressions in a script: the value of each, or the name of the exception."""
    code = (
        "import json, os, socket, sys, tempfile\nfrom ferris_ef import context\n"
        "def tried(code):\n"
        "    try:\n        return eval(code)\n"
        "    except BaseException as error:\n        return type(error).__name__\n"
        f"print(json.dumps({{name: tried(code) for name, code in {attempts!r}.items()}}))"
    )
    result = ferris.run({"main.py": code}, **changes)
    assert result.types[-1] == "execution.completed", result
    return dict(json.loads(result.text("stdout")))


def isolation_of(result: Result) -> dict[str, Any]:
    [report] = [event for event in result.reports if event.type == "ferris.step.started"]
    return dict(report.data["isolation"])


def test_scripts_work_as_ever(confined: Platform) -> None:
    confined.control.put("a_service.state", b'{"n": 1}', None)
    confined.control.secrets["key"] = "value-of-key"
    code = """
        import multiprocessing, os, subprocess, sys, tempfile, urllib.request
        from ferris_ef import context

        def double(n):
            return 2 * n

        if __name__ == "__main__":
            with open("beside", "w") as file: file.write("x")
            os.mkdir("folder"); os.rename("beside", "folder/beside")
            with tempfile.NamedTemporaryFile() as file: file.write(b"x")
            open("/dev/null", "w").write("x"); open("/dev/urandom", "rb").read(3)
            print("by /dev/stdout", file=open("/dev/stdout", "w"))
            print(open("data.txt").read(), os.listdir("."))
            print(subprocess.run([sys.executable, "-c", "print(5)"], capture_output=True).stdout)
            print(subprocess.run("echo $0", shell=True, capture_output=True).stdout)
            for kind in ("fork", "spawn", "forkserver"):
                with multiprocessing.get_context(kind).Pool(2) as pool: print(kind, pool.map(double, [1, 2]))
            print(urllib.request.urlopen(f"http://{os.environ['CONSUL_HOST']}:{os.environ['CONSUL_PORT']}"
                                         "/v1/kv/a_service.state?raw").read())
            context.events.send("it.worked", data={"n": 1})
            context.secrets.set("other", "another-value", context="project")
            print(context.state.get("n"))
            open(os.environ["FERRIS_ARTIFACTS"] + "/kept.txt", "w").write("kept")
    """
    import textwrap

    result = confined.run({"main.py": textwrap.dedent(code), "data.txt": "data"})
    assert result.types[-1] == "execution.completed", result
    said = result.text("stdout")
    for words in ("by /dev/stdout", "data", "b'5\\n'", "b'/bin/sh\\n'", "fork [2, 4]", "spawn [2, 4]",
                  "forkserver [2, 4]", 'b\'{"n": 1}\''):  # fmt: skip
        assert words in said, said
    assert [event.type for event in result.events] == ["it.worked"]
    [step] = [event for event in result.reports if event.type == "ferris.step.completed"]
    assert [one["name"] for one in step.data["artifacts"]] == ["kept.txt"]


def test_what_is_in_force_and_what_is_lacking_is_reported(confined: Platform) -> None:
    said = isolation_of(confined.run({"main.py": ""}))
    assert said["level"] == confined.settings.isolation
    assert {"limits", "privileges"} <= set(said["layers"])
    wanted = (
        ["rules"] if said["level"] == "basic" else ["rules", "mounts", "user" if ROOT else "user_namespace"]
    )
    for name in wanted:
        assert (name in said["lacking"]) is not has(confined, name)
    for name in said["lacking"]:
        assert said["lacking"][name] == confined.executor.isolation.found[name]["said"]


def test_a_name_that_python_takes_for_options_is_the_name_of_a_script(confined: Platform) -> None:
    """`-S` would leave out what confines it, `-c` would run the name itself."""
    name = "-Scimport os; print('free', os.getpid() == os.getpgrp())#.py"
    result = confined.run({name: "import sys; print('a script', sys.argv[0])"}, scripts=(name,))
    assert result.text("stdout") == f"a script ./{name}\n"


def test_limits_and_rights(confined: Platform) -> None:
    found = tried(
        confined,
        {
            "core": "__import__('resource').getrlimit(4)",
            "files": "__import__('resource').getrlimit(7)",
            "status": "[l.split()[1] for l in open('/proc/self/status') if l.startswith(('NoNewPrivs', 'CapEff'))]",
            "raised": "__import__('resource').setrlimit(7, (5000, 5000))",
            "descriptors": "sorted(int(n) for n in os.listdir('/proc/self/fd'))[:3]",
        },
        limits={"files": 300},
    )
    assert found["core"] == [0, 0]
    assert found["files"] == [300, 300]
    capabilities, no_new = found["status"]
    assert no_new == "1"
    assert int(capabilities, 16) >> 21 & 1 == 0  # CAP_SYS_ADMIN
    assert found["raised"] == "ValueError"
    assert found["descriptors"] == [0, 1, 2]


def test_the_executor_cannot_be_signalled_or_looked_into(confined: Platform) -> None:
    executor = os.getpid()
    found = tried(
        confined,
        {
            "signal": f"os.kill({executor}, 0)",
            "parent": "os.kill(os.getppid(), 0)",
            "environ": f"open('/proc/{executor}/environ').read()",
            "memory": f"open('/proc/{executor}/mem', 'rb').read(1)",
            "own": "len(open('/proc/self/environ').read()) > 10",
        },
    )
    assert found["own"] is True
    if has(confined, "rules"):
        refused = ("PermissionError", "FileNotFoundError")
        assert found["memory"] in refused
        assert found["environ"] in refused
        if confined.settings.isolation == "best" and has(confined, "pid_namespace"):
            assert found["signal"] == "ProcessLookupError"
        elif "does not keep" not in confined.executor.isolation.found["rules"]["said"]:
            assert (found["signal"], found["parent"]) == ("PermissionError", "PermissionError")


def test_a_script_sees_and_signals_only_its_own_processes(best: Platform) -> None:
    own = "__import__('subprocess').run(['true']).returncode"
    attempts = {
        "own": own,
        "numbers": "sorted(int(n) for n in os.listdir('/proc') if n.isdecimal())",
        "me": "os.getpid()",
        "self": "int(os.readlink('/proc/self'))",
        "first": "os.kill(1, 9)",
        "layers": "open('/proc/self/status').read().count('NSpid')",
    }
    found = tried(best, attempts)
    assert (found["own"], found["layers"]) == (0, 1)
    if not has(best, "pid_namespace"):
        said = isolation_of(best.run({"main.py": ""}))
        assert "pid_namespace" in said["lacking"]
        return
    assert found["me"] == found["self"] > 1
    assert [number for number in found["numbers"] if number != 1] == [found["me"]]
    assert found["first"] == "PermissionError"
    assert "pid_namespace" in isolation_of(best.run({"main.py": ""}))["layers"]
    assert "pid_namespace" in (best.executor.isolation.summary() or {})["layers"]


def test_processes_of_two_executions_do_not_see_one_another(best: Platform) -> None:
    if not has(best, "pid_namespace"):
        return
    code = (
        "import os, time\nfrom ferris_ef import context\nprint('here', flush=True)\n"
        "while not context.state.get('go_on'): time.sleep(0.02)\n"
        "print(sorted(n for n in os.listdir('/proc') if n.isdecimal() and int(n) not in (1, os.getpid())))"
    )
    best.control.kv.pop("a_service.state", None)
    orders = [best.order({"main.py": code}) for _ in range(2)]
    threads = [best.start(order) for order in orders]
    for order in orders:
        best.wait_line(order.execution_id, "here")
    best.control.put("a_service.state", b'{"go_on": true}', None)
    for thread in threads:
        thread.join(60)
    for order in orders:
        assert best.result(order.execution_id).text("stdout") == "here\n[]\n"


def test_who_makes_namespaces_may_die(best: Platform) -> None:
    """Scripts that it had made a place for end with it; the next get a new one."""
    if not has(best, "pid_namespace"):
        return
    best.run({"main.py": ""})
    maker = best.executor.isolation._nursery._process
    assert maker is not None
    maker.kill()
    assert best.run({"main.py": "print('fine')"}).text("stdout") == "fine\n"


def test_each_script_has_a_temporary_folder_of_its_own(confined: Platform) -> None:
    first, second = (tried(confined, {"at": "tempfile.gettempdir()"})["at"] for _ in range(2))
    assert first != second
    assert first.endswith(".tmp")
    deadline = time.monotonic() + 60
    while os.path.exists(first) or os.path.exists(second):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_files_of_others_are_out_of_reach(best: Platform, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("x")
    home = str(best.settings.home)
    found = tried(
        best,
        {
            "keys": f"os.listdir({home + '/keys'!r})",
            "token": f"open({home + '/keys/executor.token'!r}).read()",
            "outside": f"open({str(tmp_path / 'secret')!r}).read()",
            "write": f"open({str(tmp_path / 'new')!r}, 'w').write('x')",
            "environment": "open(os.path.join(sys.prefix, 'new'), 'w').write('x')",
            "shadow": "open('/etc/shadow').read()",
            "root": "os.listdir('/root')",
            "passwd": "len(open('/etc/passwd').read()) > 10",
            "own": "open('new', 'w').write('x')",
            "uid": "os.getuid()",
            "umask": "os.umask(0)",
            "home": "os.environ['HOME'] == os.environ['TMPDIR']",
        },
    )
    assert (found["own"], found["passwd"], found["umask"], found["home"]) == (1, True, 0o077, True)
    refused = ("PermissionError", "FileNotFoundError", "OSError")
    if has(best, "rules") or has(best, "mounts"):
        for name in ("keys", "token", "environment"):
            assert found[name] in refused, name
    if has(best, "rules"):
        for name in ("outside", "write", "root"):
            assert found[name] in refused, name
    if ROOT and has(best, "user"):
        assert 61_000 <= found["uid"] <= 61_999
        assert found["shadow"] in refused
    else:
        assert found["uid"] == os.getuid()


def test_its_own_slash_tmp(best: Platform) -> None:
    name = f"/tmp/ferris-test-{os.getpid()}"
    if not has(best, "mounts"):
        assert "mounts" in isolation_of(best.run({"main.py": ""}))["lacking"]
        return
    Path(name).write_text("x")
    try:
        found = tried(
            best, {"see": f"os.path.exists({name!r})", "write": f"open({name + '2'!r}, 'w').write('x')"}
        )
    finally:
        os.unlink(name)
    assert found == {"see": False, "write": 1}
    assert not os.path.exists(name + "2")


def test_what_the_administrator_shares(tmp_path: Path) -> None:
    (tmp_path / "reads").mkdir()
    (tmp_path / "writes").mkdir()
    (tmp_path / "writes").chmod(0o777)
    (tmp_path / "reads").chmod(0o755)
    (tmp_path / "reads" / "x").write_text("shared")
    ferris = platform(
        tmp_path / "home",
        FERRIS_ISOLATION="best",
        FERRIS_SCRIPT_READS=str(tmp_path / "reads"),
        FERRIS_SCRIPT_WRITES=str(tmp_path / "writes"),
    )
    try:
        found = tried(
            ferris,
            {
                "read": f"open({str(tmp_path / 'reads' / 'x')!r}).read()",
                "write": f"open({str(tmp_path / 'writes' / 'x')!r}, 'w').write('ab')",
                "denied": f"open({str(tmp_path / 'reads' / 'y')!r}, 'w').write('ab')",
            },
        )
        assert (found["read"], found["write"]) == ("shared", 2)
        if has(ferris, "rules"):
            assert found["denied"] in ("PermissionError", "OSError")
        assert (tmp_path / "writes" / "x").read_text() == "ab"
    finally:
        ferris.executor.close()
        ferris.control.close()


def test_without_network_nothing_is_reached_but_the_platform(confined: Platform) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        attempts = {
            "tcp": f"socket.create_connection(('127.0.0.1', {port}), 3).close()",
            "udp": "socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('192.0.2.1', 53))",
            "interfaces": "[name for _, name in socket.if_nameindex()]",
            "relay": "__import__('urllib.request').request.urlopen('http://127.0.0.1:%s/v1/kv/none?raw'"
            " % os.environ['CONSUL_PORT']).status",
            "channel": "context.state.put('n', 5) or 'done'",
        }
        if not has(confined, "network"):
            result = confined.run({"main.py": "print('ran')"}, network="none")
            assert (result.last.data["reason"], result.text("stdout")) == ("isolation", "")
            return
        closed = tried(confined, attempts, network="none")
        opened = tried(confined, attempts)
    assert opened["tcp"] is None
    assert closed["tcp"] == "ConnectionRefusedError"
    assert closed["udp"] == "OSError"
    assert closed["interfaces"] == ["lo"]
    assert (
        closed["relay"] == opened["relay"] == "HTTPError"
    )  # there is no such key: the platform's own answer
    assert closed["channel"] == opened["channel"] == "done"


@pytest.mark.parametrize("wanted", [{"network": "none"}, {"isolation": "best"}, {"isolation": "basic"}])
def test_a_service_that_requires_what_is_switched_off_does_not_run(
    off: Platform, wanted: dict[str, str]
) -> None:
    result = off.run({"main.py": "print('ran')"}, **wanted)
    assert result.types[-1] == "execution.failed"
    assert result.last.data["reason"] == "isolation"
    assert "FERRIS_ISOLATION=off" in result.last.data["error"]
    assert result.text("stdout") == ""


@pytest.mark.parametrize(
    ("layer", "wanted"),
    [("network", {"network": "none"}), ("rules", {"isolation": "best"}), ("user", {"isolation": "best"})],
)
def test_a_service_that_requires_what_the_machine_refuses_does_not_run(
    layer: str, wanted: dict[str, str], tmp_path: Path
) -> None:
    ferris = platform(tmp_path / "home")
    try:
        found = ferris.executor.isolation.found
        if layer == "user" and not ROOT:
            layer = "user_namespace"
        ferris.executor.isolation._found = {**found, layer: {"ok": False, "said": "the kernel says no"}}
        result = ferris.run({"main.py": "print('ran')"}, **wanted)
        assert result.last.data["reason"] == "isolation"
        assert "the kernel says no" in result.last.data["error"]
        assert result.text("stdout") == ""
        assert ferris.run({"main.py": "print('ran')"}).text("stdout") == "ran\n"
    finally:
        ferris.executor.close()
        ferris.control.close()


def test_a_layer_that_fails_all_the_same_keeps_the_script_from_running(tmp_path: Path) -> None:
    """The probe had said yes; the process itself says no, and ends."""
    ferris = platform(tmp_path / "home")
    try:
        plan = ferris.executor.isolation.plan
        ferris.executor.isolation.plan = lambda *a: {**(plan(*a) or {}), "cgroups": ["/nowhere"]}  # type: ignore[method-assign]
        result = ferris.run({"main.py": "print('ran')"})
        assert result.types[-2:] == ["step.failed", "execution.failed"]
        assert result.last.data["reason"] == "isolation"
        assert "cgroups: [Errno 2]" in result.last.data["error"]
        assert result.reports[-2].data["exit_reason"].startswith("not started: cgroups")
        assert result.text("stdout") == ""
    finally:
        ferris.executor.close()
        ferris.control.close()


def test_a_process_that_never_says_that_it_is_confined_has_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ferris = platform(tmp_path / "home", FERRIS_RUNNER="cold")
    try:
        spawn = runner.spawn

        def without_site(command: Any, *rest: Any) -> Any:
            return spawn([command[0], "-S", "main.py"] if command[-1] == "main.py" else command, *rest)

        monkeypatch.setattr(runner, "spawn", without_site)
        result = ferris.run({"main.py": "print('ran')"})
        assert result.last.data["reason"] == "isolation"
        assert "it never said that it was confined" in result.last.data["error"]
    finally:
        ferris.executor.close()
        ferris.control.close()


def test_a_service_may_ask_for_more_than_the_worker_does(tmp_path: Path) -> None:
    ferris = platform(tmp_path / "home")
    try:
        result = ferris.run({"main.py": ""}, isolation="best")
        needed = ("rules", "user" if ROOT else "user_namespace")
        if all(has(ferris, name) for name in needed):
            assert isolation_of(result)["level"] == "best"
        else:
            assert result.last.data["reason"] == "isolation"
    finally:
        ferris.executor.close()
        ferris.control.close()


def test_what_a_step_used(confined: Platform) -> None:
    code = (
        "import os, time\nx = bytearray(150_000_000)\nfor i in range(0, len(x), 4096): x[i] = 1\n"
        "until = time.process_time() + 0.3\nwhile time.process_time() < until: pass\nprint('y' * 5000)"
    )
    step = confined.run({"main.py": code}).reports[-2]
    assert step.data["exit_reason"] == "ended normally"
    used = step.data["usage"]
    assert used["output_bytes"] == 5001
    assert 300 <= used["cpu_ms"] < 5000
    assert used["memory_of"] == (
        "execution"
        if confined.settings.isolation == "best" and has(confined, "cgroup_memory")
        else "largest process"
    )
    if (
        used["memory_bytes"] is None
    ):  # of a fresh interpreter it is told only above its executor's own: here, of this process
        assert confined.settings.runner == "cold"
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 > 150_000_000
    else:
        assert 150_000_000 < used["memory_bytes"] < 300_000_000


def test_users_are_shared_by_workers_and_given_back() -> None:
    from tasks.cell import Users

    first, second = Users(2_000_000_001, 2_000_000_003), Users(2_000_000_001, 2_000_000_003)
    try:
        taken = [first.take(), second.take(), first.take()]
        assert sorted(taken) == [2_000_000_001, 2_000_000_002, 2_000_000_003]  # type: ignore[type-var]
        assert second.take() is None
        second.give_back(taken[1])  # type: ignore[arg-type]
        assert second.take() == taken[1]
        assert first.take() is None
        second.close()
        assert Users(2_000_000_001, 2_000_000_003).take() == taken[1]
    finally:
        first.close()
        second.close()


def test_what_a_killed_worker_left_of_a_user_is_ended_before_another_gets_it() -> None:
    from tasks.cell import Users

    if not ROOT:
        return  # there are no other users
    left = subprocess.Popen(["sleep", "600"], user=2_000_000_005, env={})
    users = Users(2_000_000_005, 2_000_000_005)
    try:
        assert users.take() == 2_000_000_005
        assert left.wait(60) == -9
    finally:
        left.kill()
        users.close()


def test_control_groups_of_killed_workers_are_swept(confined: Platform) -> None:
    from tasks.cell import sweep_groups

    if not has(confined, "cgroup_pids"):
        return  # there are none
    ended = subprocess.Popen(["true"])
    ended.wait()
    folder = Path(confined.executor.isolation.found["cgroup_pids"]["folder"])
    dead = folder / f"ferris-{socket.gethostname()}-{ended.pid}-7"
    mine = folder / f"ferris-{socket.gethostname()}-{os.getpid()}-x7"
    other = folder / f"ferris-elsewhere-{ended.pid}-7"
    for path in (dead, mine, other):
        path.mkdir()
    left = subprocess.Popen(["sleep", "600"])
    try:
        (dead / "cgroup.procs").write_text(str(left.pid))
        sweep_groups(str(folder))
        assert left.wait(60) == -9
        assert (dead.exists(), mine.exists(), other.exists()) == (False, True, True)
    finally:
        left.kill()
        mine.rmdir()
        other.rmdir()


def test_nothing_of_a_cell_is_left(best: Platform) -> None:
    best.run({"main.py": "import os\nos.makedirs('a/b')\nopen('a/b/c', 'w')"})
    executor: Executor = best.executor
    deadline = time.monotonic() + 60
    work = executor.workplace.attempts
    while list(work.iterdir()) or any("ferris-" in path.name for path in groups(best)):
        assert time.monotonic() < deadline, (list(work.iterdir()), groups(best))
        time.sleep(0.02)


def groups(ferris: Platform) -> list[Path]:
    """The control groups of this worker."""
    found: list[Path] = []
    for name in ("cgroup_pids", "cgroup_memory"):
        if has(ferris, name):
            folder = Path(ferris.executor.isolation.found[name]["folder"])
            found += folder.glob(f"ferris-{socket.gethostname()}-{os.getpid()}-*")
    return found


def test_lost_attempts_keep_nothing_from_the_next(best: Platform) -> None:
    """A retry of the same execution is in the way of nothing."""
    order = best.order({"main.py": "print(open('x', 'w').write('1'))"})
    for attempt in (1, 2):
        best.start(replace(order, attempt=attempt)).join()
    assert best.result(order.execution_id).text("stdout") == "1\n1\n"
