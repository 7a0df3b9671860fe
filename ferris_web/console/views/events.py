"""Events: the journal, one event and why services ran or did not, sending one, event types."""

from __future__ import annotations

import json
from datetime import UTC, timedelta
from typing import Any
from uuid import UUID, uuid4

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext

from ferris import events as cloudevents
from ferris.errors import Conflict, EventError, NotFound
from ferris.event_schemas import LEARN, Change
from ferris_web.accounts.permissions import may_manage, reach
from ferris_web.catalog import event_schemas
from ferris_web.catalog import selectors as catalog
from ferris_web.catalog.models import EventSchema, EventType, OutputEvent, Trigger
from ferris_web.console import addresses, commands, dashboards, filterbar, filters
from ferris_web.console.paging import page
from ferris_web.console.views import lists
from ferris_web.console.views import why as reasons
from ferris_web.executions import selectors, services
from ferris_web.executions.event_types import event_type_hours, event_type_seen
from ferris_web.executions.listings import EVENTS
from ferris_web.executions.models import Event
from ferris_web.executions.visibility import scoped, within

_EXECUTIONS = 200  # shown on the page of one event


def event_list(request: HttpRequest) -> HttpResponse:
    """Events, newest first."""
    bar = filterbar.bar(EVENTS, request, timezone.now(), ("flow_id", "type", "matched"))
    found = lists.found(request, EVENTS, bar.asked).defer("data", "extensions")
    context = {"bar": bar, "page": page(found, request.GET, time="received_at")}
    return render(request, "console/events.html", context)


def event(request: HttpRequest, key: UUID) -> HttpResponse:
    """One event: its attributes and data, what it triggered, what not and why."""
    row = Event.objects.filter(pk=key).first()
    if row is None:
        raise NotFound(f"there is no event {key}")
    triggered = scoped(row.executions.select_related("service"), request.user)
    runs = list(triggered.order_by("sequence")[:_EXECUTIONS])
    context = {
        "event": row,
        "parent": selectors.execution_sender(request.user, row.causation_id),
        "runs": runs,
        "more": max(0, row.matched - len(runs)) if len(runs) == _EXECUTIONS else 0,
        **reasons.near(request, row),
        "curl": commands.send_curl(request, row),
        "cli": commands.emit(row),
        "reserved": cloudevents.is_reserved(row.type),
    }
    return render(request, "console/event.html", context)


_FIELDS = ("type", "source", "subject", "id", "correlationid", "data")


def send(request: HttpRequest) -> HttpResponse:
    """The form that sends an event: empty, or filled from an earlier one (`?from=`), which is sent as a new one."""
    if request.method == "POST":
        values = {name: request.POST.get(name, "") for name in _FIELDS}
        try:
            sent = _send(values)
        except EventError as error:
            context = {"values": values, "errors": {error.attribute: error.problem}, **_known()}
            return render(request, "console/event-send.html", context, status=422)
        messages.success(request, gettext("The event {id} was sent.").format(id=sent.id))
        return redirect(
            f"{addresses.flow(sent.flow_id)}{'&' if '?' in addresses.flow(sent.flow_id) else '?'}new=1"
        )
    values = {"type": filters.text(request.GET, "type"), "source": "console", "data": "{\n  \n}"}
    original = _original(request, request.GET.get("from", ""))
    if original is not None:
        values |= {
            "type": original.type,
            "source": original.source,
            "subject": original.subject,
            "data": json.dumps(original.data, indent=2, ensure_ascii=False),
        }
    elif values["type"]:
        known = (
            EventType.objects.filter(name=values["type"])
            if reach(request.user) is None
            else EventType.objects.none()
        )
        seen = known.values_list("example", flat=True).first()
        if seen is not None:
            values["data"] = json.dumps(seen, indent=2, ensure_ascii=False)
    return render(request, "console/event-send.html", {"values": values, "original": original, **_known()})


def _known() -> dict[str, Any]:
    return {"types": list(EventType.objects.order_by("-last_seen_at").values_list("name", flat=True)[:200])}


def _original(request: HttpRequest, key: str) -> Event | None:
    try:
        return scoped(Event.objects.filter(pk=UUID(key)), request.user).first() if key else None
    except ValueError:
        return None


def _send(values: dict[str, str]) -> cloudevents.Event:
    """Check and append; EventError names the field."""
    now = timezone.now().astimezone(UTC)
    text = values["data"].strip()
    body: dict[str, Any] = {
        "specversion": "1.0",
        "id": values["id"].strip() or str(uuid4()),
        "source": values["source"].strip(),
        "type": values["type"].strip(),
        "datacontenttype": "application/json",
    }
    for name in ("subject", "correlationid"):
        if values[name].strip():
            body[name] = values[name].strip()
    try:
        body["data"] = json.loads(text, parse_constant=_no_number) if text else None
    except (ValueError, RecursionError) as error:
        raise EventError("data", gettext("is no JSON: {error}").format(error=error)) from None
    parsed = cloudevents.parse(json.dumps(body).encode(), now=now)
    return services.events_accept([parsed], now=now)[0]


def _no_number(name: str) -> None:
    raise ValueError(gettext("{name} is no JSON number").format(name=name))


def type_list(request: HttpRequest) -> HttpResponse:
    """Event types that were seen or are named in a manifest."""
    q = filters.text(request.GET, "q", 200)
    found = Paginator(catalog.event_type_list(query=q), 50).get_page(request.GET.get("page"))
    return render(request, "console/event-types.html", {"page": found, "q": q, "filtered": bool(q)})


def type_by_name(request: HttpRequest) -> HttpResponse:
    """An event type whose name cannot stand in a path."""
    return event_type(request, request.GET.get("name", "")[:512])


def _decide(request: HttpRequest, row: EventType) -> HttpResponse:
    if not may_manage(request.user, EventType):
        raise PermissionDenied
    try:
        if request.POST.get("decision") == "learn":
            event_schemas.schema_learn_anew(row, timezone.now())
            messages.success(request, gettext("Its schema is learned anew, from the events to come."))
        else:
            strict = request.POST.get("decision") == "strict"
            event_schemas.schema_enforce(row, strict)
            said = (
                gettext("Events that do not fit go to the dead letters.")
                if strict
                else gettext("Events may differ from the schema.")
            )
            messages.success(request, said)
    except Conflict as error:
        messages.error(request, str(error))
    return redirect(addresses.event_type(row.name))


_WARNED = timedelta(days=7)  # after that, the list of versions still tells


def _problems(version: EventSchema | None) -> list[str]:
    found = (Change(**change) for change in version.changes) if version else ()
    return [change.problem for change in found if change.breaking]


def event_type(request: HttpRequest, name: str) -> HttpResponse:
    """One event type: who sends it, who listens, the last ones."""
    row = catalog.event_type_get(name)
    if request.method == "POST":
        return _decide(request, row)
    versions = catalog.event_type_versions(row)
    broken = next((version for version in versions if version.breaking), None)
    if broken is not None and timezone.now() - broken.created_at > _WARNED:
        broken = None
    patterns = catalog.event_type_patterns(name)
    listening = (
        Trigger.objects.filter(event_type__in=patterns).select_related("service").order_by("service__name")
    )
    projects = reach(request.user)
    if projects is not None:
        row.example = None  # what an event holds is for those who see the event
    context = {
        "type": row,
        "schema": next((v.schema for v in versions if v.number == row.schema_number), None),
        "versions": versions,
        "learning": row.schema_learned < LEARN,
        "learn": LEARN,
        "manages": may_manage(request.user, EventType),
        "broken": broken,
        "problems": _problems(broken),
        "seen": event_type_seen(name, projects),
        "chart": dashboards.events_per_hour(event_type_hours(name, timezone.now())),
        "senders": within(OutputEvent.objects.filter(event_type=name).select_related("service"), projects)[
            :100
        ],
        "listeners": within(listening, projects)[:100],
        "events": within(Event.objects.filter(type=name), projects)
        .defer("data", "extensions")
        .order_by("-received_at", "-key")[:15],
    }
    return render(request, "console/event-type.html", context)
