"""The filter of system calls (seccomp) of scripts and builds: what no data script needs, and kernels get broken by.

Everything is allowed but for what is named here. What is refused fails as if one had no right to it (EPERM), or as if
the kernel did not know it (ENOSYS), where libraries then take another way. Values only: the process puts it on itself
(`boot/_ferris_confine.py`).
"""

from __future__ import annotations

import errno
import struct
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final


@dataclass(frozen=True, slots=True)
class _Machine:
    """A processor: how the kernel names it (linux/audit.h), and the numbers of its own."""

    architecture: int
    seccomp: int
    clone: int
    unshare: int
    ioctl: int
    refused: tuple[int, ...]
    foreign: int | None = None
    """Numbers from here on belong to another way to call the kernel."""


_REFUSED: Final = {
    # name: number on x86_64, on aarch64; None where there is none
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "kcmp": (312, 272),
    "pidfd_getfd": (438, 438),
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "open_tree": (428, 428),
    "move_mount": (429, 429),
    "fsopen": (430, 430),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fspick": (433, 433),
    "mount_setattr": (442, 442),
    "open_tree_attr": (467, 467),
    "setns": (308, 268),
    "open_by_handle_at": (304, 265),
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "keyctl": (250, 219),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "kexec_load": (246, 104),
    "kexec_file_load": (320, 294),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "delete_module": (176, 106),
    "quotactl": (179, 60),
    "quotactl_fd": (443, 443),
    "swapon": (167, 224),
    "swapoff": (168, 225),
    "reboot": (169, 142),
    "acct": (163, 89),
    "syslog": (103, 116),
    "settimeofday": (164, 170),
    "clock_settime": (227, 112),
    "sethostname": (170, 161),
    "setdomainname": (171, 162),
    "vhangup": (153, 58),
    "lookup_dcookie": (212, 18),
    "uselib": (134, None),
    "iopl": (172, None),
    "ioperm": (173, None),
}
_CLONE3: Final = 435
"""Its flags lie in memory, where no filter can look; the C library then uses clone, whose flags do not."""
_UNKNOWN: Final = (_CLONE3, 425, 426, 427)  # and io_uring_setup, io_uring_enter, io_uring_register
_NAMESPACES: Final = 0x7E020000  # CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET
_NEWTIME: Final = 0x80  # for unshare alone: to clone these bits are a signal
_TERMINAL: Final = (0x5412, 0x541C)  # TIOCSTI, TIOCLINUX: type into the terminal one was started from

_MACHINES: Final = {
    "x86_64": _Machine(0xC000003E, 317, 56, 272, 16, tuple(one for one, _ in _REFUSED.values()), 0x40000000),
    "aarch64": _Machine(
        0xC00000B7, 277, 220, 97, 29, tuple(one for _, one in _REFUSED.values() if one is not None)
    ),
}

# linux/seccomp.h, linux/bpf_common.h
_NUMBER, _ARCHITECTURE, _FIRST, _SECOND = 0, 4, 16, 24  # where they lie; of arguments the lower half
_LOAD, _EQUAL, _AT_LEAST, _ANY_OF, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _ERROR = 0x7FFF0000, 0x00050000

_Line = tuple[int, int | str, int | str, int]


@lru_cache
def call_filter(machine: str) -> dict[str, Any] | None:
    """For a processor as `uname -m` names it: the number of seccomp(2) there, and the program. None: not known."""
    found = _MACHINES.get(machine)
    return None if found is None else {"number": found.seccomp, "program": _program(found)}


def _program(machine: _Machine) -> bytes:
    """Lines of the kernel's machine for filters, each with two jumps: when true, when not; 0 is to the next line."""
    lines: list[_Line] = [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_EQUAL, 0, "unknown", machine.architecture),  # a way around: calls of 32 bits have other numbers
        (_LOAD, 0, 0, _NUMBER),
    ]
    if machine.foreign is not None:
        lines.append((_AT_LEAST, "unknown", 0, machine.foreign))
    lines += [(_EQUAL, "unknown", 0, number) for number in _UNKNOWN]
    lines += [(_EQUAL, "refused", 0, number) for number in machine.refused]
    for number, argument, test, values in (
        (machine.clone, _FIRST, _ANY_OF, (_NAMESPACES,)),
        (machine.unshare, _FIRST, _ANY_OF, (_NAMESPACES | _NEWTIME,)),
        (machine.ioctl, _SECOND, _EQUAL, _TERMINAL),
    ):
        lines += [
            (_EQUAL, 0, 2 + len(values), number),
            (_LOAD, 0, 0, argument),
            *((test, "refused", 0, value) for value in values),
            (_RETURN, 0, 0, _ALLOW),
        ]
    lines.append((_RETURN, 0, 0, _ALLOW))
    ends = {"refused": len(lines), "unknown": len(lines) + 1}
    lines += [(_RETURN, 0, 0, _ERROR | errno.EPERM), (_RETURN, 0, 0, _ERROR | errno.ENOSYS)]

    def jump(to: int | str, at: int) -> int:
        return ends[to] - at - 1 if isinstance(to, str) else to

    return b"".join(
        struct.pack("=HBBI", code, jump(true, at), jump(false, at), value)
        for at, (code, true, false, value) in enumerate(lines)
    )
