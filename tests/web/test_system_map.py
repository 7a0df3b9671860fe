"""The system map: what manifests declare against what was seen, drawn without overlaps, whatever the circles."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.cache import cache
from django.test import Client
from hypothesis import given, settings
from hypothesis import strategies as st

from ferris_web.catalog.models import OutputEvent, Project, Service
from ferris_web.console import systemmap
from ferris_web.console.systemmap import HEIGHT, MOST, MOST_LINES, WIDTH, layout
from ferris_web.executions.models import Execution
from ferris_web.executions.system_map import SENDS, TRIGGERS, Bond, SystemMap, system_map
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
    cache.clear()
    service("shop", "start"), service("mail", "order.*"), service("audit", "*"), service("idle", "never")
    declares("shop", "order.placed", "order.gone")
    dispatch(event("start", correlation_id="AAAAAAAAAA"))
    sender = Execution.objects.get(service__name="shop")
    for kind in ("order.placed", "order.lost"):
        dispatch(event(kind, correlation_id="AAAAAAAAAA", causation_id=str(sender.pk)))


def bonds(found: SystemMap) -> dict[tuple[str, str, str], str]:
    return {(bond.service, bond.kind, bond.event_type): bond.state for bond in found.bonds}


def test_declared_against_seen(landscape: None, django_assert_max_num_queries: Any) -> None:
    with django_assert_max_num_queries(6):
        found = bonds(system_map())
    assert found == {
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
    assert bonds(system_map())["shop", SENDS, "order.vain"] == "seen"


def test_a_project_shows_its_neighbours_as_well(landscape: None) -> None:
    other = Project.objects.create(name="other")
    Service.objects.filter(name="mail").update(project=other)
    found = system_map("other")
    assert found.projects == {"mail": "other", "shop": "testing"}
    assert {name for name, _, _ in bonds(found)} == {"mail", "shop"}
    assert ("shop", TRIGGERS, "start") not in bonds(found)


def test_others_projects_are_not_told_of(landscape: None) -> None:
    other = Project.objects.create(name="other")
    Service.objects.filter(name="mail").update(project=other)
    found = system_map("", frozenset({other.pk}))
    assert found.projects == {"mail": "other"}
    assert {name for name, _, _ in bonds(found)} == {"mail"}
    assert ("mail", TRIGGERS, "order.gone") not in bonds(found), "nobody in reach declares it"
    assert system_map("", frozenset()).bonds == []


def test_a_service_that_is_gone_is_not_on_it(landscape: None) -> None:
    from django.utils import timezone

    Service.objects.filter(name="shop").update(vanished_at=timezone.now())
    assert "shop" not in {name for name, _, _ in bonds(system_map())}


def test_the_page(landscape: None, person: Client, django_assert_max_num_queries: Any) -> None:
    with django_assert_max_num_queries(12):
        shown = page(person, "/map/")
    assert "/services/shop/" in shown.links
    assert "not declared" in shown.text
    assert "order.gone" not in page(person, "/map/?state=seen").text.split("Bonds")[1]
    page(person, "/map/?project=nothing&state=x&page=z")


def test_hostile_names_are_text(db: None, person: Client) -> None:
    cache.clear()
    service("evil", "a")
    declares("evil", "x" + HOSTILE)
    shown = page(person, "/map/")
    assert not shown.dangers
    assert "alert(1)" in shown.text


def bond(number: int, kind: str, other: int) -> Bond:
    return Bond(f"s{number}", kind, f"t{other}", True, 0)


def test_what_follows_stands_to_the_right() -> None:
    found = layout(
        SystemMap({"s0": "p", "s1": "p"}, [bond(0, SENDS, 0), bond(1, TRIGGERS, 0), bond(1, SENDS, 1)])
    )
    at = {place.name: place.x for place in found.places}
    assert at["s0"] < at["t0"] < at["s1"] < at["t1"]


def test_of_very_many_the_busiest_are_drawn() -> None:
    many = [Bond(f"s{n}", SENDS, "t", True, n) for n in range(MOST + 50)]
    found = layout(SystemMap({b.service: "p" for b in many} | {"lonely": "p"}, many))
    assert found.left_out == 50
    assert f"s{MOST + 49}" in {place.name for place in found.places}
    assert found.unbound == ["lonely"]
    assert layout(SystemMap({}, [])).places == []
    bound = [bond(n // 4, SENDS, n) for n in range(4 * MOST)]
    drawn = layout(SystemMap({b.service: "p" for b in bound}, bound))
    assert len(drawn.lines) == MOST_LINES
    assert drawn.left_out == MOST - MOST_LINES // 4


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 8), st.sampled_from((SENDS, TRIGGERS)), st.integers(0, 8)), max_size=40)
)
def test_everything_is_drawn_once_and_nothing_overlaps(said: list[tuple[int, str, int]]) -> None:
    found = layout(SystemMap({f"s{n}": "p" for n in range(9)}, [bond(*one) for one in dict.fromkeys(said)]))
    names = [(place.kind, place.name) for place in found.places]
    assert len(set(names)) == len(names)
    assert len({(place.x, place.y) for place in found.places}) == len(names)
    assert all(p.x + WIDTH <= found.width and p.y + HEIGHT <= found.height for p in found.places)
    assert len(found.lines) == len(dict.fromkeys(said))
    assert systemmap.MOST > 9
