"""Executors claim executions and keep their leases."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from cryptography.fernet import Fernet
from django.conf import settings

from ferris.errors import BackendError
from ferris.execution import ExecutionOrder
from ferris.isolation import Ceiling, ResourceLimits
from ferris_web import wiring
from ferris_web.catalog import secrets
from ferris_web.catalog.models import Secret
from ferris_web.executions.models import Execution
from tests.web.at_once import at_once
from tests.web.calling import Caller, problem_of
from tests.web.platform import config_set, dispatch, event, service

pytestmark = pytest.mark.django_db


@pytest.fixture
def queued(backends):
    """Executions that wait to be claimed."""
    row = service("mailer", "shop.*")
    secrets.secret_set("service", "key", {"a": 2**70}, service=row)
    config_set(row, {"big": 2**70})
    dispatch(*(event("shop.placed", {"n": n}, id=str(n)) for n in range(3)))
    return list(Execution.objects.order_by("event__event_id"))


def claim(executor: Caller, pk: object, worker: str = "w1"):
    return executor.post("/control/claim", {"execution": str(pk), "worker": worker})


def test_a_claim_gives_the_order_once(executor, queued):
    answer = claim(executor, queued[0].pk).json()
    assert answer["go"] is True
    order = ExecutionOrder.from_json(answer["order"])
    assert order.execution_id == str(queued[0].pk)
    assert (order.service, order.attempt, order.params) == ("mailer", 1, {"n": 0})
    assert order.secrets == {"key": {"a": 2**70}}
    assert order.config == {"big": 2**70}
    again = claim(executor, queued[0].pk, "w2").json()
    assert again == {"go": False, "reason": "it is in_progress"}
    assert claim(executor, UUID(int=1)).json()["go"] is False


def test_a_version_from_before_the_ceiling_gets_no_more_than_that(executor, backends, monkeypatch):
    ceiling = Ceiling(ResourceLimits(memory=1 << 30, cpu=60.0, files=100), timeout=60.0)
    monkeypatch.setattr(settings, "FERRIS", dataclasses.replace(settings.FERRIS, ceiling=ceiling))
    version = service("hungry", "shop.*").version
    asked = {"memory": 8 << 30, "cpu": 0, "processes": 5}
    version.manifest = {**version.manifest, "timeout": 600.0, "resources": asked}
    version.save()
    dispatch(event("shop.placed", {}, id="1"))
    order = ExecutionOrder.from_json(claim(executor, Execution.objects.get().pk).json()["order"])
    assert (order.timeout, order.limits) == (60.0, {"memory": 1 << 30, "cpu": 60.0, "processes": 5})


@pytest.mark.django_db(transaction=True)
def test_of_many_claimants_one_gets_the_order(executor, queued):
    answers = []

    def ask(name: str) -> None:
        answers.append(claim(executor, queued[0].pk, name).json()["go"])

    at_once(*(lambda n=n: ask(f"w{n}") for n in range(6)))
    assert sorted(answers) == [False] * 5 + [True]


def test_several_are_claimed_in_one_call(executor, queued):
    first, second, third = (str(row.pk) for row in queued)
    claim(executor, third, "w2")
    said = {"executions": [second, third, first, str(UUID(int=1)), second], "worker": "w1"}
    answers = executor.post("/control/claim", said).json()["answers"]
    assert [answer.get("reason") for answer in answers] == [
        None, "it is in_progress", None, "unknown execution", "it is in_progress",
    ]  # fmt: skip
    assert [answers[at]["order"]["execution_id"] for at in (0, 2)] == [second, first]
    problem_of(executor.post("/control/claim", {"executions": [first, "x"], "worker": "w1"}), 400)
    problem_of(executor.post("/control/claim", {"executions": "x", "worker": "w1"}), 400)
    problem_of(executor.post("/control/claim", {"executions": [first] * 101, "worker": "w1"}), 400)


def test_a_secret_that_no_key_opens_fails_the_execution_and_is_named(executor, queued):
    unknown = Fernet(Fernet.generate_key()).encrypt(b'"word"').decode()
    Secret.objects.filter(name="key").update(ciphertext=unknown)
    assert claim(executor, queued[0].pk).json()["go"] is False
    row = Execution.objects.get(pk=queued[0].pk)
    assert (row.status, row.reason) == ("failed", "platform")
    assert "'key' (service)" in row.error
    assert "encryption keys" in row.error


def test_a_store_that_is_away_leaves_the_execution_to_be_claimed_later(executor, queued, monkeypatch):
    def away(_key: str) -> None:
        raise BackendError("Consul", "does not answer", "start it")

    monkeypatch.setattr(wiring.config_store(), "get_many", away)
    problem_of(claim(executor, queued[0].pk), 503)
    several = {"executions": [str(row.pk) for row in queued], "worker": "w1"}
    problem_of(executor.post("/control/claim", several), 503)
    monkeypatch.undo()
    assert set(Execution.objects.values_list("status", flat=True)) == {"queued"}
    assert claim(executor, queued[0].pk).json()["go"] is True


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "execution"),
        ({"execution": "x", "worker": "w"}, "execution"),
        ({"execution": 5, "worker": "w"}, "execution"),
        ({"execution": str(uuid4())}, "worker"),
        ({"execution": str(uuid4()), "worker": ""}, "worker"),
        ({"execution": str(uuid4()), "worker": "w" * 256}, "worker"),
        ({"execution": str(uuid4()), "worker": "a\0b"}, "worker"),
    ],
)
def test_a_wrong_claim_is_named(executor, body, field):
    assert problem_of(executor.post("/control/claim", body), 400)["errors"][0]["field"] == field


@pytest.mark.parametrize("path", ["/control/claim", "/control/heartbeat"])
@pytest.mark.parametrize("body", [b"{", b"[]", b"\xff", b"null"])
def test_a_body_that_is_no_object_is_refused(executor, path, body):
    problem_of(executor.post(path, body), 400)


def test_heartbeats_keep_leases_and_say_what_to_stop(executor, queued):
    now = datetime.now(UTC)
    for row in queued:
        claim(executor, row.pk)
    Execution.objects.update(lease_until=now + timedelta(seconds=3))
    Execution.objects.filter(pk=queued[1].pk).update(cancel_requested_at=now)
    running = [
        {"id": str(queued[0].pk), "attempt": 1},
        {"id": str(queued[1].pk), "attempt": 1},
        {"id": str(queued[2].pk), "attempt": 2},
        {"id": str(UUID(int=1)), "attempt": 1},
    ]
    answer = executor.post("/control/heartbeat", {"worker": "w1", "executions": running}).json()
    assert answer["lease_seconds"] > 0
    assert {(item["id"], item["why"]) for item in answer["stop"]} == {
        (str(queued[1].pk), "cancelled"),
        (str(queued[2].pk), "fenced"),
        (str(UUID(int=1)), "fenced"),
    }
    assert Execution.objects.get(pk=queued[0].pk).lease_until > now + timedelta(seconds=10)


def test_an_idle_heartbeat(executor):
    answer = executor.post("/control/heartbeat", {"worker": "w1", "executions": []})
    assert answer.json()["stop"] == []


@pytest.mark.parametrize(
    "executions",
    [None, {}, [1], [{"id": "x", "attempt": 1}], [{"id": str(uuid4())}], [{"id": str(uuid4()), "attempt": "1"}],
     [{"id": str(uuid4()), "attempt": True}], [{"id": str(uuid4()), "attempt": 2**31}]],
)  # fmt: skip
def test_a_wrong_heartbeat_is_refused(executor, executions):
    problem_of(executor.post("/control/heartbeat", {"worker": "w", "executions": executions}), 400)


def test_a_heartbeat_is_one_query_for_all(executor, queued, django_assert_num_queries):
    for row in queued:
        claim(executor, row.pk)
    for count in (1, 3):
        running = [{"id": str(row.pk), "attempt": 1} for row in queued[:count]]
        with django_assert_num_queries(1):
            executor.post("/control/heartbeat", {"worker": "w1", "executions": running})


def test_a_claim_is_a_fixed_number_of_queries(executor, queued, django_assert_max_num_queries):
    claim(executor, queued[0].pk)  # the use of its secrets is noted once a minute
    with django_assert_max_num_queries(5):
        claim(executor, queued[1].pk)
