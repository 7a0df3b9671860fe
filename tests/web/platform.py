"""Makes catalogs and plays executor for tests of the gateway: rows and records, no processes."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from ferris import events
from ferris.config import EVENTS, LIFECYCLE
from ferris.events import Event
from ferris.intake import Intake
from ferris.limits import Limits
from ferris.ports import LogRecord, Record
from ferris.precedence import Precedence
from ferris.retry import Retry
from ferris_web import wiring
from ferris_web.catalog.changes import revision_bump
from ferris_web.catalog.models import Project, Service, ServiceVersion, Trigger
from ferris_web.catalog.values import Kind, Place
from ferris_web.executions.models import Execution
from ferris_web.executions.services import Catalog, Dispatched, Doorbell, events_dispatch
from ferris_web.executions.services.values import value_set
from gateway.router import CatalogView

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def config_set(service: Service, value: dict[str, Any]) -> None:
    """Set a service's configuration as a person does."""
    assert value_set(Place(Kind.CONFIG, service), value, actor="ada", now=datetime.now(UTC))


def service(
    name: str,
    *triggers: str | dict[str, Any],
    retry: Retry | None = None,
    priority: int = 5,
    active: bool = True,
    limits: Limits | None = None,
    intake: Intake | None = None,
    precedence: Precedence | None = None,
    project: str = "testing",
) -> Service:
    """A service with one version that listens to these event types (or {"event_type", "filter"}), or that has a
    join."""
    if intake is not None and intake.join is not None:
        triggers = tuple(asdict(entry) for entry in intake.join.entries)
    made = Service.objects.create(
        project=Project.objects.get_or_create(name=project)[0],
        name=name,
        priority=priority,
        active=active,
        limits=(limits or Limits()).to_json(),
        intake=intake and intake.to_json(),
        precedence=(precedence or Precedence()).to_json(),
    )
    made.version = ServiceVersion.objects.create(
        service=made,
        number=1,
        digest="0" * 64,
        manifest={
            "scripts": ["run.py"],
            "timeout": None,
            "python": None,
            "retry": (retry or Retry()).to_json(),
        },
    )
    made.save()
    for position, trigger in enumerate(triggers):
        said = {"event_type": trigger} if isinstance(trigger, str) else trigger
        Trigger.objects.create(service=made, position=position, **said)
    revision_bump()
    return made


def event(type: str = "a.happened", data: Any = None, **attributes: Any) -> Event:
    """An event as the router sees it: within a flow."""
    return events.with_flow(events.new(type, "/tests", data, now=NOW, **attributes))


def dispatch(*batch: Event, now: datetime = NOW, catalog: Catalog | None = None) -> list[Doorbell]:
    """What the router does with events that come at one moment, without a log: the doorbells that it would ring.
    Who dispatches many reads the catalog once (`CatalogView().current()`), as the router does."""
    return dispatch_at(*((e, now) for e in batch), now=now, catalog=catalog).doorbells


def dispatched(*batch: Event, now: datetime = NOW) -> Dispatched:
    """The same, and all that it would do next."""
    return dispatch_at(*((e, now) for e in batch), now=now)


def dispatch_at(
    *batch: tuple[Event, datetime], now: datetime = NOW, catalog: Catalog | None = None
) -> Dispatched:
    """The same with the moment at which each came onto the log."""
    pairs = [
        (e, LogRecord(EVENTS, 0, offset, e.flow_id, events.encode(e), {}, at))
        for offset, (e, at) in enumerate(batch)
    ]
    return events_dispatch(pairs, catalog or CatalogView().current(), now)


def report(
    execution: Execution | UUID, kind: str, attempt: int = 1, now: datetime = NOW, **data: Any
) -> Event:
    """A lifecycle report as an executor makes it."""
    pk = execution if isinstance(execution, UUID) else execution.pk
    data = {"execution": str(pk), "attempt": attempt, **data}
    return events.new(f"ferris.{kind}", "ferris/executor/tests", data, now=now, subject=str(pk))


def append(topic: str, *batch: Event) -> None:
    """Put events on the log."""
    key = (lambda e: e.flow_id) if topic == EVENTS else (lambda e: e.subject)
    wiring.event_log().append(topic, [Record(events.encode(e), key=key(e)) for e in batch])


__all__ = ["LIFECYCLE", "NOW", "append", "dispatch", "dispatched", "event", "report", "service"]
