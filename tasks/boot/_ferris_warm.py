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
import _ferris_parting  # type: ignore[import-not-found]

TYPE_CHECKING = False
if TYPE_CHECKING:
    import select
    import socket

    Places = list[tuple[int, int]]
    Area = tuple[int, int, int, int]

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
customized = False
"""True when this environment has a `sitecustomize` of its own."""
_PATIENCE = 5  # seconds
_SLASH = "/".encode("utf-32-le")
_PLATFORMS = ("FERRIS_BOOT", "FERRIS_PATH_LAST", "FERRIS_ROOM", "PYTHONPATH")


def serve(handle: int, idle: int, library: bool) -> tuple[int, bytes, int | None]:
    """Answer requests. Returns in each child: its gate, its plan and argument, and where it speaks if it has a plan.

    Ends after `idle` seconds without work. `library`: the helper library is the platform's own, and imported, too.
    """
    began = dict.fromkeys(sys.modules)
    _ferris_parting.come_first()
    import contextlib
    import select
    import socket

    control = socket.socket(fileno=handle)
    global customized
    customized = _has("sitecustomize")
    why = _too_old() or _changed_at_start(handle)
    if why is None:
        stamps = _stamps()
        modules = _import(began, library)
        why = _not_alone(handle)
        places = _places()
        if not places:
            why = why or "its script's name was not found in its memory"
    sys.stdout.flush()
    sys.stderr.flush()
    import json

    if why:
        control.send(json.dumps({"refused": why}).encode())
        os._exit(0)
    area = _area()
    _vanish(area)
    found = json.dumps({"modules": modules, "stamps": stamps}).encode()
    del began, modules, stamps  # a child would free them, page by page
    _ferris_parting.settle(_ferris_confine.flush_all)
    trial = _try(places, area)
    if trial is not None:
        return trial
    control.send(found)

    poll = select.poll()
    poll.register(control, select.POLLIN)
    running: dict[int, _Child] = {}
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
            message, handles, _, _ = socket.recv_fds(control, 16, 7, socket.MSG_CMSG_CLOEXEC)
            if not message:
                poll.unregister(control)
                listens = False
                continue
            report = socket.socket(fileno=handles.pop())
            inside = handles.pop() if message == b"inside" else None
            try:
                pid = os.fork() if inside is None else _fork(inside)
            except OSError as error:
                with contextlib.suppress(OSError):
                    report.send(b"!%d" % (error.errno or 0))
                report.close()
            else:
                if pid == 0:
                    os.setsid()
                    for open_one in (control, report, *(one.report for one in running.values())):
                        open_one.close()
                    for one in running.values():
                        os.close(one.ended)
                    return _become(handles, places, area)
                one = _Child(pid, report)
                with contextlib.suppress(OSError):  # who asked has gone: the poll will say so
                    socket.send_fds(report, [b"%d" % pid], [one.ended])
                running[report.fileno()] = one
                poll.register(report, select.POLLIN)
            for other in handles:
                os.close(other)


def _try(places: Places, area: Area) -> tuple[int, bytes, int | None] | None:
    """Have a child be an empty script, which tells how it ends. Returns in the child: what `serve` is to return."""
    import select

    told, tell = os.pipe2(os.O_CLOEXEC)
    gate, release = os.pipe2(os.O_CLOEXEC)
    order = os.memfd_create("argument", os.MFD_CLOEXEC)
    os.write(order, b"/\0/dev/null\0\0{}")
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


class _Child:
    def __init__(self, pid: int, report: socket.socket) -> None:
        self.pid, self.report = pid, report
        self.ended = os.pidfd_open(pid)


def _answer(number: int, running: dict[int, _Child], poll: select.poll) -> None:
    """The executor wants the status of a child, or has gone; either way the child's group is not wanted any more.

    Until then a child that has ended is kept, so that no other process gets its number.
    """
    import contextlib
    import signal

    one = running.pop(number, None)
    if one is None:
        return
    poll.unregister(number)
    try:
        wanted = one.report.recv(16)
        if not wanted:
            os.killpg(one.pid, signal.SIGKILL)
    except OSError:
        wanted = b""
    _, status, used = os.wait4(one.pid, 0)
    if wanted:
        said = (os.waitstatus_to_exitcode(status), used.ru_maxrss, used.ru_utime, used.ru_stime)
        with contextlib.suppress(OSError):
            one.report.send(b"%d %d %f %f" % said)
    one.report.close()
    os.close(one.ended)


def _become(
    handles: list[int], places: Places, area: Area, trial: int | None = None
) -> tuple[int, bytes, int | None]:
    """In the child: what the order says, as if it had been on the command line."""
    _ferris_parting.begin(trial)
    out, err, gate, order, *said = handles
    os.dup2(out, 1)
    os.dup2(err, 2)
    os.close(out)
    os.close(err)
    content = bytearray()
    while part := os.pread(order, 1 << 24, len(content)):
        content += part
    os.close(order)
    header, _, argument = content.partition(b"\0\0")
    folder, name, *variables = bytes(header).split(b"\0")
    os.chdir(folder)
    environ = vars(os.environ)["_data"]
    for variable in variables:
        key, _, value = variable.partition(b"=")
        os.putenv(key, value)
        environ[key] = value
    script = os.fsdecode(name)
    _rename(script, places, area, variables)
    sys.argv[0] = sys.orig_argv[1] = script
    _refresh()
    os.set_inheritable(gate, True)  # as with a fresh start, where it came through exec
    return gate, bytes(argument), said[0] if said else None


def _refresh() -> None:
    """What modules remember of the process that imported them. `random` sees to itself."""
    import logging
    import threading
    import time

    threading.main_thread()._set_native_id()  # type: ignore[attr-defined]
    started = vars(logging)["_startTime"]
    vars(logging)["_startTime"] = time.time() if isinstance(started, float) else time.time_ns()
    sys.modules["tempfile"].tempdir = None  # type: ignore[attr-defined]
    for name in (__name__, _ferris_parting.__name__):
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
    for name in f"{COMMON} {OWN if library else ''} {own}".split():
        import_module(name)
    _ferris_confine.load()
    tops = {name.partition(".")[0] for name in sys.modules}
    return sorted(tops - {name.partition(".")[0] for name in began})


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


def _places() -> Places:
    """Where the interpreter keeps the token as its script's name: (address, leading slashes) of each.

    It is kept as it was on the command line, and once more below the folder of the start, which is `/`.
    """
    token = sys.orig_argv[1].encode("utf-32-le")
    found = []
    with open("/proc/self/maps") as file:
        heaps = [line.split()[0] for line in file if line.rstrip().endswith("[heap]")]
    with open("/proc/self/mem", "rb", 0) as memory:
        for heap in heaps:
            start, end = (int(number, 16) for number in heap.split("-"))
            memory.seek(start)
            content = memory.read(end - start)
            at = content.find(token)
            while at >= 0:
                slashes = 0
                while content[at - 4 * (slashes + 1) : at - 4 * slashes] == _SLASH:
                    slashes += 1
                found.append((start + at, slashes))
                at = content.find(token, at + 1)
    return found if any(slashes for _, slashes in found) else []


def _area() -> Area:
    """Where the kernel shows command line and environment of this process from (proc_pid_stat(5))."""
    with open("/proc/self/stat") as file:
        fields = file.read().rpartition(")")[2].split()
    first, last, environ, environ_end = (int(number) for number in fields[45:49])
    return first, last, environ, environ_end


def _vanish(area: Area) -> None:
    """Take away the token and the environment: children fill in their own."""
    args, args_end, environ, environ_end = area
    os.environ.clear()
    memory = os.open("/proc/self/mem", os.O_RDWR | os.O_CLOEXEC)
    try:
        os.pwrite(memory, b"\0" * (environ_end - environ), environ)
        # When the last byte is not zero, the kernel shows one text up to its zero, as of setproctitle(3).
        title = os.fsencode(sys.orig_argv[0]) + b" ferris-warm"
        os.pwrite(memory, title.ljust(args_end - args - 1, b"\0") + b" ", args)
    finally:
        os.close(memory)


def _rename(script: str, places: Places, area: Area, variables: list[bytes]) -> None:
    """Have the interpreter run this script, and the process list show it."""
    token = sys.orig_argv[1].encode("utf-32-le")
    whole = script if script.startswith("/") else os.getcwd().rstrip("/") + "/" + script.removeprefix("./")
    sys.path_importer_cache[whole] = None  # as Python would find out: it is neither a folder nor a zip
    memory = os.open("/proc/self/mem", os.O_RDWR | os.O_CLOEXEC)
    try:
        for at, slashes in places:
            if os.pread(memory, len(token), at) == token:  # else it was freed, and is something else now
                name = (whole if slashes else script) + "\0"
                os.pwrite(memory, name.encode("utf-32-le", "surrogatepass"), at - 4 * slashes)
        title = b" ".join(map(os.fsencode, (sys.orig_argv[0], script)))
        os.pwrite(memory, title + b"\0", area[0])
        os.pwrite(memory, b"\0".join(variables) + b"\0", area[2])
    finally:
        os.close(memory)
