"""First code in the interpreter of a script: makes it what `python script.py '<json>'` would have been.

Python's `site` imports this module before the script, because its folder is the first of PYTHONPATH. It waits at
the gate until the script may run, takes the argument from an inherited file (so that no process list shows it,
whatever its size), and removes its own traces. The script itself is then started by Python as ever: `__main__`,
`sys.path[0]`, tracebacks, exit codes and `atexit` are Python's own.

Only built-in and tiny extension modules are imported here: every script pays for it.

In a fork server this is the place where the interpreter stays, and whence its children go on: see `_ferris_warm`.
"""

import os
import sys


def begin(gate: int, content: bytes, said: "int | None") -> None:
    """Confine this process, wait for the gate's byte, take over the argument. The gate closes when the executor dies.

    `content`: the plan of how to confine it, if it is to say at `said` how that went, and the argument.
    """
    if said is not None:
        size = 8 + int(content[:8])
        _confine(content[8:size], said)
        content = content[size:]
    sys.modules.pop("_ferris_confine", None)
    text = content.decode()
    if not os.read(gate, 1):
        os._exit(1)
    _end_with_executor(gate)
    sys.argv.append(text)
    if hasattr(sys, "orig_argv"):
        sys.orig_argv.append(text)
    if sys.stdout is not None:
        sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]


def _confine(plan: bytes, said: int) -> None:
    import marshal

    known = len(sys.modules)
    if "_ferris_confine" not in sys.modules:  # a fork server has it already
        here = os.path.dirname(__file__)
        sys.path.insert(0, here)
        import _ferris_confine  # type: ignore[import-not-found] # noqa: F401

        del sys.path[0]
        sys.path_importer_cache.pop(here, None)
    sys.modules["_ferris_confine"].confine(marshal.loads(plan), said)  # noqa: S302 - the executor's
    # What was imported for it must not stand in the way of files beside the script. It stands last: a fork that
    # looked at the names of all modules would copy nearly as many pages.
    if new := len(sys.modules) - known:
        beside = {name.partition(".")[0] for name in os.listdir(os.path.dirname(sys.orig_argv[-1]) or ".")}
        for _, name in list(zip(range(new), reversed(sys.modules))):  # noqa: B905 - as many as are new
            if name.partition(".")[0] in beside:
                del sys.modules[name]


def _content(argument: int) -> bytes:
    size = os.fstat(argument).st_size
    content = bytearray()
    while len(content) < size:
        content += os.pread(argument, size - len(content), len(content))
    os.close(argument)
    return bytes(content)


def _reset_signals() -> None:
    """Ignored signals are inherited; a script expects the defaults, and Ctrl-C as KeyboardInterrupt."""
    import _signal  # type: ignore[import-not-found]

    for number in (_signal.SIGINT, _signal.SIGTERM, _signal.SIGHUP, _signal.SIGQUIT, _signal.SIGCHLD):
        if _signal.getsignal(number) == _signal.SIG_IGN:
            default = _signal.default_int_handler if number == _signal.SIGINT else _signal.SIG_DFL
            _signal.signal(number, default)
    _signal.pthread_sigmask(_signal.SIG_SETMASK, ())


def _end_with_executor(gate: int) -> None:
    """Have the kernel kill this process group when the gate's other end closes, because the executor died.

    Unlike PR_SET_PDEATHSIG it reaches the whole group, does not depend on the executor's thread, and needs no
    ctypes, whose import takes longer than the rest of this module.
    """
    import _signal
    import fcntl

    fcntl.fcntl(gate, fcntl.F_SETSIG, _signal.SIGKILL)
    fcntl.fcntl(gate, fcntl.F_SETOWN, -os.getpgrp())
    fcntl.fcntl(gate, fcntl.F_SETFL, fcntl.fcntl(gate, fcntl.F_GETFL) | os.O_ASYNC | os.O_NONBLOCK)
    try:
        if os.read(gate, 1) == b"":
            os._exit(1)  # it died between the byte and here
    except BlockingIOError:
        pass


def _leave_no_trace() -> None:
    here = os.path.dirname(__file__)
    sys.path[:] = [entry for entry in sys.path if entry != here]
    sys.path_importer_cache.pop(here, None)
    rest = [entry for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep) if entry not in ("", here)]
    if rest:
        os.environ["PYTHONPATH"] = os.pathsep.join(rest)
    else:
        os.environ.pop("PYTHONPATH", None)


def _become(python: str) -> None:
    """Be the interpreter of an environment with packages: here, and not before, their code runs (`.pth`).

    What came up is an interpreter of the same version without packages, which nobody but the platform can change.
    """
    import site

    folders = (sys.prefix, prefix := os.path.dirname(os.path.dirname(python)))
    for entry in site.getsitepackages(folders[:1]):
        if entry in sys.path:
            sys.path.remove(entry)
        sys.path_importer_cache.pop(entry, None)
    sys.executable = sys.orig_argv[0] = python
    sys.prefix = sys.exec_prefix = prefix
    site.PREFIXES[:] = [prefix]
    known = sys.modules.get("sysconfig")  # in a fork server, which has looked already
    if known is not None:
        known._PREFIX = known._EXEC_PREFIX = prefix  # type: ignore[attr-defined]
        for name, value in (known._CONFIG_VARS or {}).items():
            if value == folders[0]:
                known._CONFIG_VARS[name] = prefix
    for _ in range(2):  # as Python does in a virtual environment: as one, and as one of all places
        site.addsitepackages(None, [prefix])  # type: ignore[arg-type]


_handles = os.environ.pop("FERRIS_BOOT", None)
_room = os.environ.pop("FERRIS_ROOM", None)
_last = os.environ.pop("FERRIS_PATH_LAST", None)
_python = os.environ.pop("FERRIS_PYTHON", sys.executable)
if _room is not None:
    import _ferris_warm  # type: ignore[import-not-found]
_leave_no_trace()
if _handles is not None:
    try:
        _first, _second, *_said = (int(_number) for _number in _handles.split(","))
        _reset_signals()
        if _room is not None:
            _python, *_order = _ferris_warm.serve(_first, _second, _last is None)
            begin(*_order)
        else:
            begin(_first, _content(_second), _said[0] if _said else None)
    except BaseException as error:
        os.write(2, f"the executor's hand-over failed: {type(error).__name__}: {error}\n".encode())
        os._exit(70)
if _python != sys.executable:
    _become(_python)
    if _room is not None:
        _ferris_warm.note()
        _ferris_warm.customized = True  # perhaps
if _last is not None:
    sys.path.append(_last)
# The environment's own sitecustomize, if it has one; `site` takes an ImportError of this name for "there is none".
del sys.modules["sitecustomize"]
if _room is not None and not _ferris_warm.customized:
    raise ImportError(name="sitecustomize")  # known already, so a child need not look for it
import sitecustomize  # type: ignore[import-not-found] # noqa: E402, F401
