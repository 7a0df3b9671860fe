"""What allauth asks of this platform while somebody signs in. Its own pages, mails and messages are not used."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

from allauth.account.adapter import DefaultAccountAdapter
from allauth.socialaccount.adapter import DefaultSocialAccountAdapter
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from ferris.identity import identity_of
from ferris_web.accounts.models import User
from ferris_web.accounts.providers import provider_at, provider_list
from ferris_web.accounts.refusals import SignInRefused
from ferris_web.accounts.services import session_began
from ferris_web.accounts.sign_ins import sign_in_noted
from ferris_web.accounts.sign_outs import only_its_own, session_of_provider

if TYPE_CHECKING:
    from allauth.socialaccount.models import SocialApp, SocialLogin

OPENID_CONNECT = "openid_connect"
_TEXTS = {
    "connected.txt": _("Connected: it signs you in from now on."),
    "connected_updated.txt": _("It was connected already."),
    "connected_other.txt": _("Not connected: that account belongs to somebody else here."),
}


class AccountAdapter(DefaultAccountAdapter):
    """Signs people in: the one place where a session of the console begins, whatever way they came."""

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        """Nobody makes an account by a form."""
        return False

    def get_login_stages(self) -> list[str]:
        """What lies between knowing who it is and letting them in."""
        return ["ferris_web.accounts.second_factors.SecondFactorStage"]

    def is_reauthentication_required(self, *, app: str, **kwargs: Any) -> bool:
        """The console asks for it itself, by its own page."""
        return False

    def add_message(
        self, request: HttpRequest, level: int, message_template: str | None = None, *args: Any, **kwargs: Any
    ) -> None:
        """Texts of ours in place of allauth's; what has none is not told."""
        text = _TEXTS.get((message_template or "").removeprefix("socialaccount/messages/account_"))
        if text:
            messages.add_message(request, level, text)

    def pre_login(
        self, request: HttpRequest, user: User, *, signal_kwargs: dict[str, Any] | None, **kwargs: Any
    ) -> HttpResponse | None:
        """What the provider said is done with by now: it does not wait in the session for a second factor."""
        if signal_kwargs:
            signal_kwargs.pop("sociallogin", None)
        return super().pre_login(request, user, signal_kwargs=signal_kwargs, **kwargs)

    def login(self, request: HttpRequest, user: User) -> None:
        """Begin the session, under a new key, and note where."""
        if not user.is_active:  # disabled while the second factor was looked for
            self.respond_user_inactive(request, user)
        only_its_own(request, user)
        super().login(request, user)
        session_began(
            user,
            request.session.session_key or "",
            address=request.META.get("REMOTE_ADDR") or "",
            agent=request.headers.get("User-Agent", ""),
            now=timezone.now(),
        )

    def respond_user_inactive(self, request: HttpRequest, user: User) -> NoReturn:
        """It was disabled while they signed in."""
        raise SignInRefused(gettext("This account is disabled. Ask an administrator."))


class ProviderAdapter(DefaultSocialAccountAdapter):
    """Sign-in by the providers of the settings, and by no other."""

    def list_apps(
        self, request: HttpRequest, provider: str | None = None, client_id: str | None = None
    ) -> list[SocialApp]:
        """The providers as allauth wants them. Their id is their issuer: a subject means something there alone."""
        from allauth.socialaccount.models import SocialApp

        return [
            SocialApp(
                provider=OPENID_CONNECT,
                provider_id=known.issuer,
                name=known.name,
                client_id=known.client_id,
                secret=known.client_secret,
                settings={
                    "server_url": known.issuer,
                    "scope": list(known.scopes),
                    "oauth_pkce_enabled": True,
                    "uid_field": "sub",
                },
            )
            for known in provider_list()
            if provider in (None, OPENID_CONNECT, known.issuer) and client_id in (None, known.client_id)
        ]

    def pre_social_login(self, request: HttpRequest, sociallogin: SocialLogin) -> None:
        """The provider has said who it is: find, link or make their account before allauth would."""
        from ferris_web.accounts.identities import identity_arrived

        sociallogin.token = None  # of no use here: it is not kept, in the session neither
        if sociallogin.state.get("process") == "connect":
            return
        provider = provider_at(sociallogin.account.provider)
        said = identity_of(sociallogin.account.extra_data, provider.groups_claim)
        now = timezone.now()
        try:
            arrival = identity_arrived(provider, said, sociallogin.account)
        except SignInRefused as refused:
            who = sociallogin.account.user.username if sociallogin.account.pk else said.user_name
            sign_in_noted(
                request,
                who,
                "sign-in.refused",
                status=403,
                now=now,
                issuer=provider.issuer,
                why=refused.reason,
            )
            raise
        sociallogin.user = arrival.user
        session_of_provider(request, provider, sociallogin.account.uid, getattr(sociallogin, "id_token", ""))
        sign_in_noted(
            request,
            arrival.user.username,
            "sign-in.provider",
            status=200,
            now=now,
            issuer=provider.issuer,
            new=arrival.new or None,
            linked_by_email=arrival.linked or None,
            joined=list(arrival.joined),
            left=list(arrival.left),
            administrator=arrival.administrator,
        )

    def on_authentication_error(
        self,
        request: HttpRequest,
        provider: Any,
        error: Any = None,
        exception: Exception | None = None,
        extra_context: dict[str, Any] | None = None,
    ) -> NoReturn:
        """allauth stopped: by a person who refused, a state that is not this browser's, or a provider that fails."""
        from ferris_web.accounts.oidc import refusal

        raise refusal(provider.name, str(getattr(error, "value", error)), exception)

    def save_user(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Accounts are made by `identities`."""
        raise SignInRefused(gettext("There is no account for you here. Ask an administrator."))

    def get_connect_redirect_url(self, request: HttpRequest, socialaccount: Any) -> str:
        """Where connecting began."""
        return reverse("console:account-sign-in")
