"""Rows that are written past the ORM's compiler are what `bulk_create` would have written."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from ferris.adapters.inserts import Inserts
from ferris_web.catalog.models import Project, Service
from ferris_web.executions.models import Event, Flow

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def flow(name: str, sequence: int, at: datetime = NOW) -> Flow:
    return Flow(id=name, started_at=at, last_event_at=at, root_type="a", sequence=sequence)


def event(number: int, **said: object) -> Event:
    return Event(
        key=uuid4(),
        **{"event_id": str(number), "source": "s", "type": "t", "flow_id": "f", "time": NOW, **said},
        received_at=NOW + timedelta(microseconds=number),
        offset=number,
    )


def test_all_kinds_of_fields_arrive_and_as_many_rows_as_there_are() -> None:
    rows = [event(n, data={"n": [n, None, "é %s"]}, extensions={}, replay_id=uuid4()) for n in range(120)]
    rows.append(event(120, data=None))
    Inserts(Event).save(rows)
    found = list(Event.objects.order_by("offset"))
    assert [vars(a) | {"_state": 0} for a in found] == [vars(b) | {"_state": 0} for b in rows]
    assert Event.objects.filter(data__isnull=True).count() == 1
    assert Inserts(Event).save([]) == []


def test_a_row_that_is_there_is_changed_only_in_what_is_named() -> None:
    flows = Inserts(Flow, unique=("id",), update=("last_event_at",), add=("sequence",))
    later = NOW + timedelta(hours=1)
    assert flows.save([flow("a", 3)], returning=("id", "sequence")) == [("a", 3)]
    last = flows.save([flow("a", 2, later), flow("b", 0, later)], returning=("id", "sequence"))
    assert sorted(last) == [("a", 5), ("b", 0)]
    kept = Flow.objects.get(pk="a")
    assert (kept.started_at, kept.last_event_at, kept.sequence) == (NOW, later, 5)


def test_keys_of_the_database_and_times_of_the_model_are_seen_to() -> None:
    project = Project(name="p")
    Inserts(Project).save([project])
    kept = Project.objects.get(name="p")
    assert kept.pk is not None
    assert kept.created_at == project.created_at
    Inserts(Service).save([Service(project=kept, name="s", tags=["a"])])
    assert Service.objects.get(project__name="p").tags == ["a"]
