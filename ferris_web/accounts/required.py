"""FERRIS_MFA_REQUIRED: whoever must have a second factor and has none sets one up before anything else.

It is asked of sessions. Tokens of the API are made by somebody who is signed in, and programs have no second factor.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect

from ferris_web import wiring
from ferris_web.accounts.models import User
from ferris_web.accounts.providers import asked_there
from ferris_web.accounts.second_factors import has_second_factor
from ferris_web.accounts.services import bearer

# How one sets it up, says who one is, and leaves.
_OPEN: Final = frozenset(
    f"console:{name}"
    for name in (
        *("account-sign-in", "account-app", "account-passkey", "account-confirm"),
        *("sign-in", "sign-in-provider", "sign-in-provider-back", "second-factor", "sign-out", "language"),
    )
)
_BY_TOKEN: Final = ("/api/", "/metrics")


def is_required(user: User) -> bool:
    """True for people who have to have a second factor here."""
    of = wiring.config().mfa_required
    return of == "all" or (of == "administrators" and (user.is_staff or user.is_superuser))


def lacks(request: HttpRequest) -> bool:
    """True when the person of this session has to have a second factor, and it was asked for nowhere."""
    user = request.user
    if not isinstance(user, User) or not is_required(user) or has_second_factor(user):
        return False
    return not asked_there(request, user)


class SecondFactorMiddleware:
    """Keeps who lacks one from every page but those that mend it."""

    sync_capable = True
    async_capable = False

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        return self._get_response(request)

    def process_view(
        self, request: HttpRequest, view: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> HttpResponseBase | None:
        """Before the view: on to where one sets it up, or for programs a refusal that says so."""
        if wiring.config().mfa_required == "none":
            return None
        by_token = request.path.startswith(_BY_TOKEN)
        if by_token and bearer(request):  # a token, or nobody: no session counts then
            return None
        match = request.resolver_match
        if (match is not None and match.view_name in _OPEN) or not lacks(request):
            return None
        if by_token:
            raise PermissionDenied("A second factor is required here: set one up under Your account")
        return redirect("console:account-sign-in")
