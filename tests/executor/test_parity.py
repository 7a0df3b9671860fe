"""A script under the runner is what it is under `python script.py '<json>'`: byte for byte where bytes can be."""

from __future__ import annotations

import os
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tasks.command import inherited
from tasks.environment import BuildStep, Environments
from tasks.isolation import KEPT
from tasks.runner import SDK, ColdRunner, Command, Process
from tasks.system_calls import call_filter
from tasks.warm import WarmProcess, WarmRunner

ARGUMENT = '{"a": 1, "text": "ü \\" \\n", "_fxcid": "X_01"}'

# What a worker without control groups tells a script's process at its level basic.
PLAN = {
    "limits": {"CORE": 0, "DATA": 2 << 30, "NOFILE": 1024, "FSIZE": 4 << 30},
    "privileges": KEPT if os.geteuid() == 0 else None,
    "rules": {"files": False},
    "system_calls": call_filter(os.uname().machine),
    "umask": 0o022,
}

SCRIPTS = {
    "argv": "import sys; print(sys.argv, sys.orig_argv[1:], len(sys.argv))",
    "main": (
        "import __main__, sys\n"
        "print(sorted(globals()), __name__, __file__, __doc__, __package__, __spec__, __cached__)\n"
        "print(type(__loader__).__name__, __loader__.path, __builtins__, __main__.__file__, __annotations__)\n"
        "print(sys.modules['__main__'] is __main__, vars(__main__) is globals())"
    ),
    "path": "import sys, os; print(sys.path, os.getcwd(), sys.executable, sys.prefix, sys.flags)",
    "importers": (
        "import sys; print({k: type(v).__name__ for k, v in sys.path_importer_cache.items() if 'service' in k})"
    ),
    "environment": "import os; print(sorted(os.environ.items()), os.umask(0), os.getpgrp() == os.getpid())",
    "signals": (
        "import signal\nprint([(s.name, signal.getsignal(s)) for s in signal.valid_signals() if hasattr(s, 'name')],"
        " signal.pthread_sigmask(0, []))"
    ),
    "streams": (
        "import sys\nprint([(s.name, s.mode, s.encoding, s.errors, s.newlines, s.isatty(), s.fileno()) for s in"
        " (sys.stdin, sys.stdout, sys.stderr)], repr(sys.stdin.read()), sys.stdout is sys.__stdout__)"
    ),
    "main_guard": "if __name__ == '__main__':\n    print('yes')",
    "empty": "",
    "docstring": '"""About."""\nprint(__doc__)',
    "future": "from __future__ import annotations\nx: Nothing = 1\nprint(__annotations__)",
    "crlf": "print('a')\r\nprint('b')\r\n",
    "stack": (
        "import inspect, sys, traceback\ntraceback.print_stack()\nprint(len(inspect.stack()), sys._getframe().f_back)\n"
        "def f():\n    print(inspect.stack()[1].code_context)\nf()\nimport warnings; warnings.warn('here')"
    ),
    "exit_nothing": "import sys; sys.exit()",
    "exit_3": "import sys; sys.exit(3)",
    "exit_text": "import sys; print('before'); sys.exit('the reason')",
    "exit_none": "raise SystemExit(None)",
    "exit_256": "raise SystemExit(256)",
    "exit_object": "raise SystemExit((1, 2))",
    "exit_builtin": "exit(4)",
    "exit_in_thread": "import threading, sys; t = threading.Thread(target=sys.exit, args=(3,)); t.start(); t.join()",
    "error": "def f(x):\n    return 1 / x\n\nprint('before')\nf(0)",
    "error_chained": "try:\n    {}['a']\nexcept KeyError as e:\n    raise RuntimeError('second') from e",
    "error_context": "try:\n    {}['a']\nexcept KeyError:\n    int('x')",
    "error_group": "raise ExceptionGroup('many', [ValueError(1), TypeError('two')])",
    "error_note": "e = ValueError('x')\ne.add_note('a note')\nraise e",
    "error_base": "class Stop(BaseException): pass\nraise Stop('all')",
    "error_unicode": "raise ValueError('ü \\ud800 \\x00')",
    "error_in_import": "import neighbour_bad",
    "error_recursion": "def f(n):\n    return f(n + 1)\nf(0)",
    "error_syntax": "print('never')\nif x\n",
    "error_indent": "def f():\nreturn 1\n",
    "error_encoding": b"print('\xff')\n",
    "error_null": b"print(1)\x00\n",
    "encoding_cookie": b"# coding: latin-1\nprint('\xfc')\n",
    "bom": b"\xef\xbb\xbfprint('bom')\n",
    "error_repr": "class E(Exception):\n    def __str__(self): raise ValueError\nraise E",
    "keyboard_interrupt": "raise KeyboardInterrupt",
    "keyboard_signal": "import os, signal, time\nos.kill(os.getpid(), signal.SIGINT)\ntime.sleep(5)",
    "terminated": "import os, signal, time\nos.kill(os.getpid(), signal.SIGTERM)\ntime.sleep(5)",
    "hook": (
        "import sys\ndef hook(*a): print('hook', a[0], a[2].tb_lineno, a[2].tb_frame.f_back)\n"
        "sys.excepthook = hook\n1 / 0"
    ),
    "hook_broken": "import sys\ndef hook(*a): raise RuntimeError('in hook')\nsys.excepthook = hook\n1 / 0",
    "last_traceback": (
        "import atexit, sys\n"
        "atexit.register(lambda: print(sys.last_traceback.tb_lineno, sys.last_type))\n1 / 0"
    ),
    "atexit": "import atexit\natexit.register(print, 'one')\natexit.register(print, 'two')\nprint('body')",
    "atexit_error": "import atexit\natexit.register(divmod, 1, 0)\nprint('body')",
    "atexit_after_exit": "import atexit, sys\natexit.register(print, 'bye')\nsys.exit(5)",
    "threads": (
        "import threading, time\n"
        "threading.Thread(target=lambda: (time.sleep(0.1), print('late'))).start()\nprint('end')"
    ),
    "thread_error": "import threading\nt = threading.Thread(target=lambda: 1 / 0, name='T')\nt.start(); t.join()",
    "daemon": (
        "import threading, time\nthreading.Thread(target=time.sleep, args=(60,), daemon=True).start()\n"
        "print('end')"
    ),
    "fork_hooks": (
        "import logging, os, random, threading, warnings\nwarnings.simplefilter('ignore')\nlogging.warning('one')\n"
        "threading.Thread(target=threading.Event().wait, daemon=True).start()\n"
        "read, write = os.pipe()\np = os.fork()\n"
        "os.write(write, b'%a %d ' % (random.random(), threading.active_count()))\n"
        "logging.warning('two')\n"
        "if not p: os._exit(0)\nos.waitpid(p, 0)\na, b, c, d = os.read(read, 99).split()\n"
        "print(a != c, sorted([b, d]))\n"
    ),
    "fork": (
        "import os\nprint('one', flush=True)\np = os.fork()\nif p: os.waitpid(p, 0)\n"
        "print('parent' if p else 'child')"
    ),
    "processes": (
        "import multiprocessing as m\nclass A:\n    pass\ndef f(x):\n    return x * 2, __name__\n"
        "if __name__ == '__main__':\n    for kind in ('fork', 'spawn', 'forkserver'):\n"
        "        with m.get_context(kind).Pool(2) as p:\n            print(kind, p.map(f, [1, 2]))"
    ),
    "executor": (
        "from concurrent.futures import ProcessPoolExecutor\ndef f(x):\n    return x + 1\nif __name__ == '__main__':\n"
        "    with ProcessPoolExecutor(2) as p:\n        print(list(p.map(f, range(4))))"
    ),
    "pickle": "import pickle\nclass A: pass\nprint(pickle.loads(pickle.dumps(A)) is A, A.__module__, A)",
    "os_exit": "import os\nprint('lost?', end='')\nos._exit(7)",
    "segfault": "import ctypes\nprint('before', flush=True)\nctypes.string_at(0)",
    "abort": "import os\nos.abort()",
    "no_newline": "print('no newline', end='')",
    "both": "import sys\nprint('out', flush=True)\nprint('err', file=sys.stderr)",
    "long_line": "print('x' * 1_000_000)",
    "binary": "import sys\nsys.stdout.buffer.write(bytes(range(256)) * 100)",
    "closed": "import sys\nsys.stdout.close()\nsys.stderr.close()",
    "imports": (
        "import neighbour, folder.inner\nprint(neighbour.__file__, folder.inner.NAME)\n"
        "from neighbour import x\nprint(x)"
    ),
    "sitecustomize": "import sitecustomize\nprint(sitecustomize.__file__)",
    "reads_a_file": "print(open('data.txt').read(), open(__file__).read())",
    "subprocess": (
        "import subprocess, sys\n"
        "print(subprocess.run([sys.executable, 'neighbour.py'], capture_output=True).stdout)"
    ),
    "library": "import ferris_ef\nprint(ferris_ef.__file__)",
    "runpy": "import runpy\nrunpy.run_path('neighbour.py', run_name='__main__')",
    "exec_itself": (
        "import os, sys\n"
        "if len(sys.argv) == 2: os.execv(sys.executable, [sys.executable, *sys.argv, 'again'])\n"
        "print(sys.argv)"
    ),
    "asyncio": "import asyncio\nasync def f():\n    await asyncio.sleep(0)\n    1 / 0\nasyncio.run(f())",
}
NEIGHBOURS = {
    "neighbour.py": "x = 5\nprint('neighbour as', __name__)\n",
    "neighbour_bad.py": "def f():\n    raise LookupError('from beside')\nf()\n",
    "sitecustomize.py": "",
    "folder/inner.py": "NAME = __name__\n",
    "data.txt": "data",
}  # fmt: skip


def build(steps: list[BuildStep]) -> None:
    for step in steps:
        subprocess.run(step.command, check=True)


def built(folder: Path, python: str | None = None) -> str:
    """The interpreter of an environment without packages."""
    with Environments(folder, 2**30).use(None, python, "", build, lambda _: None) as there:
        return there.python


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The interpreter of the environment without packages."""
    return built(tmp_path_factory.mktemp("environments"))


def folder_of(script: str | bytes, folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    for name, text in {**NEIGHBOURS, "script.py": script}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(text.encode() if isinstance(text, str) else text)
    return folder


class Fresh:
    """Starts each script with a fresh interpreter."""

    def __init__(self) -> None:
        self.runner = ColdRunner()

    def start(self, command: Command) -> Process:
        return self.runner.start(command)


class FreshConfined(Fresh):
    """The same, confined as by FERRIS_ISOLATION=basic."""

    def start(self, command: Command) -> Process:
        return super().start(replace(command, plan=PLAN))


class Forked:
    """Starts each script as the fork of a warm interpreter, and nothing else."""

    def __init__(self) -> None:
        self.runner = WarmRunner()

    def start(self, command: Command) -> Process:
        wait_until_warm(self.runner, command)
        process = self.runner.start(command)
        assert isinstance(process, WarmProcess)
        return process


class ForkedConfined(Forked):
    """The same, confined as by FERRIS_ISOLATION=basic."""

    def start(self, command: Command) -> Process:
        return super().start(replace(command, plan=PLAN))


@pytest.fixture(scope="module", params=[Fresh, Forked, FreshConfined, ForkedConfined])
def way(request: pytest.FixtureRequest) -> Iterator[Fresh | Forked]:
    """How scripts are started."""
    made = request.param()
    yield made
    made.runner.close()


def wait_until_warm(runner: WarmRunner, command: Command) -> None:
    deadline = time.monotonic() + 60
    while not runner.warm(command):
        assert time.monotonic() < deadline, "no fork server came up"
        time.sleep(0.01)


def under_the_runner(
    way: Fresh | Forked, python: str, folder: Path, argument: str
) -> tuple[bytes, bytes, int | None]:
    return outcome(way.start(Command(python, "script.py", folder, inherited(), argument.encode())))


def outcome(process: Process) -> tuple[bytes, bytes, int | None]:
    """Let it run to its end."""
    process.release()
    return the_end(process)


def the_end(process: Process) -> tuple[bytes, bytes, int | None]:
    """What it says from now on, and its status."""
    read = {process.stdout: b"", process.stderr: b""}
    pipes = list(read)
    while pipes:
        ready, _, _ = select.select(pipes, [], [], 30)
        assert ready, "nothing came for 30 s"
        for pipe in ready:
            content = os.read(pipe, 65536)
            read[pipe] += content
            if not content:
                pipes.remove(pipe)
    select.select([process.ended], [], [])
    status = process.reap()
    process.close()
    return read[process.stdout], read[process.stderr], status


def plainly(python: str, folder: Path, argument: str) -> tuple[bytes, bytes, int]:
    done = subprocess.run(
        [python, "script.py", argument],
        cwd=folder,
        env={**inherited(), "PYTHONPATH": str(SDK)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        start_new_session=True,
        timeout=30,
    )
    return done.stdout, done.stderr, done.returncode


@pytest.mark.parametrize("name", SCRIPTS)
def test_output_errors_and_status_are_those_of_plain_python(
    name: str, way: Fresh | Forked, python: str, tmp_path: Path
) -> None:
    folder = tmp_path / "service"
    expected = plainly(python, folder_of(SCRIPTS[name], folder), ARGUMENT)
    found = under_the_runner(way, python, folder_of(SCRIPTS[name], folder), ARGUMENT)
    if (
        name == "os_exit"
    ):  # with line buffering, which plain Python has only on a terminal, nothing else is lost
        expected, found = ((b"", *expected[1:]), (b"", *found[1:]))
    assert found == expected


def interpreter(version: str) -> str | None:
    """The Python of this version on this machine, if there is one."""
    installed = [
        *Path.home().glob(f".pyenv/versions/{version}.*/bin/python{version}"),
        Path(f"/usr/bin/python{version}"),
    ]
    return next((str(path) for path in installed if path.exists()), None)


@pytest.mark.parametrize("version", ["3.12", "3.13"])
def test_other_versions_of_python(version: str, way: Fresh | Forked, tmp_path: Path) -> None:
    base = interpreter(version)
    if base is None:
        pytest.skip(f"no Python {version} here")
    python = built(tmp_path / "e", base)
    for name in (
        "argv",
        "main",
        "path",
        "error",
        "error_syntax",
        "error_chained",
        "exit_text",
        "environment",
        "hook",
    ):
        folder = tmp_path / "service"
        expected = plainly(python, folder_of(SCRIPTS[name], folder), ARGUMENT)
        assert under_the_runner(way, python, folder_of(SCRIPTS[name], folder), ARGUMENT) == expected


@pytest.mark.parametrize("size", [200_000, 1_000_000, 10_000_000])
def test_an_argument_of_any_size(size: int, way: Fresh | Forked, python: str, tmp_path: Path) -> None:
    script = "import sys, json; print(len(json.loads(sys.argv[1])['x']), len(sys.argv))"
    folder = folder_of(script, tmp_path / "service")
    assert under_the_runner(way, python, folder, '{"x": "' + "y" * size + '"}') == (
        f"{size} 2\n".encode(),
        b"",
        0,
    )


def test_the_process_list_shows_nothing_of_the_argument(
    way: Fresh | Forked, python: str, tmp_path: Path
) -> None:
    script = (
        "print(open('/proc/self/cmdline', 'rb').read(), b'sesame' in open('/proc/self/environ', 'rb').read())"
    )
    folder = folder_of(script, tmp_path / "service")
    out, _, _ = under_the_runner(way, python, folder, '{"secrets": {"a": "sesame"}}')
    listed = f"{python.encode() + b'|script.py' + bytes([0])} False\n".encode()
    assert out.replace(b" script.py", b"|script.py").replace(b"\\x00script.py", b"|script.py") == listed


def test_nothing_of_the_executors_environment_is_inherited(
    way: Fresh | Forked, python: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FERRIS_EXECUTOR_TOKEN", "sesame")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "sesame")
    folder = folder_of("import os; print(sorted(os.environ))", tmp_path / "service")
    out, _, _ = under_the_runner(way, python, folder, "{}")
    assert b"FERRIS" not in out
    assert b"AWS" not in out


def test_the_environments_own_sitecustomize_runs_too(way: Fresh | Forked, tmp_path: Path) -> None:
    python = built(tmp_path / "e")
    [packages] = Path(python).parent.parent.glob("lib/python*/site-packages")
    (packages / "sitecustomize.py").write_text("import sys\nsys.customized = True\n")
    script = "import sys, sitecustomize; print(sys.customized, sitecustomize.__file__)"
    for _ in range(2):
        expected = plainly(python, folder_of(script, tmp_path / "service"), "{}")
        assert under_the_runner(way, python, folder_of(script, tmp_path / "service"), "{}") == expected
        assert expected[0].startswith(b"True")


def test_lines_are_out_at_once_though_stdout_is_a_pipe(
    way: Fresh | Forked, python: str, tmp_path: Path
) -> None:
    folder = folder_of("import time\nprint('first')\ntime.sleep(30)", tmp_path / "service")
    process = way.start(Command(python, "script.py", folder, inherited(), b"{}"))
    process.release()
    assert select.select([process.stdout], [], [], 10)[0]
    assert os.read(process.stdout, 100) == b"first\n"
    process.close()


def test_no_user_code_runs_before_the_gate_opens(way: Fresh | Forked, python: str, tmp_path: Path) -> None:
    folder = folder_of("open('ran', 'w')", tmp_path / "service")
    process = way.start(Command(python, "script.py", folder, inherited(), b"{}"))
    assert not select.select([process.ended], [], [], 0.5)[0]
    assert not (folder / "ran").exists()
    process.release()
    assert select.select([process.ended], [], [], 10)[0]
    process.close()
    assert (folder / "ran").exists()


@pytest.mark.parametrize("runner", ["ColdRunner", "WarmRunner"])
@pytest.mark.parametrize("released", [True, False])
def test_the_whole_group_dies_with_its_executor(
    released: bool, runner: str, python: str, tmp_path: Path
) -> None:
    script = (
        "import os, time\nchild = os.fork()\nopen('pid' + ('1' if child else '2'), 'w').write(str(os.getpid()))\n"
        "print('up', flush=True)\ntime.sleep(60)"
    )
    folder = folder_of(script, tmp_path / "service")
    executor = (
        "import os, sys, select, pathlib, time\nfrom tasks.command import inherited\nfrom tasks.runner import *\n"
        "from tasks.warm import *\n"
        f"c = Command({python!r}, 'script.py', pathlib.Path({str(folder)!r}), inherited(), b'{{}}')\n"
        f"r = {runner}()\nwhile {runner} is WarmRunner and not r.warm(c): time.sleep(0.01)\np = r.start(c)\n"
        f"assert type(p).__name__ == {runner.replace('Runner', 'Process')!r}\n"
        + (
            "p.release()\nos.set_blocking(p.stdout, True)\nn = 0\nwhile n < 6: n += len(os.read(p.stdout, 99))\n"
            * released
        )
        + "print(p.pid, flush=True)\nos.kill(os.getpid(), 9)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", executor], capture_output=True, cwd=Path(__file__).parents[2]
    )
    assert done.returncode == -9, done.stderr
    pids = [int(done.stdout)]
    if released:
        pids += [int((folder / name).read_text()) for name in ("pid1", "pid2")]
    for pid in pids:
        wait_until_gone(pid)


def wait_until_gone(pid: int) -> None:
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        assert select.select([handle], [], [], 10)[0], f"{pid} lives"
    finally:
        os.close(handle)
