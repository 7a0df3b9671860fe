"""The lists: executions, events, flows, dead letters, services."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.core.cache import cache
from django.db.models import Max, Q, Sum, Value
from django.db.models.functions import Coalesce
from django.utils.translation import gettext_lazy as _
from django.utils.translation import gettext_noop

from ferris import events
from ferris_web.accounts.permissions import reach
from ferris_web.catalog.models import EventType, Project, Service
from ferris_web.catalog.selectors import service_filter, tag_list, tagged
from ferris_web.executions.listings.fields import TIMES, Field, Listing, Options, Rows
from ferris_web.executions.listings.hours import hours
from ferris_web.executions.models import (
    LANES,
    OPEN,
    STATUSES,
    TRIGGER_TYPES,
    DeadLetter,
    Event,
    Execution,
    Flow,
)
from ferris_web.executions.promised import flows_overdue
from ferris_web.executions.visibility import Projects, executions_apart, scoped, visible_projects, within
from ferris_web.keyset import Way
from ferris_web.planning import first_said, looked_at


def _projects(user: Any) -> list[str]:
    return list(visible_projects(user).order_by("name").values_list("name", flat=True)[:500])


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


def _words(options: Any) -> Options:
    return tuple((value, value.replace("_", " ")) for value, _same in options)


def _equal(column: str) -> Any:
    return lambda rows, value: rows.filter(**{column: value})


def times(column: str, what: str) -> tuple[Field, Field]:
    """The two ends of a time; `what` happened in it, in English and marked for translation."""
    return (
        Field(
            "since", _("From"), _equal(f"{column}__gte"), f"{what} then or later. Also 15m, 24h, 7d: so long ago.",
            kind="moment", short="from", about=what,
        ),
        # Before the bound that a type sets, or SQLite would walk from there.
        Field(
            "until", _("Until"), lambda rows, value: first_said(rows, Q(**{f"{column}__lt": value})),
            f"{what} before.", kind="moment",
        ),
    )  # fmt: skip


# --- executions ------------------------------------------------------------------------------------


def _correlated(rows: Rows, text: str) -> Rows:
    """Not an OR: SQLite would walk through all executions in the order of the list, or through all that completed."""
    own = Execution.objects.filter(correlation_id=text).order_by().values("pk")
    of_flow = Execution.objects.filter(flow_id=text).order_by().values("pk")
    if pk := _uuid(text):
        own = own.union(Execution.objects.filter(pk=pk).order_by().values("pk"))
    return looked_at(rows).filter(pk__in=own.union(of_flow))


def _of_service(rows: Rows, name: str) -> Rows:
    """By its id: a join by name begins with whatever the planner thinks small."""
    found = Service.objects.filter(name=name).values_list("pk", flat=True).first()
    return rows.none() if found is None else rows.filter(service_id=found)


def _of_project(rows: Rows, name: str) -> Rows:
    found = Project.objects.filter(name=name).values_list("pk", flat=True).first()
    return rows.none() if found is None else within(rows, frozenset((found,)), many=True)


def _plain(wanted: tuple[str, ...]) -> list[str]:
    return sorted({status for value in wanted for status in (OPEN if value == "open" else (value,))})


def _with_status(rows: Rows, wanted: tuple[str, ...]) -> Rows:
    return (looked_at(rows) if _few_open(wanted) else rows).filter(status__in=_plain(wanted))


def _few_open(wanted: tuple[str, ...]) -> bool:
    """Only what is open is asked for, and that is little: it is read by its status, and not along all that a project
    or a service ran."""
    plain = _plain(wanted)
    if not set(plain) <= set(OPEN):
        return False
    return not Execution.objects.filter(status__in=plain).order_by().values("pk")[_RARE : _RARE + 1].exists()


def _executions_way(whose: Projects | None, asked: Mapping[str, Any]) -> Way | None:
    """By several filters in the hours in which something fits; else of who sees several projects each for itself."""
    if _few_open(asked.get("status", ("any",))):
        return None
    apart = executions_apart(whose, asked)
    return hours(asked, whose, apart) or apart


def _reasoned(rows: Rows, reason: str) -> Rows:
    """Said twice: SQLite takes an index of some rows only for a query that says the same as the index."""
    return rows.filter(reason=reason, reason__gt="")


_RARE = 5000
"""Executions that are looked up by their lane or trigger, whatever else is asked for. Of what is more frequent they are
found soon by who walks along the list, or by the index of what else is asked for."""


def _classed(rows: Rows, asked: Mapping[str, Any], everyones: bool) -> Rows:
    """Executions by lane or trigger as a page of their list reads them: along the index of what is rare, or of what
    alone is asked for. `everyones`: they are those of all projects."""
    alone = everyones and len(asked.keys() - TIMES) == 1
    for column in ("lane", "trigger_type"):
        if column not in asked:
            continue
        wanted = asked[column] if column == "trigger_type" else (asked[column],)
        # As above; so the indexes of these columns are taken here, and for nothing that others answer sooner.
        said = {f"{column}__gt": ""}
        having = Execution.objects.filter(**{f"{column}__in": wanted}, **said).order_by()
        if (alone and len(wanted) == 1) or not having.values("pk")[_RARE : _RARE + 1].exists():
            return rows.filter(**said)
    return rows


EXECUTIONS = Listing(
    "executions",
    _("Executions"),
    Execution,
    (
        Field(
            "correlation_id", _("Correlation, flow or execution id"), _correlated,
            "An execution's correlation id or id, or a flow id: all executions of the flow.",
            short="q", placeholder="ABCDEF1234_01", narrow=True,
        ),
        Field("service", _("Service"), _of_service, "A service's name.", placeholder=_("any service")),
        Field(
            "status", _("Status"), _with_status, "`open`: pending, queued or in progress.", kind="choice",
            options=(("open", "open"), *_words(STATUSES)), many=True, narrow=True,
        ),
        Field("project", _("Project"), _of_project, "A project's name.", offered=_projects, narrow=True),
        Field(
            "trigger_type", _("Trigger"), lambda rows, wanted: rows.filter(trigger_type__in=wanted),
            "What made it run.", kind="choice", options=_words(TRIGGER_TYPES), many=True, short="trigger",
        ),
        Field("lane", _("Lane"), _equal("lane"), "The lane it waits or waited in.", kind="choice",
              options=_words(LANES)),
        Field("reason", _("Reason"), _reasoned, "Such as script_failed, timeout, executor_lost."),
        *times("created_at", gettext_noop("Created")),
    ),
    ("-created_at", "-id"),
    "created_at",
    _classed,
    _executions_way,
)  # fmt: skip

# --- events ----------------------------------------------------------------------------------------


_FEW = 20_000
"""Events that are looked up by their types. Those of types that are more frequent are found soon by who walks along the
list from where the last of them stands."""


def _typed(column: str, time: str = "") -> Any:
    """By a type, or by the types that begin so: with a `time`, in a list that is long."""

    def apply(rows: Rows, kind: str) -> Rows:
        if kind == "*":
            return rows
        exact = not kind.endswith("*")
        if exact and not (time and rows.query.where.children):
            return rows.filter(**{column: kind})
        if not time:
            return rows.filter(**{f"{column}__startswith": kind[:-1]})
        known = EventType.objects.filter(
            **({"name": kind} if exact else {"name__startswith": kind[:-1]})
        ).order_by()
        seen = known.aggregate(count=Sum("count"), last=Max("last_seen_at"))
        if (seen["count"] or 0) <= _FEW or seen["last"] is None:
            rows = looked_at(rows)  # or SQLite reads all of a frequent source for a type that is rare
            return rows.filter(**({column: kind} if exact else {f"{column}__in": known.values("name")}))
        if exact:
            return rows.filter(**{column: kind})
        # A batch has one time for the catalog, and one for each of its events that is a little later.
        last = seen["last"] + timedelta(minutes=1)
        return rows.filter(**{f"{column}__startswith": kind[:-1], f"{time}__lt": last})

    return apply


def _event_or_flow(rows: Rows, text: str) -> Rows:
    own = Event.objects.filter(event_id=text).order_by().values("pk")
    of_flow = Event.objects.filter(flow_id__in={text, events.flow_of(text)}).order_by().values("pk")
    if pk := _uuid(text):
        own = own.union(Event.objects.filter(pk=pk).order_by().values("pk"))
    return rows.filter(pk__in=own.union(of_flow))


EVENTS = Listing(
    "events",
    _("Events"),
    Event,
    (
        Field("flow_id", _("Event or flow id"), _event_or_flow,
              "A flow's id, an execution's correlation id, or an event's id.", short="q", narrow=True),
        Field("type", _("Type"), _typed("type", "received_at"), "An event type, or `prefix.*`.",
              placeholder=_("exact, or orders.*")),
        Field("project", _("Project"), _of_project,
              "A project's name: the events of flows that ran services of it.", offered=_projects, narrow=True),
        Field("source", _("Source"), _equal("source"), "Exact."),
        Field("subject", _("Subject"), lambda rows, value: rows.filter(subject=value, subject__gt=""), "Exact."),
        Field(
            "matched", _("Outcome"),
            lambda rows, value: rows.filter(matched=0) if value == "none" else rows.filter(matched__gt=0),
            "Whether it triggered something.", kind="choice",
            options=(("some", _("triggered something")), ("none", _("triggered nothing"))),
        ),
        *times("received_at", gettext_noop("Taken in")),
    ),
    ("-received_at", "-key"),
    "received_at",
)  # fmt: skip


# --- flows -----------------------------------------------------------------------------------------


def _flow(rows: Rows, text: str) -> Rows:
    return rows.filter(pk__in={text, events.flow_of(text)})


FLOWS = Listing(
    "flows",
    _("Flows"),
    Flow,
    (
        Field("flow_id", _("Flow id"), _flow, "A flow's id, or an execution's correlation id.", short="q",
              placeholder="ABCDEF1234", narrow=True),
        Field("root_type", _("First event"), _typed("root_type", "started_at"),
              "Type of the event that began it, or `prefix.*`.", short="type", placeholder=_("any type")),
        Field("overdue", _("Promises"), lambda rows, value: flows_overdue(rows),
              "`true`: only those in which a promise is overdue.", kind="choice", short="promise",
              options=(("overdue", _("overdue")),), synonyms={"true": "overdue", "1": "overdue", "false": "", "0": ""}),
        *times("started_at", gettext_noop("Begun")),
    ),
    ("-started_at", "-id"),
    "started_at",
)  # fmt: skip


# --- dead letters ----------------------------------------------------------------------------------


def _reasons(user: Any) -> list[str]:
    """Those there are, and of who does not see all each that something has which they see: reasons are few."""
    every = DeadLetter.objects.order_by("reason").values_list("reason", flat=True).distinct()[:50]
    if reach(user) is None:
        return list(every)
    return [one for one in every if scoped(DeadLetter.objects.filter(reason=one), user).order_by().exists()]


def _of_topic(rows: Rows, topic: str) -> Rows:
    """Topics are few: along the list, and not by their index, which SQLite would read whole to put it in order."""
    return rows.alias(come_from=Coalesce("topic", Value(""))).filter(come_from=topic)


DEAD_LETTERS = Listing(
    "dead-letters",
    _("Dead letters"),
    DeadLetter,
    (
        Field("flow_id", _("Flow id"), _equal("flow_id"), "Exact.", short="q"),
        Field("reason", _("Reason"), _equal("reason"), "Why it was put aside.", offered=_reasons),
        Field("topic", _("Topic"), _of_topic, "Where it came from."),
        Field("event_type", _("Event type"), _typed("event_type"), "Exact, or `prefix.*`."),
        Field(
            "sent", _("Sent again"), lambda rows, value: rows.filter(redriven_at__isnull=value == "no"),
            "Whether it was sent on its way again.", kind="choice",
            options=(("no", _("not yet")), ("yes", _("sent again"))),
        ),
        *times("created_at", gettext_noop("Put aside")),
    ),
    ("-created_at", "-id"),
    "created_at",
)  # fmt: skip


# --- services --------------------------------------------------------------------------------------


def _tags(user: Any) -> list[str]:
    """Every service is looked at for them, by who may see all of them not each time."""
    projects = reach(user)
    if projects is not None:
        return tag_list(projects)
    found: list[str] = cache.get_or_set("listings:tags", tag_list, 30)
    return found


def _runs(rows: Rows, value: str) -> Rows:
    return rows.filter(service_filter(runs=value == "active"))


SERVICES = Listing(
    "services",
    _("Services"),
    Service,
    (
        Field("query", _("Name or description"),
              lambda rows, text: rows.filter(Q(name__icontains=text) | Q(description__icontains=text)),
              "Part of a name or description.", short="q", placeholder=_("Search")),
        Field("project", _("Project"), _equal("project__name"), "A project's name.", offered=_projects),
        Field("tag", _("Tag"), lambda rows, tag: rows.filter(tagged(tag)), "One of its tags.", offered=_tags),
        Field("runs", _("State"), _runs, "`true`: only those that events make run; `false`: the others.", kind="choice",
              options=(("active", _("active")), ("inactive", _("inactive or gone"))), short="state",
              synonyms={"true": "active", "1": "active", "false": "inactive", "0": "inactive"}),
    ),
    ("name",),
)  # fmt: skip

LISTINGS = {one.name: one for one in (EXECUTIONS, EVENTS, FLOWS, DEAD_LETTERS, SERVICES)}
