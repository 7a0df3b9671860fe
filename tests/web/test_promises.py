"""Promises of flows as rows: given, kept, late and told, whatever comes twice, late, or in the wrong order."""

from __future__ import annotations

import json
import threading
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection, connections
from django.test.utils import CaptureQueriesContext

from ferris import events
from ferris.config import EVENTS
from ferris.events import Event
from ferris.promises import OVERDUE_EVENT
from ferris_web import wiring
from ferris_web.catalog import services
from ferris_web.catalog.changes import revision_bump
from ferris_web.catalog.models import Project, PromiseRule, SyncRun
from ferris_web.executions.models import Event as EventRow
from ferris_web.executions.models import Promise
from ferris_web.executions.services.promises import (
    promises_close,
    promises_next,
    promises_overdue,
    promises_told,
)
from ferris_web.executions.services.retention import journal_prune
from gateway.router import Router
from gateway.scheduler import Scheduler
from tests.web.console_pages import Page
from tests.web.folders import SourceFolder
from tests.web.platform import NOW, append, dispatch, dispatch_at, dispatched, event, service

pytestmark = pytest.mark.django_db(transaction=True)

PATH = "/api/v1/promises/"


def at(second: float) -> datetime:
    return NOW + timedelta(seconds=second)


def rule(
    after: str = "order.placed", expect: str = "order.shipped", within: float = 60, by: str = "correlation"
) -> PromiseRule:
    project, _ = Project.objects.get_or_create(name="shop")
    ends = {
        "after": {"event_type": after, "filter": None, "cesql": None},
        "expect": {"event_type": expect, "filter": None, "cesql": None},
    }
    made = PromiseRule.objects.create(
        id=uuid4(),
        project=project,
        name="in time",
        rule={"name": "in time", "within": within, "by": by, **ends},
    )
    revision_bump()
    return made


def of(kind: str, flow: str = "F", **data: Any) -> Event:
    return event(kind, data, correlation_id=flow)


def send(*pairs: tuple[Event, float]) -> None:
    """Each in a batch of its own, at that second."""
    for one, second in pairs:
        dispatch_at((one, at(second)), now=at(second))


def tell(second: float) -> list[Event]:
    """What the scheduler does then, when the router has read everything."""
    promises_close(at(second))
    found = promises_overdue()
    promises_told(pk for pk, _ in found)
    return [said for _, said in found]


def states() -> dict[str, str]:
    return dict(Promise.objects.values_list("event__event_id", "state"))


def test_kept_in_time_nothing_is_said() -> None:
    rule()
    placed, other, shipped = of("order.placed"), of("order.placed", "G"), of("order.shipped")
    send((placed, 0), (other, 1), (shipped, 60))
    row = Promise.objects.get(flow_id="F")
    assert (row.state, row.answer_id, row.answered_at) == ("kept", shipped.key, at(60))
    assert promises_next() == at(61), "only the other flow waits"
    assert [said.flow_id for said in tell(500)] == ["G"]
    assert promises_next() is None


def test_a_late_flow_is_told_once_by_an_event_of_its_own_in_that_flow() -> None:
    rule()
    service("shipping", "order.placed")
    alarm = service("alarm", OVERDUE_EVENT)
    placed = event("order.placed", {"n": 1}, correlation_id="F", subject="order/1", causation_id="x")
    send((placed, 0))
    assert tell(59) == []
    promises_close(at(60))
    again = [one for _, one in promises_overdue()]
    (said,) = tell(60)
    assert [said] == again, "told twice it is the same event"
    assert tell(600) == []
    assert (said.type, said.source, said.flow_id, said.subject, said.hops) == (
        OVERDUE_EVENT, "ferris/project/shop", "F", "in time", 1,
    )  # fmt: skip
    assert said.data == {
        "promise": "in time",
        "project": "shop",
        "after": "order.placed",
        "expected": "order.shipped",
        "within": 60,
        "by": "flow",
        "key": "F",
        "started_by": {
            "id": placed.id,
            "source": "/tests",
            "type": "order.placed",
            "subject": "order/1",
            "time": events.rfc3339(NOW),
        },
        "started_at": events.rfc3339(NOW),
        "due": events.rfc3339(at(60)),
        "listeners": ["shipping"],
    }
    dispatch(said, said)
    assert alarm.executions.count() == 1
    shipped = of("order.shipped")
    send((shipped, 72))
    row = Promise.objects.get()
    assert (row.state, row.answer_id, row.answered_at) == ("late", shipped.key, at(72))
    assert tell(700) == []


def test_an_answer_that_comes_late_before_the_clock_looked_is_late_and_told_all_the_same() -> None:
    rule()
    send((of("order.placed"), 0), (of("order.shipped"), 61))
    assert Promise.objects.get().state == "late"
    assert len(tell(62)) == 1
    assert Promise.objects.get().state == "late"


def test_one_answer_keeps_all_that_waited_for_it_and_a_type_may_answer_itself() -> None:
    rule()
    rule("beat", "beat")
    first, second = of("order.placed"), of("order.placed")
    send((first, 0), (second, 1), (of("order.shipped"), 2))
    assert states() == {first.id: "kept", second.id: "kept"}
    one, two = of("beat"), of("beat")
    dispatch_at((one, at(3)), (two, at(4)), now=at(4))
    assert {id: states()[id] for id in (one.id, two.id)} == {one.id: "kept", two.id: "open"}


def test_by_a_key_across_flows() -> None:
    rule(by="data.order")
    send(
        (of("order.placed", "F", order=1), 0),
        (of("order.placed", "G", order=2), 0),
        (of("order.placed", "H"), 0),
        (of("order.shipped", "OTHER", order=1), 5),
    )
    assert dict(Promise.objects.values_list("key", "state")) == {"1": "kept", "2": "open"}
    (said,) = tell(100)
    assert (said.flow_id, said.data["by"], said.data["key"]) == ("G", "data.order", "2")


def test_an_answer_that_was_read_before_its_beginning_counts_by_its_place_on_the_log() -> None:
    """Two partitions, of which one is read faster."""
    rule(by="data.order")
    before = of("order.shipped", "X", order=2)
    send((before, 1))
    answer = of("order.shipped", "X", order=1)
    dispatch_at((answer, at(11)), now=at(11))
    dispatch_at((of("order.placed", order=1), at(10)), (of("order.placed", order=2), at(10)), now=at(12))
    assert dict(Promise.objects.values_list("key", "state")) == {"1": "kept", "2": "open"}
    dispatch_at(
        (of("order.shipped", "X", order=3), at(21)), (of("order.placed", order=3), at(20)), now=at(22)
    )
    assert Promise.objects.get(key="3").state == "kept"


def test_read_again_all_is_as_it_was() -> None:
    rule()
    sent = [(of("order.placed", f"F{n}"), float(n)) for n in range(4)]
    sent += [(of("order.shipped", "F0"), 10), (of("order.shipped", "F1"), 70)]
    send(*sent)
    told = tell(90)
    before = list(Promise.objects.order_by("id").values())
    send(*sent, *((said, 91.0) for said in told))
    assert sorted(said.flow_id or "" for said in told) == ["F1", "F2", "F3"]
    assert list(Promise.objects.order_by("id").values()) == before
    assert tell(1000) == []


def test_replayed_events_neither_begin_nor_keep_a_promise() -> None:
    rule()
    again = event("order.placed", correlation_id="R", extensions={"ferrisreplay": "1"})
    answer = event("order.shipped", correlation_id="F", extensions={"ferrisreplay": "1"})
    send((again, 0), (of("order.placed"), 0), (answer, 1))
    assert list(Promise.objects.values_list("flow_id", "state")) == [("F", "open")]


def test_nothing_is_late_that_only_was_not_read_yet() -> None:
    rule()
    send((of("order.placed"), 0))
    promises_close(passed=at(30))
    assert Promise.objects.get().state == "open"
    send((of("order.shipped"), 40))
    assert tell(500) == []


def test_who_has_no_promises_pays_nothing() -> None:
    service("one", "a.happened")
    dispatch(event())
    with CaptureQueriesContext(connection) as without:
        dispatch(event())
    assert not [query for query in without.captured_queries if "executions_promise" in query["sql"]]
    rule()
    dispatch(event())
    with CaptureQueriesContext(connection) as unconcerned:
        dispatch(event())
    assert len(unconcerned) == len(without)


def test_a_batch_costs_no_query_per_event() -> None:
    rule()

    def cost(count: int) -> int:
        placed = [of("order.placed", f"{count}-{n}") for n in range(count)]
        shipped = [of("order.shipped", f"{count}-{n}") for n in range(count)]
        with CaptureQueriesContext(connection) as seen:
            dispatch(*placed)
            dispatch(*shipped)
        assert Promise.objects.filter(flow_id__startswith=f"{count}-", state="kept").count() == count
        return len(seen)

    cost(3)
    assert cost(40) == cost(5)


def test_the_scheduler_is_woken_when_something_is_due_sooner() -> None:
    rule(within=60)
    rule("job.begun", "job.ended", within=5)
    assert dispatched(of("order.placed")).wakes
    assert not dispatched(of("order.placed")).wakes, "it looks at the first anyway"
    assert dispatched(of("job.begun")).wakes


def test_two_routers_and_two_clocks_at_once() -> None:
    rule(within=2, by="data.n")
    placed = [of("order.placed", f"F{n}", n=n) for n in range(60)]
    shipped = [of("order.shipped", f"F{n}", n=n) for n in range(0, 60, 2)]
    faults: list[BaseException] = []
    told: list[str] = []
    ready = threading.Barrier(4)

    def work(job: Any) -> None:
        try:
            ready.wait(10)
            job()
        except BaseException as fault:
            faults.append(fault)
        finally:
            connections.close_all()

    def route(batch: list[Event], second: float) -> None:
        for start in range(0, len(batch), 5):
            dispatch_at(*((one, at(second)) for one in batch[start : start + 5]), now=at(second))

    def tick() -> None:
        for second in range(20):
            told.extend(said.id for said in tell(second / 10))

    jobs = (lambda: route(placed, 0), lambda: route(shipped, 1), tick, tick)
    threads = [threading.Thread(target=work, args=(job,)) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert faults == []
    assert told == []
    assert len(tell(100)) == 30
    found = dict(Promise.objects.values_list("flow_id", "state"))
    assert found == {f"F{n}": "overdue" if n % 2 else "kept" for n in range(60)}


@pytest.mark.usefixtures("backends")
def test_over_the_roles_themselves_and_a_scheduler_that_dies_before_it_notes_what_it_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rule(within=0.1)
    log = wiring.event_log()
    router, scheduler = Router(log, 64), Scheduler(log)
    try:
        append(EVENTS, event("order.placed", correlation_id="F"))
        router.turn()
        due = Promise.objects.get().due_at
        assert promises_next() == due
        with monkeypatch.context() as dying:
            dying.setattr("gateway.scheduler.promises_told", _die)
            dying.setattr(scheduler, "_wait", lambda now: 0.0)
            with pytest.raises(KeyboardInterrupt):
                _turn_on(scheduler)
        scheduler.close()
        scheduler = Scheduler(log)
        monkeypatch.setattr(scheduler, "_wait", lambda now: 0.0)
        scheduler.turn()
        router.turn()
    finally:
        router.close()
        scheduler.close()
    (told,) = EventRow.objects.filter(type=OVERDUE_EVENT)
    assert (told.flow_id, told.copies) == ("F", 1)
    assert promises_next() is None


def _turn_on(scheduler: Scheduler) -> None:
    while True:
        scheduler.turn()


def _die(promises: Any) -> None:
    raise KeyboardInterrupt


# --- the project file ------------------------------------------------------------------------------

FILE = {"promises": [{"name": "in time", "after": "order.placed", "expect": "order.shipped", "within": "1m"}]}


@pytest.fixture
def project(backends: Any, source: SourceFolder) -> Project:
    source.service("shipping", {"trigger_events": ["order.placed"]})
    return services.project_add("shop", str(source.root), now=NOW)


def sync(project: Project, later: float = 0) -> SyncRun:
    [run] = services.project_sync(project, now=at(later))
    assert run.status == "completed", run.error
    return run


def write(source: SourceFolder, said: Any) -> None:
    text = said if isinstance(said, str) else json.dumps(said)
    (source.root / "ferris.json").write_text(text)


def said(run: SyncRun) -> list[tuple[str, str, str]]:
    return [(m["level"], m["file"], m["key"]) for m in run.result["messages"] if m["service"] == ""]


def test_a_sync_makes_changes_and_withdraws_promises(project: Project, source: SourceFolder) -> None:
    write(source, FILE)
    assert said(sync(project)) == [("info", "ferris.json", "")]
    send((of("order.placed"), 0))
    assert Promise.objects.get().rule.name == "in time"
    assert said(sync(project)) == [], "nothing new, nothing said"
    write(source, {"promises": [{**FILE["promises"][0], "within": "5m"}]})
    sync(project, 1)
    assert PromiseRule.objects.filter(vanished_at=None).count() == 1
    assert tell(100) == [], "what is no longer promised is not broken"
    assert Promise.objects.get().state == "withdrawn"
    send((of("order.placed", "G"), 200))
    assert Promise.objects.get(flow_id="G").due_at == at(500)
    write(source, FILE)
    sync(project, 2)
    (source.root / "ferris.json").unlink()
    sync(project, 3)
    send((of("order.placed", "H"), 210))
    assert not Promise.objects.filter(flow_id="H").exists()


def test_a_mistake_leaves_the_promises_there_are_and_does_not_hold_up_services(
    project: Project, source: SourceFolder
) -> None:
    write(source, FILE)
    sync(project)
    write(source, {"promises": [{**FILE["promises"][0], "within": "soon"}]})
    source.service("other", {"trigger_events": ["order.placed"]})
    run = sync(project, 1)
    assert said(run) == [("error", "ferris.json", "promises[0].within")]
    assert run.result["added"] == ["other"]
    write(source, "{,}")
    assert said(sync(project, 2)) == [("error", "ferris.json", "")]
    (source.root / "ferris.json").unlink()
    (source.root / "ferris.json").symlink_to("/etc/hostname")
    assert said(sync(project, 3)) == [("error", "ferris.json", "")]
    assert PromiseRule.objects.get().vanished_at is None


def test_a_project_that_is_removed_promises_nothing_more(project: Project, source: SourceFolder) -> None:
    write(source, FILE)
    sync(project)
    send((of("order.placed"), 0))
    services.project_remove(project, now=NOW)
    send((of("order.placed", "G"), 1))
    assert tell(100) == []
    assert list(Promise.objects.values_list("flow_id", "state")) == [("F", "withdrawn")]


# --- shown -----------------------------------------------------------------------------------------


@pytest.fixture
def flows() -> None:
    """One of each: KEPT, LATE after 72 s, OVERDUE, and PLAIN without a promise."""
    rule()
    send((of("order.placed", "KEPT"), 0), (of("order.placed", "LATE"), 0), (of("order.placed", "OVERDUE"), 0))
    send((of("order.shipped", "KEPT"), 30), (of("other", "PLAIN"), 31))
    tell(60)
    send((of("order.shipped", "LATE"), 72))


def test_the_api_lists_promises_and_filters_flows(flows: None, api: Any) -> None:
    found = {one["flow_id"]: one for one in api.get(PATH).json()["results"]}
    assert {flow: (one["state"], one["took"]) for flow, one in found.items()} == {
        "KEPT": ("kept", 30), "LATE": ("late", 72), "OVERDUE": ("overdue", None),
    }  # fmt: skip
    one = found["LATE"]
    assert (one["name"], one["project"], one["within"], one["by"], one["key"]) == (
        "in time", "shop", 60, "flow", "LATE",
    )  # fmt: skip
    assert (one["after"], one["expect"], one["started_by"]["type"]) == (
        "order.placed", "order.shipped", "order.placed",
    )  # fmt: skip
    assert [p["flow_id"] for p in api.get(f"{PATH}?state=kept&project=shop").json()["results"]] == ["KEPT"]
    assert api.get(f"{PATH}?name=other").json()["results"] == []
    assert api.get(f"{PATH}?state=broken").status_code == 400
    page = api.get(f"{PATH}?limit=2").json()
    assert len(page["results"] + api.get(page["next"]).json()["results"]) == 3
    assert [f["id"] for f in api.get("/api/v1/flows/?overdue=true").json()["results"]] == ["OVERDUE"]
    assert len(api.get("/api/v1/flows/").json()["results"]) >= 1
    assert [p["state"] for p in api.get("/api/v1/flows/OVERDUE/").json()["promises"]] == ["overdue"]
    assert api.get("/api/v1/flows/PLAIN/").json()["promises"] == []


def test_nobody_unknown_sees_them(flows: None, anonymous: Any, person: Any) -> None:
    assert anonymous.get(PATH).status_code == 401
    assert person.get(PATH).status_code == 200


def test_the_console_shows_what_is_late(flows: None, person: Any) -> None:
    def text(path: str) -> str:
        answer = person.get(path)
        assert answer.status_code == 200
        return " ".join(Page(answer.content.decode()).text.split())

    late, overdue = text("/flows/LATE/"), text("/flows/OVERDUE/")
    assert "kept late" in late
    assert "after 1 min 12 s, promised within 1 min" in late
    assert "overdue" in overdue
    assert "promised within 1 min" in overdue
    assert "Promises" not in text("/flows/PLAIN/")
    shown = Page(person.get("/flows/?promise=overdue").content.decode()).links
    assert [link for link in shown if link in ("/flows/OVERDUE/", "/flows/LATE/", "/flows/KEPT/")] == [
        "/flows/OVERDUE/"
    ]
    Promise.objects.update(due_at=datetime.now(NOW.tzinfo))
    assert "1 flow overdue, 24 h" in text("/")


def test_what_is_still_promised_keeps_its_event() -> None:
    rule()
    send((of("order.placed"), 0))
    assert journal_prune(at(30), at(30)) == 0
    tell(60)
    assert journal_prune(at(30), at(30)) == 1
    assert not Promise.objects.exists()
