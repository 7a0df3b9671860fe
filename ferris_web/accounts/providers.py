"""The providers of the settings, by what names them: their key in addresses, their issuer everywhere else."""

from __future__ import annotations

from typing import Any

from allauth.account.internal.flows.login import get_authentication_records
from django.http import HttpRequest
from django.utils.translation import gettext

from ferris.identity import Provider
from ferris_web import wiring
from ferris_web.accounts.models import User
from ferris_web.accounts.refusals import SignInRefused


def provider_list() -> tuple[Provider, ...]:
    """All of them, in the order in which people are offered them."""
    return wiring.config().providers


def provider_of(key: str) -> Provider | None:
    """The one with this key."""
    return next((one for one in provider_list() if one.key == key), None)


def provider_at(issuer: str) -> Provider:
    """The one of this issuer. SignInRefused: it was taken out of the settings, or never was in them."""
    found = next((one for one in provider_list() if one.issuer == issuer), None)
    if found is None:
        raise SignInRefused(gettext("Sign-in by that provider is not set up here."), 404)
    return found


def asked_there(request: HttpRequest, user: User | None, *, last: bool = False) -> bool:
    """True when this session came by a provider that asks for a second factor itself; `last`: in its newest step."""
    records = get_authentication_records(request, user)
    return any(_asks(record) for record in (records[-1:] if last else records))


def _asks(record: dict[str, Any]) -> bool:
    return record.get("method") == "socialaccount" and any(
        one.issuer == record.get("provider") and one.asks_second_factor for one in provider_list()
    )
