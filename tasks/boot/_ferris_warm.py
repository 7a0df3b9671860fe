"""A fork server: an interpreter that `site` has nearly finished to bring up, and whose children become scripts.

It was started as `python <token>`, and `sitecustomize` calls `serve` before any script begins. Each child returns
from there and goes on as Python does: to the script that its command line names. That name is the token, which the
child replaces in its own memory. So no line of ours runs a script, and none is below it on the stack.

A request is one message on the control socket with descriptors: standard output, standard error, the gate, a file with
the order, perhaps a socket on which the child says how it confined itself, perhaps a PID namespace for the child,
and one on which this process tells the child's number. Only the child reads the order:
no secret enters this process. It ends when the control socket closes, which is when the executor ends, however.
"""

from __future__ import annotations

import os
import sys

import _ferris_confine  # type: ignore[import-not-found]
import _ferris_memory  # type: ignore[import-not-found]
import _ferris_parting  # type: ignore[import-not-found]

TYPE_CHECKING = False
if TYPE_CHECKING:
    import select
    from collections.abc import Callable

    Places = list[tuple[int, int]]
    Area = tuple[int, int, int, int]
    Child = tuple[str, int, bytes, int | None]

VERSIONS = ((3, 11), (3, 12), (3, 13))
"""Those that tests/executor/test_parity.py has compared with a fresh start."""

LIBRARY = ("ferris_ef", "fx_ef")
# What scripts often use, and what starts no thread, opens no file and reads no environment when it is imported.
COMMON = """
    argparse base64 collections csv copy dataclasses datetime decimal enum functools hashlib itertools json logging
    math operator pathlib random re shutil socket string subprocess tempfile textwrap threading time traceback typing
    urllib.parse urllib.request uuid zoneinfo
"""
OWN = """
    fx_ef ferris_ef.events ferris_ef.log ferris_ef.objects ferris_ef.scheduler ferris_ef.state ferris_ef.values
    ferris_ef.wire
"""
HOOKED = frozenset(("logging", "random", "threading"))
"""What these do after a fork is of no use in a child of a process that has one thread and holds no lock, and writes to
pages that are copied for that. Their hooks are registered in the child, for the forks of its script."""
_register = os.register_at_fork
_hooks: list[dict[str, Callable[[], object]]] = []
customized = False
"""True when this environment has a `sitecustomize` of its own."""
_PATIENCE = 5  # seconds
_PLATFORMS = ("FERRIS_BOOT", "FERRIS_PATH_LAST", "FERRIS_ROOM", "LD_BIND_NOW", "PYTHONPATH")


def serve(handle: int, idle: int, library: bool) -> Child:
    """Answer requests. Returns in each child: its interpreter, its gate, its plan and argument, and where it speaks if
    it has a plan.

    Ends after `idle` seconds without work. `library`: the helper library is the platform's own, and imported, too.
    """
    began = dict.fromkeys(sys.modules)
    _ferris_parting.come_first()
    import select
    from _socket import CMSG_LEN, MSG_CMSG_CLOEXEC, socket

    control = socket(fileno=handle)
    global customized
    customized = _has("sitecustomize")
    why = _too_old() or _changed_at_start(handle)
    if why is None:
        stamps = _stamps()
        modules = _import(began, library)
        why = _not_alone(handle)
        places = _ferris_memory.places()
        if not places:
            why = why or "its script's name was not found in its memory"
    sys.stdout.flush()
    sys.stderr.flush()
    import json

    if why:
        control.send(json.dumps({"refused": why}).encode())
        os._exit(0)
    area = _ferris_memory.area()
    _ferris_memory.vanish(area)
    found = json.dumps({"modules": modules, "stamps": stamps}).encode()
    _rehearse()
    del began, modules, stamps  # a child would free them, page by page
    _ferris_parting.settle(_ferris_confine.flush_all, _ferris_memory.fill_holes)
    trial = _try(places, area)
    if trial is not None:
        return trial
    control.send(found)

    poll = select.poll()
    poll.register(control, select.POLLIN)
    running: dict[int, int] = {}  # the children, by the handle on which this process reports
    listens = True
    while True:
        if not running and not listens:
            os._exit(0)
        ready = poll.poll(None if running or not idle else idle * 1000)
        if not ready:
            os._exit(0)
        for number, _ in ready:
            if number != handle:
                _answer(number, running, poll)
                continue
            message, parts, _, _ = control.recvmsg(16, CMSG_LEN(28), MSG_CMSG_CLOEXEC)
            if not message:
                poll.unregister(control)
                listens = False
                continue
            handles = memoryview(parts[0][2]).cast("i").tolist()
            report = handles.pop()
            inside = handles.pop() if message == b"inside" else None
            try:
                pid = os.fork() if inside is None else _fork(inside)
            except OSError as error:
                _say(report, b"!%d" % (error.errno or 0))
                os.close(report)
            else:
                if pid == 0:
                    os.setsid()
                    for other in (control.detach(), report, *running):
                        os.close(other)
                    return _become(handles, places, area)
                _say(report, b"%d" % pid)
                running[report] = pid
                poll.register(report, select.POLLIN)
            for other in handles:
                os.close(other)


def _rehearse() -> None:
    """Do what children do, as far as it changes nothing here: what Python notes of code that it runs for the first
    times, and of types, is there then, and no child writes it into pages of its own."""
    import random

    nowhere = os.open("/dev/null", os.O_WRONLY | os.O_CLOEXEC)
    mask = os.umask(0o077)
    os.umask(mask)
    for _ in range(_ferris_parting.REHEARSALS):
        _ferris_confine.confine({"limits": {}, "umask": mask}, os.dup(nowhere))
        vars(random)["_inst"].seed()
        try:
            _ferris_confine.rules_version()
        except OSError:
            pass
    os.close(nowhere)


def _try(places: Places, area: Area) -> Child | None:
    """Have a child be an empty script, which tells how it ends. Returns in the child: what `serve` is to return."""
    import select

    told, tell = os.pipe2(os.O_CLOEXEC)
    gate, release = os.pipe2(os.O_CLOEXEC)
    order = os.memfd_create("argument", os.MFD_CLOEXEC)
    os.write(order, b"/\0/dev/null\0%b\0\0{}" % os.fsencode(sys.executable))
    os.write(release, b"\n")
    nothing = [os.open("/dev/null", os.O_WRONLY | os.O_CLOEXEC) for _ in range(2)]
    try:
        pid = os.fork()
    except OSError:
        pid = -1
    if pid == 0:
        os.setsid()
        os.close(told)
        return _become([*nothing, gate, order], places, area, tell)
    for handle in (tell, gate, order, *nothing):
        os.close(handle)
    if pid > 0:
        poll = select.poll()
        poll.register(told, select.POLLIN)
        if poll.poll(_PATIENCE * 1000):
            _ferris_parting.learn(os.read(told, 4096))
        os.kill(pid, 9)
        os.waitpid(pid, 0)
    os.close(told)
    os.close(release)
    return None


def _fork(inside: int) -> int:
    """A child in that PID namespace, by the number that this process knows it by."""
    own = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
    pid = -1
    try:
        _ferris_confine.enter_pids(inside)
        pid = os.fork()
    finally:
        if pid:
            _ferris_confine.enter_pids(own)
        os.close(own)
        os.close(inside)
    return pid


def _say(report: int, word: bytes) -> None:
    try:
        os.write(report, word)
    except OSError:
        pass  # who asked has gone: the poll will say so


def _answer(report: int, running: dict[int, int], poll: select.poll) -> None:
    """The executor wants the status of a child, or has gone; either way the child's group is not wanted any more.

    Until then a child that has ended is kept, so that no other process gets its number.
    """
    pid = running.pop(report, None)
    if pid is None:
        return
    poll.unregister(report)
    try:
        wanted = os.read(report, 16)
        if not wanted:
            os.killpg(pid, 9)
    except OSError:
        wanted = b""
    _, status, used = os.wait4(pid, 0)
    if wanted:
        said = (os.waitstatus_to_exitcode(status), used.ru_maxrss, used.ru_utime, used.ru_stime)
        _say(report, b"%d %d %f %f" % said)
    os.close(report)


def _become(handles: list[int], places: Places, area: Area, trial: int | None = None) -> Child:
    """In the child: what the order says, as if it had been on the command line."""
    _ferris_parting.begin(trial)
    out, err, gate, order, *said = handles
    os.dup2(out, 1)
    os.dup2(err, 2)
    os.close(out)
    os.close(err)
    content = os.pread(order, os.fstat(order).st_size, 0)
    os.close(order)
    header, _, argument = content.partition(b"\0\0")
    folder, name, python, *variables = header.split(b"\0")
    os.chdir(folder)
    environ = vars(os.environ)["_data"]
    for variable in variables:
        key, _, value = variable.partition(b"=")
        os.putenv(key, value)
        environ[key] = value
    script = os.fsdecode(name)
    _ferris_memory.rename(script, places, area, variables)
    sys.argv[0] = sys.orig_argv[1] = script
    _refresh()
    os.set_inheritable(gate, True)  # as with a fresh start, where it came through exec
    return os.fsdecode(python), gate, argument, said[0] if said else None


def note() -> None:
    """In a child, when it has become another environment: as it is now, its script finds it."""
    _ferris_parting.note()


def _refresh() -> None:
    """What modules remember of the process that imported them."""
    import logging
    import random
    import threading
    import time

    vars(random)["_inst"].seed()
    for hooks in _hooks:
        os.register_at_fork(**hooks)

    threading.main_thread()._set_native_id()  # type: ignore[attr-defined]
    started = vars(logging)["_startTime"]
    vars(logging)["_startTime"] = time.time() if isinstance(started, float) else time.time_ns()
    sys.modules["tempfile"].tempdir = None  # type: ignore[attr-defined]
    for name in (__name__, _ferris_memory.__name__, _ferris_parting.__name__):
        sys.modules.pop(name, None)


def _too_old() -> str | None:
    if sys.implementation.name != "cpython" or sys.version_info[:2] not in VERSIONS:
        return "this version of Python is not supported"
    return None


def _changed_at_start(handle: int) -> str | None:
    """What code in site-packages (.pth) did that a fork would lose or share."""
    with open("/proc/self/environ", "rb") as file:
        given = dict(pair.split(b"=", 1) for pair in file.read().split(b"\0") if b"=" in pair)
    found = dict(os.environb)
    for name in _PLATFORMS:
        given.pop(name.encode(), None)
        found.pop(name.encode(), None)
    if given != found:
        return "its environment variables change when Python starts"
    if os.getcwd() != "/":
        return "code in its site-packages changes the working folder"
    return _not_alone(handle)


def _not_alone(handle: int) -> str | None:
    if len(os.listdir("/proc/self/task")) > 1:
        return "code in its site-packages starts threads"
    for name in os.listdir("/proc/self/fd"):
        if int(name) not in (0, 1, 2, handle) and os.path.lexists("/proc/self/fd/" + name):
            return "code in its site-packages opens files or sockets"
    try:
        os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        return None
    return "code in its site-packages starts processes"


def _import(began: dict[str, None], library: bool) -> list[str]:
    """Import what scripts use; the names that a file beside a script would have taken, had it been started freshly."""
    from importlib import import_module

    own = os.environ.get("FERRIS_WARM_IMPORTS", "")  # what the scripts of this server need besides
    place = os.environ.get("FERRIS_WARM_PATH")  # where some of that is
    os.register_at_fork = _register_later  # type: ignore[assignment]
    if place:
        sys.path.append(place)
    try:
        for name in f"{COMMON} {OWN if library else ''} {own}".split():
            import_module(name)
    finally:
        os.register_at_fork = _register
        if place:
            sys.path.remove(place)
            sys.path_importer_cache.pop(place, None)
    _ferris_confine.load()
    tops = {name.partition(".")[0] for name in sys.modules}
    return sorted(tops - {name.partition(".")[0] for name in began})


def _register_later(**hooks: Callable[[], object]) -> None:
    if HOOKED.issuperset(getattr(hook, "__module__", None) for hook in hooks.values()):
        _hooks.append(hooks)
    else:
        _register(**hooks)


def _has(name: str) -> bool:
    from importlib.machinery import PathFinder

    return PathFinder.find_spec(name) is not None


def _stamps() -> dict[str, list[int]]:
    """The folders where modules are looked for, and the library's files, with what shows that they change."""
    paths = [entry for entry in sys.path if os.path.exists(entry)]
    for entry in list(paths):
        for name in LIBRARY:
            folder = os.path.join(entry, name)
            if os.path.isdir(folder):
                paths += [os.path.join(folder, file) for file in os.listdir(folder) if file.endswith(".py")]
    return {path: [(found := os.stat(path)).st_ino, found.st_mtime_ns] for path in paths}
