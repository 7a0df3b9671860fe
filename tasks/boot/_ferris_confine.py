"""Confines the process that is about to become a script: limits, rights, what it sees of files, processes, network.

`confine` runs in that process, before its gate: in a fresh interpreter, and in the child of a fork server, which has
called `load` before. What it is told to do it does, or the process ends before any code of the user: nothing is left
out silently. What can be done on this machine is found by `probe`, by trying; `python _ferris_confine.py` prints it.

Only what costs little is imported, and `ctypes` is the only way to these system calls.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from typing import Any

REFUSED = 72
"""Exit status of a process that could not be confined as it should have been."""

_NEWNS, _NEWUSER, _NEWNET, _NEWPID = 0x00020000, 0x10000000, 0x40000000, 0x20000000
_MS_NOSUID, _MS_NODEV, _MS_BIND, _MS_REC, _MS_PRIVATE = 2, 4, 0x1000, 0x4000, 0x40000
_MS_RDONLY, _MS_REMOUNT, _MS_RELATIME, _ST_RELATIME = 1, 32, 1 << 21, 4096
_KEPT_FLAGS = (
    2 | 4 | 8 | 1024 | 2048
)  # nosuid, nodev, noexec, noatime, nodiratime: the same bits in both calls
_SET_PDEATHSIG = 1
_NO_NEW_PRIVS, _SET_DUMPABLE, _CAPBSET_READ, _CAPBSET_DROP = 38, 4, 23, 24
_CAPABILITY_VERSION = 0x20080522
_CREATE, _ADD_RULE, _RESTRICT = 444, 445, 446  # landlock: the same numbers on every architecture
_SIOCSIFFLAGS = 0x8914
_SET_FILTER, _NO_SLOWER_BRANCHES = (
    1,
    4,
)  # linux/seccomp.h; older kernels slow a filtered process down without the flag

# linux/landlock.h; the access rights of files that each version of the interface knows.
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR, _TRUNCATE, _IOCTL_DEV = 1, 2, 4, 8, 1 << 14, 1 << 15
_RIGHTS = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 4: (1 << 15) - 1, 5: (1 << 16) - 1}
_OF_FILES = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL_DEV
_READS = _EXECUTE | _READ_FILE | _READ_DIR
_REFER = 1 << 13
_SCOPED = 3  # abstract sockets and signals

_libc: Any = None


def load() -> None:
    """Import what `confine` needs: once in a fork server, so that its children need not."""
    global _libc
    if _libc is None:
        import ctypes
        import resource  # noqa: F401

        _libc = ctypes.CDLL(None, use_errno=True)
        _libc.prctl(3, 0, 0, 0, 0)  # its first call costs more than the others


def flush_all(_: None) -> int:
    """fflush(3) of all that C has buffered; 0 when that went well."""
    return int(_libc.fflush(None))


def unshare_pids() -> None:
    """The next child of this process is the first of a new PID namespace."""
    _check(_libc.unshare(_NEWPID))


def enter_pids(namespace: int) -> None:
    """Children of this process are made in that PID namespace from now on."""
    _check(_libc.setns(namespace, _NEWPID))


def end_with_parent() -> None:
    """Have the kernel kill this process when its parent ends."""
    _check(_libc.prctl(_SET_PDEATHSIG, 9, 0, 0, 0))


def confine(plan: Mapping[str, Any], said: int) -> None:
    """Do all that the plan says, tell `said` that it is done, and close it. The process ends when a part fails."""
    layer = "load"
    try:
        load()
        for layer in _ORDER:
            if layer in plan:
                _LAYERS[layer](plan[layer], said)
        os.umask(plan["umask"])
    except BaseException as error:
        os.write(said, f"{layer}\n{error}".encode(errors="replace"))
        os._exit(REFUSED)
    os.write(said, b"done")
    os.close(said)


# --- the layers, in the order in which they are put on ----------------------------------------------


def _cgroups(groups: Iterable[str], _: int) -> None:
    for group in groups:
        # Version 1 lets one thread move, which is all there is; to move a process waits for a lock of all processors.
        file = group + "/tasks"
        handle = os.open(
            file if os.path.exists(file) else group + "/cgroup.procs", os.O_WRONLY | os.O_CLOEXEC
        )
        os.write(handle, b"0")
        os.close(handle)


def _namespaces(kinds: Sequence[str], _: int) -> None:
    flags = _NEWNS * ("mount" in kinds) | _NEWNET * ("network" in kinds) | _NEWUSER * ("user" in kinds)
    uid, gid = os.geteuid(), os.getegid()
    _check(_libc.unshare(flags))
    if "user" in kinds:
        _write("/proc/self/setgroups", "deny")
        _write("/proc/self/uid_map", f"{uid} {uid} 1")
        _write("/proc/self/gid_map", f"{gid} {gid} 1")
    if "mount" in kinds:
        _check(_libc.mount(None, b"/", None, _MS_REC | _MS_PRIVATE, None))


def _network(port: int, said: int) -> None:
    """A network of its own with nothing in it but the relay, whose socket the executor gets and answers."""
    import fcntl
    import socket

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, b"lo".ljust(16, b"\0") + b"\1".ljust(24, b"\0"))
    with (
        socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as listener,
        socket.socket(fileno=os.dup(said)) as channel,
    ):
        listener.bind(("127.0.0.1", port))
        listener.listen(64)
        socket.send_fds(channel, [b"relay"], [listener.fileno()])


def _mounts(plan: Mapping[str, Any], _: int) -> None:
    """Cover folders, each by an empty one or by another folder, and let `shown` be seen in them all the same.

    What is shown and not among `writes` cannot be changed.
    """
    shown = [(path, os.open(path, os.O_PATH | os.O_CLOEXEC)) for path in plan["shown"]]
    covers = [(path, os.open(by, os.O_PATH | os.O_CLOEXEC) if by else -1) for path, by in plan["covers"]]
    for path, by in covers:
        if by < 0:
            options = b"mode=0755,size=64m" if path != "/dev/shm" else b"mode=1777"  # noqa: S108
            _check(_libc.mount(b"tmpfs", os.fsencode(path), b"tmpfs", _MS_NOSUID | _MS_NODEV, options))
        else:
            _bind(by, path)
    for path, handle in shown:
        if os.path.isdir(f"/proc/self/fd/{handle}"):
            os.makedirs(path, exist_ok=True)
        else:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
        _bind(handle, path)
        if path not in plan["writes"]:
            # The flags that the mount had must be there again: in a user namespace they cannot be taken away.
            had = os.statvfs(path).f_flag
            kept = had & _KEPT_FLAGS | (_MS_RELATIME if had & _ST_RELATIME else 0)
            flags = _MS_REMOUNT | _MS_BIND | _MS_RDONLY | kept
            _check(_libc.mount(None, os.fsencode(path), None, flags, None))
    if plan["processes"]:
        _check(_libc.mount(b"proc", b"/proc", b"proc", _MS_NOSUID | _MS_NODEV, b"hidepid=2"))
    os.chdir(plan["folder"])


def _limits(limits: Mapping[str, int], _: int) -> None:
    import resource

    for name, most in limits.items():
        kind = getattr(resource, "RLIMIT_" + name)
        hard = resource.getrlimit(kind)[1]
        hardest = most + 5 if name == "CPU" else most  # the soft one says SIGXCPU, the hard one SIGKILL
        if hard != resource.RLIM_INFINITY:
            most, hardest = min(most, hard), min(hardest, hard)
        resource.setrlimit(kind, (most, hardest))


def _privileges(kept: int | None, _: int) -> None:
    """No more rights by set-user-id programs, and of root's own only those in the mask `kept`."""
    _check(_libc.prctl(_NO_NEW_PRIVS, 1, 0, 0, 0))
    if kept is None:
        return
    number = 0
    while (there := _libc.prctl(_CAPBSET_READ, number, 0, 0, 0)) >= 0:
        if there and not kept >> number & 1:
            _libc.prctl(
                _CAPBSET_DROP, number, 0, 0, 0
            )  # a container may not allow it: capset counts all the same
        number += 1
    _capabilities(kept)


def _capabilities(kept: int) -> None:
    import ctypes

    header = _CAPABILITY_VERSION.to_bytes(4, sys.byteorder) + bytes(4)
    found = ctypes.create_string_buffer(
        24
    )  # effective, permitted, inheritable, each 32 bits; and the next 32 of each
    _check(_libc.capget(header, found))
    sets = [
        (
            int.from_bytes(found.raw[at : at + 4], sys.byteorder) & (kept >> 32 * (at // 12)) & 0xFFFFFFFF
        ).to_bytes(4, sys.byteorder)
        for at in range(0, 24, 4)
    ]
    _check(_libc.capset(header, b"".join(sets)))


def _rules(plan: Mapping[str, Any], _: int) -> None:
    """Landlock: no signals to and no looking into other processes; and, with lists, only these files."""
    version = rules_version()
    rights = _RIGHTS[min(version, 5)]
    if not plan["files"]:
        # Rules that allow everything: it is their being there which keeps it from others. Linking and renaming from
        # folder to folder has to be allowed by name, which version 1 cannot.
        if version < 2:
            return
        rights = _REFER
    size = 8 if version < 4 else 16 if version < 6 else 24
    attributes = _words(rights, 0, _SCOPED if version >= 6 else 0)[:size]
    ruleset = _check(_libc.syscall(_CREATE, attributes, len(attributes), 0))
    if not plan["files"]:
        _allow(ruleset, "/", rights)
    else:
        devices = _READ_FILE | _WRITE_FILE | (rights & _IOCTL_DEV)
        kinds = {"lists": _READ_DIR, "reads": _READS, "writes": rights, "devices": devices}
        for kind, allowed in kinds.items():
            for path in plan[kind]:
                _allow(ruleset, path, allowed & rights)
    _check(_libc.syscall(_RESTRICT, ruleset, 0))
    os.close(ruleset)


def _allow(ruleset: int, path: str, rights: int) -> None:
    try:
        handle = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    if not os.path.isdir(f"/proc/self/fd/{handle}"):
        rights &= _OF_FILES
    rule = rights.to_bytes(8, sys.byteorder) + handle.to_bytes(4, sys.byteorder)
    _check(_libc.syscall(_ADD_RULE, ruleset, 1, rule, 0))
    os.close(handle)


def _user(uid: int, _: int) -> None:
    """Another user; with 0 the same one, without what its user namespace lets it do."""
    if uid:
        for handle in (1, 2):
            os.fchown(handle, uid, uid)  # so that /dev/stdout can be opened
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
        _check(_libc.prctl(_SET_DUMPABLE, 1, 0, 0, 0))  # else /proc/self belongs to root
    else:
        _capabilities(0)


def _system_calls(wanted: Mapping[str, Any], _: int) -> None:
    """Refuse the calls that the filter names, to this process and all that it starts, whoever they become."""
    import ctypes

    content = wanted["program"]
    program = ctypes.create_string_buffer(content, len(content))
    head = (len(content) // 8).to_bytes(8, sys.byteorder) + ctypes.addressof(program).to_bytes(
        8, sys.byteorder
    )
    _check(_libc.syscall(wanted["number"], _SET_FILTER, _NO_SLOWER_BRANCHES, head))


_LAYERS: dict[str, Callable[[Any, int], None]] = {
    "cgroups": _cgroups,
    "namespaces": _namespaces,
    "network": _network,
    "mounts": _mounts,
    "limits": _limits,
    "privileges": _privileges,
    "rules": _rules,
    "user": _user,
    "system_calls": _system_calls,
}
_ORDER = tuple(_LAYERS)


def _check(result: int) -> int:
    if result < 0:
        import ctypes

        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def _bind(handle: int, path: str) -> None:
    flags = _MS_BIND | _MS_REC
    _check(_libc.mount(b"/proc/self/fd/%d" % handle, os.fsencode(path), None, flags, None))
    os.close(handle)


def _words(*numbers: int) -> bytes:
    return b"".join(number.to_bytes(8, sys.byteorder) for number in numbers)


def _write(path: str, text: str) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    os.write(handle, text.encode())
    os.close(handle)


def rules_version() -> int:
    """The version of Landlock's interface."""
    return _check(_libc.syscall(_CREATE, None, 0, 1))


# --- what this machine allows -------------------------------------------------------------------------


def probe(call_filter: Mapping[str, Any] | None) -> dict[str, dict[str, Any]]:
    """Each layer with whether it can be had here and what is to be said about it. Each is tried in a child.

    `call_filter`: the layer `system_calls` for this processor; None where there is none.
    """
    load()
    root = os.geteuid() == 0
    user = {} if root else {"user": 0}
    inside = [] if root else ["user"]
    empty = {"shown": [], "writes": [], "covers": [["/tmp", None]], "processes": False, "folder": "/"}  # noqa: S108
    here = {"namespaces": [*inside, "mount"], "mounts": empty, **user}
    not_root, is_root = "the worker does not run as root", "the worker runs as root and does not need it"
    found = {
        "limits": _try({"limits": {"CORE": 0}}),
        "privileges": _try({"privileges": 0 if root else None}),
        "rules": _try({"privileges": None, "rules": {"files": False}}),
        "system_calls": _try({"privileges": None, "system_calls": call_filter})
        if call_filter
        else _no("there is no filter for this processor"),
        "user": _try({"user": 65533}) if root else _no(not_root),
        "user_namespace": _no(is_root) if root else _try({"namespaces": inside, **user}),
        "mounts": _try(here),
        "processes": _try({**here, "mounts": {**empty, "processes": True}}) if root else _no(not_root),
        "pid_namespace": _try({**here, "mounts": {**empty, "processes": True}}, pids=True)
        if root
        else _no(not_root),
        "network": _try({"namespaces": [*inside, "network"], "network": 1024, **user}),
    }
    for controller, file in (("pids", "pids.max"), ("memory", "memory.max")):
        found[f"cgroup_{controller}"] = _cgroup(controller, file)
    if found["rules"]["ok"]:
        found["rules"]["said"] = f"Landlock, version {rules_version()} of its interface"
        if rules_version() < 6:
            found["rules"]["said"] += ", which does not keep scripts from sending signals"
    return found


def _try(plan: Mapping[str, Any], pids: bool = False) -> dict[str, Any]:
    """Whether this can be done, tried in a child that ends behind it; in a PID namespace of its own with `pids`."""
    import socket

    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    own = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
    child = -1
    try:
        if pids:
            unshare_pids()
        child = os.fork()
    except OSError as error:
        return _no(error.strerror or str(error))
    finally:
        if pids and child:
            enter_pids(own)
        os.close(own)
    if child == 0:
        confine({**plan, "umask": 0o022}, theirs.fileno())
        os._exit(0)
    theirs.close()
    said = b""
    while part := ours.recv(4096):
        said = part
    ours.close()
    os.waitpid(child, 0)
    text = said.decode(errors="replace").partition("\n")[2] or "it ended the process that tried it"
    return {"ok": True, "said": ""} if said == b"done" else _no(text)


def _no(why: str) -> dict[str, Any]:
    return {"ok": False, "said": why}


def _cgroup(controller: str, file: str) -> dict[str, Any]:
    """A folder in which groups with this controller can be made; tried by making one."""
    here = _cgroup_here(controller)
    if here is None:
        return _no("no such controller")
    folder, v1 = here
    group = f"{folder}/ferris-probe-{os.getpid()}"
    try:
        os.mkdir(group)
    except OSError as error:
        return _no(f"{folder}: {error.strerror}")
    try:
        wanted = "memory.limit_in_bytes" if v1 and controller == "memory" else file
        if not os.path.exists(f"{group}/{wanted}"):
            return _no(f"{folder} does not hand the controller on (cgroup.subtree_control)")
        return {"ok": True, "said": f"cgroup v{1 if v1 else 2}", "folder": folder, "v1": v1}
    finally:
        os.rmdir(group)


def _cgroup_here(controller: str) -> tuple[str, bool] | None:
    """The folder of this process's group, and whether it is of version 1."""
    with open("/proc/self/cgroup") as file:
        mine = dict(line.rstrip("\n").split(":", 2)[1:] for line in file)
    with open("/proc/self/mountinfo") as file:
        mounts = [line.split() for line in file if " - cgroup" in line]
    for fields in mounts:
        kind, options = fields[fields.index("-") + 1], fields[-1].split(",")
        if kind == "cgroup" and controller in options:
            own = next((path for names, path in mine.items() if controller in names.split(",")), None)
            if own is not None:
                return os.path.normpath(fields[4] + "/" + os.path.relpath(own, fields[3])), True
    for fields in mounts:
        if fields[fields.index("-") + 1] == "cgroup2" and "" in mine:
            return os.path.normpath(fields[4] + "/" + os.path.relpath(mine[""], fields[3])), False
    return None


def run(order: int, said: int, command: list[str]) -> None:
    """Become another program, confined by the plan that a file holds. It is found as every program is."""
    import marshal

    os.lseek(order, 0, os.SEEK_SET)
    with open(order, "rb") as file:
        plan = marshal.loads(file.read()[8:])  # noqa: S302 - the executor's
    confine(plan, said)
    try:
        os.execv(command[0], command)  # noqa: S606 - without a shell
    except OSError as error:
        os.write(2, f"{command[0]}: {error.strerror}\n".encode())
        os._exit(127)


if __name__ == "__main__":
    if sys.argv[1:2] == ["run"]:
        run(int(sys.argv[2]), int(sys.argv[3]), sys.argv[4:])
    else:
        import json

        wanted = json.loads(sys.argv[1]) if sys.argv[1:] else None
        if wanted:
            wanted["program"] = bytes.fromhex(wanted["program"])
        print(json.dumps(probe(wanted)))
