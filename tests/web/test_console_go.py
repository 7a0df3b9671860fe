"""Going anywhere by a few letters or an id, as far as one may see it."""

from __future__ import annotations

import pytest
from django.test import Client

from ferris_web.accounts.models import Membership, User
from ferris_web.catalog.models import Project
from ferris_web.executions.models import Event, Execution
from tests.web.console_pages import page
from tests.web.console_rows import Rows

pytestmark = pytest.mark.django_db


@pytest.fixture
def person(person: Client) -> Client:
    """Who may see everything."""
    User.objects.update(is_staff=True)
    return person


def links(person: Client, query: str) -> list[str]:
    """The addresses that are offered."""
    html = page(person, f"/go/?q={query}").html
    return [
        link
        for link in page(person, f"/go/?q={query}").links
        if f'href="{link}"' in html.split("palette-found")[1]
    ]


def test_without_words_every_page(person: Client) -> None:
    offered = links(person, "")
    assert {"/", "/services/", "/help/", "/events/send/"} <= set(offered)
    assert all(person.get(link).status_code == 200 for link in offered)


def test_names_words_and_ids(rows: Rows, person: Client) -> None:
    assert links(person, "dead")[0] == "/dead-letters/"
    assert "/services/make_report/" in links(person, "make_rep")
    assert "/projects/quakes/" in links(person, "QUAKES")
    assert any(link.startswith("/event-types/") for link in links(person, "quakes.quake"))
    assert any(link.startswith("/help/") for link in links(person, "rotate-keys"))
    run = Execution.objects.order_by("pk").first()
    assert run is not None
    assert (
        links(person, str(run.pk))[0]
        == links(person, run.correlation_id.lower())[0]
        == f"/executions/{run.pk}/"
    )
    assert f"/flows/{run.flow_id}/" in links(person, run.flow_id)
    event = Event.objects.order_by("pk").first()
    assert event is not None
    assert f"/events/{event.pk}/" in links(person, event.event_id)


def test_nothing_and_nonsense(person: Client) -> None:
    for query in ("xyzzyplugh", "%22%3E%3Cscript%3Ealert(1)%3C/script%3E", "a" * 500):
        found = page(person, f"/go/?q={query}")
        assert not found.dangers
        assert "Nothing is called" in found.text


def test_as_many_queries_as_kinds(rows: Rows, person: Client, django_assert_max_num_queries) -> None:
    person.get("/go/?q=e")
    with django_assert_max_num_queries(16):
        person.get("/go/?q=e")


def test_strangers_sign_in_first(client: Client) -> None:
    assert client.get("/go/?q=a").status_code == 302


def test_whose_project_it_is_not_sees_nothing_of_it(rows: Rows, client: Client) -> None:
    user = User.objects.create_user("eve", password="a long password")
    Membership.objects.filter(user=user).delete()
    Membership.objects.create(user=user, project=Project.objects.get(name="reports"), role="viewer")
    client.force_login(user)
    run = Execution.objects.filter(service__project__name="quakes").first()
    assert run is not None
    for query in ("quakes", str(run.pk), run.correlation_id, run.flow_id):
        assert not [link for link in links(client, query) if link.startswith(("/serv", "/proj", "/exec"))]
    assert "/services/make_report/" in links(client, "make_rep")
    offered = links(client, "")
    assert "/topics/" not in offered
    assert all(client.get(link).status_code == 200 for link in offered)
    navigation = page(client, "/").html.split('id="side"')[1].split("</nav>")[0]
    assert 'href="/topics/"' not in navigation
    assert 'href="/flows/"' in navigation
