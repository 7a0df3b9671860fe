"""Makes PID namespaces ahead of need: each with a first process that does nothing and is no user's.

`python _ferris_nursery.py <socket>`: for each byte on the socket one namespace, answered by the number of its first
process and a descriptor of it. When that process is killed the kernel kills whoever is in the namespace; and all end
when the socket closes, which is when the executor ends, however. Who becomes a script is not made here: the executor,
or a fork server, enters the namespace for the moment in which it makes that process. So a script remains the child
of whoever waits for it, and its exit status takes no detour.
"""

from __future__ import annotations

import os
import signal
import sys

import _ferris_confine  # type: ignore[import-not-found]

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket


def main(handle: int) -> None:
    """Answer until the socket closes."""
    import contextlib
    import socket

    control = socket.socket(fileno=handle)
    _ferris_confine.load()
    # Nobody waits for children: neither for those of here, nor, in each first process, for who is left to it.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    own = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
    while _asked(control):
        try:
            pid = _first(own, control)
            ended = os.pidfd_open(pid)
        except OSError as error:
            control.send(b"!%d" % (error.errno or 0))
            continue
        with contextlib.suppress(OSError):
            socket.send_fds(control, [b"%d" % pid], [ended])
        os.close(ended)
    os._exit(0)


def _asked(control: socket.socket) -> bool:
    """False when who asks has gone, even if it did not read the last answer."""
    try:
        return bool(control.recv(1))
    except ConnectionResetError:
        return False


def _first(own: int, control: object) -> int:
    """The first process of a new namespace."""
    _ferris_confine.unshare_pids()
    try:
        pid = os.fork()
    finally:
        if os.getpid() != 1:
            _ferris_confine.enter_pids(own)
    if pid == 0:
        _ferris_confine.end_with_parent()
        os.closerange(0, 256)
        while True:
            signal.pause()
    return pid


if __name__ == "__main__":
    main(int(sys.argv[1]))
