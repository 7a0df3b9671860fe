"""Subscriptions as rows: made, changed, paused; their secrets; and what routers need of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import QuerySet

from ferris import pushing
from ferris.errors import Conflict, NotFound
from ferris.public_addresses import refusal
from ferris.pushing import SIGNING, SubscriptionError
from ferris.routing import Trigger
from ferris.signatures import WrongSetting
from ferris_web.catalog.changes import notify, revision_bump
from ferris_web.catalog.models import Project, Subscription
from ferris_web.catalog.secrets import SecretUnreadable, decrypted, encrypted
from ferris_web.names import held, once
from ferris_web.wiring import config

OVERLAP_HOURS = 24
MOST_OVERLAP_HOURS = 30 * 24
CHANGED = "subscriptions"
_Status = Subscription.Status
_PLAIN = (
    *("description", "event_type", "filter", "cesql", "url", "form", "headers"),
    *("timeout_seconds", "disable_after_days"),
)


@dataclass(frozen=True)
class SubscriptionMade:
    """A subscription, and the secret that was made for it: to be told once and never again."""

    subscription: Subscription
    secret: str | None


@dataclass(frozen=True)
class Sealed:
    """What of a subscription is secret, opened to send."""

    secrets: list[str]
    headers: dict[str, str]


def subscription_get(name: str) -> Subscription:
    """One by name; NotFound."""
    found = Subscription.objects.select_related("project").filter(name=name).first()
    if found is None:
        raise NotFound(f"there is no subscription {name!r}")
    return found


def subscription_list(project: str = "") -> QuerySet[Subscription]:
    """All, or those of a project, by name."""
    rows = Subscription.objects.select_related("project").order_by("name")
    return rows.filter(project__name=project) if project else rows


def subscription_set(
    name: str,
    *,
    now: datetime,
    new: bool = False,
    project: Project | None = None,
    actor: str = "",
    secret: str | None = None,
    new_secret: bool = False,
    overlap_hours: int | None = None,
    secret_headers: Mapping[str, str | None] | None = None,
    **given: Any,
) -> SubscriptionMade:
    """Make a subscription, or, unless it is to be `new`, change what is given of one. ValidationError names the field
    at fault; Conflict when the name is taken.

    Secret headers that are given replace all there were; one with None keeps its value. A new secret signs from now
    on, and the one before it beside it for `overlap_hours`.
    """
    if unknown := sorted(set(given) - set(_PLAIN)):
        raise TypeError(f"a subscription has no {', '.join(unknown)}")
    taken = f"there is a subscription {name!r} already"
    with once(taken):
        found = held(Subscription, name, new=new, taken=taken)
        row = found or Subscription(name=name, created_by=actor)
        if project is not None:
            row.project = project
        elif found is None:
            raise ValidationError({"project": ["is missing; a new subscription belongs to a project"]})
        for field, value in given.items():
            setattr(row, field, value)
        _check(row)
        made = _seal(row, secret, new_secret, overlap_hours, secret_headers, now)
        row.full_clean(exclude=["ciphertext"], validate_unique=False)  # `once` does
        row.save()
        revision_bump()
        notify(CHANGED)
    return SubscriptionMade(row, made)


def _check(row: Subscription) -> None:
    try:
        host = pushing.target(row.url).host
        if (host.replace(".", "").isdigit() or ":" in host) and (
            why := refusal(host, config().allow_private)
        ):
            raise SubscriptionError(
                "url", f"leads to an address that is not allowed: {why} (see FERRIS_ALLOW_PRIVATE)"
            )
        pushing.check_wanted(row.event_type, row.filter, row.cesql)
        row.headers = pushing.check_headers("headers", row.headers)
    except SubscriptionError as error:
        raise ValidationError({error.name: [error.problem]}) from None


def _seal(
    row: Subscription,
    secret: str | None,
    new_secret: bool,
    overlap_hours: int | None,
    headers: Mapping[str, str | None] | None,
    now: datetime,
) -> str | None:
    """Give it its secrets, without saving; the secret that was made. ValidationError."""
    if overlap_hours is not None and not 0 <= overlap_hours <= MOST_OVERLAP_HOURS:
        raise ValidationError({"overlap_hours": [f"is not from 0 to {MOST_OVERLAP_HOURS}"]})
    try:
        kept = _opened(row) if row.ciphertext else Sealed([], {})
    except SecretUnreadable:
        if not (secret or new_secret):
            raise
        kept = Sealed([], {})
    known, made = kept.secrets, None
    try:
        if secret:
            SIGNING.check_secret(secret)
        private = dict(kept.headers)
        if headers is not None:
            private = pushing.check_headers("secret_headers", _with_kept(headers, kept.headers))
    except WrongSetting as error:
        raise ValidationError({"secret": [error.problem]}) from None
    except SubscriptionError as error:
        raise ValidationError({error.name: [error.problem]}) from None
    if twice := {name.lower() for name in row.headers} & {name.lower() for name in private}:
        raise ValidationError(
            {"headers": [f"names {min(twice)}, which is a secret header already; remove one of them"]}
        )
    if not secret and (new_secret or not known):
        secret = made = SIGNING.new_secret()
    hours = OVERLAP_HOURS if overlap_hours is None else overlap_hours
    if secret and known[:1] != [secret]:
        known = [secret, *known[:1]]
        row.previous_until = now + timedelta(hours=hours) if known[1:] and hours else None
    elif overlap_hours is not None and known[1:]:
        row.previous_until = now + timedelta(hours=hours) if hours else None
    if row.previous_until is None or row.previous_until <= now:
        known, row.previous_until = known[:1], None
    row.secret_headers = sorted(private)
    row.ciphertext = encrypted({"secrets": known, "headers": private})
    return made


def _with_kept(given: Any, kept: Mapping[str, str]) -> Any:
    """The headers, those without a value with the one that is kept. SubscriptionError."""
    if not isinstance(given, Mapping):
        return given
    values = {name.lower(): value for name, value in kept.items()}
    if unknown := sorted(
        name for name, value in given.items() if value is None and name.lower() not in values
    ):
        raise SubscriptionError(
            "secret_headers", f"names {unknown[0][:100]!r} without a value, and none is kept; give one"
        )
    return {name: values[name.lower()] if value is None else value for name, value in given.items()}


def subscription_opened(row: Subscription, now: datetime) -> Sealed:
    """Its secrets that sign now, the newest first, and its secret headers. SecretUnreadable."""
    kept = _opened(row)
    both = row.previous_until is not None and now < row.previous_until
    return Sealed(kept.secrets if both else kept.secrets[:1], kept.headers)


def subscription_remove(row: Subscription) -> None:
    """It sends no more; its deliveries go with it."""
    with transaction.atomic():
        row.delete()
        revision_bump()
        notify(CHANGED)


def subscription_pause(row: Subscription) -> Subscription:
    """Send no more for now: what matches meanwhile waits. Conflict when it is not active."""
    with transaction.atomic():
        if not Subscription.objects.filter(pk=row.pk, status=_Status.ACTIVE).update(status=_Status.PAUSED):
            raise Conflict(f"the subscription {row.name} is not active")
        notify(CHANGED)
    return subscription_get(row.name)


def subscription_disable(row: Subscription, reason: str, now: datetime) -> bool:
    """Switch it off, for that reason, and have it told; False when somebody was faster."""
    with transaction.atomic():
        done = (
            Subscription.objects.filter(pk=row.pk)
            .exclude(status=_Status.DISABLED)
            .update(
                status=_Status.DISABLED, disabled_at=now, disabled_reason=reason[:300], disabled_told=False
            )
        )
        if done:
            revision_bump()
            notify(CHANGED)
    return bool(done)


def subscription_triggers() -> list[Trigger]:
    """What routers match events with, by id: of all that are not switched off."""
    rows = Subscription.objects.exclude(status=_Status.DISABLED).order_by("name")
    return [
        Trigger(str(pk), name, event_type, filter=filter, cesql=cesql or None)
        for pk, name, event_type, filter, cesql in rows.values_list(
            "pk", "name", "event_type", "filter", "cesql"
        )
    ]


def _opened(row: Subscription) -> Sealed:
    found = decrypted(row.ciphertext, f"the secret of the subscription {row.name!r}")
    return Sealed(list(found["secrets"]), dict(found["headers"]))
