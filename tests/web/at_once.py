"""Several things at the same time in one test process."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from django.db import connections

from gateway.role import Role


def at_once(*jobs: Callable[[], object], seconds: float = 60) -> None:
    """Do all of them, each in a thread of its own that begins when all are there; the first fault is the caller's."""
    faults: list[BaseException] = []
    ready = threading.Barrier(len(jobs))

    def work(job: Callable[[], object]) -> None:
        try:
            ready.wait(60)
            job()
        except BaseException as fault:
            faults.append(fault)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=work, args=(job,)) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(seconds)
    assert not any(thread.is_alive() for thread in threads), "one of them does not end"
    if faults:
        raise faults[0]


@contextmanager
def at_work(*roles: Role) -> Iterator[None]:
    """These roles of a gateway beside the test."""
    for role in roles:
        role.start()
    try:
        yield
    finally:
        for role in roles:
            role.stop()
        for role in roles:
            role.join(60)
