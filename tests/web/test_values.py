"""Configuration and state: editor, history, what they were at a time, restore; who may, and hostile JSON."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from django.test import Client

from ferris_web import wiring
from ferris_web.accounts.models import Membership, Role, User
from ferris_web.catalog import secrets
from ferris_web.catalog.configs import config_sync
from ferris_web.catalog.models import Project, Service, ValueChange
from ferris_web.catalog.secret_texts import hides
from ferris_web.catalog.value_history import change_at, changes_of, changes_prune, content_of, values_look
from ferris_web.catalog.values import By, Kind, Place, Who, person, value_delete, value_put
from ferris_web.executions.services.values import value_get
from tests.web.calling import Caller

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("backends")]
NOW = datetime(2026, 3, 1, 12, 0, 0, 250_000, tzinfo=UTC)
URL = "/api/v1/services/"
CONSOLE = "/services/a/state/"


def at(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


@pytest.fixture
def place() -> Place:
    project = Project.objects.get_or_create(name="p")[0]
    return Place(Kind.STATE, Service.objects.create(name="a", project=project))


def put(place: Place, value: object, seconds: float, by: By | None = None) -> None:
    text = json.dumps(value).encode()
    assert value_put(place, text, by=by or person("ada"), now=at(seconds))


def history(place: Place) -> list[tuple[int, str, object]]:
    rows = ValueChange.objects.filter(key=place.key).order_by("number")
    return [(row.number, row.by, json.loads(bytes(row.value)) if row.value else None) for row in rows]


def run() -> By:
    return By(Who.EXECUTION, "a", uuid4())


# --- what is noted -----------------------------------------------------------------------------------


def test_every_change_is_noted_with_who_made_it(place):
    put(place, 1, 0)
    put(place, 2, 20, run())
    assert value_delete(place, by=person("bob"), now=at(40))
    put(place, 1, 60)
    assert history(place) == [(1, "person", 1), (2, "execution", 2), (3, "person", None), (4, "person", 1)]
    assert [row.until for row in changes_of(place)] == [None, at(60), at(40), at(20)]


def test_what_it_was_at_a_time(place):
    put(place, 1, 0)
    put(place, 2, 20)
    value_delete(place, by=person("bob"), now=at(40))
    found = {s: change_at(place, at(s)) for s in (0, 19, 20, 39, 40, 9_000)}
    assert {s: content_of(row) for s, row in found.items()} == {
        0: b"1", 19: b"1", 20: b"2", 39: b"2", 40: None, 9_000: None,
    }  # fmt: skip
    assert found[9_000].removed
    with pytest.raises(Exception, match="begins later"):
        change_at(place, at(-1))


def test_a_script_that_writes_all_the_time_makes_few_rows(place):
    one, other = run(), run()
    for number in range(200):
        put(place, number, number / 10, one)
    assert [value for _, _, value in history(place)] == [99, 199]
    assert [row.writes for row in changes_of(place)] == [100, 100]
    put(place, "other", 20.1, other)
    put(place, "one", 20.2, one)
    assert [value for _, _, value in history(place)][2:] == ["other", "one"]
    put(place, "one", 20.3, one)  # changes nothing
    assert len(history(place)) == 4


def test_writing_costs_two_queries_more(place, django_assert_max_num_queries):
    store, by = wiring.config_store(), run()
    put(place, 1, 0, by)
    with django_assert_max_num_queries(30) as alone:
        store.put(place.key, b"2")
    with django_assert_max_num_queries(30) as noted:
        put(place, 3, 1, by)
    kinds = [query["sql"].split()[0] for query in noted.captured_queries]
    extra = len(kinds) - len(alone.captured_queries)
    assert extra - kinds.count("SAVEPOINT") - kinds.count("RELEASE") <= 2


def test_a_refused_write_is_not_noted(place):
    put(place, 1, 0)
    assert not value_put(place, b"2", by=person("bob"), now=at(1), cas=12345)
    assert not value_delete(place, by=person("bob"), now=at(1), cas=12345)
    assert history(place) == [(1, "person", 1)]


def test_a_write_that_fails_leaves_neither_value_nor_note(place, monkeypatch):
    """As kill -9 between the two would: they are one transaction."""
    put(place, 1, 0)

    def dies(*args: object, **named: object) -> None:
        raise OSError("killed")

    monkeypatch.setattr("ferris_web.catalog.values._note", dies)
    with pytest.raises(OSError, match="killed"):
        put(place, 2, 1)
    monkeypatch.undo()
    assert wiring.config_store().get(place.key).value == b"1"
    assert history(place) == [(1, "person", 1)]


def test_what_changed_elsewhere_is_noted_when_seen(place):
    put(place, 1, 0)
    store = wiring.config_store()
    store.put(place.key, b"2")
    assert value_get(place, at(10)).value == b"2"
    value_get(place, at(20))
    assert history(place)[1:] == [(2, "outside", 2)]
    store.delete(place.key)
    store.put("a", b'{"x": 1}')
    store.put("somebody else's", b"3")
    assert values_look(at(30), lambda place, value: False) == 2
    assert values_look(at(40), lambda place, value: False) == 0
    assert history(place)[2:] == [(3, "outside", None)]
    assert history(Place(Kind.CONFIG, place.service)) == [(1, "outside", {"x": 1})]


def test_a_writer_who_notes_late_takes_over_what_was_found(place):
    """In Consul the value is there before its note."""
    store, by = wiring.config_store(), run()
    put(place, 1, 0)
    store.put(place.key, b"2")
    value_get(place, at(1))
    put(place, 2, 1.5, by)
    assert history(place) == [(1, "person", 1), (2, "execution", 2)]


def test_a_value_that_holds_a_secret_is_noted_and_not_kept(api, place):
    secrets.secret_set("service", "token", "hunter2hunter2", service=place.service)
    api.put(f"{URL}a/state/", {"token": "hunter2hunter2"})
    row = ValueChange.objects.get()
    assert (row.value, row.masked, row.removed) == (None, True, False)
    assert "hunter2" not in api.get(f"{URL}a/state/history/1/").content.decode()
    assert api.post(f"{URL}a/state/history/1/restore/").status_code == 409
    value_get(place, at(1))  # is no other value, and so is noted once
    assert ValueChange.objects.count() == 1


def test_a_sync_is_noted_and_so_is_the_edit_it_replaces(place):
    service, config = place.service, Place(Kind.CONFIG, place.service)
    config_sync(service, {"a": 1}, now=at(0), commit="0123456789abcdef")
    wiring.config_store().put("a", b'{"a": 5}')
    config_sync(service, {"a": 2}, now=at(10))
    assert history(config) == [(1, "sync", {"a": 1}), (2, "outside", {"a": 5}), (3, "sync", {"a": 2})]
    assert changes_of(config).last().actor == "0123456789ab"


def test_retention_keeps_what_held_at_its_limit(place, monkeypatch):
    for number in range(6):
        put(place, number, number * 100)
    assert changes_prune(at(250)) == 2
    assert content_of(change_at(place, at(250))) == b"2"
    monkeypatch.setattr("ferris_web.catalog.value_history.MOST", 2)
    assert changes_prune(at(250)) == 2
    assert [value for _, _, value in history(place)] == [4, 5]
    assert changes_prune(at(10_000)) == 1  # the newest stays for ever
    assert history(place) == [(6, "person", 5)]


# --- REST --------------------------------------------------------------------------------------------


def test_if_match_overwrites_nothing(api, place):
    api.put(f"{URL}a/state/", {"count": 1})
    seen = api.get(f"{URL}a/state/").headers["ETag"]
    assert api("PUT", f"{URL}a/state/", {"count": 2}, If_Match=seen).status_code == 200
    for method, body in (("PUT", {"count": 3}), ("DELETE", None)):
        answer = api(method, f"{URL}a/state/", body, If_Match=seen)
        assert answer.status_code == 412
        told = answer.json()
        assert told["type"].endswith("/problems/precondition-failed/")
        assert '-  "count": 2' in told["difference"]
    assert api.get(f"{URL}a/state/").json() == {"count": 2}
    assert api("PUT", f"{URL}a/state/", {"count": 3}, If_Match=told["etag"]).status_code == 200
    assert api("PUT", f"{URL}a/state/", 1, If_Match='"x"').status_code == 412
    assert api("PUT", f"{URL}a/state/", 1, If_None_Match="*").status_code == 412
    assert api("PUT", f"{URL}a/config/", {}, If_None_Match="*").status_code == 200


def test_history_over_rest(api, place):
    for value in ({"n": 1}, {"n": 2}, {"n": 3}):
        api.put(f"{URL}a/config/", value)
    listed = api.all(f"{URL}a/config/history/?limit=2")
    assert [(row["number"], row["by"], row["actor"]) for row in listed] == [
        (n, "person", "ada") for n in (3, 2, 1)
    ]
    one = api.get(f"{URL}a/config/history/3/?with=1").json()
    assert (one["value"], one["with"]) == ({"n": 3}, 1)
    assert '-  "n": 1' in one["difference"]
    assert api.post(f"{URL}a/config/history/1/restore/").json()["number"] == 4
    assert api.get(f"{URL}a/config/").json() == {"n": 1}
    assert api.get(f"{URL}a/config/history/9/").status_code == 404
    assert api.get(f"{URL}a/config/history/99999999999/").status_code == 404
    assert api.get(f"{URL}a/config/history/3/?with=x").status_code == 400


def test_at_over_rest(api, place):
    put(place, {"n": 1}, 0)
    put(place, {"n": 2}, 60)
    assert api.get(f"{URL}a/state/?at=2026-03-01T12:00:30Z").json() == {"n": 1}
    assert api.get(f"{URL}a/state/?at=2026-03-01T13:01:30%2B01:00").json() == {"n": 2}
    assert api.get(f"{URL}a/state/?at=2026-02-01T12:00:30Z").status_code == 404
    assert api.get(f"{URL}a/state/?at=yesterday").status_code == 400


HOSTILE = {
    "twice": (b'{"a": 1,\n "a": 2}', "line 2, column 2"),
    "nan": (b"[NaN]", "line 1, column 2"),
    "large": (b"[1e999]", "line 1, column 2"),
    "digits": (b"1" * 5000, "digits"),
    "nul": (b'{"a": "\\u0000"}', "NUL"),
    "surrogate": (b'["\\ud800"]', "surrogate"),
    "deep": (b"[" * 101 + b"]" * 101, "nested deeper than 100"),
    "very deep": (b"[" * 100_000, "nested deeper than 100"),
    "comma": (b"[1,]", "comma before the closing ]"),
    "nothing": (b" ", "expected a JSON value"),
    "bytes": (b'"\xff"', "not UTF-8"),
    "size": (json.dumps("x" * 530_000).encode(), "at most 524288"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_json_is_refused_with_its_place(api, place, name):
    body, said = HOSTILE[name]
    answer = api.put(f"{URL}a/state/", body)
    assert answer.status_code == 400, answer.content
    assert said in answer.json()["detail"]
    assert wiring.config_store().get("a.state") is None
    assert not ValueChange.objects.exists()


def test_what_scripts_stored_that_is_no_json_can_be_looked_at(api, person_of, place):
    put(place, 1, 0)
    wiring.config_store().put(place.key, b"\xff[[[" + b"[" * 5000)
    assert api.get(f"{URL}a/state/").status_code == 503
    assert api.get(f"{URL}a/state/history/").json()["results"][0]["by"] == "outside"
    assert api.get(f"{URL}a/state/history/2/").status_code == 200
    who = person_of(Role.MAINTAINER)
    for page in ("", "history/", "history/2/"):
        assert who.get(f"{CONSOLE}{page}").status_code == 200


# --- console -----------------------------------------------------------------------------------------


@pytest.fixture
def person_of(place):
    def client(role: Role | None, project: str = "p") -> Client:
        user = User.objects.create_user(f"somebody-{role}-{project}", password="a long password")
        Membership.objects.filter(user=user).delete()
        if role is not None:
            where = Project.objects.get_or_create(name=project)[0]
            Membership.objects.create(user=user, project=where, role=role)
        found = Client()
        found.force_login(user)
        return found

    return client


def seen() -> int:
    entry = wiring.config_store().get("a.state")
    return entry.index if entry else 0


def test_the_editor_saves_what_it_showed(person_of, place):
    who = person_of(Role.MAINTAINER)
    put(place, {"count": 1}, 0)
    shown = who.get(CONSOLE).content.decode()
    assert "&quot;count&quot;: 1" in shown
    assert f'name="seen" value="{seen()}"' in shown
    answer = who.post(CONSOLE, {"seen": seen(), "value": '{"count": 2}'})
    assert (answer.status_code, answer.headers["Location"]) == (302, CONSOLE)
    assert wiring.config_store().get(place.key).value == b'{"count":2}'
    assert changes_of(place).first().actor.startswith("somebody")


def test_a_conflict_shows_the_difference_and_overwrites_nothing(person_of, place):
    who = person_of(Role.MAINTAINER)
    put(place, {"count": 1}, 0)
    old = seen()
    put(place, {"count": 7}, 1)
    answer = who.post(CONSOLE, {"seen": old, "value": '{"count": 2}'})
    text = answer.content.decode()
    assert answer.status_code == 409
    assert "Nothing was overwritten" in text
    assert "-  &quot;count&quot;: 7" in text
    assert "+  &quot;count&quot;: 2" in text
    assert f'name="seen" value="{seen()}"' in text  # saving again is a decision
    assert who.post(CONSOLE, {"seen": old, "do": "remove"}).status_code == 409
    assert wiring.config_store().get(place.key).value == b'{"count": 7}'
    assert who.post(CONSOLE, {"seen": "x", "value": "1"}).status_code == 400


def test_a_mistake_is_named_by_line_and_column_and_the_text_stays(person_of, place):
    answer = person_of(Role.MAINTAINER).post(CONSOLE, {"seen": 0, "value": '{\r\n  "a": 1,\r\n}'})
    text = answer.content.decode()
    assert answer.status_code == 422
    assert "Line 2, column 9: a comma before the closing }" in text
    assert 'data-line="2" data-column="9"' in text
    assert "&quot;a&quot;: 1," in text
    config = person_of(Role.OWNER).post("/services/a/config/", {"seen": 0, "value": "[1]"})
    assert config.status_code == 422
    assert "JSON object" in config.content.decode()


def test_history_at_a_time_in_the_viewers_zone(person_of, place):
    who = person_of(Role.VIEWER)
    put(place, {"count": 111}, 0)
    put(place, {"count": 222}, 3600)
    text = who.get(f"{CONSOLE}history/?at=2026-03-01T13:30&zone=Europe/Berlin").content.decode()
    assert "111" in text
    assert "222" not in text
    assert "222" in who.get(f"{CONSOLE}history/?at=2026-03-01T13:30&zone=Nowhere/..").content.decode()
    assert "begins later" in who.get(f"{CONSOLE}history/?at=2025-03-01T13:30").content.decode()
    assert "Expected a date" in who.get(f"{CONSOLE}history/?at=then").content.decode()
    assert who.get(f"{CONSOLE}history/?from=2&to=1").headers["Location"] == f"{CONSOLE}history/2/?with=1"
    assert "+  &quot;count&quot;: 222" in who.get(f"{CONSOLE}history/2/").content.decode()


def test_restore(person_of, place):
    who = person_of(Role.MAINTAINER)
    put(place, {"count": 1}, 0)
    put(place, {"count": 2}, 60)
    assert who.post(f"{CONSOLE}history/1/", {"seen": 1}).status_code == 302
    assert seen_value() == {"count": 2}  # another had changed it
    who.post(f"{CONSOLE}history/1/", {"seen": seen()})
    assert seen_value() == {"count": 1}
    assert len(history(place)) == 3


def seen_value() -> object:
    return json.loads(wiring.config_store().get("a.state").value)


@pytest.mark.parametrize("role", [Role.VIEWER, Role.OPERATOR])
def test_who_may_not_edit_may_look(person_of, place, role):
    put(place, {"count": 1}, 0)
    put(place, {"count": 2}, 60)
    who = person_of(role)
    assert "<textarea" not in who.get(CONSOLE).content.decode()
    assert "Restore" not in who.get(f"{CONSOLE}history/1/").content.decode()
    assert who.post(CONSOLE, {"seen": seen(), "value": "1"}).status_code == 403
    assert who.post(f"{CONSOLE}history/1/", {"seen": seen()}).status_code == 403
    assert seen_value() == {"count": 2}


def test_another_projects_values_are_not_there(person_of, place):
    put(place, {"count": 1}, 0)
    who = person_of(Role.OWNER, "other")
    for address in (CONSOLE, f"{CONSOLE}history/", f"{CONSOLE}history/1/", "/services/a/config/"):
        assert who.get(address).status_code == 404
        assert who.post(address, {"seen": 0, "value": "1"}).status_code == 404
    assert "/services/a/" not in who.get("/values/").content.decode()
    assert "/services/a/state/" in person_of(Role.VIEWER).get("/values/?q=a&kind=state").content.decode()


def test_another_projects_values_over_rest(user, place):
    from ferris_web.accounts.services import token_create

    put(place, {"count": 1}, 0)
    stranger = User.objects.create_user("stranger")
    Membership.objects.filter(user=stranger).delete()
    Membership.objects.create(user=stranger, project=Project.objects.create(name="q"), role=Role.OWNER)
    call = Caller(token_create(stranger, "t"))
    for path in ("", "history/", "history/1/"):
        assert call.get(f"{URL}a/state/{path}").status_code == 404
    assert call.put(f"{URL}a/state/", 1).status_code == 404
    assert call.post(f"{URL}a/state/history/1/restore/").status_code == 404


def test_hides(place):
    secrets.secret_set("project", "key", ['quoted " secret'], project=place.service.project)
    assert hides(place.service, json.dumps({"x": 'a quoted " secret!'}).encode())
    assert not hides(place.service, b'{"x": "nothing"}')
