"""What a fork server does with its own memory: where the name of its script is, what the process list shows of it, and
where its children will write.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    Places = list[tuple[int, int]]
    Area = tuple[int, int, int, int]

_SLASH = "/".encode("utf-32-le")
_LARGEST, _STEP = 1032, 16  # bytes: pieces that the C library keeps sorted by size
_MOST = 2000
"""Pieces of one size."""


def places() -> Places:
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


def area() -> Area:
    """Where the kernel shows command line and environment of this process from (proc_pid_stat(5))."""
    with open("/proc/self/stat") as file:
        fields = file.read().rpartition(")")[2].split()
    first, last, environ, environ_end = (int(number) for number in fields[45:49])
    return first, last, environ, environ_end


def vanish(area: Area) -> None:
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


def rename(script: str, places: Places, area: Area, variables: list[bytes]) -> None:
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


def fill_holes() -> None:
    """Have what children allocate in the heap lie side by side.

    What a child writes to is copied, page by page. `malloc` gives out first what was freed before: here and there a
    piece, each on another page. So the server takes these pieces before its first fork, when no more will be freed,
    and keeps them for good. Does nothing where `malloc` does not use the heap.
    """
    import ctypes

    libc = ctypes.CDLL(None)
    malloc = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_size_t)(("malloc", libc))
    end_of_heap = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_ssize_t)(("sbrk", libc))
    last = malloc(100_000)  # larger than any hole, so it lies behind all of them
    if not last < end_of_heap(0) < last + (1 << 20):
        return
    for size in range(_LARGEST, 0, -_STEP):
        for _ in range(_MOST):
            if malloc(size) >= last:
                break
