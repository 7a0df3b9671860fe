"""A whole platform into an archive, and out of one into an empty platform: counted on both sides."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography.fernet import InvalidToken
from django.db import connection
from django.db.migrations.loader import MigrationLoader

from ferris.errors import Conflict
from ferris_web import wiring
from ferris_web.catalog.rotation import standing
from ferris_web.executions.moving import archive, rows, standstill, stores

_APPS = ("accounts", "catalog", "executions")
_PROBE = b"ferris"


@dataclass(frozen=True)
class Counted:
    """How many of a kind there were, and how many arrived."""

    kind: str
    there: int
    here: int

    @property
    def same(self) -> bool:
        """True when nothing is missing and nothing is too much."""
        return self.there == self.here


def export_to(path: Path, now: datetime) -> list[Counted]:
    """Write everything of this platform into a new archive. Conflict when something runs or waits on the log."""
    standstill.nothing_under_way()
    if locked := standing().lost:
        raise Conflict(
            f"{len(locked)} secrets were encrypted with a key that is gone, {locked[0]} among them: put that key "
            "back behind the first one in keys/encryption.keys, or delete these secrets"
        )
    there = rows.found() | stores.found()
    with archive.written(path) as writer:
        counts = {
            rows.label(model): writer.lines(f"rows/{rows.label(model)}", rows.lines(model))
            for model in rows.MODELS
        }
        counts |= stores.write(writer)
        writer.manifest(
            {
                "id": str(uuid.uuid4()),
                "made_at": now.isoformat(),
                "counts": counts,
                "migrations": _migrations(),
                "key_check": wiring.cipher().encrypt(_PROBE).decode(),
            }
        )
    return [Counted(kind, there[kind], counts[kind]) for kind in there]


def import_from(path: Path) -> list[Counted]:
    """Fill this empty platform from an archive. Conflict when it holds anything, before anything is changed.

    Cut short, it may be called again with the same archive: then it begins anew, or only counts what is there.
    """
    return archive.read(path, _import)


def _import(source: archive.Reader) -> list[Counted]:
    _check_release(source)
    _check_keys(source)
    begun = _Begun(str(source.manifest["id"]))
    filled = rows.occupied()
    if not begun.by_this_archive:
        if occupied := filled or stores.occupied() or standstill.log_occupied():
            raise Conflict(
                f"this platform is not empty, it has {occupied}: import into one that was just made "
                "(another FERRIS_HOME, database, and prefixes of the other backends)"
            )
        begun.note()
    if not filled:
        stores.take_in(source)
        rows.take_in(lambda label: source.lines(f"rows/{label}"))  # last, in one transaction
    here = rows.found() | stores.found()
    counted = [Counted(kind, there, here.get(kind, 0)) for kind, there in source.manifest["counts"].items()]
    if all(one.same for one in counted):
        begun.forget()
    return counted


class _Begun:
    """A note in the home that this platform is being filled from an archive."""

    def __init__(self, archive_id: str) -> None:
        self._id = archive_id
        self._note = wiring.config().home / "import.begun"

    @property
    def by_this_archive(self) -> bool:
        return self._note.exists() and self._note.read_text() == self._id

    def note(self) -> None:
        self._note.write_text(self._id)

    def forget(self) -> None:
        self._note.unlink(missing_ok=True)


def _check_release(source: archive.Reader) -> None:
    known = MigrationLoader(connection).disk_migrations
    for app, name in source.manifest.get("migrations", {}).items():
        if (app, name) not in known:
            raise Conflict(
                f"the archive comes from a newer release (it has {app} {name}): upgrade this platform first"
            )


def _migrations() -> dict[str, str]:
    """The last migration of each app: older releases do not know it."""
    leaves = MigrationLoader(connection).graph.leaf_nodes()
    return {app: name for app, name in leaves if app in _APPS}


def _check_keys(source: archive.Reader) -> None:
    if not source.manifest["counts"].get("catalog.secret"):
        return
    try:
        wiring.cipher().decrypt(source.manifest["key_check"].encode())
    except InvalidToken:
        raise Conflict(
            "the archive's secrets are encrypted with the keys of the platform that it comes from: append the lines "
            "of that one's keys/encryption.keys (or its FERRIS_ENCRYPTION_KEYS) behind the first of this one's, then "
            "import again; afterwards they may be taken away"
        ) from None
