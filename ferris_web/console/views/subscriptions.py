"""Subscriptions: everybody sees which there are; who manages them makes, tries and changes them, and sees what was
sent."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_POST

from ferris import pushing
from ferris.errors import Conflict
from ferris_web.accounts.permissions import Action, may_edit, reach
from ferris_web.catalog import subscriptions as catalog
from ferris_web.catalog.models import Subscription
from ferris_web.console.paging import page
from ferris_web.console.posted import pairs, project_posted, projects_offered, whole_numbers
from ferris_web.executions.services import deliveries
from ferris_web.executions.visibility import scoped

_TEXTS = ("description", "event_type", "cesql", "url", "form")
_NUMBERS = ("timeout_seconds", "disable_after_days")


def subscription_list(request: HttpRequest) -> HttpResponse:
    """Every subscription: what it takes, where it leads, how it fares."""
    project = request.GET.get("project", "")
    rows = scoped(catalog.subscription_list(project), request.user)
    context = {
        "rows": rows,
        "project": project,
        "manages": may_edit(request.user),
        "reach": reach(request.user, Action.EDIT),
    }
    return render(request, "console/subscriptions.html", context)


@sensitive_post_parameters("secret", "secret_headers")
def add(request: HttpRequest) -> HttpResponse:
    """The form for a new one."""
    if not may_edit(request.user):
        raise PermissionDenied
    return _change(request, None, request.POST.get("name", "").strip())


@sensitive_post_parameters("secret", "secret_headers")
def subscription(request: HttpRequest, name: str) -> HttpResponse:
    """One subscription, to change, and what was sent lately."""
    return _change(request, _managed(request, name), name)


def delivery(request: HttpRequest, name: str, pk: UUID) -> HttpResponse:
    """One delivery with its attempts."""
    row = _managed(request, name)
    found = deliveries.delivery_get(name, pk)
    context = {"subscription": row, "delivery": found, "attempts": found.log.order_by("-at", "-id")[:100]}
    return render(request, "console/delivery.html", context)


@require_POST
def again(request: HttpRequest, name: str, pk: UUID) -> HttpResponse:
    """Send one delivery again."""
    _managed(request, name)
    try:
        deliveries.delivery_again(deliveries.delivery_get(name, pk), now=timezone.now())
        messages.success(request, gettext("It is sent again, under the same id."))
    except Conflict as error:
        messages.error(request, gettext("Not sent again: {error}.").format(error=error))
    return redirect("console:delivery", name=name, pk=pk)


@require_POST
def test(request: HttpRequest, name: str) -> HttpResponse:
    """Send a sample, and show what comes of it."""
    row = _managed(request, name)
    try:
        made = deliveries.subscription_test(row, now=timezone.now())
    except Conflict as error:
        messages.error(request, gettext("No sample was sent: {error}.").format(error=error))
        return redirect("console:subscription", name=name)
    return redirect("console:delivery", name=name, pk=made.pk)


@require_POST
def pause(request: HttpRequest, name: str) -> HttpResponse:
    """Hold deliveries back."""
    try:
        catalog.subscription_pause(_managed(request, name))
        messages.success(
            request, gettext("{name} is paused. What matches waits until it is resumed.").format(name=name)
        )
    except Conflict as error:
        messages.error(request, f"{error}.")
    return redirect("console:subscription", name=name)


@require_POST
def resume(request: HttpRequest, name: str) -> HttpResponse:
    """Let it go on, with or without what waits."""
    row = _managed(request, name)
    waiting = deliveries.SKIP if request.POST.get("waiting") == deliveries.SKIP else deliveries.DRAIN
    try:
        deliveries.subscription_resume(row, waiting=waiting, now=timezone.now())
        messages.success(request, gettext("{name} goes on.").format(name=name))
    except Conflict as error:
        messages.error(request, f"{error}.")
    return redirect("console:subscription", name=name)


@require_POST
def remove(request: HttpRequest, name: str) -> HttpResponse:
    """Forget it."""
    catalog.subscription_remove(_managed(request, name))
    messages.success(
        request, gettext("The subscription {name} was removed. Nothing is sent any more.").format(name=name)
    )
    return redirect("console:subscriptions")


def _managed(request: HttpRequest, name: str) -> Subscription:
    row = catalog.subscription_get(name)
    if not may_edit(request.user, row.project_id):
        raise PermissionDenied
    return row


def _change(request: HttpRequest, found: Subscription | None, name: str) -> HttpResponse:
    if request.method != "POST":
        return _form(request, found, {})
    said = request.POST
    errors: dict[str, list[str]] = {}
    given: dict[str, Any] = {field: said.get(field, "").strip() for field in _TEXTS}
    given |= whole_numbers(said, (*_NUMBERS, "overlap_hours"), errors)
    given["filter"] = _filter(said.get("filter", "").strip(), errors)
    given["headers"] = pairs(said.get("headers", ""))
    if said.get("secret_headers", "").strip() or "no_secret_headers" in said:
        given["secret_headers"] = pairs(said.get("secret_headers", ""))
    project = project_posted(request, errors) if found is None else None
    if errors:
        return _form(request, found, errors)
    try:
        made = catalog.subscription_set(
            name,
            now=timezone.now(),
            new=found is None,
            project=project,
            actor=request.user.get_username(),
            secret=said.get("secret", "").strip() or None,
            new_secret="new_secret" in said,
            **given,
        )
    except ValidationError as error:
        return _form(request, found, error.message_dict)
    except Conflict:
        return _form(request, found, {"name": [gettext("is taken")]})
    if made.secret:
        answer = _form(request, made.subscription, {}, made.secret)
        answer.headers["Cache-Control"] = "no-store"
        return answer
    messages.success(
        request, gettext("The subscription {name} is saved.").format(name=made.subscription.name)
    )
    return redirect("console:subscription", name=made.subscription.name)


def _filter(text: str, errors: dict[str, list[str]]) -> Any:
    if not text:
        return None
    try:
        found = json.loads(text)
    except ValueError as error:
        errors["filter"] = [gettext("is no JSON: {error}").format(error=error)]
        return None
    if not isinstance(found, dict):
        errors["filter"] = [gettext("is no JSON object")]
    return found


def _form(
    request: HttpRequest, found: Subscription | None, errors: dict[str, list[str]], secret: str = ""
) -> HttpResponse:
    said = request.POST if request.method == "POST" and errors else None
    form = said.get("form", "") if said else found.form if found else pushing.STRUCTURED
    status = request.GET.get("status", "")
    context = {
        "subscription": found,
        "status": status,
        "errors": errors,
        "secret": secret,
        "projects": projects_offered(request, said),
        "forms": [{"value": value, "text": text, "chosen": value == form} for value, text in pushing.FORMS],
        "values": _values(found, said),
        "counts": deliveries.delivery_counts(found) if found else {},
        "page": page(deliveries.delivery_list(found, status), request.GET) if found else None,
    }
    return render(request, "console/subscription.html", context, status=422 if errors else 200)


def _values(found: Subscription | None, said: Any) -> dict[str, Any]:
    if said:
        names = (*_TEXTS, *_NUMBERS, "name", "filter", "headers", "overlap_hours")
        return {name: said.get(name, "") for name in names}
    if found is None:
        return {"timeout_seconds": 15, "disable_after_days": 5}
    return {
        **{name: getattr(found, name) for name in (*_TEXTS, *_NUMBERS)},
        "filter": "" if found.filter is None else json.dumps(found.filter, ensure_ascii=False, indent=1),
        "headers": "\n".join(f"{name}: {value}" for name, value in found.headers.items()),
    }
