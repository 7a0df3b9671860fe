"""The filter of system calls, tried from inside a script: what it refuses, and what has to go on."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tasks.system_calls import _MACHINES, _REFUSED, call_filter
from tests.executor.control_server import Platform
from tests.executor.test_isolation import WAYS, closing, has, isolation_of, started

MACHINE = os.uname().machine
NEWUSER, NEWNS, NEWTIME, FILES = 0x10000000, 0x20000, 0x80, 0x400
CALLS = """
import ctypes, json, os, sys
libc = ctypes.CDLL(None, use_errno=True)
def call(number, *rest):
    ctypes.set_errno(0)
    return 0 if libc.syscall(number, *[ctypes.c_long(one) for one in rest]) >= 0 else ctypes.get_errno()
terminal, _ = os.openpty()
"""


@pytest.fixture(scope="module", params=WAYS, ids=["-".join(way) for way in WAYS])
def confined(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    made = started(tmp_path_factory.mktemp("home"), *request.param)
    if not has(made, "system_calls"):
        made.executor.close()
        made.control.close()
        pytest.skip(f"no filter can be had here: {made.executor.isolation.found['system_calls']['said']}")
    yield from closing(made)


def said(ferris: Platform, code: str, **changes: Any) -> Any:
    result = ferris.run({"main.py": CALLS + code}, **changes)
    assert result.types[-1] == "execution.completed", result
    return json.loads(result.text("stdout"))


def numbers() -> dict[str, int]:
    """Those that are refused, by name, on this processor."""
    at = list(_MACHINES).index(MACHINE)
    return {name: number[at] for name, number in _REFUSED.items() if number[at] is not None}  # type: ignore[misc]


def test_what_no_data_script_needs_is_refused(confined: Platform) -> None:
    # With arguments that the kernel itself would find wrong otherwise, or that would do no harm.
    found = said(
        confined,
        f"print(json.dumps({{name: call(number, -1, -1, -1, -1, -1) for name, number in {numbers()!r}.items()}}))",
    )
    assert found == dict.fromkeys(numbers(), errno.EPERM)
    assert "system_calls" in isolation_of(confined.run({"main.py": ""}))["layers"]
    assert "system_calls" in (confined.executor.isolation.summary() or {})["layers"]
    assert "system_calls" in (confined.executor.isolation.summary() or {})["builds"]


def test_new_namespaces_are_refused_by_every_way(confined: Platform) -> None:
    machine = _MACHINES[MACHINE]
    found = said(
        confined,
        f"""
print(json.dumps({{
    "unshare user": call({machine.unshare}, {NEWUSER}),
    "unshare mounts": call({machine.unshare}, {NEWNS | FILES}),
    "unshare time": call({machine.unshare}, {NEWTIME}),
    "unshare files": call({machine.unshare}, {FILES}),
    "clone user": call({machine.clone}, {NEWUSER} | 17, 0, 0, 0, 0),
    "clone3": call(435, 0, 0),
    "io_uring": call(425, 8, 0),
    "typing": call({machine.ioctl}, terminal, 0x5412, 0),
    "window": call({machine.ioctl}, terminal, 0x5413, ctypes.addressof(ctypes.create_string_buffer(64))),
}}))""",
    )
    assert found == {
        "unshare user": errno.EPERM,
        "unshare mounts": errno.EPERM,
        "unshare time": errno.EPERM,
        "unshare files": 0,
        "clone user": errno.EPERM,
        "clone3": errno.ENOSYS,
        "io_uring": errno.ENOSYS,
        "typing": errno.EPERM,
        "window": 0,
    }


def test_what_scripts_start_is_filtered_too(confined: Platform) -> None:
    code = """
import subprocess
grep = ["sh", "-c", "grep -h ^Seccomp: /proc/self/status"]
print(json.dumps([open("/proc/self/status").read().count("Seccomp:\\t2"), subprocess.check_output(grep, text=True)]))
"""
    assert said(confined, code) == [1, "Seccomp:\t2\n"]


def test_what_scripts_do_goes_on(confined: Platform) -> None:
    code = """
import asyncio, concurrent.futures as pools, mmap, selectors, signal, socket, sqlite3, ssl, subprocess
import multiprocessing, resource, tempfile, time
def double(n): return n * 2
if __name__ == "__main__":
    done = {}
    with pools.ThreadPoolExecutor(8) as pool: done["threads"] = sum(pool.map(double, range(50)))
    for kind in ("fork", "spawn", "forkserver"):
        with pools.ProcessPoolExecutor(2, multiprocessing.get_context(kind)) as pool:
            done[kind] = sum(pool.map(double, range(5)))
    shared = multiprocessing.shared_memory = __import__("multiprocessing.shared_memory").shared_memory
    one = shared.SharedMemory(create=True, size=4096); one.buf[0] = 7; done["shared"] = one.buf[0]
    one.close(); one.unlink()
    async def asked():
        process = await asyncio.create_subprocess_exec(sys.executable, "-c", "print(3)", stdout=subprocess.PIPE)
        return (await process.communicate())[0].decode()
    done["asyncio"] = asyncio.run(asked())
    done["shell"] = subprocess.run("echo a | cat", shell=True, capture_output=True, text=True).stdout
    done["session"] = subprocess.run(["true"], start_new_session=True).returncode
    done["forked"] = os.waitpid(os.fork() or os._exit(3), 0)[1] >> 8
    database = sqlite3.connect("x.db"); database.execute("pragma journal_mode=wal"); done["sqlite"] = 1
    mmap.mmap(-1, 4096).madvise(mmap.MADV_DONTNEED)
    ssl.create_default_context(); selectors.EpollSelector().close(); os.eventfd(0); os.memfd_create("x")
    a, b = socket.socketpair(); socket.send_fds(a, [b"x"], [0])
    signal.setitimer(signal.ITIMER_REAL, 60); signal.setitimer(signal.ITIMER_REAL, 0)
    os.sched_setaffinity(0, os.sched_getaffinity(0)); os.nice(0); os.getrandom(3); resource.getrusage(0)
    os.open(".", os.O_TMPFILE | os.O_RDWR); os.copy_file_range(*(os.memfd_create("y"),) * 2, 0)
    print(json.dumps(done))
"""
    assert said(confined, code) == {
        "threads": 2450,
        "fork": 20,
        "spawn": 20,
        "forkserver": 20,
        "shared": 7,
        "asyncio": "3\n",
        "shell": "a\n",
        "session": 0,
        "forked": 3,
        "sqlite": 1,
    }


def test_it_is_said_where_it_cannot_be_had(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasks.isolation.call_filter", lambda _: call_filter("riscv64"))
    ferris = started(tmp_path / "home", "basic", "cold")
    try:
        found = isolation_of(ferris.run({"main.py": ""}))
        assert found["lacking"]["system_calls"] == "there is no filter for this processor"
        assert "system_calls" not in found["layers"]
    finally:
        ferris.executor.close()
        ferris.control.close()


def test_programs_fit_the_kernels_bounds() -> None:
    for machine in _MACHINES:
        wanted = call_filter(machine)
        assert wanted is not None
        lines = [wanted["program"][at : at + 8] for at in range(0, len(wanted["program"]), 8)]
        assert len(lines) < 200
        for at, line in enumerate(lines):
            assert line[0] in (0x20, 0x15, 0x35, 0x45, 0x06)
            assert at + 1 + max(line[2], line[3]) < len(lines) or line[0] == 0x06
