"""The second step of a sign-in, and where one sets it up."""

from __future__ import annotations

import base64
from typing import Any

from allauth.account.internal.flows.login import record_authentication
from allauth.account.stages import LoginStageController
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.cache import never_cache

from ferris.errors import Conflict
from ferris_web.accounts import second_factors
from ferris_web.accounts.models import User
from ferris_web.accounts.refusals import SignInRefused
from ferris_web.accounts.sign_ins import sign_in_noted
from ferris_web.console.views.account_sign_in import ask_again, is_sure

_KEY = "app_key"  # in the session, encrypted, until a code of it was seen
WRONG = _("That code does not count. It may be mistyped, over, or used before: wait for the next one.")
WRONG_PASSKEY = _("That passkey is none of yours here, or its answer came too late. Try again.")
TOO_MANY = _("Too many wrong codes. Wait five minutes and try again.")


@never_cache
def ask(request: HttpRequest) -> HttpResponse:
    """Asks whoever gave a password, or came by the provider, for their second factor."""
    if request.user.is_authenticated:
        return redirect("console:dashboard")
    stage = LoginStageController.enter(request, second_factors.SecondFactorStage.key)
    if stage is None:  # nobody is on the way in here, or no more
        return redirect("console:sign-in")
    problem, status = "", 200
    if request.method == "POST":
        problem, status = code_problem(request, stage.login.user)
        if not problem:
            try:
                return stage.exit()  # type: ignore[no-any-return]
            except SignInRefused as refused:
                problem, status = refused.reason, refused.status
    context = {
        "who": stage.login.user.get_username(),
        "problem": problem,
        "challenge": challenge(request, stage.login.user),
    }
    return render(request, "console/second-factor.html", context, status=status)


def challenge(request: HttpRequest, user: User) -> dict[str, Any] | None:
    """What the browser needs to show a passkey of this person; None where there is none, or it could not."""
    if not second_factors.factors_of(user).filter(type=second_factors.PASSKEY).exists():
        return None
    from ferris_web.accounts import passkeys  # what it imports is of use here only

    return None if passkeys.unusable(request) else passkeys.passkey_challenge(user)


def code_problem(request: HttpRequest, user: User, *, again: bool = False) -> tuple[str, int]:
    """What is wrong with the code or the passkey that was sent, and the status to say it with; nothing: it counts, and
    that is noted in the session. `again`: of somebody who is signed in already."""
    now = timezone.now()
    shown = request.POST.get("credential")
    try:
        if shown is not None:
            from ferris_web.accounts import passkeys  # what it imports is of use here only

            found = passkeys.passkey_counts(user, shown, now)
        else:
            found = second_factors.code_counts(user, request.POST.get("code", ""), now)
    except second_factors.TooManyCodes:
        return TOO_MANY, 429
    if found is None:
        sign_in_noted(request, user.get_username(), "second-factor.refused", status=403, now=now)
        return (WRONG if shown is None else WRONG_PASSKEY), 422
    record_authentication(request, user, "mfa", id=found.pk, type=found.type, reauthenticated=again or None)
    if found.type == second_factors.RECOVERY:
        left = second_factors.recovery_codes_left(user)
        messages.warning(
            request,
            gettext("That was a recovery code; {left} left. Make new ones under Your account.").format(
                left=left
            ),
        )
    return "", 200


def app(request: HttpRequest) -> HttpResponse:
    """Sets up an authenticator app: the key to scan, and a code as a proof that it was."""
    if not is_sure(request):
        return ask_again(request)
    if second_factors.factors_of(request.user).filter(type=second_factors.TOTP).exists():
        messages.error(request, gettext("There is an app already. Remove it first."))
        return redirect("console:account-sign-in")
    problem = ""
    sealed = request.session.get(_KEY)
    if request.method == "POST" and sealed:
        try:
            codes = second_factors.app_added(
                request.user, sealed, request.POST.get("code", ""), timezone.now()
            )
        except Conflict as error:
            messages.error(request, str(error))
            return redirect("console:account-sign-in")
        if codes is not None:
            del request.session[_KEY]
            messages.success(
                request, gettext("The app is set up: you are asked for a code when you sign in.")
            )
            return shown_once(request, codes) if codes else redirect("console:account-sign-in")
        problem = WRONG
    if not sealed:
        sealed = request.session[_KEY] = second_factors.app_key()
    return _key_page(request, sealed, problem)


def _key_page(request: HttpRequest, sealed: str, problem: str) -> HttpResponse:
    adapter = second_factors.FactorAdapter()
    key = adapter.decrypt(sealed)
    address = adapter.build_totp_url(request.user, key)
    picture = base64.b64encode(adapter.build_totp_svg(address).encode()).decode()
    context = {
        "picture": f"data:image/svg+xml;base64,{picture}",
        "key": " ".join(key[at : at + 4] for at in range(0, len(key), 4)),
        "address": address,
        "problem": problem,
    }
    answer = render(request, "console/account-app.html", context, status=422 if problem else 200)
    answer.headers["Cache-Control"] = "no-store"
    return answer


def shown_once(request: HttpRequest, codes: list[str]) -> HttpResponse:
    """The page of recovery codes, in this answer and nowhere else."""
    answer = render(request, "console/account-codes.html", {"codes": codes})
    answer.headers["Cache-Control"] = "no-store"
    return answer
