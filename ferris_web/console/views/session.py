"""Signing in and out: by password with a limit for failed attempts, or by the provider."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from allauth.account.internal.flows.login import perform_password_login
from allauth.account.models import Login
from django import forms
from django.conf import settings
from django.contrib import messages
from django.contrib.auth.views import LoginView, LogoutView, redirect_to_login
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, HttpResponseNotAllowed
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext
from django.views.i18n import set_language

from ferris.identity import Provider
from ferris_web.accounts.allowances import allowance_forget, allowance_give_back, allowance_take
from ferris_web.accounts.providers import provider_list, provider_of
from ferris_web.accounts.refusals import SignInRefused
from ferris_web.accounts.sign_outs import way_out

WINDOW_SECONDS = 300
# Failures within the window after which an address is refused: for one user name, and for all of them. Counted by
# address too, so that nobody can lock another person out from elsewhere. All web processes count together.
LIMIT_PER_NAME = 8
LIMIT_PER_ADDRESS = 60


def _counters(request: HttpRequest) -> tuple[str, str]:
    """What tries are counted of: this name from this address, and whatever name from there."""
    address = request.META.get("REMOTE_ADDR") or "unknown"
    return f"sign-in:{address}:{request.POST.get('username', '')[:150].lower()}", f"sign-in:{address}"


class SignIn(LoginView):
    """The sign-in form. `next` is followed only within this site (LoginView checks it)."""

    template_name = "console/sign-in.html"
    redirect_authenticated_user = True

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """With the providers, if there are some."""
        return {**super().get_context_data(**kwargs), "providers": provider_list()}

    def post(self, request: HttpRequest, *args: object, **kwargs: object) -> HttpResponse:
        """Count first: an attempt that is refused does not even look at the password, nor do many at once."""
        name, address = _counters(request)
        limits = {name: LIMIT_PER_NAME, address: LIMIT_PER_ADDRESS}
        if not allowance_take(limits, timedelta(seconds=WINDOW_SECONDS), timezone.now()):
            form = self.get_form_class()(request)
            form.cleaned_data = {}
            form._errors = forms.utils.ErrorDict()
            form.add_error(None, gettext("Too many failed attempts. Wait five minutes and try again."))
            response = self.render_to_response(self.get_context_data(form=form), status=429)
            response.headers["Retry-After"] = str(WINDOW_SECONDS)
            return response
        return super().post(request, *args, **kwargs)  # type: ignore[no-any-return]

    def form_valid(self, form: forms.Form) -> HttpResponse:
        """Forget the failures of this name; let them in, or on to their second factor."""
        name, address = _counters(self.request)
        allowance_forget(name)
        allowance_give_back(address, timezone.now())
        login = Login(user=form.get_user(), redirect_url=self.get_success_url())
        return perform_password_login(self.request, {}, login)  # type: ignore[no-any-return]


def sign_in(request: HttpRequest) -> HttpResponse:
    """The page, and what its form does. An account that was disabled meanwhile is refused as others are."""
    try:
        return _form(request)
    except SignInRefused as refused:
        return _refused(request, refused)


def to_sign_in(request: HttpRequest) -> HttpResponse:
    """To the sign-in page, and from there back here; a form is not done, and leads back to the page that it was on."""
    if request.method in ("GET", "HEAD"):
        return redirect_to_login(request.get_full_path())
    came = request.headers.get("Referer", "")
    here = url_has_allowed_host_and_scheme(came, {request.get_host()}, require_https=request.is_secure())
    parts = urlsplit(came if here else "")
    page = urlunsplit(("", "", parts.path, parts.query, ""))
    return redirect(reverse("console:sign-in", query={"next": page, "unsent": "1"}))


def provider(request: HttpRequest, key: str = "") -> HttpResponseBase:
    """On to the provider. GET, as it is where others begin a sign-in (their portals link to this address)."""
    if request.method not in ("GET", "HEAD"):
        return HttpResponseNotAllowed(["GET", "HEAD"])
    known = _known(key)
    wanted, again = place_here(request), "again" in request.GET
    if request.user.is_authenticated and not again:
        return redirect(wanted or "console:dashboard")
    key = f"sign-in-begun:{request.META.get('REMOTE_ADDR') or 'unknown'}"
    if not counted(key, LIMIT_PER_ADDRESS):  # each begins a session
        return _refused(
            request, SignInRefused(gettext("Too many sign-ins were begun. Wait five minutes."), 429)
        )
    return _by_provider(request, lambda oidc: oidc.begin(request, known, wanted, again=again))


def provider_back(request: HttpRequest, key: str = "") -> HttpResponseBase:
    """The provider's answer."""
    known = _known(key)
    if request.method not in ("GET", "HEAD"):
        return HttpResponseNotAllowed(["GET", "HEAD"])
    return _by_provider(request, lambda oidc: oidc.back(request, known))


def _known(key: str) -> Provider:
    found = provider_of(key)
    if found is None:
        raise Http404("Sign-in by that provider is not set up")
    return found


def place_here(request: HttpRequest) -> str:
    """The address that `next` names, if it is one of this site; else nothing."""
    wanted = request.POST.get("next") or request.GET.get("next", "")
    here = url_has_allowed_host_and_scheme(wanted, {request.get_host()}, require_https=request.is_secure())
    return wanted if here else ""


def _by_provider(request: HttpRequest, do: Callable[[Any], HttpResponseBase]) -> HttpResponseBase:
    from ferris_web.accounts import oidc  # what it imports is of use here only

    try:
        return do(oidc)
    except SignInRefused as refused:
        return _refused(request, refused)


def _refused(request: HttpRequest, refused: SignInRefused) -> HttpResponse:
    """The sign-in page with the reason; for somebody who is signed in and wanted to connect, their own page."""
    if request.user.is_authenticated:
        messages.error(request, refused.reason)
        return redirect("console:account-sign-in")
    context = {
        "form": SignIn.form_class(request),
        "refused": refused.reason,
        "providers": provider_list(),
    }
    return render(request, SignIn.template_name, context, status=refused.status)


def counted(key: str, limit: int) -> bool:
    """Count one more; False past the limit."""
    return allowance_take({key: limit}, timedelta(seconds=WINDOW_SECONDS), timezone.now())


class SignOut(LogoutView):
    """Ends the session here, and where the settings say so leads on to the provider, which ends its own."""

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """A page leads there: the answer to a form may not (form-action of the Content-Security-Policy)."""
        onward = way_out(request)
        answer: HttpResponseBase = super().post(request, *args, **kwargs)
        if onward is None:
            return answer
        known, address = onward
        answer = render(request, "console/signed-out.html", {"provider": known, "address": address})
        answer.headers["Cache-Control"] = "no-store"  # the address holds the ID token
        return answer


_form = SignIn.as_view()
sign_out = SignOut.as_view()


def language(request: HttpRequest) -> HttpResponseBase:
    """The language of this browser; an empty one forgets the choice, so that the browser says it again."""
    answer = set_language(request)
    if request.method == "POST" and request.POST.get("language") == "":
        answer.delete_cookie(
            settings.LANGUAGE_COOKIE_NAME,
            path=settings.LANGUAGE_COOKIE_PATH,
            domain=settings.LANGUAGE_COOKIE_DOMAIN,
            samesite=settings.LANGUAGE_COOKIE_SAMESITE,
        )
    return answer
