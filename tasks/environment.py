"""Python environments: one per distinct requirements and Python version, built once by uv, shared by services."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import secrets
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ferris.errors import FerrisError

_FORMAT: Final = 1
"""Part of every environment's name: raise it when environments are built in another way."""
_WAIT: Final = 0.2

_PUBLISHED: Final = re.compile(r"(?:fx|ferris)[-_.]ef(?![\w.-])", re.IGNORECASE)
_OF_THE_PACKAGE: Final = re.compile(r"(?:-|\.|/|file:|.*@\s*(?:file:|\.|/))")

Build = Callable[[list[list[str]]], None]
"""Runs commands one after the other, their output going to the execution's log; raises EnvironmentFailed."""


class EnvironmentFailed(FerrisError):
    """The environment could not be built; the text is the resolver's own."""


@dataclass(frozen=True, slots=True)
class Environment:
    """A Python to run scripts with. `sdk_last`: its packages include the published helper library."""

    python: str
    sdk_last: bool


class Environments:
    """Environments below a folder. Several workers may share it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def get(
        self,
        requirements: str | None,
        python: str | None,
        digest: str,
        build: Build,
        pause: Callable[[float], None],
    ) -> Environment:
        """The environment, built now if it is not there. `pause` waits, and raises when it is not needed any more."""
        wanted = normalised(requirements or "")
        name = _name(wanted, python, digest)
        there = self._folder / name
        if not there.is_dir():
            self._build(there, wanted, python, build, pause)
        return Environment(str(there / "bin" / "python"), any(_PUBLISHED.match(line) for line in wanted))

    def _build(
        self, there: Path, wanted: list[str], python: str | None, build: Build, pause: Callable[[float], None]
    ) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        with _locked(self._folder / f"{there.name}.lock", pause):
            if there.is_dir():
                return
            part = self._folder / f".{there.name}.{os.getpid()}.{secrets.token_hex(4)}"
            try:
                build(_commands(part, bool(wanted), python))
                part.rename(there)
            finally:
                shutil.rmtree(part, ignore_errors=True)


def normalised(requirements: str) -> list[str]:
    """The lines that say something, in their order, without comments and needless blanks."""
    joined = requirements.replace("\r\n", "\n").replace("\\\n", " ")
    lines = (re.sub(r"(^|\s)#.*$", "", line).strip() for line in joined.split("\n"))
    return [" ".join(line.split()) for line in lines if line]


def resolver_words(lines: list[str]) -> str:
    """What uv said was wrong, as one text: from the line with its mark on."""
    for start, line in enumerate(lines):
        if line.lstrip().startswith(("×", "error:", "error[")):
            return " ".join(part.strip().strip("×╰─▶│├ ") for part in lines[start:]).strip()
    return " ".join(lines[-5:]).strip()


def uv() -> str:
    """The uv program of the platform's own environment."""
    from uv import find_uv_bin

    return str(find_uv_bin())


def _name(wanted: list[str], python: str | None, digest: str) -> str:
    version = python or f"{sys.version_info.major}.{sys.version_info.minor}"
    # Lines that point at files of the package, or are options, may mean something else in another package.
    own = digest if any(_OF_THE_PACKAGE.match(line) for line in wanted) else ""
    text = json.dumps([_FORMAT, version, wanted, own, None if python else sys.base_prefix])
    return f"py{re.sub(r'[^0-9.]', '', version)}-{hashlib.sha256(text.encode()).hexdigest()[:24]}"


def _commands(there: Path, install: bool, python: str | None) -> list[list[str]]:
    base = str(python or getattr(sys, "_base_executable", sys.executable))
    # Relocatable: it is built beside its place and renamed when it is whole.
    commands = [[uv(), "venv", "--quiet", "--no-project", "--relocatable", "--python", base, str(there)]]
    if install:
        commands.append(
            [uv(), "pip", "install", "--python", str(there / "bin" / "python"), "--compile-bytecode",
             "--no-progress", "--color", "never", "--requirements", "requirements.txt"]
        )  # fmt: skip
    return commands


@contextmanager
def _locked(path: Path, pause: Callable[[float], None]) -> Iterator[None]:
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                pause(_WAIT)
        yield
    finally:
        os.close(handle)
