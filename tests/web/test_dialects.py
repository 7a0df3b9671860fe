"""What scripts' libraries call: secrets, schedules, Consul's key-value store, each with the execution's own token."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from ferris import events
from ferris.config import NOTIFICATIONS
from ferris.ports import MAX_CONFIG_VALUE
from ferris_web import wiring
from ferris_web.catalog import secrets
from ferris_web.catalog.models import Project, Schedule
from ferris_web.executions.models import Execution
from tests.web.calling import Caller, problem_of, script_of
from tests.web.platform import NOW, config_set, dispatch, event, service

pytestmark = pytest.mark.django_db
KV = "/control/v1/kv/"


@pytest.fixture
def at_work(executor):
    """Two services with an execution in progress each; `script` and `other` are their programs."""
    mailer, ledger = service("mailer", "go"), service("ledger", "go")
    ledger.project = Project.objects.create(name="other")
    ledger.save()
    dispatch(event("go", correlation_id="AAAAAAAAAA"))
    rows = {row.service.name: row for row in Execution.objects.select_related("service")}
    return SimpleNamespace(
        mailer=mailer,
        ledger=ledger,
        run=rows["mailer"],
        script=script_of(executor, rows["mailer"].pk),
        other=script_of(executor, rows["ledger"].pk),
    )


# --- tokens ------------------------------------------------------------------------------------------


CALLS = [
    ("GET", f"{KV}ferris.env"),
    ("GET", f"{KV}mailer.state"),
    ("PUT", f"{KV}mailer.state"),
    ("DELETE", f"{KV}mailer.state"),
    ("GET", "/control/secrets/by-name?name=key"),
    ("POST", "/control/secrets/"),
    ("POST", "/control/services/mailer/schedule"),
]


@pytest.mark.parametrize(("method", "path"), CALLS)
def test_a_token_ends_with_its_execution(at_work, method, path):
    Execution.objects.filter(pk=at_work.run.pk).update(status="completed")
    problem_of(at_work.script(method, path, {} if method != "GET" else None), 401)


@pytest.mark.parametrize(("method", "path"), CALLS)
def test_a_token_ends_with_its_attempt(at_work, method, path):
    Execution.objects.filter(pk=at_work.run.pk).update(attempt=2)
    problem_of(at_work.script(method, path, {} if method != "GET" else None), 401)


def test_a_token_is_good_for_its_own_execution_only(at_work):
    pk, attempt, seal = (
        at_work.script.token.rpartition(".")[0].rpartition(".")[0],
        "1",
        at_work.other.token[-64:],
    )
    for forged in (
        f"{pk}.{attempt}.{seal}",
        f"{pk}.2.{at_work.script.token[-64:]}",
        f"{pk}.1.",
        pk,
        "..",
        "a.b.c",
    ):
        problem_of(Caller(forged).get(f"{KV}ferris.env"), 401)


def test_it_opens_nothing_but_the_dialects(at_work):
    problem_of(at_work.script.get("/api/v1/executions/"), 401)
    problem_of(at_work.script.post("/control/claim", {}), 401)
    problem_of(at_work.script.get("/metrics"), 401)


# --- secrets -----------------------------------------------------------------------------------------


def test_the_nearest_secret_is_found(at_work):
    def value(name: str) -> object:
        return at_work.script.get(
            f"/control/secrets/by-name?name={name}&package_id={at_work.mailer.pk}"
        ).json()["value"]

    secrets.secret_set("platform", "key", "platform")
    assert value("key") == "platform"
    secrets.secret_set("project", "key", ["project"], project=at_work.mailer.project)
    assert value("key") == ["project"]
    secrets.secret_set("service", "key", {"service": 2**70}, service=at_work.mailer)
    assert value("key") == {"service": 2**70}
    secrets.secret_set("service", "theirs", "x", service=at_work.ledger)
    assert value("theirs") is None


def test_an_unknown_secret_is_not_found(at_work):
    answer = at_work.script.get("/control/secrets/by-name?name=nothing")
    assert answer.status_code == 404
    assert answer.json()["value"] is None


@pytest.mark.parametrize("package", ["", "&package_id=", "&package_id=mailer"])
def test_a_script_may_name_its_service(at_work, package):
    secrets.secret_set("platform", "key", 1)
    assert at_work.script.get(f"/control/secrets/by-name?name=key{package}").json() == {"value": 1}


def test_the_secrets_of_another_service_are_out_of_reach(at_work):
    secrets.secret_set("service", "key", "theirs", service=at_work.ledger)
    for name in (at_work.ledger.pk, "ledger", "nobody"):
        problem_of(at_work.script.get(f"/control/secrets/by-name?name=key&package_id={name}"), 403)
        body = {"name": "key", "value": 1, "package_id": str(name)}
        problem_of(at_work.script.post("/control/secrets/", body), 403)


@pytest.mark.parametrize("path", ["/control/secrets/", "/control/secrets"])
def test_a_script_sets_a_secret_of_its_project_or_the_platform(at_work, path):
    for context, value in ((None, "a"), ("project", {"b": 1}), ("platform", ["c"])):
        body = {"name": f"n-{context}", "value": value, "package_id": str(at_work.mailer.pk)}
        if context:
            body["context"] = context
        assert at_work.script.post(path, body).status_code == 200
    assert secrets.secrets_of(at_work.mailer) == {"n-None": "a", "n-project": {"b": 1}, "n-platform": ["c"]}
    assert secrets.secrets_of(at_work.ledger) == {"n-platform": ["c"]}


def test_a_form_is_taken_too(at_work):
    form = b"name=key&value=a%20b&context=project"
    answer = at_work.script("POST", "/control/secrets/", form, type="application/x-www-form-urlencoded")
    assert answer.status_code == 200
    assert secrets.secrets_of(at_work.mailer) == {"key": "a b"}


@pytest.mark.parametrize(
    "body",
    [{}, {"name": "x"}, {"value": 1}, {"name": "", "value": 1},
     {"name": "x" * 256, "value": 1}, {"name": 5, "value": 1},
     {"name": "x", "value": None}, {"name": "x", "value": 1, "context": "service"}, b"{", b"[]"],
)  # fmt: skip
def test_a_wrong_secret_is_refused(at_work, body):
    problem_of(at_work.script.post("/control/secrets/", body), 400)
    assert secrets.secrets_of(at_work.mailer) == {}


# --- schedules ---------------------------------------------------------------------------------------


def schedule(script: Caller, target: str, expression: str, **more: object):
    body = {"name": "tick", "source": "mailer", "schedule": expression, **more}
    return script.post(f"/control/services/{target}/schedule", body)


def test_a_script_schedules_another_service(at_work):
    answer = schedule(at_work.script, str(at_work.ledger.pk), "*/5 * * * *", parameters={"n": 1})
    assert answer.status_code == 200
    row = Schedule.objects.get(pk=answer.json()["scheduled_job_id"])
    assert (row.service, row.origin, row.name, row.cron, row.once) == (
        at_work.ledger, "script", "tick", "*/5 * * * *", False,
    )  # fmt: skip
    assert row.parameters == {"n": 1}
    assert (row.trigger_type, row.flow_id, row.parent_execution) == (
        "scheduled",
        "AAAAAAAAAA",
        at_work.run.pk,
    )


@pytest.mark.parametrize("expression", ["30 14 25 12", "30 14 25 12 *", " 30  14 25 12 * "])
def test_an_absolute_time_is_a_single_run(at_work, expression):
    row_id = schedule(at_work.script, "ledger", expression).json()["scheduled_job_id"]
    row = Schedule.objects.get(pk=row_id)
    assert row.once
    assert row.next_due_at > datetime.now(UTC)
    assert (row.next_due_at.minute, row.next_due_at.hour, row.next_due_at.day) == (30, 14, 25)


def test_a_script_that_schedules_itself_is_retried(at_work):
    for name in ("mailer", str(at_work.mailer.pk)):
        row_id = schedule(at_work.script, name, "0 0 1 1", parameters='{"n": 2}').json()["scheduled_job_id"]
        row = Schedule.objects.get(pk=row_id)
        assert (row.trigger_type, row.parameters) == ("retried", {"n": 2})


@pytest.mark.parametrize(
    ("expression", "more", "field"),
    [
        ("soon", {}, "schedule"),
        ("", {}, "schedule"),
        ("61 * * * *", {}, "schedule"),
        ("30 14 31 2", {}, "schedule"),
        ("* * * * *", {"parameters": [1]}, "parameters"),
        ("* * * * *", {"parameters": "{"}, "parameters"),
        ("* * * * *", {"name": "x" * 513}, "name"),
    ],
)
def test_a_wrong_schedule_is_named(at_work, expression, more, field):
    document = problem_of(schedule(at_work.script, "mailer", expression, **more), 400)
    assert document["errors"][0]["field"] == field
    assert not Schedule.objects.exists()


def test_an_unknown_service_is_not_found(at_work):
    problem_of(schedule(at_work.script, "nobody", "* * * * *"), 404)


# --- Consul ------------------------------------------------------------------------------------------


def changes() -> list[events.Event]:
    found = wiring.event_log().browse(NOTIFICATIONS, offset=0, limit=100)
    return [events.from_record(record.value, {}, now=NOW) for record in found]


def test_state_is_written_and_read_as_consul_does(at_work):
    script, url = at_work.script, f"{KV}mailer.state"
    missing = script.get(url)
    assert (missing.status_code, missing.content) == (404, b"")
    assert int(missing.headers["X-Consul-Index"]) >= 1
    assert script.put(url, {"seen": 1}).content == b"true"
    answer = script.get(url)
    [entry] = answer.json()
    assert base64.b64decode(entry["Value"]) == b'{"seen": 1}'
    assert entry["Key"] == "mailer.state"
    assert (entry["Flags"], entry["LockIndex"]) == (0, 0)
    assert entry["ModifyIndex"] == int(answer.headers["X-Consul-Index"]) > 0
    raw = script.get(f"{url}?raw")
    assert raw.content == b'{"seen": 1}'
    assert raw.headers["Content-Security-Policy"] == "sandbox"
    assert script.get(f"{url}?keys").json() == ["mailer.state"]
    assert script.get(f"{url}?recurse").json() == [entry]
    assert script.delete(url).content == b"true"
    assert script.get(url).status_code == 404
    assert script.delete(url).content == b"true"


def test_any_bytes_are_kept(at_work):
    url = f"{KV}mailer.state"
    for value in (b"\xff\x00", b"", "ä".encode()):
        assert at_work.script("PUT", url, value, type="application/octet-stream").content == b"true"
        assert at_work.script.get(f"{url}?raw").content == value
    assert at_work.script("PUT", url, b"").content == b"true"
    assert at_work.script.get(url).json()[0]["Value"] is None


def test_compare_and_set(at_work):
    script, url = at_work.script, f"{KV}mailer.state"
    assert script.put(f"{url}?cas=0", 1).content == b"true"
    assert script.put(f"{url}?cas=0", 2).content == b"false"
    index = script.get(url).json()[0]["ModifyIndex"]
    assert script.put(f"{url}?cas={index}", 3).content == b"true"
    assert script.put(f"{url}?cas={index}", 4).content == b"false"
    assert script.delete(f"{url}?cas={index}").content == b"false"
    assert script.get(f"{url}?raw").content == b"3"
    index = script.get(url).json()[0]["ModifyIndex"]
    assert script.delete(f"{url}?cas={index}").content == b"true"
    for cas in ("x", "-1", "", "9" * 30):
        problem_of(script.put(f"{url}?cas={cas}", 5), 400)
    problem_of(script.put(f"{url}?acquire=session", 5), 400)


def statements(call):
    """The SQL of a call, without what only frames it."""
    with CaptureQueriesContext(connection) as seen:
        call()
    return [one["sql"] for one in seen if "SAVEPOINT" not in one["sql"]]


def test_a_call_reads_who_calls_in_one_statement_and_no_more_of_it_than_it_needs(at_work):
    script, url = at_work.script, f"{KV}mailer.state"
    script.put(url, 1)
    config_set(at_work.mailer, {"channel": "x"})
    who, value = statements(lambda: script.get(url))
    assert "executions_execution" in who
    assert "catalog_keyvalue" in value
    assert not any(unneeded in who for unneeded in ("progress", "description", "manifest", "ORDER BY"))
    assert len(statements(lambda: script.get(f"{KV}mailer"))) == 2  # the same for its configuration
    assert len(statements(lambda: script.get("/control/secrets/by-name?name=key"))) == 2


def test_a_write_that_comes_too_late_opens_no_secret_and_takes_no_lock(at_work):
    script, url = at_work.script, f"{KV}mailer.state"
    script.put(url, 1)
    late = statements(lambda: script.put(f"{url}?cas=99999", 2))
    assert len(late) == 2
    assert all(one.startswith("SELECT") for one in late)
    assert len(statements(lambda: script.put(f"{url}?cas=0", 2))) == 2


def test_a_write_takes_few_statements(at_work):
    script, url = at_work.script, f"{KV}mailer.state"
    first = statements(lambda: script.put(url, 1))
    assert len(first) <= 9, first
    index = script.get(url).json()[0]["ModifyIndex"]
    again = statements(lambda: script.put(f"{url}?cas={index}", 2))
    assert len(again) <= 9, again


def test_every_change_of_state_is_on_the_log(at_work):
    url = f"{KV}mailer.state"
    at_work.script.put(url, {"n": 1})
    at_work.script.put(f"{url}?cas=0", {"n": 2})  # changes nothing
    at_work.script.delete(url)
    put, gone = changes()
    assert put.type == "ferris.state.changed"
    assert (put.source, put.subject, put.flow_id) == ("ferris/service/mailer", "mailer", "AAAAAAAAAA")
    assert put.causation_id == str(at_work.run.pk)
    assert put.data == {
        "key": "mailer.state",
        "service": "mailer",
        "execution": str(at_work.run.pk),
        "value": {"n": 1},
    }
    assert gone.data["deleted"] is True


@pytest.mark.parametrize("value", [{"note": "a\0b"}, {"n": 2**80}], ids=["NUL", "large"])
def test_what_no_event_can_hold_is_on_the_log_in_base64(at_work, value):
    at_work.script.put(f"{KV}mailer.state", value)
    told = base64.b64decode(changes()[0].data["value_base64"])
    assert json.loads(told) == value


def test_a_secret_in_a_state_is_not_told(at_work):
    secrets.secret_set("platform", "key", "hunter2")
    at_work.script.put(f"{KV}mailer.state", {"note": "hunter2!"})
    assert changes()[0].data.get("masked") is True
    assert b"hunter2" not in wiring.event_log().browse(NOTIFICATIONS)[0].value


def test_a_script_reads_its_configuration(at_work):
    url = f"{KV}mailer"
    assert at_work.script.get(url).status_code == 404
    config_set(at_work.mailer, {"channel": "x"})
    assert json.loads(base64.b64decode(at_work.script.get(url).json()[0]["Value"])) == {"channel": "x"}


@pytest.mark.parametrize(
    "key",
    [
        "ledger",
        "ledger.state",
        "nobody",
        "mailer.state/x",
        "ferris.env.x",
        "mailer.stat",
        "%2e%2e/ledger",
        "MAILER",
    ],
)
def test_other_keys_are_out_of_reach(at_work, key):
    config_set(at_work.ledger, {"secret": "theirs"})
    at_work.other.put(f"{KV}ledger.state", {"secret": "theirs"})
    for tail in ("", "?raw"):
        problem_of(at_work.script.get(f"{KV}{key}{tail}"), 403)
    problem_of(at_work.script.put(f"{KV}{key}", 1), 403)
    problem_of(at_work.script.delete(f"{KV}{key}"), 403)
    assert json.loads(at_work.other.get(f"{KV}ledger.state?raw").content) == {"secret": "theirs"}


@pytest.mark.parametrize("key", ["ferris.env", "mailer"])
def test_what_may_be_read_may_not_be_written(at_work, key):
    problem_of(at_work.script.put(f"{KV}{key}", {}), 403)
    problem_of(at_work.script.delete(f"{KV}{key}"), 403)
    problem_of(at_work.script.delete(f"{KV}{key}?recurse"), 403)


def test_many_keys_are_only_those_of_the_caller(at_work):
    config_set(at_work.mailer, {})
    config_set(at_work.ledger, {})
    at_work.script.put(f"{KV}mailer.state", 1)
    assert at_work.script.get(f"{KV}?keys").json() == ["ferris.env", "mailer", "mailer.state"]
    assert [e["Key"] for e in at_work.script.get(f"{KV}mail?recurse").json()] == ["mailer", "mailer.state"]
    assert at_work.script.get(f"{KV}?keys&separator=.").json() == ["ferris.", "mailer", "mailer."]
    problem_of(at_work.script.get(f"{KV}ledger?recurse"), 403)


def test_a_value_has_a_limit(at_work):
    url = f"{KV}mailer.state"
    assert at_work.script("PUT", url, b"x" * MAX_CONFIG_VALUE).content == b"true"
    problem_of(at_work.script("PUT", url, b"x" * (MAX_CONFIG_VALUE + 1)), 413)
    problem_of(at_work.script("POST", url, {}), 405)


NAMES = {
    "KAFKA_BOOTSTRAP_SERVER", "KAFKA_PORT", "DEFAULT_TOPIC", "DEFAULT_LOGS_TOPIC", "DEFAULT_NOTIFICATIONS_TOPIC",
    "DEFAULT_METRICS_TOPIC", "MINIO_HOST", "MINIO_ACCESS_KEY", "MINIO_SECURE_CONNECTION", "DB_HOST", "DB_PORT",
    "DB_NAME", "ES_HOST",
}  # fmt: skip


def test_the_scripts_settings(at_work):
    def found() -> dict[str, object]:
        return json.loads(base64.b64decode(at_work.script.get(f"{KV}ferris.env").json()[0]["Value"]))

    assert set(found()) == NAMES
    assert found()["DEFAULT_TOPIC"] == "ferris.events"
    wiring.config_store().put(
        "ferris.env", b'{"DB_HOST": "db.example", "DB_PASSWORD": "an administrator put it here"}'
    )
    assert found()["DB_HOST"] == "db.example"
    assert found()["DB_PASSWORD"]
    assert set(found()) == NAMES | {"DB_PASSWORD"}


def test_the_servers_of_a_real_stack_are_named_without_their_passwords():
    from dataclasses import replace

    from ferris.script_settings import script_settings

    settings = replace(
        wiring.config(),
        event_log_url="kafka://kafka:9092",
        database_url="postgresql://ferris:geheim@db:5432/ferris",
        object_store_url="s3://key:geheim@objects:9000",
        ops_store_url="elasticsearch://user:geheim@search:9200",
    )
    found = script_settings(settings, {})
    assert (found["KAFKA_BOOTSTRAP_SERVER"], found["KAFKA_PORT"]) == ("kafka", "9092")
    assert (found["DB_HOST"], found["DB_PORT"], found["DB_NAME"]) == ("db", "5432", "ferris")
    assert (found["MINIO_HOST"], found["MINIO_ACCESS_KEY"], found["MINIO_SECURE_CONNECTION"]) == (
        "objects:9000", "key", True,
    )  # fmt: skip
    assert found["ES_HOST"] == "search:9200"
    assert found["DEFAULT_TOPIC"] == "ferris.events"
    assert "geheim" not in str(found)
    found = script_settings(
        replace(
            settings,
            event_log_url="kafka+confluent://kafka:9092/south?partitions=2",
            object_store_url="s3://key:geheim@objects:9000?secure=0",
        ),
        {},
    )
    assert (found["KAFKA_BOOTSTRAP_SERVER"], found["DEFAULT_TOPIC"]) == ("kafka", "south.ferris.events")
    assert found["MINIO_SECURE_CONNECTION"] is False
