"""Webhooks: administrators make them; how one verifies and what it makes of a request."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.core.exceptions import ValidationError
from django.db.models import QuerySet

from ferris.attributes import PLATFORM_ONLY
from ferris.errors import NotFound
from ferris.signatures import NONE, STRIPE, Check, WrongSetting
from ferris.webhooks import Shape
from ferris_web.catalog.models import Webhook, WebhookDelivery
from ferris_web.catalog.secrets import SecretUnreadable, decrypted, encrypted
from ferris_web.names import held, once

OVERLAP_HOURS = 24
MOST_OVERLAP_HOURS = 30 * 24
KEPT = 200
KEPT_REFUSED = 50
_Outcome = WebhookDelivery.Outcome
_PLAIN = (
    "description", "active", "kind", "options", "window_seconds", "event_type", "type_from", "id_from", "headers",
)  # fmt: skip


@dataclass(frozen=True)
class WebhookMade:
    """A webhook, and the secret that was made for it: to be told once and never again."""

    webhook: Webhook
    secret: str | None


def webhook_set(
    name: str,
    *,
    now: datetime,
    new: bool = False,
    secret: str | None = None,
    new_secret: bool = False,
    overlap_hours: int | None = None,
    **given: Any,
) -> WebhookMade:
    """Make a webhook, or, unless it is to be `new`, change what is given of one. ValidationError names the field at
    fault; Conflict when the name is taken.

    A changed secret counts beside the new one for `overlap_hours`; given without a secret, they end or extend
    that time. A new webhook without a secret, or `new_secret`, gets one that nobody can guess.
    """
    if unknown := set(given) - set(_PLAIN):
        raise TypeError(f"a webhook has no {', '.join(unknown)}")
    taken = f"there is a webhook {name!r} already"
    with once(taken):
        found = held(Webhook, name, new=new, taken=taken)
        webhook = found or Webhook(name=name)
        for field, value in given.items():
            setattr(webhook, field, value)
        made = seal(webhook, secret, new_secret=new_secret, overlap_hours=overlap_hours, now=now)
        webhook.full_clean(exclude=["ciphertext"], validate_unique=False)  # `once` does
        webhook.save()
    return WebhookMade(webhook, made)


def seal(
    webhook: Webhook,
    secret: str | None,
    *,
    now: datetime,
    new_secret: bool = False,
    overlap_hours: int | None = None,
) -> str | None:
    """Check its settings and give it this secret, without saving it; the secret that was made. ValidationError."""
    try:
        check = check_of(webhook)
        shape_of(webhook)
        if secret:
            check.check_secret(secret)
    except WrongSetting as error:
        raise ValidationError({error.field: [error.problem]}) from None
    if overlap_hours is not None and not 0 <= overlap_hours <= MOST_OVERLAP_HOURS:
        raise ValidationError({"overlap_hours": [f"is not from 0 to {MOST_OVERLAP_HOURS}"]})
    known = _kept_if_readable(webhook, replaced=bool(secret or new_secret or check.kind == NONE))
    if check.kind == NONE:
        webhook.ciphertext, webhook.previous_until = encrypted([]), None
        return None
    made = None
    if not secret and (new_secret or not known):
        if check.kind == STRIPE:
            raise ValidationError({"secret": ["is missing; Stripe shows it with the endpoint (whsec_...)"]})
        secret = made = check.new_secret()
    hours = OVERLAP_HOURS if overlap_hours is None else overlap_hours
    if secret and known[:1] != [secret]:
        known = [secret, *known[:1]]
        webhook.previous_until = now + timedelta(hours=hours) if known[1:] and hours else None
    else:
        _fits(check, known)
        if overlap_hours is not None and known[1:]:
            webhook.previous_until = now + timedelta(hours=hours) if hours else None
    if webhook.previous_until is None or webhook.previous_until <= now:
        known, webhook.previous_until = known[:1], None
    webhook.ciphertext = encrypted(known)
    return made


def webhook_remove(webhook: Webhook) -> None:
    """Remove it: its address refuses from now on."""
    webhook.delete()


def webhook_get(name: str) -> Webhook:
    """One by name; NotFound."""
    found = Webhook.objects.defer("ciphertext").filter(name=name).first()
    if found is None:
        raise NotFound(f"there is no webhook {name!r}")
    return found


def webhook_list() -> QuerySet[Webhook]:
    """All by name."""
    return Webhook.objects.defer("ciphertext")


def check_of(webhook: Webhook) -> Check:
    """How its requests are verified. WrongSetting."""
    options = webhook.options if isinstance(webhook.options, Mapping) else {"": ""}
    return Check.parse(webhook.kind, options)


def shape_of(webhook: Webhook) -> Shape:
    """What becomes of its requests. WrongSetting."""
    return Shape.parse(
        webhook.source,
        check_of(webhook),
        event_type=webhook.event_type,
        type_from=webhook.type_from,
        id_from=webhook.id_from,
        headers=webhook.headers,
        forbidden=PLATFORM_ONLY,
    )


def secrets_at(webhook: Webhook, now: datetime) -> list[str]:
    """The secrets that count now, the newest first."""
    known = _kept(webhook)
    both = webhook.previous_until is not None and now < webhook.previous_until
    return known if both else known[:1]


def delivery_list(webhook: Webhook) -> QuerySet[WebhookDelivery]:
    """What lately came, newest first."""
    return webhook.deliveries.order_by("-received_at", "-id")


def delivery_add(delivery: WebhookDelivery) -> None:
    """Keep it; of those that strangers sent fewer are kept, so that they push nothing else out."""
    delivery.save()
    refused = delivery.outcome == _Outcome.REFUSED
    mine = WebhookDelivery.objects.filter(webhook=delivery.webhook_id)
    mine = mine.filter(outcome=_Outcome.REFUSED) if refused else mine.exclude(outcome=_Outcome.REFUSED)
    most = KEPT_REFUSED if refused else KEPT
    last = list(mine.order_by("-id").values_list("id", flat=True)[most : most + 1])
    if last:
        mine.filter(id__lte=last[0]).delete()


def _kept(webhook: Webhook) -> list[str]:
    return list(decrypted(webhook.ciphertext, f"the secret of the webhook {webhook.name!r}"))


def _kept_if_readable(webhook: Webhook, *, replaced: bool) -> list[str]:
    """What is kept; nothing when no key opens it and another takes its place."""
    try:
        return _kept(webhook) if webhook.ciphertext else []
    except SecretUnreadable:
        if replaced:
            return []
        raise


def _fits(check: Check, known: list[str]) -> None:
    """A kept secret may be none of another kind that was chosen now."""
    try:
        for secret in known:
            check.check_secret(secret)
    except WrongSetting:
        raise ValidationError({"secret": ["that there is does not fit this kind; give a new one"]}) from None
