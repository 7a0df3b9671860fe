"""What is one's own: roles, API tokens, and the browsers in which one is signed in."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext

from ferris.errors import NotFound
from ferris_web.accounts import services
from ferris_web.accounts.models import SCOPES
from ferris_web.accounts.permissions import access_of
from ferris_web.catalog.models import Project
from ferris_web.executions.visibility import visible_projects


def account(request: HttpRequest) -> HttpResponse:
    """The page, and what its forms do: `do` is token, revoke or end."""
    if request.method != "POST":
        return _page(request)
    said = request.POST
    number = said.get("number", "")
    pk = int(number) if number.isdecimal() and len(number) < 18 else 0
    try:
        if said.get("do") == "token":
            answer = _page(request, token=_token(request))
            answer.headers["Cache-Control"] = "no-store"  # in this answer and nowhere else
            return answer
        if said.get("do") == "revoke":
            gone = services.token_revoke(request.user, pk)
            messages.success(
                request, gettext("The token {prefix}… opens nothing any more.").format(prefix=gone.prefix)
            )
        elif said.get("do") == "end":
            services.session_end(request.user, pk)
            messages.success(request, gettext("That browser is signed out."))
    except ValidationError as error:
        return _page(request, errors=error.message_dict, status=422)
    except NotFound as error:
        messages.error(request, str(error))
    return redirect("console:account")


def _token(request: HttpRequest) -> str:
    names = request.POST.getlist("projects")
    found = list(visible_projects(request.user).filter(name__in=names).values_list("pk", flat=True))
    if len(found) != len(set(names)):
        raise ValidationError({"projects": gettext("there is no such project")})
    return services.token_create_by(
        request.user,
        request.POST.get("label", "").strip()[:100] or "token",
        now=timezone.now(),
        days=days_of(request),
        scopes=chosen_scopes(request),
        projects=found if names else None,
    )


def chosen_scopes(request: HttpRequest) -> list[str]:
    """The scopes that a form ticks; ValidationError without one."""
    chosen = request.POST.getlist("scopes")
    if not chosen:
        raise ValidationError(
            {"scopes": gettext("choose at least one of {scopes}").format(scopes=", ".join(SCOPES))}
        )
    return chosen


def days_of(request: HttpRequest) -> int | None:
    """After how many days a token expires; None: never. ValidationError."""
    text = request.POST.get("days", "").strip()
    if not text:
        return None
    if not (text.isascii() and text.isdecimal() and 1 <= int(text[:9]) <= 3650):
        raise ValidationError({"days": gettext("expected a number of days from 1 to 3650, or nothing")})
    return int(text)


def token_form(said: QueryDict | None, errors: dict[str, list[str]]) -> dict[str, Any]:
    """What the form for a token shows: what was `said` and refused, or what it begins with."""
    return {
        "label": said.get("label", "") if said else "",
        "days": said.get("days", "") if said else "90",
        "scopes": said.getlist("scopes") if said else ["read"],
        "projects": said.getlist("projects") if said else [],
        "errors": errors,
    }


def _page(
    request: HttpRequest,
    *,
    errors: dict[str, list[str]] | None = None,
    token: str = "",
    status: int = 200,
) -> HttpResponse:
    access = access_of(request.user)
    names = dict(Project.objects.filter(pk__in=access.projects).values_list("pk", "name"))
    context = {
        "access": access,
        "roles": sorted((names[pk], role) for pk, role in access.projects.items() if pk in names),
        "tokens": services.token_list(request.user)[:200],
        "sessions": services.session_list(request.user, timezone.now()),
        "current": request.session.session_key,
        "projects": visible_projects(request.user)[:200],
        "scopes": SCOPES,
        "form": token_form(request.POST if errors else None, errors or {}),
        "token": token,
    }
    return render(request, "console/account.html", context, status=status)
