"""Sets up a passkey."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext

from ferris_web.console.views.account_sign_in import ask_again, is_sure
from ferris_web.console.views.second_factor import shown_once


def add(request: HttpRequest) -> HttpResponse:
    """The page whose button asks the browser for one, and what it answers."""
    if not is_sure(request):
        return ask_again(request)
    from ferris_web.accounts import passkeys  # what it imports is of use here only

    problem, status = passkeys.unusable(request), 200
    if request.method == "POST" and not problem:
        codes = passkeys.passkey_added(
            request.user, request.POST.get("name", ""), request.POST.get("credential", "")
        )
        if codes is not None:
            messages.success(
                request, gettext("The passkey is set up: you are asked for it when you sign in.")
            )
            return shown_once(request, codes) if codes else redirect("console:account-sign-in")
        problem, status = gettext("That is no passkey for this page: begin again."), 422
    offer = None if passkeys.unusable(request) else passkeys.passkey_offer(request.user)
    answer = render(
        request, "console/account-passkey.html", {"problem": problem, "offer": offer}, status=status
    )
    answer.headers["Cache-Control"] = "no-store"
    return answer
