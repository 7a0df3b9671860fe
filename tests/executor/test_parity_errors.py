"""Errors that nobody catches, hooks, and what goes wrong while a script ends: as with plain Python, byte for byte."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.executor import test_parity as parity
from tests.executor.test_parity_end import compare

python = parity.python


@pytest.fixture(scope="module", params=[parity.Fresh, parity.ForkedConfined])
def way(request: pytest.FixtureRequest) -> Iterator[parity.Fresh | parity.Forked]:
    """The two that are farthest apart."""
    made = request.param()
    yield made
    made.runner.close()


HIDES = """
import sys
first = sys.excepthook
def hook(*_):
    sys.excepthook = first
    for name in ("last_type", "last_value", "last_traceback", "last_exc"):
        vars(sys).pop(name, None)
    print("told", end="")
"""

SCRIPTS = {
    "hook_that_hides": HIDES + "sys.excepthook = hook\n1 / 0",
    "hook_that_hides_in_module": "import sys, neighbour\n" + HIDES + "sys.excepthook = hook\nraise ValueError",
    "hook_that_hides_base": HIDES + "sys.excepthook = hook\nraise KeyboardInterrupt",
    "hook_deleted": "import sys\ndel sys.excepthook\n1 / 0",
    "hook_then_exit_raise": "import sys\ndef hook(*_): raise SystemExit('text')\nsys.excepthook = hook\n1/0",
    "hook_system_exit_0": "import sys\ndef hook(*_): sys.exit(0)\nsys.excepthook = hook\n1/0",
    "hook_restored_by_itself": (
        "import sys\ndef hook(*a):\n    sys.excepthook = sys.__excepthook__\n"
        "    sys.__excepthook__(*a)\nsys.excepthook = hook\n1/0"
    ),
    "hook_keyboard": "import sys\nsys.excepthook = lambda *a: print('k', a[0])\nraise KeyboardInterrupt",
    "hook_raises_keyboard": "import sys\ndef h(*a): raise KeyboardInterrupt\nsys.excepthook = h\n1/0",
    "original_hook_changed": "import sys\nsys.__excepthook__ = print\n1/0",
    "thread_hook": (
        "import threading\nthreading.excepthook = lambda a: print('hook', a.exc_type, a.thread.name)\n"
        "t = threading.Thread(target=lambda: 1/0); t.start(); t.join()"
    ),
    "thread_hook_broken": (
        "import threading\ndef h(a): raise RuntimeError('in it')\nthreading.excepthook = h\n"
        "t = threading.Thread(target=lambda: 1/0); t.start(); t.join()"
    ),
    "thread_hook_back": (
        "import threading\nthreading.excepthook = print\n"
        "threading.excepthook = threading.__excepthook__\n"
        "t = threading.Thread(target=lambda: 1/0); t.start(); t.join()"
    ),
    "thread_raw_error": "import _thread, time\ndef f(): 1/0\n_thread.start_new_thread(f, ())\ntime.sleep(.2)",
    "thread_late_error": (
        "import threading, time\ndef f():\n    time.sleep(.1)\n    1/0\n"
        "threading.Thread(target=f, name='T').start()"
    ),
    "thread_sys_hook": (
        "import sys, threading\nsys.excepthook = lambda *a: print('sys')\n"
        "t = threading.Thread(target=lambda: 1/0, name='T'); t.start(); t.join()"
    ),
    "unraisable": "class A:\n    def __del__(self): 1/0\na = A()\ndel a\nprint('x')",
    "unraisable_hook": (
        "import sys\nsys.unraisablehook = lambda u: print('u', u.exc_type, u.err_msg)\nclass A:\n"
        "    def __del__(self): 1/0\na = A()"
    ),
    "unraisable_hook_back": (
        "import sys\nsys.unraisablehook = print\nsys.unraisablehook = sys.__unraisablehook__\n"
        "class A:\n    def __del__(self): 1/0\na = A()"
    ),
    "unraisable_broken": (
        "import sys\ndef h(u): raise RuntimeError('h')\nsys.unraisablehook = h\nclass A:\n"
        "    def __del__(self): 1/0\na = A()\ndel a"
    ),
    "unraisable_callback": "import weakref\nclass A: pass\na = A()\nr = weakref.ref(a, lambda _: 1/0)\ndel a",
    "unraisable_callback_at_end": "import weakref\nclass A: pass\na = A()\nr = weakref.ref(a, lambda _: 1/0)",
    "unraisable_generator": "def g():\n    try:\n        yield\n    finally:\n        1/0\nx = g(); next(x)",
    "atexit_system_exit": "import atexit\ndef f(): raise SystemExit('text')\natexit.register(f)",
    "atexit_system_exit_3": "import atexit\ndef f(): raise SystemExit(3)\natexit.register(f)\nprint('x')",
    "atexit_keyboard": "import atexit\ndef f(): raise KeyboardInterrupt\natexit.register(f)\nprint('x')",
    "atexit_signal": (
        "import atexit, os, signal\natexit.register(lambda: os.kill(os.getpid(), signal.SIGINT))\n"
        "print('x')"
    ),
    "atexit_two_errors": (
        "import atexit\natexit.register(lambda: print('last'))\natexit.register(lambda: 1/0)\n"
        "atexit.register(lambda: {}['a'])\n1/0"
    ),
    "atexit_os_exit": "import atexit, os\natexit.register(os._exit, 4)\n1/0",
    "atexit_unraisable_hook": (
        "import atexit, sys\nsys.unraisablehook = lambda u: print('u', u.err_msg, u.object)\n"
        "atexit.register(divmod, 1, 0)"
    ),
    "atexit_thread": (
        "import atexit, threading\ndef f():\n"
        "    t = threading.Thread(target=lambda: 1/0, name='T'); t.start(); t.join()\n"
        "atexit.register(f)"
    ),
    "atexit_hook_hides": HIDES + "import atexit\natexit.register(print, 'x')\nsys.excepthook = hook\n1/0",
    "atexit_unregistered_again": (
        HIDES + "import atexit\natexit.register(print, 'x')\natexit.unregister(print)\nsys.excepthook = hook\n"
        "1/0"
    ),
    "keyboard_in_thread": (
        "import threading\ndef f(): raise KeyboardInterrupt\n"
        "t = threading.Thread(target=f, name='T'); t.start(); t.join()"
    ),
    "keyboard_interrupt_main": "import _thread, time\n_thread.interrupt_main()\ntime.sleep(1)",
    "keyboard_caught": (
        "import os, signal\ntry:\n    os.kill(os.getpid(), signal.SIGINT)\n"
        "except KeyboardInterrupt as e:\n    print('caught', repr(e))"
    ),
    "keyboard_own_handler": (
        "import signal, os\nsignal.signal(signal.SIGINT, lambda *_: print('h'))\n"
        "os.kill(os.getpid(), signal.SIGINT)"
    ),
    "keyboard_while_waiting_for_threads": (
        "import threading, time, os, signal\ndef f():\n    time.sleep(.2)\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n    time.sleep(.2)\n    print('t')\n"
        "threading.Thread(target=f).start()"
    ),
    "keyboard_ignored": (
        "import signal, os\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\nraise KeyboardInterrupt"
    ),
    "sigterm_handler_exit": (
        "import signal, os, sys\nsignal.signal(signal.SIGTERM, lambda *_: sys.exit(7))\n"
        "os.kill(os.getpid(), signal.SIGTERM)"
    ),
    "group_nested": (
        "raise ExceptionGroup('a', [ValueError(1), ExceptionGroup('b', [TypeError(2), KeyError('k')])])"
    ),
    "group_base": "raise BaseExceptionGroup('a', [KeyboardInterrupt(), ValueError(1)])",
    "group_of_exit": "raise BaseExceptionGroup('a', [SystemExit(3)])",
    "group_star": (
        "try:\n    raise ExceptionGroup('a', [ValueError(1), TypeError(2)])\n"
        "except* ValueError as g:\n    print(g.exceptions)"
    ),
    "notes": "e = ValueError('x')\ne.add_note('a\\nb')\ne.add_note('ü')\nraise e",
    "notes_broken": "e = ValueError('x')\ne.__notes__ = 5\nraise e",
    "notes_on_exit": "e = SystemExit('text')\ne.add_note('a')\nraise e",
    "syntax_runtime": "eval('1 +')",
    "syntax_compile": "compile('def f(:', 'other.py', 'exec')",
    "syntax_import": "open('bad_one.py', 'w').write('def f(:\\n')\nimport bad_one",
    "syntax_warning": "x = 1 is 1\nprint(x)",
    "syntax_escape": "x = '\\d'\nprint(x)",
    "syntax_hook": "import sys\nsys.excepthook = lambda *a: print(a[0])\neval('1 +')",
    "syntax_raised": "raise SyntaxError('text', ('f.py', 3, 5, 'x = = 1', 3, 7))",
    "exit_text_direct": "raise SystemExit('text')",
    "exit_text_empty": "raise SystemExit('')",
    "exit_text_surrogate": "raise SystemExit('\\ud800 \u00fc')",
    "exit_minus": "raise SystemExit(-1)",
    "exit_exception": "raise SystemExit(ValueError('x'))",
    "exit_subclass": "class E(SystemExit):\n    code = 5\nraise E",
    "exit_stderr_none": "import sys\nsys.stderr = None\nraise SystemExit('text')",
    "exit_in_finally": "try:\n    1/0\nfinally:\n    raise SystemExit(6)",
    "exit_in_del": "class A:\n    def __del__(self): raise SystemExit(3)\na = A()",
    "exit_in_import": "open('ends.py', 'w').write('raise SystemExit(8)')\nimport ends",
    "recursion_repr": (
        "a = []\na.append(a)\nprint(a)\nclass A:\n    def __repr__(self): return repr(self)\nrepr(A())"
    ),
    "recursion_limit": (
        "import sys\nprint(sys.getrecursionlimit())\nd = 0\ndef f():\n    global d\n    d += 1\n"
        "    f()\ntry:\n    f()\nexcept RecursionError as e:\n    print(e)\nprint(d)"
    ),
    "recursion_json": (
        "import json\nx = []\nfor _ in range(100000): x = [x]\ntry:\n    json.dumps(x)\n"
        "except RecursionError as e: print(e)"
    ),
    "recursion_hook": "import sys\ndef h(*a): h(*a)\nsys.excepthook = h\n1/0",
    "recursion_del": "class A:\n    def __del__(self): self.__del__()\na = A()\ndel a\nprint('x')",
    "broken_pipe_at_exit": (
        "import os, sys\nr, w = os.pipe()\nos.dup2(w, 1)\nos.close(r)\nos.close(w)\n"
        "sys.stdout.write('x')"
    ),
    "broken_pipe_exit_3": (
        "import os, sys\nr, w = os.pipe()\nos.dup2(w, 1)\nos.close(r)\nos.close(w)\n"
        "sys.stdout.write('x')\nsys.exit(3)"
    ),
    "broken_pipe_error": (
        "import os, sys\nr, w = os.pipe()\nos.dup2(w, 1)\nos.close(r)\nos.close(w)\n"
        "sys.stdout.write('x')\n1/0"
    ),
    "broken_stderr": "import os, sys\nr, w = os.pipe()\nos.dup2(w, 2)\nos.close(r)\nos.close(w)\n1/0",
    "broken_stderr_exit": (
        "import os, sys\nr, w = os.pipe()\nos.dup2(w, 2)\nos.close(r)\nos.close(w)\nsys.exit('text')"
    ),
    "full_device": (
        "import os, sys\nf = os.open('/dev/full', os.O_WRONLY)\nos.dup2(f, 1)\nsys.stdout.write('x')"
    ),
    "stdout_object": (
        "import sys\nclass W:\n    def write(self, t): sys.__stderr__.write('w:' + t)\n"
        "    def flush(self): sys.__stderr__.write('flush\\n')\nsys.stdout = W()\nprint('x')"
    ),
    "stdout_flush_raises": (
        "import sys\nclass W:\n    def write(self, t): pass\n"
        "    def flush(self): raise ValueError('f')\nsys.stdout = W()\nprint('x')"
    ),
    "stdout_detached": "import sys\nb = sys.stdout.detach()\nb.write(b'x')",
    "stdout_deleted": "import sys\ndel sys.stdout\nprint('x')",
    "stderr_deleted": "import sys\ndel sys.stderr\n1/0",
    "fd2_closed": "import os\nos.close(2)\n1/0",
    "faulthandler_on": "import faulthandler\nfaulthandler.enable()\nprint(faulthandler.is_enabled())",
    "faulthandler_crash": (
        "import faulthandler, sys\nfaulthandler.enable(all_threads=False)\nprint('b', flush=True)\n"
        "faulthandler._sigsegv()"
    ),
    "faulthandler_threads": "import faulthandler, ctypes\nfaulthandler.enable()\nfaulthandler._sigabrt()",
    "faulthandler_dump": "import faulthandler\ndef f(): faulthandler.dump_traceback(all_threads=False)\nf()",
    "faulthandler_file": (
        "import faulthandler\nf = open('dump', 'w')\nfaulthandler.dump_traceback(f, all_threads=False)"
    ),
    "faulthandler_register": (
        "import faulthandler, signal, os\nfaulthandler.register(signal.SIGUSR1, all_threads=False)\n"
        "os.kill(os.getpid(), signal.SIGUSR1)\nprint('on')"
    ),
    "faulthandler_later": (
        "import faulthandler, time\nfaulthandler.dump_traceback_later(.1, exit=True)\ntime.sleep(5)"
    ),
    "x_options": (
        "import sys, warnings\n"
        "print(sys._xoptions, sys.warnoptions, sys.flags, sys.dont_write_bytecode, sys.pycache_prefix)\n"
        "print(warnings.filters)"
    ),
    "settrace": (
        "import sys\ndef t(f, e, a): \n"
        "    if f.f_code.co_filename.endswith('script.py'): print(e, f.f_lineno)\nsys.settrace(t)\n"
        "def f():\n    return 1\nf()"
    ),
    "audit": (
        "import sys\n"
        "sys.addaudithook(lambda e, a: print(e) if e.startswith(('cpython.', 'sys.e')) else None)\n"
        "print('x')"
    ),
    "audit_error": (
        "import sys\n"
        "sys.addaudithook(lambda e, a: print(e) if e.startswith(('cpython.', 'sys.e')) else None)\n1/0"
    ),
    "last_set_by_script": "import sys\nsys.last_value = 5\nprint('x')",
    "traceback_limit": "import sys\nsys.tracebacklimit = 1\ndef f(): 1/0\nf()",
    "traceback_limit_0": "import sys\nsys.tracebacklimit = 0\n1/0",
    "error_suggestion": "import json\njson.dmups",
    "error_suggestion_name": "value = 1\nprint(valeu)",
    "error_multiline": "x = {'a': 1}\n(x\n ['a']\n ['b']\n)",
    "error_from_none": "try:\n    1/0\nexcept ZeroDivisionError:\n    raise ValueError('x') from None",
    "error_loop": "a = ValueError('a'); b = ValueError('b')\na.__cause__ = b; b.__cause__ = a\nraise a",
    "error_in_exec": "exec(compile('1/0', 'nowhere.py', 'exec'))",
    "error_source_gone": "import os\nos.remove('script.py')\n1/0",
    "async_never_awaited_global": "async def f(): pass\nx = f()",
    "async_keyboard": (
        "import asyncio, os, signal\nasync def f():\n    os.kill(os.getpid(), signal.SIGINT)\n"
        "    await asyncio.sleep(5)\nasyncio.run(f())"
    ),
    "logging_at_exit": "import logging\nclass A:\n    def __del__(self): logging.error('late')\na = A()",
    "logging_error_in_handler": "import logging\nlogging.warning('%d', 'x')",
    "execv_after_error": (
        "import sys, os\n"
        "sys.excepthook = lambda *a: os.execv(sys.executable, [sys.executable, '-c', 'import sys; sys.exit(9)'])\n"
        "1/0"
    ),
    "fork_child_error": "import os\nif not (p := os.fork()):\n    1/0\nprint(os.waitpid(p, 0)[1])",
    "fork_child_exits": (
        "import os, sys\nif not (p := os.fork()):\n    sys.exit('child')\nprint(os.waitpid(p, 0)[1])"
    ),
    "fork_child_hook": (
        HIDES + "import os\nif not (p := os.fork()):\n    sys.excepthook = hook\n    1/0\n"
        "print(os.waitpid(p, 0)[1])"
    ),
    "process_error": (
        "import multiprocessing as m\ndef f(): 1/0\nif __name__ == '__main__':\n"
        "    p = m.get_context('fork').Process(target=f, name='P'); p.start(); p.join(); print(p.exitcode)"
    ),
    "print_exception": (
        "import sys\ntry: 1/0\nexcept Exception as e: sys.excepthook(type(e), e, e.__traceback__)"
    ),
    "unraisable_at_shutdown_module": (
        "import sys\nclass A:\n    def __del__(self):\n        raise ValueError('late')\n"
        "sys.modules['keep'] = A()"
    ),
    "main_cleared": "globals().clear()",
    "sys_cleared": "import sys\nvars(sys).clear()",
    "hook_swaps_in_thread": (
        "import sys, threading\ndef f(): sys.excepthook = lambda *a: print('swapped')\n"
        "t = threading.Thread(target=f); t.start(); t.join()\n1/0"
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", SCRIPTS)
def test_errors_and_hooks_are_those_of_plain_python(
    name: str, way: parity.Fresh | parity.Forked, python: str, tmp_path: Path
) -> None:
    compare(SCRIPTS[name], way, python, tmp_path / "service", name)


@pytest.mark.parametrize("version", ["3.12", "3.13"])
def test_other_versions_of_python(version: str, way: parity.Fresh | parity.Forked, tmp_path: Path) -> None:
    base = parity.interpreter(version)
    if base is None:
        pytest.skip(f"no Python {version} here")
    python = parity.built(tmp_path / "e", base)
    for name in (name for name in SCRIPTS if name.startswith(("hook", "atexit", "exit", "broken", "group"))):
        compare(SCRIPTS[name], way, python, tmp_path / "service", name)
