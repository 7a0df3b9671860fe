"""Builds of environments: where packages of strangers run their own code, and what that is kept from.

`uv` and what it starts are confined as scripts are, and at every level they see and write only what is named: the
environment that is being made, a cache, the package, a temporary folder. The network is there.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from ferris.config import Settings
from ferris.environments import python_of
from ferris.execution import ExecutionOrder
from ferris.isolation import BEST
from tasks.cell import Cell
from tasks.cleaner import end_leftovers
from tasks.command import inherited
from tasks.environment import BuildStep, files_named
from tasks.isolation import Isolation, Opened
from tasks.runner import ColdProcess, start_tool

_PUBLISHING: Final = "UV_PUBLISH_"
"""Variables that begin so are for who publishes packages, and no build has to do with that."""
_FILES: Final = ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


class Builds:
    """Starts the commands of builds; one for its process."""

    def __init__(self, settings: Settings, isolation: Isolation) -> None:
        self._settings, self._isolation = settings, isolation
        self._home = str(settings.home)

    @property
    def environ(self) -> dict[str, str]:
        """What uv sees: an administrator's settings for it, a cache beside the environments (so that they can be
        links into it), and no downloads of Pythons behind an administrator's back."""
        said = inherited("UV_", "PIP_")
        return {
            "UV_CACHE_DIR": str(self._settings.home / "cache" / "uv"),
            "UV_PYTHON_DOWNLOADS": "never",
            **{name: value for name, value in said.items() if not name.startswith(_PUBLISHING)},
        }

    @contextmanager
    def started(self, step: BuildStep, order: ExecutionOrder, cell: Cell) -> Iterator[ColdProcess]:
        """The command as a process. When this is left nothing of it runs any more, and what it made belongs to this
        worker. OSError, IsolationMissing."""
        environ = self.environ
        if not step.strangers:
            yield start_tool(step.command, cell.folder, environ)
            return
        level, _ = self._isolation.layers(order)
        own = self._own(environ, cell, level)
        cache = Path(own["UV_CACHE_DIR"])
        cache.mkdir(parents=True, exist_ok=True)
        cell.own(step.folder, *([cache] if cell.uid is not None else []))
        opened = Opened(
            python=str(python_of(step.folder)),
            reads=(os.path.dirname(step.command[0]), *self._reads(own, order)),
            writes=(str(step.folder), str(cache)),
        )
        plan = self._isolation.build_plan(level, cell, opened)
        try:
            yield start_tool(step.command, cell.folder, own, plan, cell.inside)
        finally:
            cell.end_processes(for_good=False)
            end_leftovers([cell.channel])
            cell.disown(step.folder)

    def _own(self, environ: Mapping[str, str], cell: Cell, level: str) -> dict[str, str]:
        """Its own HOME and TMPDIR; uv's own configuration stays where it is. At level best the cache is its own, too:
        what the build of one service leaves in it, no other finds."""
        home = environ.get("HOME", "")
        own = {
            **environ,
            "HOME": str(cell.temporary),
            "TMPDIR": str(cell.temporary),
            "FERRIS_CHANNEL": cell.channel,  # by this what it leaves running is found
        }
        if home:
            own.setdefault("XDG_CONFIG_HOME", f"{home}/.config")
            if os.path.exists(f"{home}/.netrc"):
                own.setdefault("NETRC", f"{home}/.netrc")
        if level == BEST:
            own["UV_CACHE_DIR"] = str(cell.temporary / "uv")
        return own

    def _reads(self, environ: Mapping[str, str], order: ExecutionOrder) -> list[str]:
        """Files and folders that its settings and its requirements name, which are there, and not the platform's."""
        named = [environ.get(name, "") for name in (*_FILES, "NETRC")]
        if "XDG_CONFIG_HOME" in environ:
            named.append(environ["XDG_CONFIG_HOME"] + "/uv")
        for name, value in environ.items():
            if name.startswith(("UV_", "PIP_")):
                named += [word.removeprefix("file://") for word in value.replace(",", " ").split()]
        named += files_named(order.requirements or "")
        return [
            path for path in named if path.startswith("/") and os.path.exists(path) and self._foreign(path)
        ]

    def _foreign(self, path: str) -> bool:
        real = os.path.realpath(path)
        return (
            real != "/"
            and not f"{real}/".startswith(f"{self._home}/")
            and not f"{self._home}/".startswith(f"{real}/")
        )
