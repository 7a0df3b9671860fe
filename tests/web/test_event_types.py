"""The catalog of event types: schemas learned from samples, versions, who reads what broke, who takes part."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import OperationalError

from ferris import events
from ferris.config import EVENTS
from ferris.event_schemas import LEARN
from ferris.intake import Debounce, Intake
from ferris_web import wiring
from ferris_web.catalog import event_schemas
from ferris_web.catalog.event_schemas import CHANGED, schemas_known
from ferris_web.catalog.models import EventSchema, EventType, OutputEvent
from ferris_web.executions.models import DeadLetter, Execution
from gateway.event_samples import MAX_SAMPLE_BYTES, Samples
from gateway.indexer import Indexer
from gateway.recorder import Recorder
from gateway.router import Router
from tests.web.calling import problem_of
from tests.web.platform import NOW, append, dispatch, event, service

pytestmark = pytest.mark.django_db(transaction=True)


class Gateway:
    """A gateway's samples, with a clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 0.0
        self.samples = Samples(wiring.event_log(), lambda: self.now)

    def takes(self, *batch: Any) -> None:
        """A batch of events, a second after the one before."""
        self.now += 1
        for one in batch:
            self.samples.look(one, 100)
        self.samples.learn(NOW)


@pytest.fixture
def gateway(backends) -> Gateway:
    return Gateway()


def orders(*data: Any) -> list[Any]:
    return [event("shop.placed", one) for one in data]


def learn(gateway: Gateway) -> None:
    gateway.takes(*orders(*({"total": n, "by": {"id": n}} for n in range(LEARN))))


def told() -> list[events.Event]:
    """The events that tell of changes, as they are on the log."""
    reader = wiring.event_log().subscribe("tests.told", [EVENTS])
    found = [events.from_record(r.value, r.headers, now=NOW) for r in reader.poll(1000, timeout=0)]
    reader.close()
    return [one for one in found if one.type == CHANGED]


def versions() -> list[tuple[int, bool]]:
    rows = EventSchema.objects.filter(event_type__name="shop.placed").order_by("number")
    return list(rows.values_list("number", "breaking"))


def test_the_first_samples_make_the_first_version(gateway):
    gateway.takes(*orders({"total": 1}))
    gateway.takes(*orders({"total": None, "note": "x"}))
    row = EventType.objects.get(name="shop.placed")
    assert (row.schema_number, row.schema_learned) == (1, 2)
    schema = EventSchema.objects.get().schema
    assert schema["properties"]["total"] == {"type": ["integer", "null"]}
    assert schema["required"] == ["total"]
    assert not told(), "nothing breaks what is still being learned"


def test_a_field_of_another_type_is_told_once_and_names_who_reads_it(gateway):
    service("by_filter", {"event_type": "shop.*", "filter": {"data": {"total": [{"numeric": [">", 1]}]}}})
    service("other_field", {"event_type": "shop.placed", "filter": {"data": {"by": {"id": [1]}}}})
    service("switched_off", "shop.placed", active=False)
    by_key = service("by_key", "shop.placed", intake=Intake(debounce=Debounce(60, None, "data.total")))
    by_parameters = service("by_parameters", "shop.placed")
    by_parameters.version.parameters = [{"type": "int", "name": "total"}]
    by_parameters.version.save()
    learn(gateway)
    (odd,) = orders({"total": "12", "by": {"id": 1}})
    gateway.takes(odd)
    gateway.takes(*orders({"total": "13", "by": {"id": 1}}))
    (one,) = told()
    assert one.subject == "shop.placed"
    assert one.data == {
        "event_type": "shop.placed",
        "version": 2,
        "changes": [
            {"path": "data.total", "kind": "type", "before": ["integer"], "after": ["integer", "string"]}
        ],
        "event": {"key": str(odd.key), "id": odd.id, "source": odd.source},
        "consumers": [
            {"service": "by_filter", "reads": ["data.total"], "through": ["filter"]},
            {"service": by_key.name, "reads": ["data.total"], "through": ["flow control"]},
            {"service": "by_parameters", "reads": ["data.total"], "through": ["parameters"]},
        ],
    }
    assert versions() == [(1, False), (2, True)]


def test_a_new_field_makes_a_version_and_no_alarm(gateway):
    learn(gateway)
    gateway.takes(*orders({"total": 1, "by": {"id": 1}, "note": "x"}))
    assert versions() == [(1, False), (2, False)]
    assert not told()


def test_samples_are_bounded_in_number_and_cost_no_query_when_they_fit(gateway, django_assert_num_queries):
    learn(gateway)
    gateway.now += 1
    with django_assert_num_queries(0):
        for one in orders(*({"total": n, "by": {"id": n}} for n in range(50))):
            gateway.samples.look(one, 100)
        assert len(gateway.samples._kept["shop.placed"]) == 1, "one a second"
        gateway.samples.learn(NOW)


def test_the_platforms_own_types_large_events_and_bytes_are_left_alone(gateway):
    gateway.takes(event(CHANGED, {"a": 1}), event("ferris.flow.overdue", {"a": 1}), event("a.bytes", b"x"))
    gateway.samples.look(event("a.large", {"a": 1}), MAX_SAMPLE_BYTES + 1)
    gateway.samples.learn(NOW)
    assert not EventSchema.objects.exists()


def test_two_gateways_make_one_version_of_one_change(backends):
    one, other = Gateway(), Gateway()
    learn(one)
    other.takes(*orders({"total": 1, "by": {"id": 1}}))  # knows version 1
    odd = orders({"total": "x", "by": {"id": 1}})
    one.takes(*odd)
    other.takes(*odd)  # the same record, delivered again to who knows version 1 only
    assert versions() == [(1, False), (2, True)]
    other.takes(*orders({"by": {"id": 1}}))
    one.takes(*orders({"total": 1, "by": {"id": "x"}}))  # still knows version 2 only
    assert versions() == [(1, False), (2, True), (3, True), (4, True)]
    assert [said.data["version"] for said in told()] == [2, 3, 4]


def test_who_read_what_another_has_moved_meanwhile_looks_again(gateway, monkeypatch):
    learn(gateway)
    read, late = schemas_known, []

    def reading(names):
        known = read(names)
        if not late:  # between the look and the move, another gateway makes version 2
            late.append(True)
            Gateway().takes(*orders({"by": {"id": 1}}))
        return known

    monkeypatch.setattr(event_schemas, "schemas_known", reading)
    event_schemas.schemas_widen({"shop.placed": orders({"total": "x", "by": {"id": 1}})}, NOW)
    rows = EventSchema.objects.order_by("number")
    assert [[c["kind"] for c in row.changes] for row in rows] == [[], ["missing"], ["type"]]


def test_a_change_whose_gateway_died_before_it_told_is_told_by_the_next(gateway, monkeypatch):
    learn(gateway)

    def dies(*_: Any) -> None:
        raise OperationalError("killed")

    with monkeypatch.context() as patch:
        patch.setattr(gateway.samples, "_tell", dies)
        with pytest.raises(OperationalError):
            gateway.takes(*orders({"total": "x", "by": {"id": 1}}))
    assert versions()[-1] == (2, True)
    assert not told()
    Gateway().takes()
    (said,) = told()
    EventSchema.objects.filter(breaking=True).update(told=False)  # it died after the event, before the row
    Gateway().takes()
    assert {one.key for one in told()} <= {said.key}, "twice on the log is once in the journal"


def test_the_indexer_takes_the_samples(backends):
    indexing = Indexer(wiring.event_log(), wiring.ops_store())
    append(EVENTS, *orders({"total": 1}, {"total": 2}))
    indexing.turn()
    indexing.close()
    assert EventType.objects.get(name="shop.placed").schema_learned == 2


def seen(gateway: Gateway) -> None:
    """A type with a schema that was broken, a sender and a listener."""
    sender, listener = service("sender", "a.happened"), service("listener", "shop.placed")
    OutputEvent.objects.create(service=sender, event_type="shop.placed")
    dispatch(event())
    run = Execution.objects.get()
    dispatch(event("shop.placed", {"total": 1, "by": {"id": 1}}, causation_id=str(run.pk)))
    dispatch(*orders({"total": 2, "by": {"id": 1}}))
    listener.version.parameters = [{"type": "int", "name": "total"}]
    listener.version.save()
    learn(gateway)
    gateway.takes(*orders({"total": "x", "by": {"id": 1}}))


def test_the_api_tells_of_schema_versions_and_parties(api, gateway):
    seen(gateway)
    found = api.get("/api/v1/event-types/shop.placed/").json()
    assert (found["name"], found["version"], found["learning"]) == ("shop.placed", 2, False)
    assert found["schema"]["properties"]["total"] == {"type": ["integer", "string"]}
    assert [row["number"] for row in found["versions"]] == [2, 1]
    assert found["versions"][0]["consumers"][0]["service"] == "listener"
    assert found["producers"] == {"declared": ["sender"], "observed": {"sender": 1}}
    assert found["consumers"] == {"declared": ["listener"], "observed": {"listener": 2}}
    assert found["sources"] == {"/tests": 1}
    problem_of(api.get("/api/v1/event-types/nothing/"), 404)


# --- strict types -------------------------------------------------------------------------------------


@pytest.fixture
def strict(gateway) -> EventType:
    """A type that takes no events but those that fit."""
    learn(gateway)
    row = EventType.objects.get(name="shop.placed")
    event_schemas.schema_enforce(row, True)
    return row


@pytest.fixture
def boss(user: Any, api: Any) -> Any:
    """A program of an administrator."""
    user.is_superuser = True
    user.save()
    return api


def routed(*batch: Any) -> None:
    """What a router makes of these events, and a recorder of the dead letters."""
    routing, recording = Router(wiring.event_log(), 100), Recorder(wiring.event_log())
    append(EVENTS, *batch)
    routing.turn()
    recording.turn()
    routing.close()
    recording.close()


def test_events_of_a_strict_type_that_do_not_fit_are_put_aside(strict, gateway):
    service("listener", "shop.*")
    good, bad, other = (
        event("shop.placed", {"total": 1, "by": {"id": 1}, "new": 1}),
        *orders({"total": "x"}),
        event(),
    )
    dirty = event("shop.placed", b"bytes")
    routed(good, bad, other, dirty)
    assert [row.event_id for row in Execution.objects.all()] == [good.key]
    letters = {row.event_id: (row.reason, row.detail) for row in DeadLetter.objects.all()}
    assert letters == {
        bad.id: (
            "schema",
            "data.by is missing; expected an object; data.total is a string; expected an integer",
        ),
        dirty.id: ("schema", "data are no JSON"),
    }
    gateway.takes(*orders({"total": "x"}))
    Gateway().takes(*orders({"total": "x"}))
    assert versions() == [(1, False)], "what is enforced changes no more"


def test_a_dead_letter_that_still_does_not_fit_is_not_sent_again(strict, boss):
    routed(*orders({"total": "x"}))
    row = DeadLetter.objects.get()
    path, log = f"/api/v1/dead-letters/{row.pk}/redrive/", wiring.event_log()
    before = len(log.browse(EVENTS, offset=0, limit=500))
    assert problem_of(boss.post(path), 400)["attribute"] == "data.by"
    assert len(log.browse(EVENTS, offset=0, limit=500)) == before
    row.refresh_from_db()
    assert row.redriven_at is None
    event_schemas.schema_enforce(strict, False)
    assert boss.post(path).status_code == 202


def test_strict_no_more_takes_effect_with_the_next_event(strict):
    service("listener", "shop.placed")
    routing = Router(wiring.event_log(), 100)
    append(EVENTS, *orders({"total": "x"}))
    routing.turn()
    event_schemas.schema_enforce(strict, False)
    append(EVENTS, *orders({"total": "x"}))
    routing.turn()
    routing.close()
    assert Execution.objects.count() == 1


def test_over_http_the_field_is_named(api, strict):
    body = {
        "specversion": "1.0",
        "id": "1",
        "source": "s",
        "type": "shop.placed",
        "data": {"total": 1, "by": {}},
    }
    answer = api.post("/api/v1/events/", body, type=events.STRUCTURED)
    document = problem_of(answer, 400)
    assert "data.by.id" in str(document)
    assert "is missing; expected an integer" in str(document)
    body["data"] = {"total": 1, "by": {"id": 2}}
    assert api.post("/api/v1/events/", body, type=events.STRUCTURED).status_code == 202


def test_only_administrators_decide_over_the_api(api, strict):
    problem_of(api("PATCH", "/api/v1/event-types/shop.placed/", {"strict": False}), 403)
    strict.refresh_from_db()
    assert strict.strict


def test_only_administrators_decide_on_the_page(person, strict):
    assert "Strict no more" not in person.get("/event-types/shop.placed/").content.decode()
    assert person.post("/event-types/shop.placed/", {"decision": "open"}).status_code == 403
    strict.refresh_from_db()
    assert strict.strict


def test_an_administrator_decides_over_the_api(boss, gateway):
    gateway.takes(*orders({"total": 1}))
    address = "/api/v1/event-types/shop.placed/"
    assert "1 of 20 samples" in str(problem_of(boss("PATCH", address, {"strict": True}), 409))
    learn(gateway)
    assert boss("PATCH", address, {"strict": True}).json()["strict"] is True
    problem_of(boss("PATCH", address, {"learn_anew": True}), 409)
    problem_of(boss("PATCH", address, {}), 400)
    found = boss("PATCH", address, {"strict": False, "learn_anew": True}).json()
    assert (found["strict"], found["version"], found["learning"], found["schema"]) == (False, 2, True, {})
    Gateway().takes(*orders({"sum": 1}))
    assert boss.get(address).json()["schema"]["required"] == ["sum"]
    assert not told()


def test_an_administrator_decides_on_the_page(administrator, gateway):
    learn(gateway)
    assert "Make it strict" in administrator.get("/event-types/shop.placed/").content.decode()
    administrator.post("/event-types/shop.placed/", {"decision": "strict"})
    assert EventType.objects.get(name="shop.placed").strict
    assert "Strict no more" in administrator.get("/event-types/shop.placed/").content.decode()
    administrator.post("/event-types/shop.placed/", {"decision": "learn"})
    assert EventType.objects.get(name="shop.placed").schema_number == 1, "not while it is strict"
    administrator.post("/event-types/shop.placed/", {"decision": "open"})
    administrator.post("/event-types/shop.placed/", {"decision": "learn"})
    assert EventType.objects.get(name="shop.placed").schema_number == 2


def test_strangers_see_nothing(anonymous):
    assert anonymous.get("/api/v1/event-types/shop.placed/").status_code == 401


def test_the_page_warns_and_names_who_reads_it(person, gateway):
    seen(gateway)
    EventSchema.objects.update(created_at=_recent())
    html = person.get("/event-types/shop.placed/").content.decode()
    assert "data.total is a string; expected an integer" in html
    assert 'href="/services/listener/"' in html
    assert "Events per hour" in html
    EventSchema.objects.update(created_at=NOW)
    html = person.get("/event-types/shop.placed/").content.decode()
    assert "did not fit what was known" not in html, "after a week the list of versions tells"


def _recent() -> Any:
    from django.utils import timezone

    return timezone.now()
