"""What the forms of several pages ask for alike, and take from what was posted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest
from django.utils.translation import gettext

from ferris_web.accounts.permissions import Action, may_edit
from ferris_web.catalog.models import Project
from ferris_web.executions.visibility import scoped

Errors = dict[str, list[str]]
_LONGEST = 5  # digits of a number that a person may write


def whole_numbers(said: Mapping[str, str], fields: Iterable[str], errors: Errors) -> dict[str, int]:
    """The numbers that were written into these fields; those that are none go to `errors`."""
    found = {}
    for field in fields:
        text = said.get(field, "").strip()
        if text and not (text.isascii() and text.isdecimal() and len(text) <= _LONGEST):
            errors[field] = [gettext("is no whole number")]
        elif text:
            found[field] = int(text)
    return found


def pairs(text: str) -> dict[str, str]:
    """Lines of `X-Tenant: blue`."""
    lines = [line.partition(":") for line in text.splitlines() if line.strip()]
    return {name.strip(): value.strip() for name, _, value in lines}


def project_posted(request: HttpRequest, errors: Errors) -> Project | None:
    """The project that something new is to belong to. PermissionDenied for one in which this person edits nothing."""
    found = Project.objects.filter(name=request.POST.get("project", "")).first()
    if found is None:
        errors["project"] = [gettext("is missing")]
    elif not may_edit(request.user, found.pk):
        raise PermissionDenied
    return found


def projects_offered(request: HttpRequest, said: Mapping[str, str] | None) -> list[dict[str, Any]]:
    """The projects that something new may belong to; chosen: the one that was posted, or that the address names."""
    chosen = (said or request.GET).get("project", "")
    names = scoped(Project.objects.all(), request.user, Action.EDIT).values_list("name", flat=True)
    return [{"value": name, "text": name, "chosen": name == chosen} for name in names]
