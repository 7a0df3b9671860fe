"""The system map: what manifests declare against what was seen, drawn without overlaps, whatever the circles."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from hypothesis import given, settings
from hypothesis import strategies as st

from ferris_web import wiring
from ferris_web.catalog.changes import revision_bump
from ferris_web.catalog.models import OutputEvent, Project, Service
from ferris_web.console.systemmap import HEIGHT, WIDTH, layout
from ferris_web.executions import system_map
from ferris_web.executions.models import Binding, BindingsMark, Execution
from ferris_web.executions.services import bonds as services
from ferris_web.executions.services.bonds import AGAIN, SENDS, TRIGGERS, bonds_renew
from ferris_web.executions.system_map import Bond
from gateway.roller import Roller
from tests.web.console_fixtures import HOSTILE
from tests.web.console_pages import page
from tests.web.platform import dispatch, event, service


def declares(name: str, *types: str) -> Service:
    row = Service.objects.get(name=name)
    for kind in types:
        OutputEvent.objects.create(service=row, event_type=kind)
    return row


@pytest.fixture
def landscape(db: None) -> None:
    """shop sends order.placed as it declares, and order.lost, which it does not; order.gone never comes."""
    service("shop", "start"), service("mail", "order.*"), service("audit", "*"), service("idle", "never")
    declares("shop", "order.placed", "order.gone")
    dispatch(event("start", correlation_id="AAAAAAAAAA"))
    sender = Execution.objects.get(service__name="shop")
    for kind in ("order.placed", "order.lost"):
        dispatch(event(kind, correlation_id="AAAAAAAAAA", causation_id=str(sender.pk)))
    assert bonds_renew(timezone.now())


def renewed() -> None:
    BindingsMark.objects.update(at=None)
    assert bonds_renew(timezone.now())


def bonds(project: str = "", reach: frozenset[int] | None = None) -> dict[tuple[str, str, str], str]:
    found = [Bond(*row) for row in system_map.bonds(system_map.bindings(project, reach))]
    return {(bond.service, bond.kind, bond.event_type): bond.state for bond in found}


def names(project: str = "", reach: frozenset[int] | None = None) -> set[str]:
    return set(system_map.services(project, reach).values_list("name", flat=True))


def test_declared_against_seen(landscape: None) -> None:
    assert bonds() == {
        ("shop", TRIGGERS, "start"): "both",
        ("shop", SENDS, "order.placed"): "both",
        ("shop", SENDS, "order.gone"): "declared",
        ("shop", SENDS, "order.lost"): "seen",
        ("mail", TRIGGERS, "order.placed"): "both",
        ("mail", TRIGGERS, "order.lost"): "both",
        ("mail", TRIGGERS, "order.gone"): "declared",
        ("audit", TRIGGERS, "*"): "declared",
        ("idle", TRIGGERS, "never"): "declared",
    }


def test_what_made_nothing_run_was_sent_all_the_same(landscape: None) -> None:
    sender = Execution.objects.get(service__name="shop")
    from ferris_web.executions.models import Event

    dispatch(event("order.vain", correlation_id="AAAAAAAAAA", causation_id=str(sender.pk)))
    Event.objects.filter(type="order.vain").update(matched=0)
    Execution.objects.filter(event__type="order.vain").delete()
    renewed()
    assert bonds()["shop", SENDS, "order.vain"] == "seen"


def test_a_project_shows_its_neighbours_as_well(landscape: None) -> None:
    other = Project.objects.create(name="other")
    Service.objects.filter(name="mail").update(project=other)
    assert names("other") == {"mail", "shop"}
    found = bonds("other")
    assert {name for name, _, _ in found} == {"mail", "shop"}
    assert ("shop", TRIGGERS, "start") not in found


def test_others_projects_are_not_told_of(landscape: None) -> None:
    other = Project.objects.create(name="other")
    Service.objects.filter(name="mail").update(project=other)
    theirs = frozenset({other.pk})
    assert names(reach=theirs) == {"mail"}
    assert bonds(reach=theirs) == {
        ("mail", TRIGGERS, "order.placed"): "both",
        ("mail", TRIGGERS, "order.lost"): "both",
    }, "nobody in reach declares order.gone"
    assert bonds(reach=frozenset()) == {}


def test_who_sees_no_type_that_fits_is_told_the_pattern(landscape: None) -> None:
    other = Project.objects.create(name="other")
    Service.objects.filter(name="mail").update(project=other)
    Execution.objects.all().delete()
    renewed()
    assert bonds(reach=frozenset({other.pk})) == {("mail", TRIGGERS, "order.*"): "declared"}
    assert ("mail", TRIGGERS, "order.gone") in bonds()
    assert ("mail", TRIGGERS, "order.*") not in bonds()
    Service.objects.filter(name="shop").update(project=other)
    assert ("mail", TRIGGERS, "order.gone") in bonds(reach=frozenset({other.pk}))


def test_a_service_that_is_gone_is_not_on_it(landscape: None) -> None:
    shop = Service.objects.get(name="shop")
    Service.objects.filter(name="shop").update(vanished_at=timezone.now())
    assert "shop" not in {name for name, _, _ in bonds(reach=frozenset({shop.project_id}))}
    assert "shop" not in names()
    renewed()
    assert not Binding.objects.filter(service__name="shop").exists()


def test_it_follows_the_catalog_and_what_happens(landscape: None) -> None:
    now = timezone.now()
    assert not bonds_renew(now), "nothing has changed"
    before = {row.pk: row.seen for row in Binding.objects.all()}
    declares("idle", "idle.done")
    revision_bump()
    assert bonds_renew(now)
    assert bonds()["idle", SENDS, "idle.done"] == "declared"
    assert before.items() <= {row.pk: row.seen for row in Binding.objects.all()}.items(), "the others stay"
    dispatch(event("never"), now=now)
    assert not bonds_renew(now)
    assert bonds_renew(now + AGAIN)
    assert bonds()["idle", TRIGGERS, "never"] == "both"
    assert bonds_renew(now + 2 * AGAIN), "an event of that minute may have come late"
    assert not bonds_renew(now + 4 * AGAIN)


def test_of_two_at_once_one_writes(landscape: None, monkeypatch: pytest.MonkeyPatch) -> None:
    declares("idle", "idle.done")
    revision_bump()
    plain = services.revision

    def meanwhile() -> int:
        monkeypatch.setattr(services, "revision", plain)
        assert bonds_renew(timezone.now())
        return plain()

    monkeypatch.setattr(services, "revision", meanwhile)
    assert not bonds_renew(timezone.now() - AGAIN)


@pytest.mark.django_db
def test_the_roller_keeps_it_and_hears_of_changes(
    backends: Any, django_capture_on_commit_callbacks: Any
) -> None:
    role = Roller(wiring.event_log())
    role.longest_rest = 0.05
    service("early", "start")
    role.turn()
    assert {name for name, _, _ in bonds()} == {"early"}
    service("late", "start")
    with django_capture_on_commit_callbacks(execute=True):
        revision_bump()
    role.longest_rest = 60.0
    role.turn()  # would last as long, if it had not heard
    role.longest_rest = 0.05
    while "late" not in {name for name, _, _ in bonds()}:
        role.turn()
    role.close()


def test_what_all_come_to_is_kept(landscape: None) -> None:
    told = system_map.overview()
    assert told == system_map.counted()
    assert told.states == {"both": 4, "declared": 4, "seen": 1}
    assert (told.services, len(told.drawn), told.unbound) == (4, 4, 0)
    declares("idle", "idle.done")
    revision_bump()
    bonds_renew(timezone.now())
    assert system_map.overview().states["declared"] == 5


def test_the_page(landscape: None, person: Client, django_assert_max_num_queries: Any) -> None:
    with django_assert_max_num_queries(12):
        shown = page(person, "/map/")
    assert "/services/shop/" in shown.links
    assert "not declared" in shown.text
    assert "order.gone" not in page(person, "/map/?state=seen").text.split("Bonds")[1]
    page(person, "/map/?project=nothing&state=x&page=z")


def test_no_page_of_it_reads_all_there_is(landscape: None, person: Client) -> None:
    """Neither manifests nor executions: what it shows is there before somebody looks."""
    for address in ("/map/", "/map/?project=testing", "/api/v1/map/"):
        with CaptureQueriesContext(connection) as queries:
            assert person.get(address).status_code == 200
        asked = " ".join(query["sql"] for query in queries)
        assert "executions_binding" in asked, address
        for table in ("catalog_trigger", "catalog_outputevent", "executions_execution", "executions_event"):
            assert f'"{table}"' not in asked, (address, table)


def test_hostile_names_are_text(db: None, person: Client) -> None:
    service("evil", "a")
    declares("evil", "x" + HOSTILE)
    assert bonds_renew(timezone.now())
    shown = page(person, "/map/")
    assert not shown.dangers
    assert "alert(1)" in shown.text


def bond(number: int, kind: str, other: int) -> Bond:
    return Bond(f"s{number}", kind, f"t{other}", True, 0)


def test_what_follows_stands_to_the_right() -> None:
    found = layout([bond(0, SENDS, 0), bond(1, TRIGGERS, 0), bond(1, SENDS, 1)])
    at = {place.name: place.x for place in found.places}
    assert at["s0"] < at["t0"] < at["s1"] < at["t1"]
    assert layout([]).places == []


def test_of_very_many_the_busiest_are_drawn(
    db: None, person: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    for n in range(6):
        row = service(f"s{n}")
        Binding.objects.create(service=row, kind=SENDS, event_type="t", declared=True, seen=n)
        Binding.objects.create(service=row, kind=SENDS, event_type=f"t{n}", declared=False, seen=n)
    service("lonely")
    monkeypatch.setattr(system_map, "MOST", 4)
    shown = person.get("/map/")
    drawn = {place.name for place in shown.context["map"].places if place.kind == "service"}
    assert drawn == {"s2", "s3", "s4", "s5"}
    assert shown.context["left_out"] == 2
    told = shown.context["told"]
    assert (told.unbound, told.some_unbound) == (1, ["lonely"])
    assert told.states == {"both": 5, "declared": 1, "seen": 6}
    monkeypatch.setattr(system_map, "MOST_LINES", 5)
    shown = person.get("/map/")
    assert {p.name for p in shown.context["map"].places if p.kind == "service"} == {"s4", "s5"}
    monkeypatch.setattr(system_map, "MOST_LINES", 1)
    assert person.get("/map/").context["left_out"] == 5, "one is drawn always"


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 8), st.sampled_from((SENDS, TRIGGERS)), st.integers(0, 8)), max_size=40)
)
def test_everything_is_drawn_once_and_nothing_overlaps(said: list[tuple[int, str, int]]) -> None:
    found = layout([bond(*one) for one in dict.fromkeys(said)])
    names = [(place.kind, place.name) for place in found.places]
    assert len(set(names)) == len(names)
    assert len({(place.x, place.y) for place in found.places}) == len(names)
    assert all(p.x + WIDTH <= found.width and p.y + HEIGHT <= found.height for p in found.places)
    assert len(found.lines) == len(dict.fromkeys(said))
