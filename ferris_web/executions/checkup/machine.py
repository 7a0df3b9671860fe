"""This machine: the home folder, its keys, the programs that are called."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import datetime

from ferris import environments as store
from ferris.config import ROOT
from ferris.findings import Finding, room
from ferris.isolation import BASIC, LAYERS, NONE, OFF, REMEDIES, build_layers_of, layers_of, missing
from ferris_web import wiring
from ferris_web.catalog.models import Repository
from ferris_web.catalog.repositories import scheme_of
from ferris_web.catalog.rotation import standing
from ferris_web.executions.checkup import reach

_PACKAGES = {"ssh": "openssh-client"}  # where a program is not called as its package


def home(part: str, now: datetime) -> Iterator[Finding]:
    """Can it be written, and is there room?"""
    folder = wiring.config().home
    try:
        reach.home_written()
    except OSError as error:
        yield Finding(
            "failure",
            part,
            f"{folder} cannot be written ({error.strerror})",
            f"give this user (uid {os.getuid()}) the folder, or set FERRIS_HOME",
        )
        return
    yield room(part, str(folder), shutil.disk_usage(folder).free)


def keys(part: str, now: datetime) -> Iterator[Finding]:
    """Are they private, and do they open what was encrypted?"""
    folder = wiring.config().home / "keys"
    loose = sorted(path.name for path in folder.glob("*") if path.stat().st_mode & 0o077)
    if loose:
        named = " ".join(
            shlex.quote(str(folder / name)) for name in loose
        )  # keys/* leaves out the hidden ones
        yield Finding("failure", part, f"others may read {', '.join(loose)}", f"chmod 600 {named}")
    if wiring.cipher().decrypt(wiring.cipher().encrypt(b"x")) != b"x":
        yield Finding(
            "failure", part, "the encryption keys do not work", "restore keys/encryption.keys from its backup"
        )
    found = standing()
    if found.lost:
        yield Finding(
            "failure",
            part,
            f"{len(found.lost)} secrets were encrypted with another key: {', '.join(found.lost[:5])}",
            "put that key back behind the first one in keys/encryption.keys, or set these secrets again",
        )
    if found.old:
        yield Finding(
            "warning",
            part,
            f"{found.old} of {found.total} secrets hang on an old key",
            "manage.py rotate-keys moves them to the first one",
        )
    elif found.keys > 1 and not found.lost:
        text = f"nothing hangs on {found.keys - 1} of {found.keys} keys"
        yield Finding("warning", part, text, "manage.py rotate-keys --drop-old removes them")
    elif not loose and not found.lost:
        yield Finding("ok", part, "private, and they open every secret")


def environments(part: str, now: datetime) -> Iterator[Finding]:
    """The packages of services on this machine."""
    config = wiring.config()
    cache = config.home / "cache"
    there = store.environments(cache / "environments")
    size, limit = sum(one.size for one in there), config.environments_limit_bytes
    uv_size = store.size_of(cache / "uv")
    text = (
        f"{len(there)} with {size / 1024**2:,.0f} MiB of {limit / 1024**2:,.0f} MiB; uv's cache, which they share "
        f"files with, has {uv_size / 1024**2:,.0f} MiB"
    )
    if size > limit:
        yield Finding(
            "warning",
            part,
            text,
            "those in use are more than FERRIS_ENVIRONMENTS_LIMIT: raise it; manage.py environments lists them",
        )
    else:
        yield Finding("ok", part, text)


def starts(part: str, now: datetime) -> Iterator[Finding]:
    """How scripts are started: tried with each Python there is an environment of on this machine.

    Only those without packages: it is they that are started, and packages would run code of their own here.
    """
    config = wiring.config()
    if config.runner == "cold":
        yield Finding("ok", part, "each script starts with a fresh interpreter (FERRIS_RUNNER=cold)")
        return
    there = store.environments(config.home / "cache" / "environments")
    pythons = {str(store.python_of(one.path)): one.path.name for one in there if not one.requirements}
    if not pythons:
        yield Finding("ok", part, "as forks of warm interpreters, once there is an environment")
        return
    said = subprocess.run(
        [sys.executable, "-m", "tasks.forkable", *pythons],  # a program: see `isolation`
        cwd=ROOT, capture_output=True, text=True, timeout=300, check=True,
    )  # fmt: skip
    refused = {pythons[python]: why for python, why in json.loads(said.stdout).items() if why}
    if warm := len(pythons) - len(refused):
        yield Finding("ok", part, f"as forks of warm interpreters by {warm} of {len(pythons)} Pythons tried")
    for name, why in refused.items():
        text = f"scripts by the Python of {name} start with a fresh interpreter each: {why}"
        yield Finding("warning", part, text, "they run, only later; look at that Python's own sitecustomize")


def programs(part: str, now: datetime) -> Iterator[Finding]:
    """What syncs and environments are made with."""
    import uv

    used = {scheme_of(one) for one in Repository.objects.all()}
    wanted: list[tuple[str, Callable[[], str | None], str]] = [
        ("git", lambda: shutil.which("git"), "projects from git URLs cannot be synced"),
        ("uv", uv.find_uv_bin, "services with a requirements.txt cannot run"),
    ]
    if "ssh" in used:
        wanted.append(("ssh", lambda: shutil.which("ssh"), "repositories at ssh URLs cannot be synced"))
    for name, find, use in wanted:
        yield _program(part, name, find, use)


def _program(part: str, name: str, find: Callable[[], str | None], use: str) -> Finding:
    try:
        path = find()
    except FileNotFoundError:
        path = None
    if path is None:
        return Finding("failure", part, f"{name} is missing: {use}", f"install {_PACKAGES.get(name, name)}")
    asked = "-V" if name == "ssh" else "--version"
    said = subprocess.run([path, asked], capture_output=True, text=True, timeout=20, check=False)
    if said.returncode:
        return Finding(
            "failure", part, f"{path} does not run: {said.stderr.strip()[:200]}", f"install {name} again"
        )
    return Finding("ok", part, (said.stdout or said.stderr).strip())  # ssh tells it on standard error


def isolation(part: str, now: datetime) -> Iterator[Finding]:
    """What keeps scripts from the platform and one another, if the executor runs on this machine as this user."""
    level = wiring.config().isolation
    if level == OFF:
        yield Finding(
            "warning",
            part,
            "off: scripts can do whatever the executor's user can",
            "set FERRIS_ISOLATION=basic, or best when their authors do not trust one another",
        )
        return
    program = (
        ROOT / "tasks" / "boot" / "_ferris_confine.py"
    )  # a program: the web imports nothing of the executor's
    said = subprocess.run(
        [sys.executable, "-I", "-S", str(program)], capture_output=True, text=True, timeout=60, check=True
    )
    found = json.loads(said.stdout)
    root = os.geteuid() == 0
    wanted = layers_of(level, found, NONE, root=root)
    lacking = missing(found, wanted)
    there = ", ".join(name for name in wanted if name not in lacking)
    yield Finding("ok" if not lacking else "warning", part, f"{level}, with {there}")
    builds = [name for name in build_layers_of(level, found, root=root) if name not in lacking]
    if "rules" in builds:
        text = f"packages are built with {', '.join(builds)}: they read and write only what is named"
        yield Finding("ok", part, text)
    else:
        text = f"packages are built with {', '.join(builds)}, without rules: they read what the executor's user can"
        yield Finding("warning", part, text, REMEDIES["rules"])
    for name, why in lacking.items():
        yield Finding(
            "warning", part, f"without {name} ({why}); with it: {LAYERS[name]}", REMEDIES.get(name, "")
        )
    if root and level == BASIC:
        yield Finding(
            "warning",
            part,
            "the executor runs as root, and so do scripts: they can read FERRIS_HOME",
            "set FERRIS_ISOLATION=best (a user for each execution), or run the executor as another user",
        )
