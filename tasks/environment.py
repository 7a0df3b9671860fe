"""Python environments: one per distinct requirements and Python version, built once by uv, shared by services."""

from __future__ import annotations

import fcntl
import hashlib
import json
import logging
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

from ferris import environments
from ferris.errors import FerrisError

log = logging.getLogger(__name__)

_FORMAT: Final = 2
"""Part of every environment's name: raise it when environments are built in another way."""
_WAIT: Final = 0.2
_STAMP: Final = 60.0
_LIST_SECONDS: Final = 30.0
_OWN_VERSION: Final = f"{sys.version_info.major}.{sys.version_info.minor}"

_PUBLISHED: Final = re.compile(r"(?:fx|ferris)_ef(?:\.py|-.+\.dist-info)?", re.IGNORECASE)
"""What the published helper library leaves among the packages, whoever has asked for it in whichever words."""
_ARCHIVE: Final = re.compile(
    r"(?:^|[\s@]|file://|file:)(/[^\s#;]+\.(?:whl|zip|tgz|tar\.(?:gz|bz2|xz)))(?=$|[\s#;])", re.IGNORECASE
)
_ADDRESS: Final = r"(?:git\+)?(?:https?|ssh)://"
_ANYWHERE_THE_SAME: Final = re.compile(
    rf"{_ADDRESS}|[a-z0-9](?:[\w.-]*[a-z0-9])?\s*(?:\[[^\]]*\]\s*)?(?:$|[<>=!~;(]|--hash=|@\s*{_ADDRESS})",
    re.IGNORECASE,
)
"""A package by its name in the index, or by its address."""
_A_FILE: Final = re.compile(r"[^\s;:@]+\.(?:whl|zip|tgz|tar\.\w+)(?=$|[\s;])", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class BuildStep:
    """A command of a build, for the environment that is being made in `folder`. `strangers`: it runs code of those
    who wrote the packages."""

    command: tuple[str, ...]
    folder: Path
    strangers: bool


Build = Callable[[list[BuildStep]], None]
"""Runs commands one after the other, their output going to the execution's log; raises EnvironmentFailed."""


class EnvironmentFailed(FerrisError):
    """The environment could not be built; the text is the resolver's own."""


@dataclass(frozen=True, slots=True)
class Environment:
    """A Python to run scripts with. `sdk_last`: its packages include the published helper library.

    `bare`: one of the same version without packages. It is that which is started: nobody but uv has written in its
    folder, and what packages want done when Python comes up (`.pth`) waits until the process is confined.
    """

    python: str
    sdk_last: bool
    bare: str


class Environments:
    """Environments below a folder, of at most `limit` bytes together. Several workers may share it."""

    def __init__(self, folder: Path, limit: int) -> None:
        self._folder, self._limit = folder, limit
        self._stamped: dict[str, float] = {}

    @contextmanager
    def use(
        self,
        requirements: str | None,
        python: str | None,
        digest: str,
        build: Build,
        pause: Callable[[float], None],
    ) -> Iterator[Environment]:
        """The environment, built now if it is not there; it is not removed while it is used.

        `pause` waits, and raises when it is not needed any more. EnvironmentFailed.
        """
        python = None if python == _OWN_VERSION else python
        wanted, name = _wanted(requirements or "", python, digest)
        if wanted:
            with (
                self.use(None, python, "", build, pause) as bare,
                self._used(name, wanted, python, build, pause) as found,
            ):
                yield Environment(found, _has_published(found), bare.python)
        else:
            with self._used(name, wanted, python, build, pause) as found:
                yield Environment(found, False, found)

    @contextmanager
    def _used(
        self,
        name: str,
        wanted: Sequence[str],
        python: str | None,
        build: Build,
        pause: Callable[[float], None],
    ) -> Iterator[str]:
        """The interpreter of an environment, which is not removed meanwhile."""
        there = self._folder / name
        try:
            handle = environments.open_lock(there)
        except FileNotFoundError:
            self._folder.mkdir(parents=True, exist_ok=True)
            handle = environments.open_lock(there)
        try:
            while True:
                _lock(handle, fcntl.LOCK_SH, pause)
                if environments.python_of(there).exists():
                    break
                _lock(handle, fcntl.LOCK_EX, pause)  # not at once: others may have built it meanwhile
                if not environments.python_of(there).exists():
                    self._build(there, wanted, python, build)
            self._stamp(there)
            yield str(environments.python_of(there))
        finally:
            os.close(handle)

    def _build(self, there: Path, wanted: Sequence[str], python: str | None, build: Build) -> None:
        """Called by who holds the lock alone, so whatever lies there half built is nobody's."""
        environments.sweep_parts(there)
        environments.discard(there)
        part = environments.new_part(there)
        try:
            build(_commands(part, bool(wanted), python))
            environments.write_about(part, list(wanted))
            part.rename(there)
        except EnvironmentFailed as error:
            if python is not None and not environments.python_of(part).exists():
                raise EnvironmentFailed(
                    f"{error}; the manifest asks for Python {python}, {_pythons()}"
                ) from None
            raise
        finally:
            shutil.rmtree(part, ignore_errors=True)
        self.tidy()

    def tidy(self) -> None:
        """Remove what was left half built, and what is too much."""
        for gone in environments.prune(self._folder, self._limit):
            log.info("environment %s was removed: it was used least, and there is a limit", gone.path.name)

    def _stamp(self, there: Path) -> None:
        """Note its use, but not at every use."""
        now = time.monotonic()
        if now - self._stamped.get(there.name, -_STAMP) >= _STAMP:
            self._stamped[there.name] = now
            os.utime(environments.lock_of(there))


def normalised(requirements: str) -> list[str]:
    """The lines that say something, in their order, without comments and needless blanks."""
    joined = requirements.replace("\r\n", "\n").replace("\\\n", " ")
    lines = (re.sub(r"(^|\s)#.*$", "", line).strip() for line in joined.split("\n"))
    return [" ".join(line.split()) for line in lines if line]


def files_named(requirements: str) -> list[str]:
    """Packages that lie in files on this machine, as a requirements.txt names them: paths from the root on."""
    found = (_ARCHIVE.search(line) for line in normalised(requirements))
    return [match[1] for match in found if match and os.path.isfile(match[1])]


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


@lru_cache(maxsize=256)
def _wanted(requirements: str, python: str | None, digest: str) -> tuple[tuple[str, ...], str]:
    """The lines of an environment, and its name."""
    wanted = normalised(requirements)
    return tuple(wanted), _name(wanted, python, digest)


@lru_cache(maxsize=256)
def _has_published(python: str) -> bool:
    """Whether the published helper library is in an environment, which stays as it was built."""
    folders = Path(python).parent.parent.glob("lib/python*/site-packages")
    return any(_PUBLISHED.fullmatch(name) for folder in folders for name in os.listdir(folder))


def _name(wanted: list[str], python: str | None, digest: str) -> str:
    version = python or _OWN_VERSION
    # Lines that may point at files of the package, or are options, mean something else in another package.
    shared = all(_ANYWHERE_THE_SAME.match(line) and not _A_FILE.match(line) for line in wanted)
    own = "" if shared else digest
    text = json.dumps([_FORMAT, version, wanted, own, None if python else sys.base_prefix])
    return f"py{re.sub(r'[^0-9.]', '', version)}-{hashlib.sha256(text.encode()).hexdigest()[:24]}"


def _commands(there: Path, install: bool, python: str | None) -> list[BuildStep]:
    base = str(python or getattr(sys, "_base_executable", sys.executable))
    # Relocatable: it is built beside its place and renamed when it is whole.
    # Not in the package's folder does uv look for a configuration: what it said there would hold for all who share it.
    elsewhere = ("--project", str(there.parent))
    venv = (
        uv(),
        "venv",
        *elsewhere,
        "--quiet",
        "--no-project",
        "--relocatable",
        "--python",
        base,
        str(there),
    )
    if not install:
        return [BuildStep(venv, there, False)]
    packages = (
        uv(), "pip", "install", *elsewhere, "--python", str(there / "bin" / "python"), "--compile-bytecode",
        "--no-progress", "--color", "never", "--requirements", "requirements.txt",
    )  # fmt: skip
    return [BuildStep(venv, there, False), BuildStep(packages, there, True)]


def _pythons() -> str:
    """Which Pythons the executor could use instead, in words."""
    try:
        said = subprocess.run(
            [uv(), "python", "list", "--only-installed", "--offline", "--output-format", "json"],
            capture_output=True,
            timeout=_LIST_SECONDS,
            check=True,
        )
        found = {".".join(one["version"].split(".")[:2]) for one in json.loads(said.stdout)}
    except (OSError, ValueError, KeyError, TypeError, subprocess.SubprocessError):
        found = set()
    found.add(_OWN_VERSION)
    here = ", ".join(
        sorted(found, key=lambda version: [int(part) for part in version.split(".") if part.isdigit()])
    )
    return f"and this executor has {here}"


def _lock(handle: int, how: int, pause: Callable[[float], None]) -> None:
    while not environments.try_lock(handle, how):
        pause(_WAIT)
