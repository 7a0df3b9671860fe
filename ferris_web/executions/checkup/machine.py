"""This machine: the home folder, its keys, the programs that are called."""

from __future__ import annotations

import os
import shutil
import subprocess
import uuid
from collections.abc import Callable, Iterator
from datetime import datetime

from ferris.findings import Finding, room
from ferris_web import wiring
from ferris_web.catalog.secrets import secrets_unreadable


def home(part: str, now: datetime) -> Iterator[Finding]:
    """Can it be written, and is there room?"""
    folder = wiring.config().home
    probe = folder / f".doctor-{uuid.uuid4().hex}"
    try:
        probe.write_bytes(b"x")
        probe.unlink()
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
    loose = [path.name for path in (wiring.config().home / "keys").glob("*") if path.stat().st_mode & 0o077]
    if loose:
        yield Finding(
            "failure", part, f"others may read {', '.join(loose)}", f"chmod 600 {wiring.config().home}/keys/*"
        )
    if wiring.cipher().decrypt(wiring.cipher().encrypt(b"x")) != b"x":
        yield Finding(
            "failure", part, "the encryption keys do not work", "restore keys/encryption.keys from its backup"
        )
    locked = [str(secret) for secret in secrets_unreadable()]
    if locked:
        yield Finding(
            "failure",
            part,
            f"{len(locked)} secrets were encrypted with another key: {', '.join(locked[:5])}",
            "put that key back behind the first one in keys/encryption.keys, or set these secrets again",
        )
    elif not loose:
        yield Finding("ok", part, "private, and they open every secret")


def programs(part: str, now: datetime) -> Iterator[Finding]:
    """What syncs and environments are made with."""
    import uv

    for name, find, use in (
        ("git", lambda: shutil.which("git"), "projects from git URLs cannot be synced"),
        ("uv", uv.find_uv_bin, "services with a requirements.txt cannot run"),
    ):
        yield _program(part, name, find, use)


def _program(part: str, name: str, find: Callable[[], str | None], use: str) -> Finding:
    try:
        path = find()
    except FileNotFoundError:
        path = None
    if path is None:
        return Finding("failure", part, f"{name} is missing: {use}", f"install {name}")
    said = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=20, check=False)
    if said.returncode:
        return Finding(
            "failure", part, f"{path} does not run: {said.stderr.strip()[:200]}", f"install {name} again"
        )
    return Finding("ok", part, said.stdout.strip())
