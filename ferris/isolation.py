"""What scripts are kept from: levels, layers, limits, and how to say which of them ended a script.

Values only. What a machine allows is found out by `tasks/boot/_ferris_confine.py`, what is done with it is decided in
`tasks.isolation`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

OFF: Final = "off"
BASIC: Final = "basic"
BEST: Final = "best"
LEVELS: Final = (OFF, BASIC, BEST)

EGRESS: Final = "egress"
NONE: Final = "none"
NETWORKS: Final = (EGRESS, NONE)

LAYERS: Final = {
    "limits": "limits of memory, CPU time, open files and file size (setrlimit); no core dumps",
    "privileges": "no more rights through set-user-id programs (no_new_privs)",
    "rules": "no signals to and no looking into other processes; level best: only named files and folders (Landlock)",
    "system_calls": "no system calls that data scripts do not need and kernels get broken by (seccomp)",
    "user": "a user of its own for each execution (level best)",
    "user_namespace": "a user namespace of its own, where the worker is not root (level best)",
    "mounts": "a /tmp of its own, the platform's home hidden (mount namespace, level best)",
    "processes": "other users' processes are not listed (level best)",
    "pid_namespace": "only its own processes can be seen and signalled (PID namespace, level best)",
    "network": '"network": "none": a network of its own with nothing in it but the relay (network namespace)',
    "cgroup_pids": "a limit of processes for the whole execution (cgroup)",
    "cgroup_memory": "a limit of memory for the whole execution, and its peak (cgroup, level best)",
}

REMEDIES: Final = {
    "rules": "use a kernel from 5.19 on with Landlock switched on (lsm=landlock,...); from 6.12 on it is complete",
    "system_calls": "use a kernel with CONFIG_SECCOMP_FILTER, on x86_64 or aarch64",
    "user": "give the worker's container CAP_SETUID, CAP_SETGID and CAP_CHOWN",
    "user_namespace": "allow user namespaces (user.max_user_namespaces; AppArmor: an own profile for this Python)",
    "mounts": "allow user namespaces, or give a root worker's container CAP_SYS_ADMIN",
    "processes": "mount /proc in the worker's container without masks",
    "pid_namespace": "run the worker as root, with CAP_SYS_ADMIN and /proc without masks in its container; without it "
    "scripts still can signal nobody else's processes (rules), but /proc lists them",
    "network": "allow user namespaces, or give a root worker's container CAP_SYS_ADMIN and CAP_NET_ADMIN",
    "cgroup_pids": "hand a cgroup on to the worker (systemd: Delegate=yes), or set FERRIS_ISOLATION=best",
    "cgroup_memory": "hand a cgroup on to the worker (systemd: Delegate=yes); each process has its limit all the same",
}

_UNITS: Final = {"": 1, "B": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
_SIZE: Final = re.compile(r"(\d{1,15}(?:\.\d{1,6})?)\s*([KMGT]?)(?:i?B)?", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class ResourceLimits:
    """Most of each: bytes of memory, seconds of CPU time, open files, processes and threads, bytes of a file.

    None: the platform's default. 0: no limit.
    """

    memory: int | None = None
    cpu: float | None = None
    files: int | None = None
    processes: int | None = None
    file_size: int | None = None

    def over(self, defaults: ResourceLimits) -> ResourceLimits:
        """These, and the defaults where nothing is said."""
        return ResourceLimits(
            *(_first(getattr(self, name), getattr(defaults, name)) for name in self.__slots__)
        )

    def within(self, ceiling: ResourceLimits) -> ResourceLimits:
        """These, and the ceiling where they are above it; what is not said stays so."""
        return ResourceLimits(
            *(_lowered(getattr(self, name), getattr(ceiling, name)) for name in self.__slots__)
        )

    def to_json(self) -> dict[str, Any]:
        """What is said, by name."""
        return {name: getattr(self, name) for name in self.__slots__ if getattr(self, name) is not None}


@dataclass(frozen=True, slots=True)
class Ceiling:
    """The most that a service may ask for: an administrator's word. 0 or None: as much as it likes."""

    limits: ResourceLimits = field(default_factory=ResourceLimits)
    timeout: float = 0.0

    def seconds(self, timeout: float) -> float:
        """A timeout, or the ceiling if it is above that."""
        return float(_lowered(timeout, self.timeout))


def _lowered(value: Any, ceiling: Any) -> Any:
    return ceiling if value is not None and above(value, ceiling) else value


def above(value: float, ceiling: float | None) -> bool:
    """True for a limit that is higher than a ceiling; 0 is no limit, and no ceiling."""
    return bool(ceiling) and (not value or value > (ceiling or 0))


def _first(value: Any, default: Any) -> Any:
    return default if value is None else value


def size_of(value: Any) -> int | None:
    """Bytes from a number or a text such as "512MB" (1024 by 1024); None when it is neither."""
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        return None
    match = _SIZE.fullmatch(str(value).strip())
    return int(float(match[1]) * _UNITS[match[2].upper()]) if match else None


def size_text(size: float) -> str:
    """Bytes for people: 512 MB."""
    for unit in ("bytes", "KB", "MB", "GB"):
        if size < 1024:
            return f"{size:.4g} {unit}"
        size /= 1024
    return f"{size:.4g} TB"


def exit_words(
    *,
    exit_code: int | None,
    signal: str | None,
    stopped: str | None,
    limits: ResourceLimits,
    out_of_memory: bool = False,
    cpu_seconds: float = 0.0,
    error: str = "",
) -> str:
    """How a script ended, and which limit had to do with it, in plain words.

    `stopped`: why the executor ended it. `out_of_memory`: the kernel killed in its cgroup. `error`: its last line of
    errors.
    """
    if stopped is not None:
        return {
            "timeout": "ended by the platform: its timeout ran out",
            "cancelled": "ended by the platform: it was cancelled",
            "shutdown": "ended by the platform: its executor shuts down",
        }.get(stopped, f"ended by the platform: {stopped}")
    if out_of_memory and (signal is not None or exit_code):
        return f"killed by the memory limit of {size_text(limits.memory or 0)}"
    ignored = signal == "SIGKILL" and limits.cpu and cpu_seconds >= limits.cpu + 4  # the kernel's last word
    if signal == "SIGXCPU" or ignored:
        return f"killed by the CPU limit of {limits.cpu or 0:g} s"
    if signal == "SIGXFSZ":
        return f"killed by the file size limit of {size_text(limits.file_size or 0)}"
    if signal == "SIGKILL":
        return "killed by SIGKILL, not by the platform: often the kernel, when the machine's memory ran out"
    if signal is not None:
        return f"killed by {signal}"
    if exit_code is None:
        return "ended; its exit status is lost"
    if exit_code == 0:
        return "ended normally"
    return f"ended with exit status {exit_code}{_hint(error, limits)}"


def _hint(error: str, limits: ResourceLimits) -> str:
    """The limit that an error line points at."""
    if limits.memory and error.removeprefix("ERROR: ").startswith("MemoryError"):
        return f": out of memory, the limit is {size_text(limits.memory)}"
    if limits.file_size and "[Errno 27]" in error:
        return f": a file reached the size limit of {size_text(limits.file_size)}"
    if limits.files and "[Errno 24]" in error:
        return f": too many open files, the limit is {limits.files}"
    if limits.processes and error.startswith(
        ("BlockingIOError: [Errno 11]", "RuntimeError: can't start new thread")
    ):
        return f": too many processes and threads, the limit is {limits.processes}"
    return ""


def missing(found: Mapping[str, Mapping[str, Any]], wanted: tuple[str, ...]) -> dict[str, str]:
    """Of the wanted layers those that cannot be had, each with the reason."""
    return {
        name: str(found.get(name, {}).get("said") or "not there")
        for name in wanted
        if not found.get(name, {}).get("ok")
    }


def layers_of(
    level: str, found: Mapping[str, Mapping[str, Any]], network: str, *, root: bool
) -> tuple[str, ...]:
    """The layers that a level asks for, for a worker that runs as root or not. `found`: what its machine allows."""
    if level == OFF:
        return ()
    wanted = ["limits", "privileges", "rules", "system_calls"]
    if network == NONE:
        wanted.append("network")
    if level == BASIC:
        return (*wanted, "cgroup_pids")
    user = "user" if root else "user_namespace"
    wanted += [user, "mounts", *(["processes"] if root else []), "pid_namespace", "cgroup_memory"]
    # A user of one's own, also in a namespace, has a limit of processes of its own.
    return tuple(wanted) if found.get(user, {}).get("ok") else (*wanted, "cgroup_pids")


def build_layers_of(level: str, found: Mapping[str, Mapping[str, Any]], *, root: bool) -> tuple[str, ...]:
    """The same for what builds an environment: packages run code of their own meanwhile."""
    return layers_of(level, found, EGRESS, root=root)
