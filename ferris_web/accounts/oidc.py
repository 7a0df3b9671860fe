"""The way to the OpenID Connect provider and back: allauth's, with the checks that it leaves out.

Imported when somebody signs in that way, and not before: the HTTP client that comes with it takes its time.

allauth: state (bound to the browser's session, once), PKCE, code for token, the ID token's issuer, audience and end.
Here: the provider is the one of the settings, the ID token answers this very request (nonce), and the person whom
`userinfo` describes is the one of the ID token.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from allauth.socialaccount.adapter import get_adapter
from allauth.socialaccount.models import SocialLogin
from allauth.socialaccount.providers import registry
from allauth.socialaccount.providers.oauth2.client import OAuth2Error
from allauth.socialaccount.providers.oauth2.views import OAuth2CallbackView
from allauth.socialaccount.providers.openid_connect.provider import OpenIDConnectProvider
from allauth.socialaccount.providers.openid_connect.views import OpenIDConnectOAuth2Adapter
from django.core.cache import cache
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest, HttpResponseBase
from django.urls import reverse
from django.utils.translation import gettext
from requests import RequestException

from ferris.errors import BackendError
from ferris.identity import Provider, identity_of
from ferris_web.accounts.providers import provider_at
from ferris_web.accounts.refusals import SignInRefused

log = logging.getLogger(__name__)
_KNOWN_FOR = 600  # seconds that a provider's description is kept
_NEEDED = ("issuer", "authorization_endpoint", "token_endpoint", "jwks_uri")


class _Adapter(OpenIDConnectOAuth2Adapter):
    nonce: str | None = None

    @property
    def openid_config(self) -> dict[str, Any]:
        return description(provider_at(self.provider_id))

    def get_callback_url(self, request: HttpRequest, app: Any) -> str:
        return request.build_absolute_uri(_answers_at(provider_at(self.provider_id)))

    def complete_login(self, request: HttpRequest, app: Any, token: Any, **kwargs: Any) -> SocialLogin:
        response = kwargs["response"]
        if not isinstance(response, Mapping) or not response.get("id_token"):
            raise OAuth2Error("there is no ID token in the answer")
        said = self._decode_id_token(app, response["id_token"])
        if not self.nonce or not secrets.compare_digest(str(said.get("nonce")), self.nonce):
            raise OAuth2Error("the ID token answers another request (nonce)")
        more = self._fetch_user_info(token.token) if "userinfo_endpoint" in self.openid_config else {}
        if more and more.get("sub") != said["sub"]:
            raise OAuth2Error("userinfo is about somebody else than the ID token")
        login = self.get_provider().sociallogin_from_response(request, {**more, **said})
        login.id_token = response["id_token"]  # for `sign_outs`; it is not stored with the account
        return login


class _Provider(OpenIDConnectProvider):
    oauth2_adapter_class = _Adapter

    def get_callback_url(self) -> str:
        return _answers_at(provider_at(self.app.provider_id))

    def redirect(
        self, request: HttpRequest, process: str, next_url: str | None = None, data: Any = None, **kwargs: Any
    ) -> HttpResponseBase:
        nonce = secrets.token_urlsafe(32)
        params = {"nonce": nonce, **kwargs.pop("auth_params", {})}
        return super().redirect(request, process, next_url, data, auth_params=params, nonce=nonce, **kwargs)

    def extract_extra_data(self, data: dict[str, Any]) -> dict[str, Any]:
        """What is kept of the claims: what is needed, and no more."""
        claim = provider_at(self.app.provider_id).groups_claim
        said = identity_of(data, claim)
        kept = ("sub", "preferred_username", "name", "email", "email_verified")
        found = {name: data[name] for name in kept if isinstance(data.get(name), str | bool)}
        plain = {name: one.replace("\0", "") if isinstance(one, str) else one for name, one in found.items()}
        return {**plain, claim: sorted(said.groups)}

    def extract_email_addresses(self, data: dict[str, Any]) -> list[Any]:
        return []

    def extract_common_fields(self, data: dict[str, Any]) -> dict[str, Any]:
        return {}


registry.register(_Provider)


class _Back(OAuth2CallbackView):
    def _get_state(self, request: HttpRequest, provider: Any) -> tuple[Any, Any]:
        state, answer = super()._get_state(request, provider)
        self.adapter.nonce = state.get("nonce") if state else None
        return state, answer


def begin(
    request: HttpRequest, known: Provider, next_url: str, *, connect: bool = False, again: bool = False
) -> HttpResponseBase:
    """The way to the provider, as a redirect. `next_url` must have been checked. SignInRefused.

    `connect`: not to sign in, but to let whoever is signed in come by the provider from now on. `again`: the provider
    is to ask who it is even of somebody whom it knows already.
    """
    provider = get_adapter(request).get_provider(request, provider=known.issuer)
    asked = {"prompt": "login"} if again or connect else {}
    return provider.redirect(request, "connect" if connect else "login", next_url or None, auth_params=asked)


def back(request: HttpRequest, known: Provider) -> HttpResponseBase:
    """That provider's answer: signed in, or on to the next step. SignInRefused."""
    adapter = _Adapter(request, known.issuer)
    try:
        return _Back.adapter_view(adapter)(request)
    except (
        KeyError,
        TypeError,
        ValueError,
        ImproperlyConfigured,
    ) as error:  # what it answered is not what OpenID Connect says
        raise refusal(known.name, "unknown", error) from error


def description(provider: Provider) -> dict[str, Any]:
    """What the provider says of itself (OpenID Connect Discovery), kept for ten minutes. SignInRefused."""
    key = "oidc:" + sha256(provider.issuer.encode()).hexdigest()
    known: dict[str, Any] | None = cache.get(key)
    if known is None:
        try:
            known = described(provider)
        except BackendError as error:
            log.error("the provider of sign-ins cannot be used: %s", error)
            raise SignInRefused(
                gettext(
                    "{name} cannot be used at the moment. The platform's log and `manage.py doctor` say "
                    "why; whoever has a password here signs in with it."
                ).format(name=provider.name),
                503,
            ) from None
        cache.set(key, known, _KNOWN_FOR)
    return known


def described(provider: Provider) -> dict[str, Any]:
    """The same, asked for now. BackendError says what is wrong with the provider, or with the settings."""
    address = f"{provider.issuer.rstrip('/')}/.well-known/openid-configuration"
    try:
        with get_adapter().get_requests_session() as session:
            answer = session.get(address)
        said = answer.json() if answer.status_code == 200 else None
    except ValueError:  # JSON that is none; of requests as well
        said = None
    except RequestException as error:
        raise _wrong(address, f"cannot be reached ({type(error).__name__})") from None
    if not isinstance(said, dict):
        raise _wrong(address, f"answers {answer.status_code}, and does not describe a provider")
    missing = [name for name in _NEEDED if not isinstance(said.get(name), str)]
    if missing:
        raise _wrong(address, f"says nothing of {', '.join(missing)}")
    if said["issuer"].rstrip("/") != provider.issuer.rstrip("/"):
        raise _wrong(address, f"is of the issuer {said['issuer']}")
    return said


def _wrong(address: str, problem: str) -> BackendError:
    return BackendError(
        address,
        problem,
        "set FERRIS_OIDC_ISSUER (or FERRIS_OIDC_…_ISSUER) to the issuer as the provider writes it",
    )


def refusal(name: str, code: str, error: Exception | None) -> SignInRefused:
    """What a person is told when allauth stops; the log has the rest."""
    if isinstance(error, SignInRefused):
        return error
    if code == "cancelled":
        return SignInRefused(gettext("You did not let {name} tell who you are.").format(name=name), 403)
    if error is None:
        return SignInRefused(
            gettext(
                "This answer of {name} belongs to no sign-in of this browser, or to one that is over. "
                "Begin again."
            ).format(name=name),
            403,
        )
    log.warning("a sign-in by %s failed: %s: %.500s", name, type(error).__name__, error)
    return SignInRefused(
        gettext("{name} did not confirm who you are. Try again; the platform's log says more.").format(
            name=name
        ),
        502,
    )


def _answers_at(provider: Provider) -> str:
    """Each provider answers at an address of its own (RFC 9700 section 4.4.2.2)."""
    return reverse("console:sign-in-provider-back", args=[provider.key] if provider.key else [])
