"""Rules of notifications: everybody sees which there are; who manages them makes, tries and changes them, and sees
what was sent."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext, ngettext
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_POST

from ferris import notifying
from ferris.errors import Conflict
from ferris_web.accounts.permissions import Action, may_edit, reach
from ferris_web.catalog import notifications as catalog
from ferris_web.catalog.models import NotificationRule
from ferris_web.console import graphs, notificationmap
from ferris_web.console.paging import page
from ferris_web.console.posted import project_posted, projects_offered, whole_numbers
from ferris_web.executions.services import notices
from ferris_web.executions.visibility import scoped

_NUMBERS = ("times", "within_minutes", "quiet_minutes")


def rule_list(request: HttpRequest) -> HttpResponse:
    """Every rule."""
    project = request.GET.get("project", "")
    rows = list(scoped(catalog.rule_list(project), request.user))
    editable = reach(request.user, Action.EDIT)
    openable = {row.name for row in rows if editable is None or row.project_id in editable}
    drawn = notificationmap.layout(rows)
    context = {
        "rows": rows,
        "map": drawn,
        "lines": graphs.map_lines(drawn),
        "places": graphs.notification_places(drawn, openable),
        "left_out": max(0, len(rows) - notificationmap.MOST),
        "openable": openable,
        "project": project,
        "manages": may_edit(request.user),
    }
    return render(request, "console/notifications.html", context)


@sensitive_post_parameters("targets")
def add(request: HttpRequest) -> HttpResponse:
    """The form for a new one."""
    if not may_edit(request.user):
        raise PermissionDenied
    return _change(request, None, request.POST.get("name", "").strip())


@sensitive_post_parameters("targets")
def rule(request: HttpRequest, name: str) -> HttpResponse:
    """One rule, to change, and what was sent lately."""
    return _change(request, _managed(request, name), name)


@require_POST
def test(request: HttpRequest, name: str) -> HttpResponse:
    """Send a sample to each of its targets."""
    try:
        made = notices.rule_test(_managed(request, name), now=timezone.now())
        messages.success(
            request,
            ngettext(
                "A sample goes to {count} target; see below what comes of it.",
                "A sample goes to {count} targets; see below what comes of it.",
                len(made),
            ).format(count=len(made)),
        )
    except Conflict as error:
        messages.error(request, gettext("No sample was sent: {error}.").format(error=error))
    return redirect("console:notification", name=name)


@require_POST
def remove(request: HttpRequest, name: str) -> HttpResponse:
    """Forget it."""
    catalog.rule_remove(_managed(request, name))
    messages.success(request, gettext("The notification rule {name} was removed.").format(name=name))
    return redirect("console:notifications")


def _managed(request: HttpRequest, name: str) -> NotificationRule:
    row = catalog.rule_get(name)
    if not may_edit(request.user, row.project_id):
        raise PermissionDenied
    return row


def _change(request: HttpRequest, found: NotificationRule | None, name: str) -> HttpResponse:
    if request.method != "POST":
        return _form(request, found, {})
    said = request.POST
    errors: dict[str, list[str]] = {}
    given: dict[str, Any] = {
        "kind": said.get("kind", ""),
        "service": said.get("service", "").strip(),
        "active": "active" in said,
    }
    given |= whole_numbers(said, _NUMBERS, errors)
    targets = [line.strip() for line in said.get("targets", "").splitlines() if line.strip()]
    if targets or found is None:
        given["targets"] = targets
    project = project_posted(request, errors) if found is None else None
    if errors:
        return _form(request, found, errors)
    try:
        made = catalog.rule_set(name, new=found is None, project=project, **given)
    except ValidationError as error:
        return _form(request, found, error.message_dict)
    except Conflict:
        return _form(request, found, {"name": [gettext("is taken")]})
    messages.success(request, gettext("The notification rule {name} is saved.").format(name=made.name))
    return redirect("console:notification", name=made.name)


def _form(request: HttpRequest, found: NotificationRule | None, errors: dict[str, list[str]]) -> HttpResponse:
    said = request.POST if request.method == "POST" and errors else None
    kind = said.get("kind", "") if said else found.kind if found else notifying.FAILURES
    values: dict[str, Any]
    if said:
        values = {name: said.get(name, "") for name in ("name", "service", *_NUMBERS)}
        values["active"] = "active" in said
    elif found:
        values = {name: getattr(found, name) for name in ("service", "active", *_NUMBERS)}
    else:
        values = {"active": True, "times": 3, "within_minutes": 0, "quiet_minutes": 15}
    context = {
        "rule": found,
        "errors": errors,
        "values": values,
        "kinds": [{"value": value, "text": text, "chosen": value == kind} for value, text in notifying.KINDS],
        "projects": projects_offered(request, said),
        "page": page(notices.message_list(found), request.GET) if found else None,
    }
    return render(request, "console/notification.html", context, status=422 if errors else 200)
