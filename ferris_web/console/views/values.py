"""Configuration and state: the list, the editor, the history, one change."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from django.contrib import messages
from django.core.exceptions import BadRequest
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext

from ferris.errors import Conflict, NotFound
from ferris.json_text import JsonProblem, read_json
from ferris.json_values import object_of
from ferris.ports import Entry
from ferris.script_settings import script_settings
from ferris_web import wiring
from ferris_web.accounts.permissions import Action, access_of, may_change
from ferris_web.catalog import selectors as catalog
from ferris_web.catalog.models import ValueChange
from ferris_web.catalog.value_history import (
    change_at,
    change_get,
    change_other,
    changes_compared,
    changes_of,
    content_of,
    contents_compared,
    values_known,
)
from ferris_web.catalog.values import Kind, Place
from ferris_web.console import addresses, filters
from ferris_web.console.paging import page
from ferris_web.console.words import word
from ferris_web.executions.services.values import encoded, value_get, value_remove, value_restore, value_set
from ferris_web.executions.visibility import scoped, visible_projects

View = Callable[..., HttpResponse]

_KINDS = (("", "all"), *((str(kind), str(kind)) for kind in Kind))


def value_list(request: HttpRequest) -> HttpResponse:
    """Every value whose history is known, what changed last in front."""
    query = request.GET
    projects = [("", gettext("all projects")), *((p.name, p.name) for p in visible_projects(request.user))]
    text, administers = filters.text(query, "q", 200), access_of(request.user).may(Action.ADMINISTER)
    known = values_known(
        query=text,
        kind=filters.chosen(query, "kind", _KINDS),
        project=filters.chosen(query, "project", projects),
        env=administers,
    )
    found = scoped(known, request.user)
    context = {
        "page": page(found, query, time="at"),
        "q": text,
        "kinds": filters.choices(query, "kind", [(value, word(text)) for value, text in _KINDS]),
        "projects": filters.choices(query, "project", projects),
        "administers": administers,
        "filtered": any(value for name, value in query.items() if name != "cursor"),
    }
    return render(request, "console/values.html", context)


def edit(kind: str, scope: str) -> View:
    """The editor of a value of this kind and scope."""

    def view(request: HttpRequest, **named: Any) -> HttpResponse:
        shown = _Shown(request, kind, scope, named)
        return _saved(shown) if request.method == "POST" else _editor(shown)

    return view


def history(kind: str, scope: str) -> View:
    """Its changes, and what it was at a time."""

    def view(request: HttpRequest, **named: Any) -> HttpResponse:
        shown = _Shown(request, kind, scope, named)
        if request.GET.get("to"):
            return _two(shown)
        context = {"page": page(changes_of(shown.place), request.GET, order=("-number",), size=25)}
        return shown.render("console/value-history.html", context | _then(shown))

    return view


def change(kind: str, scope: str) -> View:
    """One change: its value, and what is different. A POST takes the value back to it."""

    def view(request: HttpRequest, number: int, **named: Any) -> HttpResponse:
        shown = _Shown(request, kind, scope, named)
        row = change_get(shown.place, number)
        if request.method == "POST":
            return _restored(shown, row)
        old = change_other(shown.place, number, _number(request.GET.get("with", "")))
        context = {
            "change": row,
            "heading": gettext("Different from change {number}").format(number=old.number)
            if old
            else gettext("It is the first that is kept"),
            "difference": changes_compared(old, row),
            "content": _text(content_of(row)),
            "newest": row.until is None,
        }
        return shown.render("console/value-change.html", context)

    return view


def said_of(place: Place) -> str:
    """`configuration of NAME`, in the viewer's language."""
    if place.kind == Kind.ENV:
        return gettext("settings of ferris.env")
    said = gettext("state of {name}") if place.kind == Kind.STATE else gettext("configuration of {name}")
    return said.format(name=_of(place))


def _of(place: Place) -> str:
    """Whose it is, in the viewer's language."""
    if place.service:
        return place.service.name
    if place.project:
        return gettext("the project {name}").format(name=place.project.name)
    return gettext("the platform")


def _what(place: Place) -> str:
    if place.kind == Kind.ENV:
        return "ferris.env"
    return gettext("State") if place.kind == Kind.STATE else gettext("Configuration")


class _Shown:
    """A value as a page shows it: where it is, what it is now, what this person may do."""

    def __init__(self, request: HttpRequest, kind: str, scope: str, named: dict[str, Any]) -> None:
        self.request = request
        self.place = Place(kind, catalog.owner_get(scope, named.get("name")))
        self.entry: Entry | None = value_get(self.place, timezone.now())

    @property
    def seen(self) -> int:
        """The index of what is there now; 0: nothing is."""
        return self.entry.index if self.entry else 0

    def address(self, more: str = "", *arguments: Any) -> str:
        """Of the editor, its `history`, or a `change`."""
        return addresses.value(self.place, more, *arguments)

    def render(self, template: str, context: dict[str, Any], status: int = 200) -> HttpResponse:
        place = self.place
        base = {
            "place": said_of(place),
            "service": place.service,
            "kind": place.kind,
            "project": place.project,
            "of": _of(place),
            "what": _what(place),
            "seen": self.seen,
            "entry": self.entry,
            "may_edit": may_change(self.request.user, place.project.pk if place.project else None),
            "back_url": _back(place),
            "editor_url": self.address(),
            "history_url": self.address("history"),
        }
        return render(self.request, template, base | context, status=status)


def _back(place: Place) -> str:
    """Where one comes from."""
    if place.service:
        return reverse("console:service-settings", args=[place.service.name])
    return (
        reverse("console:project", args=[place.project.name]) if place.project else reverse("console:values")
    )


def _editor(shown: _Shown, status: int = 200, **more: Any) -> HttpResponse:
    now_there = _text(_content(shown.entry))
    context = {"text": now_there, "now_there": now_there, "last": changes_of(shown.place).first()}
    if shown.place.kind == Kind.ENV:
        context["whole"] = json.dumps(script_settings(wiring.config(), object_of(_content(shown.entry))))
    return shown.render("console/value-edit.html", context | more, status)


def _saved(shown: _Shown) -> HttpResponse:
    request, place, now = shown.request, shown.place, timezone.now()
    actor, seen = request.user.get_username(), _seen(request)
    if request.POST.get("do") == "remove":
        if not value_remove(place, actor=actor, now=now, cas=seen):
            return _conflict(shown, "")
        messages.success(
            request, gettext("The {place} was removed. Its history stays.").format(place=said_of(place))
        )
        return redirect(shown.address())
    text = request.POST.get("value", "").replace("\r\n", "\n")
    try:
        value = read_json(text)
        done = value_set(place, value, actor=actor, now=now, cas=seen)
    except JsonProblem as problem:
        line = text.split("\n")[problem.line - 1]
        from_column = max(0, problem.column - 60)
        excerpt = line[from_column : problem.column + 40]
        caret = " " * (problem.column - 1 - from_column) + "^"
        return _editor(shown, 422, text=text, problem=problem, excerpt=f"{excerpt}\n{caret}")
    except ValueError as error:
        return _editor(shown, 422, text=text, problem=error)
    if not done:
        return _conflict(shown, text, encoded(place, value))
    messages.success(
        request,
        gettext("The {place} was saved. Executions that start from now on get it.").format(
            place=said_of(place)
        ),
    )
    return redirect(shown.address())


def _conflict(shown: _Shown, text: str, wanted: bytes | None = None) -> HttpResponse:
    """Nothing was overwritten: what is there now against what was to be."""
    shown.entry = value_get(shown.place, timezone.now())
    conflict = contents_compared(_content(shown.entry), wanted)
    return _editor(shown, 409, text=text, conflict=conflict, removing=wanted is None)


def _restored(shown: _Shown, row: ValueChange) -> HttpResponse:
    request = shown.request
    try:
        done = value_restore(
            shown.place, row, actor=request.user.get_username(), now=timezone.now(), cas=_seen(request)
        )
    except Conflict as error:
        messages.error(request, gettext("Nothing was changed: {error}.").format(error=error))
        return redirect(shown.address("change", row.number))
    if not done:
        messages.error(
            request,
            gettext(
                "It was changed meanwhile. Nothing was overwritten: look at what is there now, then "
                "try again."
            ),
        )
        return redirect(shown.address("history"))
    messages.success(
        request,
        gettext("The {place} is again what change {number} made it.").format(
            place=said_of(shown.place), number=row.number
        ),
    )
    return redirect(shown.address())


def _then(shown: _Shown) -> dict[str, Any]:
    """What it was at the time that is asked for, in the zone of who asks."""
    query = shown.request.GET
    asked = query.get("at", "").strip()
    zone = _zone(query.get("zone", ""))
    if not asked:
        return {"at": "", "zone": zone.key}
    try:
        moment = datetime.fromisoformat(asked)
        moment = (moment if moment.tzinfo else moment.replace(tzinfo=zone)).astimezone(UTC)
    except (ValueError, OverflowError):
        return {"at": "", "zone": zone.key, "at_problem": gettext("Expected a date and a time.")}
    found = {"at": asked, "zone": zone.key, "moment": moment}
    try:
        row = change_at(shown.place, moment)
    except NotFound as error:
        return found | {"unknown": f"{str(error)[:1].upper()}{str(error)[1:]}."}
    return found | {"then": row, "then_content": _text(content_of(row))}


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name[:64])
    except (KeyError, ValueError, OSError):
        return ZoneInfo("UTC")


def _two(shown: _Shown) -> HttpResponse:
    """To the page of the later of two changes, compared with the earlier."""
    one, other = (_number(shown.request.GET.get(name, "")) for name in ("from", "to"))
    if not one or not other:
        raise BadRequest("from, to: expected the numbers of two changes")
    address = shown.address("change", max(one, other))
    return redirect(f"{address}?with={min(one, other)}")


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 11 else 0


def _seen(request: HttpRequest) -> int:
    text = request.POST.get("seen", "")
    if not (text.isascii() and text.isdecimal() and len(text) < 19):
        raise BadRequest("seen: expected the index of the value that was shown")
    return int(text)


def _content(entry: Entry | None) -> bytes | None:
    return entry.value if entry else None


def _text(content: bytes | None) -> str:
    """A stored value for reading and editing: JSON indented, its keys in their order."""
    if content is None:
        return ""
    text = content.decode("utf-8", "replace")
    try:
        return json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        return text
