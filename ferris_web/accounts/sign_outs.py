"""Signing out at the provider as well (OpenID Connect RP-Initiated Logout), where the settings want it.

The provider is told whose session it is by the ID token of the sign-in. That is kept with the session, encrypted: it
tells who somebody is, and lets nobody in.
"""

from __future__ import annotations

from urllib.parse import urlencode, urlsplit, urlunsplit

from allauth.account.internal.flows.login import get_authentication_records
from cryptography.fernet import InvalidToken
from django.http import HttpRequest
from django.urls import reverse

from ferris.identity import Provider, is_safe
from ferris_web import wiring
from ferris_web.accounts.models import User
from ferris_web.accounts.providers import provider_at
from ferris_web.accounts.refusals import SignInRefused

_KEY = "provider_session"


def session_of_provider(request: HttpRequest, provider: Provider, uid: str, id_token: str) -> None:
    """Remember how the provider signed somebody in, if it is to sign them out."""
    if provider.signs_out and id_token:
        sealed = wiring.cipher().encrypt(id_token.encode()).decode()
        request.session[_KEY] = {"provider": provider.issuer, "uid": uid, "id_token": sealed}


def only_its_own(request: HttpRequest, user: User) -> None:
    """Forget what was remembered of another sign-in in this browser, which came to nothing."""
    known = request.session.get(_KEY)
    came = [(one.get("provider"), one.get("uid")) for one in get_authentication_records(request, user)]
    if known and (known["provider"], known["uid"]) not in came:
        del request.session[_KEY]


def way_out(request: HttpRequest) -> tuple[Provider, str] | None:
    """The provider that is to end its session too, and the address there that does. None: nothing is to be done there.

    A provider that does not answer, or names no such address, keeps nobody from signing out here.
    """
    known = request.session.get(_KEY)
    if not known:
        return None
    from ferris_web.accounts.oidc import description  # the HTTP client that comes with it takes its time

    try:
        provider = provider_at(known["provider"])
        ends = description(provider).get("end_session_endpoint") if provider.signs_out else None
    except SignInRefused:
        return None
    if not isinstance(ends, str) or not is_safe(ends):
        return None
    asked = {
        "client_id": provider.client_id,
        "post_logout_redirect_uri": request.build_absolute_uri(reverse("console:sign-in")),
    }
    try:
        asked["id_token_hint"] = wiring.cipher().decrypt(known["id_token"].encode()).decode()
    except InvalidToken:  # the encryption key that it was sealed with is gone: the provider asks instead
        pass
    parts = urlsplit(ends)
    query = "&".join(part for part in (parts.query, urlencode(asked)) if part)
    return provider, urlunsplit((parts.scheme, parts.netloc, parts.path, query, ""))
