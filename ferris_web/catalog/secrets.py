"""Secrets: any JSON value, encrypted at rest. A service sees its own, its project's, then the platform's.

Values are given out by `secrets_of` (for a claim's answer) and `secret_find` (for a script's call), and to
nobody else. Nothing here logs a value or puts one into an error.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar
from uuid import UUID

from cryptography.fernet import InvalidToken
from django.db.models import Q, QuerySet

from ferris.adapters.prepared import Prepared
from ferris.errors import BackendError, NotFound
from ferris_web import wiring
from ferris_web.catalog.models import Project, Secret, Service

_Scope = Secret.Scope
_FILE = "secrets.json"
_FARTHEST_FIRST = (_Scope.PLATFORM, _Scope.PROJECT, _Scope.SERVICE)
_Scoped = TypeVar("_Scoped", Secret, "SealedSecret")


class SecretUnreadable(BackendError):
    """No encryption key of this platform opens a secret; trying again does not help."""


def secret_set(
    scope: str,
    name: str,
    value: Any,
    *,
    project: Project | None = None,
    service: Service | None = None,
    synced: bool = False,
    by: str = "",
    execution: UUID | None = None,
) -> Secret:
    """Set a secret of the platform, of a project or of a service to any JSON value.

    `synced` marks one that came from a secrets.json; `by` is who sets it, a person or with `execution` a service.
    ValueError when scope and owner do not fit, or when the name is empty, too long or the value is no JSON value.
    """
    owner = _owner(scope, project, service)
    if not name or len(name) > 255 or "\0" in name:
        raise ValueError("a secret's name has 1 to 255 characters")
    said = {"ciphertext": encrypted(value), "synced": synced, "set_by": by[:200], "set_execution": execution}
    secret, _ = Secret.objects.update_or_create(**owner, name=name, defaults=said)
    return secret


def secret_delete(
    scope: str, name: str, *, project: Project | None = None, service: Service | None = None
) -> None:
    """Remove a secret; NotFound when there is none of that name."""
    gone, _ = Secret.objects.filter(**_owner(scope, project, service), name=name).delete()
    if not gone:
        raise NotFound(f"there is no secret {name!r} of this {scope}")


@dataclass(frozen=True)
class SealedSecret:
    """A secret as it lies in the table."""

    scope: str
    project_id: int | None
    service_id: UUID | None
    name: str
    ciphertext: str
    id: int


# Read at every claim.
_SEALED = Prepared(
    lambda services, projects: (
        Secret.objects.filter(
            Q(scope=_Scope.SERVICE, service__in=services)
            | Q(scope=_Scope.PROJECT, project__in=projects)
            | Q(scope=_Scope.PLATFORM)
        )
        .order_by()
        .values_list("scope", "project_id", "service_id", "name", "ciphertext", "id")
    )
)


def secrets_sealed(services: Iterable[tuple[UUID, int]]) -> list[SealedSecret]:
    """All secrets that some of these services, each given with its project, see. In one query."""
    wanted = set(services)
    if not wanted:
        return []
    found = _SEALED.rows([one for one, _ in wanted], list({project for _, project in wanted}))
    return [SealedSecret(*row) for row in found]


def secrets_opened(service: UUID, project: int, found: Iterable[SealedSecret]) -> dict[str, Any]:
    """Of those found, every one that the service sees, by name, decrypted; the nearest scope wins."""
    return {one.name: _decrypt(one) for one in secrets_nearest(service, project, found)}


def secrets_nearest(service: UUID, project: int, found: Iterable[SealedSecret]) -> list[SealedSecret]:
    """The same as they lie in the table."""
    seen = [
        one
        for one in found
        if one.scope == _Scope.PLATFORM
        or (one.scope == _Scope.PROJECT and one.project_id == project)
        or (one.scope == _Scope.SERVICE and one.service_id == service)
    ]
    return _nearest(seen)


def _nearest(found: Iterable[_Scoped]) -> list[_Scoped]:
    """Of each name the one of the nearest scope."""
    ordered = sorted(found, key=lambda one: _FARTHEST_FIRST.index(one.scope))
    return list({one.name: one for one in ordered}.values())


def secrets_of(owner: Service | Project | None) -> dict[str, Any]:
    """Every secret that a service, a project or the platform sees, by name, decrypted; the nearest scope wins."""
    if isinstance(owner, Service):  # asked for at every write of a state
        return secrets_opened(owner.pk, owner.project_id, secrets_sealed([(owner.pk, owner.project_id)]))
    return {secret.name: _decrypt(secret) for secret in _nearest(secrets_visible(owner))}


def secret_find(service: Service, name: str) -> Any:
    """The value of the nearest secret of that name, or None."""
    found = _nearest(secrets_visible(service).filter(name=name))
    return _decrypt(found[0]) if found else None


def service_secrets(services: Iterable[Service]) -> dict[UUID, dict[str, Secret]]:
    """The secrets that services have of their own, by service and name; not decrypted."""
    found: dict[UUID, dict[str, Secret]] = {}
    for secret in Secret.objects.filter(scope=_Scope.SERVICE, service__in=services):
        found.setdefault(secret.service_id, {})[secret.name] = secret
    return found


def secrets_sync(service: Service, wanted: Mapping[str, Any], held: Mapping[str, Secret]) -> dict[str, str]:
    """Make the service's synced secrets those of its secrets.json; say by name what became of which.

    `held` is what the service has now (see `service_secrets`).

    "added", "changed" and "removed" are changes. "kept": the value was set on the platform (by a person or a
    script), and that one stays until it is deleted there. Secrets that never were in the file stay too.
    """
    done: dict[str, str] = {}
    for name, value in wanted.items():
        secret = held.get(name)
        if secret is not None and not secret.synced:
            done[name] = "kept"
        elif secret is None or not _holds(secret, value):
            secret_set(_Scope.SERVICE, name, value, service=service, synced=True, by=_FILE)
            done[name] = "added" if secret is None else "changed"
    for name, secret in held.items():
        if secret.synced and name not in wanted:
            secret.delete()
            done[name] = "removed"
    return done


def encrypted(value: Any) -> str:
    """A JSON value as it may lie in a table."""
    return wiring.cipher().encrypt(_plain(value)).decode()


def decrypted(ciphertext: str, what: str) -> Any:
    """The value again. SecretUnreadable, which calls it `what`."""
    try:
        return json.loads(wiring.cipher().decrypt(ciphertext.encode()))
    except InvalidToken:
        raise SecretUnreadable(
            what,
            "was encrypted with a key that is not among the encryption keys",
            "put that key back behind the first one in keys/encryption.keys, or set it again",
        ) from None


def _owner(scope: str, project: Project | None, service: Service | None) -> dict[str, Any]:
    fits = {
        _Scope.PLATFORM: project is None and service is None,
        _Scope.PROJECT: project is not None and service is None,
        _Scope.SERVICE: project is None and service is not None,
    }
    if not fits.get(_Scope(scope), False):
        raise ValueError(f"a secret of scope {scope!r} needs exactly the owner that the scope names")
    return {"scope": scope, "project": project, "service": service}


def secrets_visible(owner: Service | Project | None) -> QuerySet[Secret]:
    """Every secret that a service, a project or the platform sees, those that a nearer one hides included."""
    seen = Q(scope=_Scope.PLATFORM)
    if isinstance(owner, Service):
        seen |= Q(scope=_Scope.SERVICE, service=owner) | Q(scope=_Scope.PROJECT, project_id=owner.project_id)
    elif owner is not None:
        seen |= Q(scope=_Scope.PROJECT, project=owner)
    return Secret.objects.filter(seen).order_by()


def _plain(value: Any) -> bytes:
    return json.dumps(value, allow_nan=False, separators=(",", ":"), sort_keys=True).encode()


def _decrypt(secret: Secret | SealedSecret) -> Any:
    return decrypted(secret.ciphertext, f"secret {secret.name!r} ({secret.scope})")


def _holds(secret: Secret, value: Any) -> bool:
    """True when the secret has this value. Compared decrypted: encrypted twice, a value looks different."""
    try:
        return _plain(_decrypt(secret)) == _plain(value)
    except SecretUnreadable:
        return False  # its key is lost: what the file says is then the one value there is
