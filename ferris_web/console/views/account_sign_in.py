"""How one signs in oneself: second factors, and accounts elsewhere that are connected. Changes need to know that it is
still the same person."""

from __future__ import annotations

from urllib.parse import urlencode

from allauth.account.internal.flows.login import get_authentication_records, record_authentication
from allauth.mfa.models import Authenticator
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext

from ferris.identity import Provider
from ferris_web.accounts import identities, second_factors
from ferris_web.accounts.providers import provider_list, provider_of
from ferris_web.accounts.refusals import SignInRefused
from ferris_web.accounts.required import lacks
from ferris_web.console.views.session import LIMIT_PER_NAME, counted, place_here

SURE_FOR_SECONDS = 300
"""How long a password (or a second factor, or the provider's word) is taken for the one at the screen."""


def page(request: HttpRequest) -> HttpResponseBase:
    """The page, and what its forms do: `do` is connect, disconnect, factor-remove or codes."""
    if request.method != "POST":
        return render(request, "console/account-sign-in.html", _shown(request))
    if not is_sure(request):
        return ask_again(request)
    said, provider = request.POST, provider_of(request.POST.get("provider", ""))
    if said.get("do") == "connect" and provider is not None:
        return _on_to_provider(request, provider)
    if said.get("do") == "disconnect":
        if identities.identity_remove(request.user, number_of(request)):
            messages.success(request, gettext("That account does not sign you in any more."))
        else:
            messages.error(
                request,
                gettext("It is gone already, or your only way in: an administrator can set a password."),
            )
    elif said.get("do") == "factor-remove":
        gone = second_factors.factor_remove(request.user, number_of(request))
        if gone is not None:
            messages.success(
                request, gettext("{label} is not asked for any more.").format(label=label_of(gone))
            )
    elif said.get("do") == "codes" and second_factors.has_second_factor(request.user):
        from ferris_web.console.views.second_factor import shown_once

        return shown_once(request, second_factors.recovery_codes(request.user, anew=True))
    return redirect("console:account-sign-in")


def number_of(request: HttpRequest) -> int:
    """The row that a form names; 0 for what is no number."""
    text = request.POST.get("number", "")
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 18 else 0


def label_of(factor: Authenticator) -> str:
    """What a second factor is called."""
    return (
        str(factor.data.get("name") or "passkey")
        if factor.type == second_factors.PASSKEY
        else gettext("authenticator app")
    )


def _on_to_provider(request: HttpRequest, provider: Provider) -> HttpResponse:
    """A page that leads there: the answer to a form may not (form-action of the Content-Security-Policy)."""
    from ferris_web.accounts import oidc  # what it imports is of use here only

    try:
        way = oidc.begin(request, provider, reverse("console:account-sign-in"), connect=True)
    except SignInRefused as refused:
        messages.error(request, refused.reason)
        return redirect("console:account-sign-in")
    answer = render(
        request, "console/account-onward.html", {"address": way["Location"], "provider": provider}
    )
    answer.headers["Cache-Control"] = "no-store"
    return answer


def _shown(request: HttpRequest) -> dict[str, object]:
    links = list(identities.identity_list(request.user))
    factors = list(second_factors.factors_of(request.user).exclude(type=second_factors.RECOVERY))
    for row in factors:
        row.label = label_of(row)
    return {
        "lacking": lacks(request),
        "factors": factors,
        "has_app": any(row.type == second_factors.TOTP for row in factors),
        "codes_left": second_factors.recovery_codes_left(request.user) if factors else 0,
        "providers": provider_list(),
        "connected": [one for one in provider_list() if one.issuer in {row.provider for row in links}],
        "links": links,
        "may_disconnect": request.user.has_usable_password() or len(links) > 1,
    }


# --- is it still the same person? --------------------------------------------------------------------


def is_sure(request: HttpRequest) -> bool:
    """True when whoever is at the screen has said within five minutes who they are, be it by signing in."""
    records = get_authentication_records(request, request.user)
    return bool(records) and timezone.now().timestamp() - records[-1]["at"] < SURE_FOR_SECONDS


def ask_again(request: HttpRequest) -> HttpResponse:
    """Off to the page that asks, and back."""
    return redirect(f"{reverse('console:account-confirm')}?{urlencode({'next': request.path})}")


def confirm(request: HttpRequest) -> HttpResponse:
    """Asks for the password again, or for another sign-in by the provider."""
    from ferris_web.console.views.second_factor import challenge, code_problem

    back = place_here(request) or reverse("console:account-sign-in")
    problem, status = "", 200
    if request.method == "POST":
        if "code" in request.POST or "credential" in request.POST:
            problem, status = code_problem(request, request.user, again=True)
            if not problem:
                return redirect(back)
        elif not counted(f"confirm:{request.user.pk}", LIMIT_PER_NAME):
            problem, status = gettext("Too many attempts. Wait five minutes and try again."), 429
        elif request.user.check_password(request.POST.get("password", "")):
            record_authentication(request, request.user, "password", reauthenticated=True)
            return redirect(back)
        else:
            problem, status = gettext("That is not your password."), 422
    context = {
        "challenge": challenge(request, request.user),
        "next": back,
        "problem": problem,
        "has_factor": second_factors.has_second_factor(request.user),
        "has_password": request.user.has_usable_password(),
        **_shown(request),
    }
    return render(request, "console/account-confirm.html", context, status=status)
