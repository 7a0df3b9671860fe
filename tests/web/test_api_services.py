"""Services, projects, configuration, state, secrets, schedules, event types."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from uuid import UUID

import pytest

from ferris import events
from ferris.config import NOTIFICATIONS
from ferris.limits import Concurrency, Limits
from ferris_web import wiring
from ferris_web.accounts.models import Membership
from ferris_web.catalog import secrets
from ferris_web.catalog.models import Project, Repository, Schedule, Secret, Service, SyncRun
from ferris_web.executions.models import Execution
from ferris_web.executions.services.admission import executions_admit, gates_waiting
from tests.web.calling import problem_of
from tests.web.platform import NOW, dispatch, event, service

pytestmark = pytest.mark.django_db
URL = "/api/v1/services/"
FIELDS = [
    {"type": "int", "name": "rows", "label": "Rows", "min": 1, "max": 100, "default": 10},
    {"type": "text", "name": "title", "label": "Title", "required": True},
]


def with_form(name: str = "report") -> Service:
    made = service(name)
    made.version.parameters = FIELDS
    made.version.save()
    return made


# --- services ----------------------------------------------------------------------------------------


def test_a_service_is_made_of_files_and_each_change_is_a_version(api):
    files = {
        "run.py": "print(1)\n",
        "manifest.json": '{"trigger_events": ["a.b"]}',
        "x.bin": {"base64": "/w=="},
    }
    body = {"project": "by_hand", "name": "made", "files": files}
    answer = api.post(URL, body)
    assert answer.status_code == 201, answer.content
    assert answer.json()["trigger_events"] == [{"event_type": "a.b", "filter": None}]
    assert (answer.json()["project"], answer.json()["version"]["number"]) == ("by_hand", 1)
    assert {found["path"]: found["size"] for found in answer.json()["files"]}["x.bin"] == 1
    again = api.post(URL, body)
    assert (again.status_code, again.json()["version"]["number"]) == (200, 1)
    files["run.py"] = "print(2)\n"
    assert api.post(URL, body).json()["version"]["number"] == 2


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"files": {}}, "files"),
        ({"files": {"run.py": 7}}, "run.py"),
        ({"files": {"run.py": {"base64": "?"}}}, "run.py"),
        ({"files": {"run.py": "print()", "manifest.json": '{"priority": 70}'}}, "manifest.json"),
        ({"files": {"../run.py": "print()"}}, "../run.py"),
        ({"name": "a/b"}, "name"),
        ({"project": "not a slug"}, "project"),
    ],
)
def test_files_that_are_no_service_are_refused_by_name(api, change, field):
    body = {"project": "by_hand", "name": "made", "files": {"run.py": "print()"}, **change}
    problem = problem_of(api.post(URL, body), 400)
    assert any(field in error["field"] for error in problem["errors"]), problem
    assert not Service.objects.exists()


def test_files_do_not_replace_what_a_repository_holds(api):
    held = service("held")
    held.repository = held.project.repositories.create(source="/srv/held")
    held.save()
    body = {"project": "testing", "name": "held", "files": {"run.py": "print()"}}
    assert "change it there" in problem_of(api.post(URL, body), 409)["detail"]


def test_services_by_name(api, django_assert_num_queries):
    for name in ("b", "a", "c"):
        service(name, "x.*", {"event_type": "y", "filter": {"data": {"n": [1]}}})
    api.get(URL)
    with django_assert_num_queries(4):  # who calls, with which roles, services, triggers
        found = api.get(URL).json()["results"]
    assert [row["name"] for row in found] == ["a", "b", "c"]
    assert found[0]["project"] == "testing"
    assert found[0]["trigger_events"][1] == {"event_type": "y", "filter": {"data": {"n": [1]}}}
    assert found[0]["version"]["number"] == 1
    assert api.all(f"{URL}?limit=2") == found


@pytest.mark.parametrize(
    ("query", "names"),
    [("project=testing", "ab"), ("project=x", ""), ("runs=false", "b"), ("runs=true", "a"), ("query=A", "a")],
)
def test_services_are_found(api, query, names):
    service("a")
    service("b", active=False)
    assert "".join(row["name"] for row in api.get(f"{URL}?{query}").json()["results"]) == names


def test_one_service(api):
    with_form()
    found = api.get(f"{URL}report/").json()
    assert found["manifest"]["scripts"] == ["run.py"]
    assert [field["name"] for field in found["parameters"]] == ["rows", "title"]
    assert found["schedules"] == found["output_events"] == []
    problem_of(api.get(f"{URL}nobody/"), 404)


@pytest.mark.django_db(transaction=True)
def test_a_run_is_found_at_once(api, routing):
    with_form()
    answer = api.post(f"{URL}report/run/", {"parameters": {"title": "Weekly", "rows": "7", "more": [1]}})
    assert answer.status_code == 202
    said = answer.json()
    run = api.get(said["url"]).json()
    assert (run["id"], run["event_id"], run["flow_id"]) == (said["id"], said["event_id"], said["flow_id"])
    assert run["trigger_type"] == "manual"
    assert run["correlation_id"] == said["correlation_id"] + "_01"
    row = Execution.objects.get(pk=said["id"])
    assert row.event.data == {"title": "Weekly", "rows": 7, "more": [1]}
    assert row.event.source == "ferris/person/ada"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"parameters": {"rows": 7}}, "parameters.title"),
        ({"parameters": {"title": "x", "rows": 101}}, "parameters.rows"),
        ({"parameters": {"title": "x", "_fxcid": "y"}}, "parameters._fxcid"),
        ({"parameters": "x"}, "parameters"),
        ({}, "parameters.title"),
    ],
)
def test_wrong_parameters_are_named(api, body, field):
    with_form()
    assert field in [
        error["field"] for error in problem_of(api.post(f"{URL}report/run/", body), 400)["errors"]
    ]


@pytest.mark.parametrize("body", [b"{", b"[]", b'"x"', b"\xff"])
def test_a_body_that_is_no_object_is_refused(api, body):
    service("a")
    problem_of(api.post(f"{URL}a/run/", body), 400)


def test_what_may_not_be_run_by_hand_is_not(api):
    service("off", active=False)
    shy = service("shy")
    shy.allow_manual_triggering = False
    shy.save()
    gone = service("gone")
    gone.vanished_at = NOW
    gone.save()
    assert "inactive" in problem_of(api.post(f"{URL}off/run/"), 409)["detail"]
    assert "by hand" in problem_of(api.post(f"{URL}shy/run/"), 409)["detail"]
    assert "repository" in problem_of(api.post(f"{URL}gone/run/"), 409)["detail"]
    problem_of(api.post(f"{URL}nobody/run/"), 404)


# --- configuration and state -------------------------------------------------------------------------


def test_configuration(api):
    service("a")
    assert api.get(f"{URL}a/config/").json() == {}
    assert api.put(f"{URL}a/config/", {"channel": "ä"}).status_code == 200
    assert api.get(f"{URL}a/config/").json() == {"channel": "ä"}
    assert json.loads(wiring.config_store().get("a").value) == {"channel": "ä"}
    assert api.delete(f"{URL}a/config/").status_code == 204
    assert api.get(f"{URL}a/config/").json() == {}
    problem_of(api.put(f"{URL}a/config/", [1]), 400)
    problem_of(api.put(f"{URL}b/config/", {}), 404)


def changes() -> list[dict[str, object]]:
    found = wiring.event_log().browse(NOTIFICATIONS, offset=0, limit=100)
    return [events.from_record(record.value, {}, now=NOW).data for record in found]


@pytest.mark.parametrize("value", [{"seen": [1, 2]}, [1], "text", 5, None])
def test_state_is_any_value_and_each_change_is_on_the_log(api, value):
    service("a")
    assert api.get(f"{URL}a/state/").json() == {}
    assert api.put(f"{URL}a/state/", value if value is not None else b"null").status_code == 200
    assert api.get(f"{URL}a/state/").json() == value
    assert api.delete(f"{URL}a/state/").status_code == 204
    assert api.get(f"{URL}a/state/").json() == {}
    put, gone = changes()
    assert put == {"key": "a.state", "service": "a", "execution": None, "value": value}
    assert gone == {"key": "a.state", "service": "a", "execution": None, "value": None, "deleted": True}


def test_a_secret_inside_a_state_is_not_told(api):
    row = service("a")
    secrets.secret_set("service", "key", {"nested": ['hunter2 "x"']}, service=row)
    api.put(f"{URL}a/state/", {"note": 'the key is hunter2 "x"!'})
    assert changes()[0].get("masked") is True
    assert "hunter2" not in str(changes())


# --- secrets -----------------------------------------------------------------------------------------


def test_secrets_are_written_and_never_shown(api):
    row = service("a")
    for address, value in (
        (f"{URL}a/secrets/own/", "s3cr3t-own"),
        ("/api/v1/projects/testing/secrets/shared/", {"user": "s3cr3t-shared"}),
    ):
        answer = api.put(address, {"value": value})
        assert answer.status_code == 204
        assert answer.content == b""
        problem_of(api.get(address), 405)
    assert secrets.secrets_of(row) == {
        "own": "s3cr3t-own",
        "shared": {"user": "s3cr3t-shared"},
    }
    for address, name in (
        (f"{URL}a/secrets/", "own"),
        ("/api/v1/projects/testing/secrets/", "shared"),
        (f"{URL}a/", None),
    ):
        answer = api.get(address)
        assert b"s3cr3t" not in answer.content
        assert b"ciphertext" not in answer.content
        if name:
            assert [row["name"] for row in answer.json()["results"]] == [name]
    assert api.delete(f"{URL}a/secrets/own/").status_code == 204
    problem_of(api.delete(f"{URL}a/secrets/own/"), 404)
    assert Secret.objects.count() == 1


@pytest.mark.parametrize("body", [{}, {"val": 1}, b"", b"[]"])
def test_a_secret_needs_a_value(api, body):
    service("a")
    problem_of(api.put(f"{URL}a/secrets/own/", body), 400)
    problem_of(api.put(f"{URL}nobody/secrets/own/", {"value": 1}), 404)


def test_a_secrets_name_has_a_limit(api):
    service("a")
    problem_of(api.put(f"/api/v1/projects/testing/secrets/{'x' * 256}/", {"value": 1}), 400)


# --- projects ----------------------------------------------------------------------------------------


def test_a_project_is_added_and_synced(api, source, django_assert_num_queries):
    source.service("mailer", {"trigger_events": ["shop.placed"]})
    source.service("broken", "{")
    made = api.post("/api/v1/projects/", {"name": "shop", "source": str(source.root)})
    assert made.status_code == 201
    assert made.json()["repositories"][0]["source"] == str(source.root)
    [run] = api.post("/api/v1/projects/shop/sync/").json()["runs"]
    assert run["status"] == "completed", run
    assert run["result"]["added"] == ["mailer"]
    assert run["result"]["refused"] == ["broken"]
    assert any(m["service"] == "broken" and m["level"] == "error" for m in run["result"]["messages"])
    [project] = api.get("/api/v1/projects/").json()["results"]
    assert project["service_count"] == 1
    assert api.get("/api/v1/projects/shop/").json() == project
    assert [past["id"] for past in api.get("/api/v1/projects/shop/syncs/").json()["results"]] == [run["id"]]
    assert SyncRun.objects.get().actor.username == "ada"
    with django_assert_num_queries(4):
        api.get("/api/v1/projects/")


def test_one_request_adds_a_project_and_what_opens_it(api, source):
    url = "ssh://git@git.example.org/team/scripts.git"
    said = {"name": "shop", "source": url, "branch": "main", "folder": "all", "own_key": True}
    [made] = api.post("/api/v1/projects/", said).json()["repositories"]
    assert (made["folder"], made["public_key"].split()[0]) == ("all", "ssh-ed25519")
    assert (
        api.get(f"/api/v1/projects/shop/repositories/{made['id']}/").json()["public_key"]
        == made["public_key"]
    )
    said = {"name": "shop", "source": "https://git.example.org/more.git", "token": "s3cr3t-value"}
    answer = api.post("/api/v1/projects/", said)
    assert [one["source"] for one in answer.json()["repositories"]] == [url, said["source"]]
    assert "s3cr3t" not in answer.content.decode()
    assert (
        problem_of(api.post("/api/v1/projects/", {**said, "source": url}), 400)["errors"][0]["field"]
        == "token"
    )


def test_a_project_is_removed_by_its_owners(api, source, user):
    source.service("mailer")
    api.post("/api/v1/projects/", {"name": "shop", "source": str(source.root)})
    api.post("/api/v1/projects/shop/sync/")
    user.is_superuser = False
    user.save()
    mine = Membership.objects.create(user=user, project=Project.objects.get(name="shop"), role="maintainer")
    problem_of(api.delete("/api/v1/projects/shop/"), 403)
    assert Repository.objects.exists()
    mine.role = "owner"
    mine.save()
    assert api.delete("/api/v1/projects/shop/").json() == {"deactivated": ["mailer"]}
    assert not Repository.objects.exists()
    problem_of(api.delete("/api/v1/projects/nothing/"), 404)


def test_wrong_projects_are_refused(api, source):
    good = {"name": "shop", "source": str(source.root)}
    for body, field in (
        ({**good, "name": "a b"}, "name"),
        ({**good, "name": ""}, "name"),
        ({"name": "shop"}, "source"),
        ({**good, "source": "/no/such/folder"}, "source"),
        ({**good, "source": "--upload-pack=x"}, "source"),
        ({**good, "branch": "main"}, "branch"),
    ):
        document = problem_of(api.post("/api/v1/projects/", body), 400)
        assert field in [error["field"] for error in document["errors"]], body
    assert not Project.objects.exists()
    assert api.post("/api/v1/projects/", good).status_code == 201
    problem_of(api.post("/api/v1/projects/", good), 409)
    problem_of(api.post("/api/v1/projects/nobody/sync/"), 404)


# --- schedules and event types -----------------------------------------------------------------------


def test_schedules(api):
    service("a")
    made = api.post("/api/v1/schedules/", {"service": "a", "schedule": "0 6 * * mon", "parameters": {"n": 1}})
    assert made.status_code == 201, made.content
    row = made.json()
    assert (row["origin"], row["once"], row["active"]) == ("person", False, True)
    assert datetime.fromisoformat(row["next_due_at"]) > datetime.now(UTC)
    address = f"/api/v1/schedules/{row['id']}/"
    assert api("PATCH", address, {"active": False}).json()["active"] is False
    assert api.get("/api/v1/schedules/?service=a&active=true").json()["results"] == []
    assert api.get("/api/v1/schedules/?service=a&active=false").json()["results"][0]["id"] == row["id"]
    assert api.get(address).json()["parameters"] == {"n": 1}
    assert api.delete(address).status_code == 204
    problem_of(api.get(address), 404)
    problem_of(api.get(f"/api/v1/schedules/{UUID(int=1)}/"), 404)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"schedule": "61 * * * *"}, "schedule"),
        ({"schedule": "soon"}, "schedule"),
        ({"timezone": "Mars/Base"}, None),
        ({"parameters": [1]}, "parameters"),
    ],
)
def test_a_wrong_schedule_is_refused(api, change, field):
    service("a")
    body = {"service": "a", "schedule": "0 6 * * *", **change}
    document = problem_of(api.post("/api/v1/schedules/", body), 400)
    if field:
        assert document["errors"][0]["field"] == field
    assert not Schedule.objects.exists()


def test_event_types(api):
    from ferris_web.catalog.event_types import event_types_seen

    event_types_seen({"shop.placed": 3, "bank.paid": 1}, {"shop.placed": {"n": 1}}, NOW)
    found = api.get("/api/v1/event-types/").json()["results"]
    assert [row["name"] for row in found] == ["bank.paid", "shop.placed"]
    assert (found[1]["count"], found[1]["example"]) == (3, {"n": 1})
    assert len(api.get("/api/v1/event-types/?query=bank").json()["results"]) == 1


# --- limits and pauses ---------------------------------------------------------------------------------


def test_a_service_says_its_limits_and_its_executions_why_they_wait(api):
    service("one", "a.happened", limits=Limits(Concurrency(1, "data.customer")))
    dispatch(*(event(data={"customer": "acme"}) for _ in range(3)))
    executions_admit(dict.fromkeys(gates_waiting()), NOW)
    assert api.get(f"{URL}one/").json()["limits"]["concurrency"]["key"] == "data.customer"
    last, _, first = api.get("/api/v1/executions/").json()["results"]
    assert last["waiting"]["reason"] == "concurrency"
    assert (last["waiting"]["key"], last["waiting"]["behind"]) == ("acme", [first["id"]])
    assert api.get(f"/api/v1/executions/{last['id']}/").json()["waiting"] == last["waiting"]


def test_a_service_is_paused_and_goes_on(api):
    service("one", "a.happened")
    dispatch(event())
    answer = api.post(f"{URL}one/pause/")
    assert (answer.status_code, answer.json()) == (200, {"paused": True, "executions": 1})
    assert api.post(f"{URL}one/pause/").status_code == 409
    assert api.get(f"{URL}one/").json()["paused_by"]
    [row] = api.get("/api/v1/executions/").json()["results"]
    assert (row["status"], row["waiting"]["reason"]) == ("pending", "service_paused")
    assert problem_of(api.post(f"{URL}one/resume/", {"waiting": "drop"}), 400)
    assert api.post(f"{URL}one/resume/", {"waiting": "skip"}).json() == {"paused": False, "executions": 1}
    [row] = api.get("/api/v1/executions/").json()["results"]
    assert (row["status"], row["reason"], row["waiting"]) == ("skipped", "paused", None)
    assert api.post(f"{URL}one/resume/").status_code == 409
