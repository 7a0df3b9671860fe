"""Second factors by WebAuthn: security keys, and passkeys of phones and browsers. allauth and fido2 do the ceremony.

Imported where somebody has one or sets one up, and not before: fido2 takes its time.
"""

from __future__ import annotations

import ipaddress
import json
import logging
from collections.abc import Callable
from datetime import datetime
from typing import Any, TypeVar

from allauth.mfa.models import Authenticator
from allauth.mfa.webauthn.internal import auth
from django.db import transaction
from django.http import HttpRequest
from django.utils.translation import gettext

from ferris_web.accounts.models import User
from ferris_web.accounts.second_factors import PASSKEY, factors_of, recovery_codes

log = logging.getLogger(__name__)
T = TypeVar("T")
MOST = 10
_LONGEST = 20_000


def unusable(request: HttpRequest) -> str:
    """Why browsers have no passkeys for the address that this page was opened at; empty: they have."""
    host = request.get_host().rsplit(":", 1)[0].strip("[]")
    try:
        ipaddress.ip_address(host)
        return gettext(
            "Browsers keep passkeys for names, and not for numbers: open the console by its name "
            "(localhost is one)."
        )
    except ValueError:
        pass
    if request.is_secure() or host == "localhost" or host.endswith(".localhost"):
        return ""
    return gettext("Browsers have passkeys only for https, and for localhost.")


def passkey_offer(user: User) -> dict[str, Any]:
    """What the browser needs to make one, as JSON; the challenge waits in the session."""
    return auth.begin_registration(user, passwordless=False)  # type: ignore[no-any-return]


def passkey_added(user: User, name: str, said: str) -> list[str] | None:
    """Keep the one that the browser made. The recovery codes made with it, none where there were some; None when it is
    not an answer to the challenge."""
    credential = _json(said)
    if factors_of(user).filter(type=PASSKEY).count() >= MOST:
        return None
    made = _tried(
        lambda: (auth.parse_registration_response(credential), auth.complete_registration(credential))
    )
    if made is None:
        return None
    with transaction.atomic():
        auth.WebAuthn.add(user, name.replace("\0", "").strip()[:60] or "passkey", credential)
        return recovery_codes(user)


def passkey_challenge(user: User) -> dict[str, Any]:
    """What the browser needs to prove that it has one, as JSON; the challenge waits in the session."""
    return auth.begin_authentication(user)  # type: ignore[no-any-return]


def passkey_counts(user: User, said: str, now: datetime) -> Authenticator | None:
    """The one that answered the challenge; None: none of that person's did."""
    credential = _json(said)
    found = _tried(
        lambda: (
            auth.parse_authentication_response(credential) and auth.complete_authentication(user, credential)
        )
    )
    if found is not None:
        Authenticator.objects.filter(pk=found.pk).update(last_used_at=now)
    return found


def _tried(do: Callable[[], T]) -> T | None:
    """What came of it. Whatever goes wrong with what a browser sent lets nobody in, and its challenge is over."""
    try:
        return do()
    except Exception as error:  # fido2 and cryptography have many ways to refuse; none is a failure of ours
        log.info("a passkey was refused: %s: %.200s", type(error).__name__, error)
        return None
    finally:
        auth.clear_state()


def _json(said: str) -> Any:
    try:
        return json.loads(said) if len(said) <= _LONGEST else None
    except (ValueError, RecursionError):
        return None
