"""Database connections for SQL steps: an administrator makes them, projects are let use them.

The URL is decrypted for a claim's answer and to test it, for nothing else.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from django.core.exceptions import ValidationError
from django.db.models import Q, QuerySet

from ferris.databases import HIDDEN, DatabaseUrl, WrongUrl
from ferris.errors import FerrisError, NotFound
from ferris_web import wiring
from ferris_web.catalog.models import Connection, Project
from ferris_web.catalog.secrets import decrypted, encrypted
from ferris_web.names import held, once


@dataclass(frozen=True)
class Tried:
    """What came of a test: whether it worked, and what to tell."""

    ok: bool
    text: str


def connection_set(
    name: str,
    *,
    new: bool = False,
    url: str | None = None,
    description: str | None = None,
    read_only: bool | None = None,
    every_project: bool | None = None,
    projects: Sequence[Project] | None = None,
) -> Connection:
    """Make a connection, or, unless it is to be `new`, change what is given of one. ValidationError names the field at
    fault; Conflict when the name is taken.

    A URL as it is shown stays as it is. Scripts that start from now on get it.
    """
    taken = f"there is a database connection {name!r} already"
    with once(taken):
        found = held(Connection, name, new=new, taken=taken)
        connection = found or Connection(name=name)
        if url is not None and (connection.pk is None or url != connection.shown):
            seal(connection, url)
        elif connection.pk is None:
            raise ValidationError({"url": ["is missing; a new connection needs one"]})
        for field, value in (
            ("description", description),
            ("read_only", read_only),
            ("every_project", every_project),
        ):
            if value is not None:
                setattr(connection, field, value)
        connection.full_clean(exclude=["ciphertext", "shown"], validate_unique=False)  # `once` does
        connection.save()
        if projects is not None:
            connection.projects.set(projects)
    return connection


def connection_remove(connection: Connection) -> None:
    """Remove it. Scripts that name it fail from now on, and say so."""
    connection.delete()


def seal(connection: Connection, url: str) -> None:
    """Give it this URL, without saving it. ValidationError."""
    try:
        parsed = DatabaseUrl.parse(url)
    except WrongUrl as error:
        raise ValidationError({"url": [str(error)]}) from None
    if parsed.password == HIDDEN:
        raise ValidationError(
            {"url": [f"has {HIDDEN} for its password, and is not the URL there was; write it out"]}
        )
    if _place(parsed) in _own():
        raise ValidationError(
            {
                "url": [
                    "is a database of the platform itself: scripts could read and change every record in it"
                ]
            }
        )
    connection.ciphertext, connection.shown = encrypted(str(parsed)), parsed.shown


def connection_try(connection: Connection) -> Tried:
    """Connect from this process, begin, ask something, undo."""
    from ferris.adapters.sql_database import try_out

    try:
        url = _url(connection)
        answered = try_out(url, read_only=connection.read_only)
    except FerrisError as error:
        return Tried(False, f"{connection.shown} did not answer: {error}")
    where = "Executors on other machines were not asked: they need the same way to it."
    if DatabaseUrl.parse(url).kind == "sqlite":
        where = "That is the file of this machine; executors on other machines open their own of that name."
    return Tried(True, f"{answered} answered at {connection.shown}. {where}")


def connection_get(name: str) -> Connection:
    """One by name; NotFound."""
    found = Connection.objects.prefetch_related("projects").defer("ciphertext").filter(name=name).first()
    if found is None:
        raise NotFound(f"there is no database connection {name!r}")
    return found


def connection_list(*, project: Project | None = None) -> QuerySet[Connection]:
    """Connections by name, of a project those that it may use."""
    found = Connection.objects.prefetch_related("projects").defer("ciphertext")
    return found if project is None else found.filter(_of(project)).distinct()


def connections_of(project_id: Any, names: Iterable[str] | None) -> dict[str, dict[str, Any]]:
    """For a claim's answer: the connections of these names (None: all) that the project may use, with their URLs."""
    found = Connection.objects.filter(Q(every_project=True) | Q(projects=project_id)).distinct()
    if names is not None:
        found = found.filter(name__in=list(names))
    return {one.name: {"url": _url(one), "read_only": one.read_only} for one in found}


def connections_missing(project: Project, names: Iterable[str]) -> dict[str, str]:
    """Of these names those that the project may not use, and why."""
    wanted = set(names)
    there = set(Connection.objects.filter(name__in=wanted).values_list("name", flat=True))
    allowed = set(connection_list(project=project).filter(name__in=wanted).values_list("name", flat=True))
    return {
        name: f"project {project.name} may not use it" if name in there else "there is none of that name yet"
        for name in sorted(wanted - allowed)
    }


def _of(project: Project) -> Q:
    return Q(every_project=True) | Q(projects=project)


def _url(connection: Connection) -> str:
    return str(decrypted(connection.ciphertext, f"the URL of the database connection {connection.name!r}"))


def _own() -> set[tuple[Any, ...]]:
    """The platform's own databases."""
    config = wiring.config()
    found = set()
    for url in (config.database_url, config.event_log_url, config.ops_store_url):
        with contextlib.suppress(WrongUrl):  # of a backend that is no database
            found.add(_place(DatabaseUrl.parse(url)))
    return found


def _place(url: DatabaseUrl) -> tuple[Any, ...]:
    return ("sqlite", os.path.realpath(url.database)) if url.kind == "sqlite" else url.place
