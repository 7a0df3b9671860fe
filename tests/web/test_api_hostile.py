"""Whatever somebody puts into an address or a body, the answer is about their request and never a fault of ours."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import pytest

from tests.web.calling import problem_of
from tests.web.platform import dispatch, event, service

pytestmark = [pytest.mark.django_db, pytest.mark.walk]

VALUES = [
    "", "0", "-1",
    "1" * 30, "9223372036854775808", "1e400", "NaN", "null", "true", "[]", "{}", "'", '"', "%", "\\", "\0",
    "a\0b", "ä", "\ud7ff", "\uffff", "\U0001f4a9", "../../etc/passwd", "..%2f..", "<script>alert(1)</script>",
    "{{7*7}}", "a b\r\nX: y", "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "2026-02-30T00:00:00Z",
    "2026-01-01T00:00:00+99:99", "2026-01-01", "WzAsbnVsbF0", "WzAsIjIwMjYiXQ", "W10", "eyJhIjoxfQ", "x" * 3000,
]  # fmt: skip
LISTS = {
    "events": "type source flow_id since until limit cursor",
    "executions": "correlation_id service project status trigger_type since until limit cursor",
    "flows": "root_type since until limit cursor",
    "services": "project tag query runs limit cursor",
    "projects": "limit cursor",
    "secrets": "limit cursor",
    "event-types": "query limit cursor",
    "schedules": "service active limit cursor",
    "topics/ferris.events/records": "partition offset limit",
    "dead-letters": "reason topic flow_id limit cursor",
}
PATHS = [
    "events/{}", "executions/{}", "executions/{}/logs", "flows/{}", "services/{}", "services/{}/config",
    "services/{}/state", "services/{}/secrets", "projects/{}", "projects/{}/syncs", "schedules/{}",
    "topics/{}/records", "dead-letters/{}",
]  # fmt: skip
BODIES: list[Any] = [
    b"", b"{", b"null", b"[]", b"5", b'"x"', b"\xff\xfe", b'{"a":NaN}', b"[" * 5000, b'{"parameters":' * 1500,
    {"parameters": {"a": "\0"}}, {"parameters": {"\0": 1}}, {"parameters": {"a": 10**400}},
    {"parameters": {"a": {"b": [None] * 1000}}}, {"parameters": {"package_id": "x"}}, {"parameters": None},
    {"name": "\0", "source": "\0", "branch": "\0"}, {"name": "x" * 5000, "source": "y" * 5000},
    {"name": {"a": 1}, "source": [1]}, {"service": "one", "schedule": "\0"},
    {"service": "one", "schedule": "* " * 3000}, {"service": "one", "schedule": "0 0 1 1", "timezone": "\0"},
    {"service": "one", "schedule": "0 0 1 1", "timezone": "../../etc/passwd"},
    {"service": "one", "schedule": "0 0 1 1", "parameters": {"a": "\0"}},
    {"value": "\0"}, {"value": {"a": 10**400}}, {"active": "maybe"}, b'{"value": "\\ud800"}', b'{"a": "\\ud800"}',
]  # fmt: skip
WRITES = [
    ("POST", "services/one/run"), ("PUT", "services/one/config"), ("PUT", "services/one/state"),
    ("PUT", "services/one/secrets/key"), ("PUT", "secrets/key"), ("POST", "projects"), ("POST", "schedules"),
]  # fmt: skip


@pytest.fixture
def some_rows(backends):
    service("one", "a.happened")
    dispatch(event("a.happened"))


@pytest.mark.parametrize("path", LISTS)
def test_any_query_is_answered(api, some_rows, path):
    for name in LISTS[path].split():
        for value in VALUES:
            answer = api.get(f"/api/v1/{path}/?{name}={quote(value.encode('utf-8', 'surrogatepass'))}")
            assert answer.status_code in (200, 400, 404), (name, value, answer.content)
            if answer.status_code != 200:
                problem_of(answer, answer.status_code)


@pytest.mark.parametrize("path", PATHS)
def test_any_address_is_answered(api, some_rows, path):
    for value in VALUES:
        name = quote(value.encode("utf-8", "surrogatepass"), safe="")
        answer = api.get(f"/api/v1/{path.format(name)}/")
        assert answer.status_code in (200, 400, 404), (value, answer.content)
        if answer.status_code != 200:
            problem_of(answer, answer.status_code)


@pytest.mark.parametrize(("method", "path"), WRITES)
def test_any_body_is_answered(api, some_rows, method, path, monkeypatch):
    monkeypatch.setattr("ferris_web.api.views.executions.wait_visible", lambda pk: None)  # nobody routes here
    for body in BODIES:
        answer = api(method, f"/api/v1/{path}/", body)
        assert answer.status_code < 500, (body, answer.content)
        if answer.status_code >= 400:
            problem_of(answer, answer.status_code)
        elif answer.content:
            json.loads(answer.content)
    for shown in ("config", "state"):
        assert api.get(f"/api/v1/services/one/{shown}/").status_code == 200
