"""How a script ends: what plain Python does when it takes itself apart, a fork of a warm interpreter does, too."""

from __future__ import annotations

import re
from pathlib import Path

import psutil
import pytest

from tasks.command import inherited
from tasks.runner import Command
from tests.executor import test_parity as parity
from tests.executor.test_parity import ARGUMENT, built, folder_of, plainly, under_the_runner

way, python = parity.way, parity.python

TELLS = """
class Tells:
    def __init__(self, name): self.name = name
    def __del__(self): print('freed', self.name, flush=True)
"""

SCRIPTS = {
    "global": TELLS + "a = Tells('a'); b = Tells('b')\nprint('end')",
    "uses_modules": (
        "import json, os, logging\nclass A:\n    def __del__(self):\n"
        "        print(json.dumps({'a': os.path.join('x', 'y')}), logging.INFO, __name__)\na = A()"
    ),
    "imports_late": (
        "class A:\n    def __del__(self):\n        try:\n            import json, csv, wave\n            print('got')\n"
        "        except ImportError as e:\n            print('no')\na = A()"
    ),
    "cycle": TELLS + "a = Tells('a'); b = Tells('b')\na.b, b.a = b, a",
    "in_a_module": "import tells, sys\ntells.it = tells.Tells('m')\nsys.modules['other'] = tells",
    "in_builtins": TELLS + "import builtins, sys\nbuiltins.x = Tells('b')\nsys.x = Tells('s')",
    "in_a_module_of_the_server": TELLS + "import json, logging\njson.x = Tells('json')\nlogging.Logger.x = Tells('l')",
    "file_in_a_module_of_the_server": "import json\njson.x = open('out', 'w')\njson.x.write('kept')",
    "file_global": "f = open('out', 'w')\nf.write('kept')",
    "file_in_a_function": "def f(x=open('out', 'w')): return x\nf().write('kept')",
    "file_in_a_class_of_the_server": (
        "import logging\nlogging.Logger.file = open('out', 'w')\nlogging.Logger.file.write('kept')"
    ),
    "file_closed": "with open('out', 'w') as f:\n    f.write('kept')\nimport json\njson.x = f",
    "file_in_a_handler": (
        "import logging\nlogging.getLogger().addHandler(logging.StreamHandler(open('out', 'w')))\n"
        "logging.error('kept')\nlogging.FileHandler('out2').stream.write('kept, too')"
    ),
    "handler_that_tells": (
        "import logging\nclass H(logging.Handler):\n    def emit(self, r): print('emit', r.msg)\n"
        "    def flush(self): print('flush')\n    def close(self): print('close'); super().close()\n"
        "    def __del__(self): print('freed')\n"
        "logging.getLogger().addHandler(H())\nlogging.warning('x')"
    ),
    "generator": (
        "import json\ndef g():\n    try:\n        yield 1\n    finally:\n        print('finally')\n"
        "x = g(); next(x)\njson.x = g(); next(json.x)"
    ),
    "weakref": (
        "import json, weakref\nclass A: pass\na, json.a = A(), A()\n"
        "r = weakref.ref(a, lambda _: print('gone'))\njson.r = weakref.ref(json.a, lambda _: print('gone, too'))\n"
        "json.p = weakref.ref(json.a, print) and 0"
    ),
    "weak_values": (
        "import weakref\nclass A: pass\nd = weakref.WeakValueDictionary(); a = A(); d['a'] = a\nprint(len(d))"
    ),
    "finalize": "import weakref, json\njson.o = type('O', (), {})()\nweakref.finalize(json.o, print, 'finalized')",
    "unclosed_file_warning": (
        "import warnings, json\nwarnings.simplefilter('always')\nf = open('data.txt')\njson.f = open('data.txt')"
    ),
    "unclosed_socket_warning": (
        "import warnings, socket, json\nwarnings.simplefilter('always')\njson.s = socket.socket()"
    ),
    "error_in_del": "class A:\n    def __del__(self): 1 / 0\na = A()\nimport json\njson.a = A()",
    "daemon_thread": (
        TELLS + "import threading, time, json\njson.a = Tells('a')\n"
        "threading.Thread(target=lambda: time.sleep(60), daemon=True).start()"
    ),
    "thread_local": TELLS + "import threading\nt = threading.local()\nt.a = Tells('local')",
    "context_variable": TELLS + "import contextvars\nv = contextvars.ContextVar('v')\nv.set(Tells('context'))",
    "cached": TELLS + "import functools\n@functools.lru_cache\ndef f(x): return Tells(x)\nf('cached')",
    "registered": TELLS + "import collections.abc\nclass S: x = Tells('s')\ncollections.abc.Sequence.register(S)",
    "temporary": (
        "import tempfile, os\nt = tempfile.NamedTemporaryFile(dir='.')\nd = tempfile.TemporaryDirectory(dir='.')\n"
        "print(len(os.listdir('.')))"
    ),
    "stdout_replaced": (
        "import sys, io, os\nsys.stdout = io.TextIOWrapper(io.BufferedWriter(io.FileIO(os.dup(1), 'w')))\nprint('x')"
    ),
    "atexit_in_order": (
        TELLS + "import atexit, json\natexit.register(lambda: print('exit', json.dumps([1])))\na = Tells('a')"
    ),
    "atexit_imports": (
        "import atexit\n@atexit.register\ndef f():\n    import json, wave, decimal\n    print(json, wave.Error)"
    ),
    "atexit_cleared": TELLS + "import atexit\natexit._clear()\na = Tells('a')",
    "forked": (
        TELLS + "import os\na = Tells('a')\nif (p := os.fork()):\n    os.waitpid(p, 0)\nprint('end', flush=True)"
    ),
    "exit_3": TELLS + "import json, sys\na = Tells('a')\nsys.exit(3)",
    "exit_3_at_the_end": "import sys\nprint('x', end='')\nsys.exit(3)",
    "exit_3_raised": "raise SystemExit(3)",
    "exit_3_without_file": "import sys\ndel __file__, __cached__\nsys.exit(3)",
    "exit_3_without_names": "exit = __import__('sys').exit\nglobals().clear() or (lambda: 0)",
    "exit_3_in_a_function_without_file": (
        "import sys\ndef f():\n    del globals()['__file__'], globals()['__cached__']\n    raise SystemExit(3)\nf()"
    ),
    "exit_by_an_error_hook": "import sys\nsys.excepthook = lambda *_: sys.exit(4)\n1 / 0",
    "error_taken_away_at_exit": (
        "import sys, atexit\n@atexit.register\ndef f():\n"
        "    for n in ('last_type', 'last_value', 'last_traceback', 'last_exc'):\n        vars(sys).pop(n, None)\n1 / 0"
    ),
    "error_of_syntax": "def f(:\n    pass",
    "freed_without_room": (
        "class A:\n    __slots__ = ()\n    def __del__(self): print('freed')\na = A()\nimport json\njson.a = A()"
    ),
    "frozen": TELLS + "import gc\na = Tells('a')\ngc.freeze()",
    "frozen_and_back": TELLS + "import gc\na = Tells('a')\ngc.freeze()\ngc.unfreeze()",
    "printed_by_c": "import ctypes\nctypes.CDLL(None).printf(b'from C')\nprint('x')",
    "scan_left": "import os, warnings\nwarnings.simplefilter('always')\ns = os.scandir('.')\nnext(s)",
    "database_left": (
        "import sqlite3, os\nd = sqlite3.connect('x.db')\nd.execute('pragma journal_mode=wal')\n"
        "d.execute('create table t (a)')\nd.commit()"
    ),
    "bytes_left": "import io\nb = io.BytesIO(b'x')\nt = io.StringIO('x')\nprint(b.read())",
    "not_a_line": "import sys\nprint('x', end='')\nprint('y', end='', file=sys.stderr)\nsys.stdout.buffer.write(b'z')",
    "forked_in_a_function": (
        "import os, sys\ndef f():\n    if not (p := os.fork()):\n        sys.exit(5)\n"
        "    print(os.waitpid(p, 0)[1], flush=True)\nf()\nif not (p := os.fork()):\n    raise SystemExit\n"
        "os.waitpid(p, 0)"
    ),
    "main_replaced": "import sys, types\nsys.modules['__main__'] = types.ModuleType('__main__')\nsys.exit(6)",
    "stderr_closed": "import sys\nsys.stderr.close()\nprint('x')",
    "thread_ends_it": "import threading, os\nthreading.Thread(target=lambda: os._exit(7)).start()",
    "thread_goes_on": (
        "import threading, time\nthreading.Thread(target=lambda: (time.sleep(0.1), print('late'))).start()\n"
        "print('end')"
    ),
    "exit_in_atexit": "import atexit, sys\natexit.register(sys.exit, 9)",
    "error": TELLS + "a = Tells('a')\ndef f():\n    x = Tells('x')\n    1 / 0\nf()",
    "flush_fails": "import os\nprint('x', end='')\nos.close(1)",
    "many_objects": TELLS + "import json\njson.many = [[n] for n in range(100_000)]\njson.many.append(Tells('last'))",
    "a_module_replaced": TELLS + "import sys\nsys.modules['json'] = Tells('instead')",
    "a_module_imported_again": "import json, sys\ndel sys.modules['json']\nimport json\nprint(json.dumps([1]), end='')",
    "modules_in_another_order": (
        "import sys, readline\nfound = dict(reversed(sys.modules.items()))\nsys.modules.clear()\n"
        "sys.modules.update(found)\nprint('end', end='')"
    ),
    "modules_emptied": TELLS + "import sys\na = Tells('a')\nsys.modules.clear()",
    "async_left": (
        "import asyncio\nasync def f():\n"
        "    try:\n        await asyncio.sleep(60)\n    finally:\n        print('ended')\n"
        "async def main():\n    asyncio.create_task(f())\n    await asyncio.sleep(0)\nasyncio.run(main())"
    ),
    "pool_left": (
        "import multiprocessing as m\nif __name__ == '__main__':\n    p = m.get_context('fork').Pool(1)\n"
        "    print(p.apply(abs, (-1,)))"
    ),
    "executor_left": (
        "from concurrent.futures import ThreadPoolExecutor as T\nimport time\np = T(1)\n"
        "p.submit(lambda: (time.sleep(0.1), print('done')))"
    ),
}  # fmt: skip


def left(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def compare(script: str, way: parity.Fresh | parity.Forked, python: str, folder: Path, name: str) -> None:
    """Run it both ways; a script that says where something lies in memory is excused from that."""
    found = []
    for start in (plainly, lambda *rest: under_the_runner(way, *rest)):
        folder_of(script, folder)
        (folder / "tells.py").write_text(TELLS)
        out, err, status = start(python, folder, ARGUMENT)
        found.append((out, re.sub(rb" ?(at )?0x\w+", b"", err), status, left(folder)))
    assert found[1] == found[0], name


@pytest.mark.parametrize("name", SCRIPTS)
def test_the_end_is_that_of_plain_python(
    name: str, way: parity.Fresh | parity.Forked, python: str, tmp_path: Path
) -> None:
    compare(SCRIPTS[name], way, python, tmp_path / "service", name)


def test_a_script_of_which_nothing_is_left_takes_nothing_apart(python: str, tmp_path: Path) -> None:
    """Else it would copy most of what it shares with its server."""
    way, scripts = parity.Forked(), ("import json", "import json\nraise SystemExit(1)", "import json\n1 / 0")
    try:
        at_once, *others = (_pages(way, python, folder_of(one, tmp_path / "service")) for one in scripts)
    finally:
        way.runner.close()
    assert at_once < 0.6 * min(others)


def _pages(way: parity.Forked, python: str, folder: Path) -> int:
    """How many pages the script's process was given, or copied."""
    process = way.start(Command(python, "script.py", folder, inherited(), b"{}"))
    server = Path(f"/proc/{psutil.Process(process.pid).ppid()}/stat")
    before = int(server.read_text().rpartition(")")[2].split()[8])
    parity.outcome(process)
    return int(server.read_text().rpartition(")")[2].split()[8]) - before


@pytest.mark.parametrize("version", ["3.12", "3.13"])
def test_other_versions_of_python(version: str, way: parity.Fresh | parity.Forked, tmp_path: Path) -> None:
    base = parity.interpreter(version)
    if base is None:
        pytest.skip(f"no Python {version} here")
    python = built(tmp_path / "e", base)
    for name, script in SCRIPTS.items():
        compare(script, way, python, tmp_path / "service", name)
