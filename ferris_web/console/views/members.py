"""Members of a project, and its service accounts with their tokens."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth.models import Group
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext

from ferris.errors import Conflict, NotFound
from ferris_web.accounts import members as accounts
from ferris_web.accounts import services
from ferris_web.accounts.models import SCOPES, Membership, Role
from ferris_web.accounts.permissions import Action, access_of
from ferris_web.catalog import selectors as catalog
from ferris_web.catalog.models import Project
from ferris_web.console.views.account import chosen_scopes, days_of, token_form


def members(request: HttpRequest, name: str) -> HttpResponse:
    """The people, groups and programs of a project; owners change them."""
    project = catalog.project_get(name)
    if request.method != "POST":
        return _page(request, project)
    said = request.POST
    try:
        done = _ACTIONS[said.get("do", "")](request, project)
    except KeyError:
        messages.error(request, gettext("Nothing was changed."))
        return redirect("console:members", name=name)
    except ValidationError as error:
        return _page(request, project, errors=error.message_dict, status=422)
    except Conflict as error:
        field = "name" if said.get("do") == "account" else "role"
        return _page(request, project, errors={field: [str(error)]}, status=422)
    except NotFound as error:
        return _page(request, project, problem=str(error), status=422)
    if done.startswith("ferris_"):  # a token: in this answer and nowhere else
        answer = _page(request, project, token=done)
        answer.headers["Cache-Control"] = "no-store"
        return answer
    messages.success(request, done)
    return redirect("console:members", name=name)


def _set(request: HttpRequest, project: Project) -> str:
    kind, who, role = (request.POST.get(field, "").strip()[:150] for field in ("kind", "name", "role"))
    accounts.member_set(project.pk, kind, who, role)
    return gettext("{who} is {role} of {name} now.").format(who=who, role=role, name=project.name)


def _remove(request: HttpRequest, project: Project) -> str:
    kind, who = (request.POST.get(field, "").strip()[:150] for field in ("kind", "name"))
    accounts.member_remove(project.pk, kind, who)
    return gettext("{who} is no member of {name} any more.").format(who=who, name=project.name)


def _account(request: HttpRequest, project: Project) -> str:
    who, role = (request.POST.get(field, "").strip()[:150] for field in ("name", "role"))
    made = services.service_account_add(project.pk, project.name, who, role)
    return gettext("The service account {made} was made. Give it a token.").format(made=made)


def _account_remove(request: HttpRequest, project: Project) -> str:
    who = request.POST.get("name", "")[:150]
    services.service_account_remove(project.pk, who)
    return gettext("The service account {who} was removed; its tokens open nothing any more.").format(who=who)


def _token(request: HttpRequest, project: Project) -> str:
    account = services.service_account_get(project.pk, request.POST.get("name", "")[:150])
    label = request.POST.get("label", "").strip()[:100] or "token"
    return services.token_create_by(
        request.user,
        label,
        now=timezone.now(),
        user=account,
        days=days_of(request),
        scopes=chosen_scopes(request),
        projects=None,
    )


def _revoke(request: HttpRequest, project: Project) -> str:
    account = services.service_account_get(project.pk, request.POST.get("name", "")[:150])
    number = request.POST.get("token", "")
    gone = services.token_revoke(account, int(number) if number.isdecimal() and len(number) < 18 else 0)
    return gettext("The token {prefix}… opens nothing any more.").format(prefix=gone.prefix)


_ACTIONS = {
    "set": _set,
    "change": _set,
    "remove": _remove,
    "account": _account,
    "account-remove": _account_remove,
    "token": _token,
    "revoke": _revoke,
}


def _page(
    request: HttpRequest,
    project: Project,
    *,
    errors: dict[str, list[str]] | None = None,
    problem: str = "",
    token: str = "",
    status: int = 200,
) -> HttpResponse:
    everywhere = Membership.objects.filter(project=None).select_related("user", "group").order_by("id")
    context = {
        "project": project,
        "rows": accounts.member_list(project.pk),
        "everywhere": everywhere[:100],
        "accounts": services.service_account_list(project.pk),
        "roles": list(Role.values),
        "groups": Group.objects.order_by("name")[:200],
        "scopes": SCOPES,
        "owns": access_of(request.user).may(Action.OWN, project.pk),
        "problem": problem,
        "errors": errors or {},
        "refused": request.POST if errors else None,
        "form": token_form(None, {}),
        "refused_form": token_form(request.POST, errors) if errors else None,
        "token": token,
    }
    return render(request, "console/members.html", context, status=status)
