"""Decides with which layers each script is confined: of what its service and the platform want, what can be had here.

The process itself puts them on: `boot/_ferris_confine.py`, which also finds out what can be had.
"""

from __future__ import annotations

import json
import logging
import os
import stat
import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from ferris.config import Settings
from ferris.errors import FerrisError
from ferris.execution import ExecutionOrder
from ferris.isolation import BEST, LAYERS, NONE, OFF, ResourceLimits, build_layers_of, layers_of, missing
from tasks.cell import Cell, Groups, Users, group_name, make_groups, sweep_groups
from tasks.environment import Environment
from tasks.nursery import Nursery
from tasks.runner import BOOT, SDK
from tasks.spares import Spares
from tasks.system_calls import call_filter

log = logging.getLogger(__name__)

KEPT: Final = sum(1 << number for number in (0, 1, 3, 4, 5, 6, 7, 8, 10, 13, 18, 27, 29, 31))
"""Capabilities that scripts of a root worker keep, the same as in a container by default: to change owners and modes,
to kill, to become other users, ... (linux/capability.h). Not those to trace, to mount, to load modules."""
_PROBE_SECONDS: Final = 30.0
SYSTEM: Final = (
    *("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/nix/store", "/opt"),
    *("/etc", "/run/systemd/resolve", "/run/resolvconf", "/proc", "/sys"),
)
_DEVICES: Final = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty", "/dev/ptmx",
                   "/dev/pts")  # fmt: skip
_TMP: Final = "/tmp"  # noqa: S108 - covered, not written
_SHARED_MEMORY: Final = "/dev/shm"  # noqa: S108

Plan = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Opened:
    """The interpreter that a process needs, and what it may read and write besides its cell's folders."""

    python: str
    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    lists: tuple[str, ...] = ()
    """Folders whose names it may see, but not what is in their files."""
    system: tuple[str, ...] = SYSTEM


class IsolationMissing(FerrisError):
    """The service requires a layer that this worker cannot give."""


class Isolation:
    """What this worker can and may do; one for its process."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._home = str(settings.home)
        self._root = os.geteuid() == 0
        self._users = Users(*settings.script_uids)
        self._nursery = Nursery()
        self._lock = threading.Lock()
        self._found: dict[str, dict[str, Any]] | None = None

    @property
    def found(self) -> Mapping[str, Mapping[str, Any]]:
        """The layers, each with whether this machine allows it. Tried at the first use."""
        with self._lock:
            if self._found is None:
                self._found = probed()
                self._check_user(self._found)
                for name in ("cgroup_pids", "cgroup_memory"):
                    if self._found.get(name, {}).get("ok"):
                        sweep_groups(self._found[name]["folder"])
            return self._found

    def tell(self) -> None:
        """Find out what can be had, and say in the log what cannot."""
        lacking = self._lacking(self.found)
        if lacking:
            named = "; ".join(f"{name} ({why})" for name, why in lacking.items())
            log.warning("scripts are isolated without %s", named)

    def _check_user(self, found: dict[str, dict[str, Any]]) -> None:
        """Another user must be able to enter what its scripts need; a mount namespace sees to that by itself."""
        if found.get("user", {}).get("ok") and not found["mounts"]["ok"]:
            paths = [*interpreter_folders(sys.executable), str(SDK), str(self._settings.home / "work")]
            closed = next(filter(None, map(closed_ancestor, paths)), None)
            if closed is not None:
                found["user"] = {"ok": False, "said": f"other users cannot enter {closed} (chmod o+x)"}

    @property
    def level(self) -> str:
        """The worker's own level: off, basic or best."""
        return self._settings.isolation

    def summary(self) -> dict[str, Any] | None:
        """For people who look at this worker: its level, the layers in force, those it lacks and why. None while it is
        not known yet."""
        found = self._found
        if found is None:
            return None
        lacking = self._lacking(found)
        in_force = [name for name in self._wanted(found) if name not in lacking]
        builds = [name for name in build_layers_of(self.level, found, root=self._root) if name not in lacking]
        return {"level": self.level, "layers": in_force, "lacking": lacking, "builds": builds}

    def _wanted(self, found: Mapping[str, Mapping[str, Any]]) -> tuple[str, ...]:
        return layers_of(self.level, found, NONE, root=self._root)

    def _lacking(self, found: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
        return missing(found, self._wanted(found))

    def limits(self, order: ExecutionOrder) -> ResourceLimits:
        """The limits of an execution's scripts."""
        settings = self._settings
        return _limits(tuple(order.limits.items()), settings.limits, settings.ceiling.limits)

    def layers(self, order: ExecutionOrder) -> tuple[str, dict[str, str]]:
        """The level that counts for an execution, and the layers it lacks, with the reasons. IsolationMissing."""
        level = BEST if order.isolation == BEST and self.level != OFF else self.level
        if level == OFF:
            if order.network == NONE or order.isolation:
                wanted = '"network": "none"' if order.network == NONE else f'"isolation": "{order.isolation}"'
                raise IsolationMissing(
                    f"its manifest requires {wanted}, but its executor runs with FERRIS_ISOLATION=off"
                )
            return level, {}
        lacking = missing(self.found, layers_of(level, self.found, order.network, root=self._root))
        if order.network == NONE and "network" in lacking:
            raise IsolationMissing(
                f'its manifest requires "network": "none", but its executor cannot make it: {lacking["network"]}'
            )
        if order.isolation == BEST:
            for name in ("rules", "user", "user_namespace"):
                if name in lacking:
                    raise IsolationMissing(
                        f'its manifest requires "isolation": "best", but its executor lacks {name}: {lacking[name]}'
                    )
        return level, lacking

    def cell(
        self, order: ExecutionOrder, channel: str, folder: Path, artifacts: Path, spares: Spares
    ) -> Cell:
        """The cell of an attempt: its temporary folder is made. IsolationMissing; OSError."""
        level, lacking = self.layers(order)
        cell = Cell(channel, folder, Path(f"{channel}.tmp"), artifacts)
        spares.empty(cell.temporary)
        if level == OFF:
            return cell
        limits = self.limits(order)
        wanted = {}
        if "cgroup_pids" not in lacking and self.found["cgroup_pids"]["ok"]:
            wanted["pids"] = limits.processes or 0
        if level == BEST and "cgroup_memory" not in lacking:
            wanted["memory"] = limits.memory or 0
        try:
            cell.groups = make_groups(self.found, group_name(Path(channel).name), wanted)
            if level == BEST and self.found["user"]["ok"]:
                cell.uid = self._users.take()
                if cell.uid is None:
                    raise IsolationMissing("no user id is free for its scripts; widen FERRIS_SCRIPT_UIDS")
                if self._sees_only_its_own:
                    cell.namespace = self._nursery.take()
                if not self.found["mounts"]["ok"]:
                    for parent in (folder.parent, folder.parent.parent, Path(channel).parent):
                        parent.chmod(0o711)  # its user passes through
        except BaseException:
            self.give_back(cell)
            raise
        return cell

    def plan(
        self, order: ExecutionOrder, cell: Cell, environment: Environment, relay_port: int
    ) -> Plan | None:
        """What the process of a Python script has to do to itself; None: nothing."""
        packages = os.path.dirname(os.path.dirname(environment.python))
        opened = Opened(environment.bare, (packages,))
        return self.plan_with(order, cell, opened, relay_port if order.network == NONE else None)

    def plan_with(
        self, order: ExecutionOrder, cell: Cell, opened: Opened, relay_port: int | None
    ) -> Plan | None:
        """The same for any process of an execution. It has a network of its own if it is to make the relay's port."""
        level, _ = self.layers(order)
        if level == OFF:
            return None
        best, network = level == BEST, relay_port is not None
        plan = self._plan(best, self.limits(order), cell, self._opened(opened), network=network, files=best)
        if network:
            plan["network"] = relay_port
        plan["umask"] = 0o077 if best else 0o022
        return plan

    @property
    def closed(self) -> frozenset[str]:
        """Folders that no process may have as a whole at level best."""
        return frozenset(("/", self._home, _TMP, _SHARED_MEMORY))

    def build_plan(self, level: str, cell: Cell, opened: Opened) -> Plan | None:
        """The same for a build, which runs code of packages: it reads and writes only what is named, also at level
        basic. Its limits are the worker's: what it makes is not of one service."""
        if level == OFF:
            return None
        plan = self._plan(
            level == BEST, self._settings.limits, cell, self._opened(opened), network=False, files=True
        )
        return {**plan, "umask": 0o022}  # scripts of any user read what it makes

    def _opened(self, own: Opened) -> Opened:
        """With what the settings open for all."""
        reads, writes = self._settings.script_reads, self._settings.script_writes
        return replace(own, reads=(*own.reads, *reads), writes=(*own.writes, *writes))

    def _plan(
        self, best: bool, limits: ResourceLimits, cell: Cell, opened: Opened, *, network: bool, files: bool
    ) -> dict[str, Any]:
        plan = self._own_plan(limits, cell.groups)
        root = self._root
        mounts = best and self.found["mounts"]["ok"]
        inside = best and not root and self.found["user_namespace"]["ok"]
        kinds = ["mount"] * mounts + ["network"] * network
        if inside or (kinds and not root):
            kinds.append("user")
        if kinds:
            plan["namespaces"] = kinds
        if mounts:
            plan["mounts"] = self._mounts(cell, opened)
        if cell.inside is not None:
            plan["pid_namespace"] = True  # whoever makes the process has put it there
        if self.found["rules"]["ok"]:
            plan["rules"] = self._rules(cell, opened, mounts) if files else {"files": False}
        if self.found["system_calls"]["ok"]:
            plan["system_calls"] = call_filter(os.uname().machine)
        if cell.uid is not None:
            plan["user"] = cell.uid
        elif "user" in kinds:
            plan["user"] = 0
        if limits.processes and (cell.uid is not None or "user" in kinds):
            plan["limits"]["NPROC"] = limits.processes  # of this user, or in this user namespace
        return plan

    def environ(self, order: ExecutionOrder, cell: Cell) -> dict[str, str]:
        """What scripts find in their environment because of their cell."""
        found = {"TMPDIR": str(cell.temporary)}
        return {**found, "HOME": str(cell.temporary)} if self.layers(order)[0] == BEST else found

    def give_back(self, cell: Cell) -> None:
        """Nothing of the cell is left: others may have what it had."""
        if cell.namespace is not None:
            cell.namespace.close()
        cell.groups.remove()
        if cell.uid is not None:
            self._users.give_back(cell.uid)

    def close(self) -> None:
        """Give everything back."""
        self._users.close()
        self._nursery.close()

    @property
    def _sees_only_its_own(self) -> bool:
        """Its /proc is mounted anew in the mount namespace, or it would tell of others."""
        return all(self.found[name]["ok"] for name in ("pid_namespace", "processes", "mounts"))

    def _own_plan(self, limits: ResourceLimits, groups: Groups) -> dict[str, Any]:
        resources = {
            "CPU": int(limits.cpu or 0) or (1 if limits.cpu else 0),
            "DATA": limits.memory,
            "NOFILE": limits.files,
            "FSIZE": limits.file_size,
        }
        plan: dict[str, Any] = {
            "limits": {"CORE": 0, **{name: most for name, most in resources.items() if most}}
        }
        if groups.folders:
            plan["cgroups"] = groups.folders
        if self.found["privileges"]["ok"]:
            plan["privileges"] = KEPT if self._root else None
        return plan

    def _mounts(self, cell: Cell, opened: Opened) -> dict[str, Any]:
        needed = [*interpreter_folders(opened.python), str(SDK), *map(str, cell.folders), cell.channel]
        needed = [path for path in (*needed, *opened.reads, *opened.writes) if os.path.exists(path)]
        covers: dict[str, str | None] = {_TMP: str(cell.temporary), self._home: None}
        if os.path.isdir(_SHARED_MEMORY):
            covers[_SHARED_MEMORY] = None
        if cell.uid is not None:
            for path in needed:
                closed = closed_ancestor(path)
                if closed is not None:
                    covers.setdefault(closed, None)
        kept = {path: by for path, by in covers.items() if not any(_below(path, other) for other in covers)}
        shown = sorted({path for path in needed if any(_below(path, cover) for cover in kept)})
        shown = [path for path in shown if not any(_below(path, other) for other in shown)]
        return {
            "covers": list(map(list, kept.items())),
            "shown": shown,
            "writes": [*map(str, cell.folders), cell.channel, *opened.writes],
            "processes": self.found["processes"]["ok"],
            "folder": str(cell.folder),
        }

    def _rules(self, cell: Cell, opened: Opened, mounts: bool) -> dict[str, Any]:
        shared = [_SHARED_MEMORY, *([_TMP] if mounts else [])]
        return {
            "files": True,
            "lists": list(opened.lists),
            "reads": [
                *opened.system,
                "/dev",
                *interpreter_folders(opened.python),
                str(SDK),
                str(BOOT),
                *opened.reads,
            ],
            "writes": [*map(str, cell.folders), *shared, *opened.writes],
            "devices": list(_DEVICES),
        }


@lru_cache(maxsize=256)
def _limits(
    asked: tuple[tuple[str, Any], ...], defaults: ResourceLimits, most: ResourceLimits
) -> ResourceLimits:
    return ResourceLimits(**dict(asked)).over(defaults).within(most)


def probed() -> dict[str, dict[str, Any]]:
    """What this machine allows, tried in a process of its own."""
    wanted = call_filter(os.uname().machine)
    said = json.dumps(wanted and {**wanted, "program": wanted["program"].hex()})
    command = [sys.executable, "-I", "-S", str(BOOT / "_ferris_confine.py"), said]
    try:
        found = subprocess.run(command, capture_output=True, check=True, timeout=_PROBE_SECONDS).stdout
        return dict(json.loads(found))
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        log.error("what isolation this machine allows cannot be found out: %s", error)
        return {
            name: {"ok": False, "said": "it could not be found out; see the executor's log"}
            for name in LAYERS
        }


@lru_cache(maxsize=64)
def interpreter_folders(python: str) -> tuple[str, ...]:
    """The folders of an interpreter: its environment, and those of the Python that this was made of."""
    found = [os.path.dirname(os.path.dirname(python))]
    at = python
    for _ in range(20):
        if not os.path.islink(at):
            break
        at = os.path.normpath(os.path.join(os.path.dirname(at), os.readlink(at)))
        found.append(os.path.dirname(os.path.dirname(at)))
    found.append(os.path.dirname(os.path.dirname(os.path.realpath(python))))
    try:
        text = Path(found[0], "pyvenv.cfg").read_text()
    except OSError:
        text = ""
    for line in text.splitlines():
        name, _, value = line.partition("=")
        if name.strip() == "home":
            found.append(os.path.dirname(value.strip()))
    return tuple(dict.fromkeys(path for path in found if path not in ("/", "")))


def closed_ancestor(path: str) -> str | None:
    """The topmost folder above a path that another user cannot enter."""
    at = "/"
    for part in Path(path).parts[1:]:
        at = os.path.join(at, part)
        try:
            state = os.stat(at)
        except OSError:
            return None
        if at != path and not (stat.S_ISDIR(state.st_mode) and state.st_mode & stat.S_IXOTH):
            return at
    return None


def _below(path: str, folder: str) -> bool:
    return path != folder and path.startswith(folder.rstrip("/") + "/")
