"""How many requests a caller may send, and what answers say of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from ferris_web import wiring
from ferris_web.accounts.allowances import allowance_take
from ferris_web.accounts.models import User
from ferris_web.accounts.services import token_create
from ferris_web.api import throttle
from tests.web.calling import Caller, problem_of

pytestmark = pytest.mark.django_db
PLACE = "/api/v1/event-types/"


@pytest.fixture(autouse=True)
def five(monkeypatch, backends):
    throttle.forget()
    limited = replace(wiring.config(), api_rate=5)
    monkeypatch.setattr(wiring, "config", lambda: limited)
    yield
    throttle.forget()


def test_answers_say_what_is_left(api):
    answers = [api.get(PLACE) for _ in range(3)]
    assert [answer.headers["RateLimit-Policy"] for answer in answers] == ['"caller";q=5;w=60'] * 3
    assert [answer.headers["RateLimit"].partition(";t=")[0] for answer in answers] == [
        f'"caller";r={left}' for left in (4, 3, 2)
    ]


def test_who_sends_too_many_is_told_to_wait(api, user):
    for _ in range(5):
        assert api.get(PLACE).status_code == 200
    refused = api.post("/api/v1/events/", {})
    document = problem_of(refused, 429)
    assert document["type"].endswith("/problems/too-many-requests/")
    assert 1 <= int(refused.headers["Retry-After"]) <= 12
    assert refused.headers["RateLimit"].startswith('"caller";r=0;')
    problem_of(Caller(token_create(user)).get(PLACE), 429)  # another token is no way around
    other = Caller(token_create(User.objects.create_user("bob", password="a long password")))
    assert other.get(PLACE).status_code == 200


def test_what_no_view_answers_counts_and_says_so_too(api):
    """A key that was used: the same answer again, or the refusal of another request."""
    place, body = "/api/v1/backtests/", {"services": {}}
    first = api.post(place, body, Idempotency_Key="k")
    again = api.post(place, body, Idempotency_Key="k")
    other = api.post(place, {}, Idempotency_Key="k")
    assert (again.headers["Idempotency-Replayed"], other.status_code) == ("true", 422)
    left = [one.headers["RateLimit"].partition(";t=")[0] for one in (first, again, other)]
    assert left == [f'"caller";r={number}' for number in (4, 3, 2)]
    for _ in range(2):
        api.post(place, {}, Idempotency_Key="k")
    refused = api.post(place, body, Idempotency_Key="k")
    problem_of(refused, 429)
    assert int(refused.headers["Retry-After"]) >= 1


def test_a_conditional_change_counts_once(api, user):
    api.put("/api/v1/services/x/config/", {})
    before = api.get(PLACE).headers["RateLimit"]
    api("DELETE", "/api/v1/services/x/config/", If_Match='"a"')
    after = api.get(PLACE).headers["RateLimit"]
    assert [text.split(";")[1] for text in (before, after)] == ["r=3", "r=1"]


def test_counting_asks_the_database_nothing(api, django_assert_num_queries, monkeypatch):
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    generous = replace(
        wiring.config(), api_rate=1000
    )  # of which a piece is ten: where several processes count,
    monkeypatch.setattr(wiring, "config", lambda: generous)  # each tenth request asks
    api.get(PLACE)
    with CaptureQueriesContext(connection) as counted:
        api.get(PLACE)
    unlimited = replace(wiring.config(), api_rate=0)
    monkeypatch.setattr(wiring, "config", lambda: unlimited)
    with CaptureQueriesContext(connection) as free:
        answer = api.get(PLACE)
    assert len(counted) == len(free)
    assert "RateLimit" not in answer.headers


def test_several_web_processes_count_together(api, monkeypatch):
    monkeypatch.setattr(throttle, "_shares", lambda: True)
    left = []
    for process in ({}, {}, {}):  # each remembers what it has answered itself
        monkeypatch.setattr(throttle, "_whole_at", process)
        left += [api.get(PLACE).headers["RateLimit"].partition(";t=")[0] for _ in range(2)]
    assert left == [f'"caller";r={n}' for n in (4, 3, 4, 1, 4, 0)]
    problem_of(api.get(PLACE), 429)


def test_a_large_limit_is_told_in_pieces(monkeypatch, user):
    monkeypatch.setattr(throttle, "_shares", lambda: True)
    told = []
    real = throttle.allowance_put_off
    monkeypatch.setattr(throttle, "allowance_put_off", lambda *given: (told.append(given), real(*given))[1])
    for _ in range(900):
        assert throttle._count(throttle.Rate(30_000, 60.0), user.pk, 1_800_000_000.0).allowed
    assert len(told) == 3


def test_a_clock_that_was_set_back_keeps_nobody_out_of_any_process(monkeypatch, user):
    monkeypatch.setattr(throttle, "_shares", lambda: True)
    rate, now = throttle.Rate(5, 60.0), 1_800_000_000.0
    for _ in range(5):
        assert throttle._count(rate, user.pk, now).allowed
    for process in range(3):
        monkeypatch.setattr(throttle, "_whole_at", {})
        got = [
            throttle._count(rate, user.pk, now - 3600 + 61 * process + second).allowed for second in range(60)
        ]
        assert sum(got[-25:]) >= 1, process


def test_a_clock_that_was_set_back_ends_the_windows_of_tries(db):
    now = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
    window = timedelta(minutes=5)
    tries = [allowance_take({"sign-in:ann": 2}, window, now) for _ in range(3)]
    assert tries == [True, True, False]
    assert not allowance_take({"sign-in:ann": 2}, window, now - timedelta(seconds=30)), "clocks differ"
    assert allowance_take({"sign-in:ann": 2}, window, now - timedelta(hours=1))
