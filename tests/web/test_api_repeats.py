"""Idempotency-Key: a request is carried out once, however often it is sent."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.fernet import Fernet

from ferris_web.accounts.models import RepeatableRequest, User
from ferris_web.accounts.repeats import repeats_prune
from ferris_web.accounts.services import token_create
from ferris_web.catalog.models import Project
from tests.web.at_once import at_once
from tests.web.calling import Caller, problem_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def body(tmp_path: Any) -> dict[str, str]:
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "run.py").write_text("print(1)\n")
    return {"name": "shop", "source": str(tmp_path)}


def send(api: Caller, body: Any, key: str = "k1", path: str = "/api/v1/projects/") -> Any:
    return api.post(path, body, Idempotency_Key=key)


def test_the_same_request_gets_the_same_answer_and_is_done_once(api, body):
    first, second = send(api, body), send(api, body)
    assert (first.status_code, second.status_code) == (201, 201)
    assert first.content == second.content
    assert second.headers["Content-Type"] == first.headers["Content-Type"]
    assert second.headers.get("Location") == first.headers.get("Location")
    assert second.headers["Idempotency-Replayed"] == "true"
    assert Project.objects.filter(name="shop").count() == 1
    problem_of(send(api, body, key="k2"), 409)


def test_another_request_with_the_key_is_refused(api, body):
    assert send(api, body).status_code == 201
    document = problem_of(send(api, {**body, "name": "other"}), 422)
    assert document["type"].endswith("/idempotency-key-reused/")
    problem_of(send(api, body, path="/api/v1/services/"), 422)
    assert Project.objects.count() == 1


def test_a_wrong_request_gets_its_answer_again(api):
    first, second = send(api, {"name": "!"}), send(api, {"name": "!"})
    assert (first.status_code, first.content) == (400, second.content)


def test_keys_of_others_are_others(api, body):
    other = Caller(token_create(User.objects.create_user("bob", password="a long password")))
    assert send(api, body).status_code == 201
    problem_of(send(other, body), 409)


def test_while_the_first_is_under_way_the_second_is_told_to_wait(api, user, body):
    assert send(api, body).status_code == 201
    RepeatableRequest.objects.update(status=None)
    answer = send(api, body)
    assert problem_of(answer, 409)["type"].endswith("/idempotency-key-in-use/")
    assert answer.headers["Retry-After"]
    RepeatableRequest.objects.update(created_at=datetime.now(UTC) - timedelta(minutes=3))
    problem_of(send(api, body), 409)  # its process died: carried out again, and the project is there
    assert not RepeatableRequest.objects.exists()


@pytest.mark.parametrize("key", ["", " ", "a b", "x" * 256, "ü"])
def test_a_wrong_key_is_named(api, body, key):
    assert problem_of(send(api, body, key=key), 400)["errors"][0]["field"] == "Idempotency-Key"


def test_a_stranger_leaves_nothing(anonymous, body):
    problem_of(send(anonymous, body), 401)
    assert not RepeatableRequest.objects.exists()


def test_answers_are_forgotten_after_a_day(api, body):
    send(api, body)
    assert repeats_prune(datetime.now(UTC)) == 0
    assert repeats_prune(datetime.now(UTC) + timedelta(days=2)) == 1


@pytest.mark.django_db(transaction=True)
def test_of_many_at_once_one_is_carried_out(api, body):
    answers = []

    def ask() -> None:
        answers.append(send(api, body).status_code)

    at_once(*[ask] * 4)
    assert set(answers) <= {201, 409}
    assert 201 in answers
    assert Project.objects.count() == 1


def test_a_secret_that_is_told_once_is_not_kept_in_the_clear(api):
    made = send(api, {"name": "ci"}, path="/api/v1/tokens/")
    token = made.json()["token"]
    assert send(api, {"name": "ci"}, path="/api/v1/tokens/").json()["token"] == token
    assert token.encode() not in bytes(RepeatableRequest.objects.get().body)


def test_an_answer_under_a_key_that_is_gone_is_not_made_anew(api, body):
    assert send(api, body).status_code == 201
    RepeatableRequest.objects.update(body=Fernet(Fernet.generate_key()).encrypt(b"{}"))
    assert "cannot be read" in problem_of(send(api, body), 409)["detail"]
    assert Project.objects.count() == 1


def test_a_token_that_may_less_gets_no_answer_of_one_that_may_more(api, user):
    answered = send(api, {"name": "ci"}, path="/api/v1/tokens/")
    assert answered.status_code == 201
    for limits in ({"scopes": ["read"]}, {"projects": []}):
        limited = Caller(token_create(user, **limits))
        assert send(limited, {"name": "ci"}, path="/api/v1/tokens/").status_code in (403, 422)
