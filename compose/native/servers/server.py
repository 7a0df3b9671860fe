"""What every server of the stack is: where it comes from, how it is set up and started, when it is ready.

Everything binds to 127.0.0.1. What is kept lies in the server's own folder and belongs to the account it
runs as.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from process import Account, Command, StackError

HERE = Path(__file__).resolve().parent.parent
LOCAL = "127.0.0.1"


def java_options() -> list[str]:
    """Options of Java for every server that is written in it. Servers that run for minutes, as those of tests, take
    less of the processors with `-XX:TieredStopAtLevel=1`: what the second compiler saves comes later."""
    return os.environ.get("FERRIS_STACK_JAVA", "").split()


@dataclass(frozen=True)
class Site:
    """What a server is given: its folder, its account, and passwords that stay from start to start."""

    data: Path
    who: Account
    passwords: Mapping[str, str]


class Server(ABC):
    """One server. `ports` are the defaults; FERRIS_STACK_<KEY> overrides each."""

    name: str
    title: str
    ports: Mapping[str, int]
    patience = 90.0  # seconds until it must be ready
    farewell = 20.0  # seconds it may take to end

    def port(self, key: str | None = None) -> int:
        key = key or next(iter(self.ports))
        value = os.environ.get(f"FERRIS_STACK_{key}") or str(self.ports[key])
        if not value.isdecimal() or not 0 < int(value) < 65536:
            raise StackError(f"FERRIS_STACK_{key} is {value!r}: set it to a free port")
        return int(value)

    @abstractmethod
    def get(self) -> str:
        """Have it in the cache; its version."""

    @abstractmethod
    def commands(self, site: Site) -> list[Command]:
        """Set its folder up; the processes to start, the server itself last."""

    @abstractmethod
    def ready(self) -> bool:
        """Whether it answers as it should."""

    @abstractmethod
    def settings(self, site: Site) -> dict[str, str]:
        """The platform's settings that name it."""

    def secrets(self) -> tuple[str, ...]:
        """The names of the passwords it needs."""
        return ()
