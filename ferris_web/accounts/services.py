"""Makes, checks and ends API tokens, service accounts and sessions."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from types import SimpleNamespace

from django.contrib.auth import get_user
from django.contrib.sessions.models import Session
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet
from django.http import HttpRequest

from ferris.errors import Conflict, NotFound
from ferris_web.accounts.models import SCOPES, ApiToken, BrowserSession, Membership, Role, User
from ferris_web.accounts.permissions import access_of, require_scopes
from ferris_web.names import once

# A token's last use is written at most this often: one write per request would cost more than the request.
_LAST_USED_STEP = timedelta(minutes=1)


ADMINISTERS = ("is_active", "is_staff", "is_superuser")
"""What all must hold of somebody who gives people their rights."""


def administrators_without(people: Iterable[User]) -> bool:
    """True when somebody still gives people their rights after these are gone."""
    others = User.objects.exclude(pk__in=[one.pk for one in people])
    return others.filter(**dict.fromkeys(ADMINISTERS, True)).exists()


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


# --- tokens ------------------------------------------------------------------------------------------


def token_create(
    user: User,
    name: str = "token",
    expires_at: datetime | None = None,
    *,
    scopes: Iterable[str] = SCOPES,
    projects: Iterable[int] | None = None,
) -> str:
    """A new token for `user`. Returned once and never stored in the clear.

    `scopes`: of read, run, write, admin. `projects`: only for these; None: as its person. Django's ValidationError
    names the field at fault.
    """
    wanted = [scope for scope in SCOPES if scope in set(scopes)]
    if not wanted or set(scopes) - set(SCOPES):
        raise ValidationError({"scopes": f"expected some of {', '.join(SCOPES)}"})
    token = "ferris_" + secrets.token_urlsafe(32)
    with transaction.atomic():
        made = ApiToken.objects.create(
            user=user,
            name=name,
            digest=_digest(token),
            prefix=token[:12],
            expires_at=expires_at,
            scopes=wanted,
            every_project=projects is None,
        )
        if projects is not None:
            made.projects.set(projects)
    return token


def token_create_by(
    actor: User,
    name: str,
    *,
    now: datetime,
    user: User | None = None,
    days: int | None = None,
    scopes: Iterable[str] = SCOPES,
    projects: Iterable[int] | None = None,
) -> str:
    """The same as somebody asks for it: for themselves, or for a service account of theirs.

    A token makes none that may more than itself, or lasts longer: PermissionDenied. Without `days` both end together.
    """
    access = access_of(actor)
    require_scopes(access, scopes, projects)
    expires_at = _lasting(actor, None if days is None else now + timedelta(days=days))
    return token_create(user or actor, name, expires_at, scopes=scopes, projects=projects)


def _lasting(actor: User, until: datetime | None) -> datetime | None:
    """So long, and no longer than the token with which it was asked for. PermissionDenied."""
    with_token: ApiToken | None = getattr(actor, "token", None)
    latest = with_token.expires_at if with_token is not None else None
    if latest is None or until is None:
        return until or latest
    if until > latest:
        raise PermissionDenied(
            f"A token makes no token that outlives it, and this one ends at {latest:%Y-%m-%d %H:%M} UTC; "
            "without a number of days the new one ends then, too"
        )
    return until


def token_list(user: User) -> QuerySet[ApiToken]:
    """Somebody's tokens, newest first."""
    return ApiToken.objects.filter(user=user).prefetch_related("projects").order_by("-created_at", "-id")


def token_get(user: User, number: int) -> ApiToken:
    """One token of somebody; NotFound when that person has none of that number."""
    found = token_list(user).filter(pk=number).first()
    if found is None:
        raise NotFound(f"there is no token {number}")
    return found


def token_revoke(user: User, number: int) -> ApiToken:
    """End a token at once; NotFound when that person has none of that number."""
    found = token_get(user, number)
    ApiToken.objects.filter(pk=found.pk).delete()
    return found


def bearer(request: HttpRequest) -> str | None:
    """The bearer token that a request brings, or None. The scheme's name has no case (RFC 9110 section 11.1)."""
    scheme, _, token = request.META.get("HTTP_AUTHORIZATION", "").partition(" ")
    token = token.strip()
    return token if scheme.lower() == "bearer" and token else None


def token_user(token: str, now: datetime) -> User | None:
    """The active user a token speaks for, with what it may; None when it is unknown, expired or its user disabled."""
    found = ApiToken.objects.select_related("user").filter(digest=_digest(token)).first()
    if found is None or not found.user.is_active or (found.expires_at and found.expires_at <= now):
        return None
    if found.last_used_at is None or now - found.last_used_at > _LAST_USED_STEP:
        ApiToken.objects.filter(pk=found.pk).update(last_used_at=now)
    user = found.user
    user.token = found  # type: ignore[attr-defined]
    if set(found.scopes) != set(SCOPES) or not found.every_project:
        only = None if found.every_project else frozenset(found.projects.values_list("pk", flat=True))
        user._access = replace(access_of(user), scopes=frozenset(found.scopes), only=only)  # type: ignore[attr-defined]
    return user


# --- service accounts --------------------------------------------------------------------------------


def service_account_add(project: int, project_name: str, name: str, role: str) -> User:
    """A program of a project: it has that role there, tokens, and no password. ValidationError, Conflict."""
    if role not in Role.values:
        raise ValidationError({"role": f"expected one of {', '.join(Role.values)}"})
    user = User(username=f"{name}@{project_name}", service_of_id=project)
    user.set_unusable_password()
    taken = f"there is a service account {name} already"
    if not name or "@" in name:
        raise ValidationError({"name": "expected letters, digits and . + - _"})
    try:
        user.full_clean(exclude=["password"])
    except ValidationError as error:
        if User.objects.filter(username=user.username).exists():
            raise Conflict(taken) from None
        raise ValidationError({"name": error.messages}) from None
    with once(taken):
        user.save()
        Membership.objects.create(user=user, project_id=project, role=role)
    return user


def service_account_get(project: int, username: str) -> User:
    """The service account of that name in that project; NotFound."""
    found = User.objects.filter(service_of=project, username=username).first()
    if found is None:
        raise NotFound(f"there is no service account {username!r}")
    return found


def service_account_list(project: int) -> QuerySet[User]:
    """The service accounts of a project by name, with their tokens."""
    found = User.objects.filter(service_of=project).order_by("username")
    return found.prefetch_related("api_tokens__projects", "memberships")


def service_account_remove(project: int, username: str) -> None:
    """Forget it; its tokens end at once."""
    service_account_get(project, username).delete()


# --- sessions ----------------------------------------------------------------------------------------


def session_began(user: User, session_key: str, *, address: str, agent: str, now: datetime) -> None:
    """Note where somebody signed in."""
    BrowserSession.objects.update_or_create(
        session_key=session_key,
        defaults={"user": user, "address": address[:60], "agent": agent[:300], "created_at": now},
    )


def session_list(user: User, now: datetime) -> list[BrowserSession]:
    """The sessions of somebody that are open, newest first; those that ended are forgotten."""
    rows = list(BrowserSession.objects.filter(user=user))
    known = Session.objects.filter(session_key__in=[row.session_key for row in rows], expire_date__gt=now)
    alive = set(known.values_list("session_key", flat=True))
    BrowserSession.objects.filter(pk__in=[row.pk for row in rows if row.session_key not in alive]).delete()
    return [row for row in rows if row.session_key in alive]


def session_get(user: User, number: int, now: datetime) -> BrowserSession:
    """One session of somebody that is open; NotFound."""
    for found in session_list(user, now):
        if found.pk == number:
            return found
    raise NotFound(f"there is no session {number}")


def session_end(user: User, number: int) -> None:
    """Sign that browser out; NotFound."""
    found = BrowserSession.objects.filter(user=user, pk=number).first()
    if found is None:
        raise NotFound(f"there is no session {number}")
    with transaction.atomic():
        Session.objects.filter(session_key=found.session_key).delete()
        found.delete()


class SignedIn:
    """Whose session a request came with, to be asked again while its answer goes on."""

    def __init__(self, request: HttpRequest) -> None:
        session = getattr(request, "session", None)
        self._session = None if session is None else (type(session), session.session_key)

    def now(self) -> User | None:
        """The user, read again; None once the session has ended or the user is disabled. Touches the database."""
        if self._session is None:
            return None
        kind, key = self._session
        user = get_user(SimpleNamespace(session=kind(key)))  # type: ignore[arg-type]
        return user if isinstance(user, User) and user.is_active else None


def sessions_prune(now: datetime) -> int:
    """Forget sessions that are over, those of sign-ins that were begun and left among them; how many there were."""
    gone, _ = Session.objects.filter(expire_date__lt=now).delete()
    known = Session.objects.filter(session_key=OuterRef("session_key"))
    BrowserSession.objects.exclude(Exists(known)).delete()
    return gone
