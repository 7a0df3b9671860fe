"""No route answers a stranger. The routes are walked, so that one that is added later is walked too."""

from __future__ import annotations

import re
from collections.abc import Iterator
from uuid import UUID

import pytest
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver

from tests.web.calling import problem_of

pytestmark = pytest.mark.django_db

OPEN = {
    "sign-in/",  # how one stops being a stranger
    "health/live",
    "health/ready",  # states only; what is wrong is told to known users
    "problems/",  # explanations, no data
    "schemas/chart.json",
    "problems/<slug:name>/",
}
# Senders of webhooks have no account: each proves itself by a signature or token of its own. A stranger's POST is a
# 401, whether there is a webhook of that name or not, and no other method does anything.
HOOKS = {
    "hooks/<str:name>/",
    "hooks/<str:name>",
    "hooks/repositories/<int:pk>/",
    "hooks/repositories/<int:pk>",
}
# Django's answers to a stranger who signs out, or whose address leads nowhere.
# No provider is set up here, so there is no way to one (tests/web/test_sign_in_provider.py has one).
HARMLESS = {
    "language/",
    "sign-in/provider/",
    "sign-in/provider/back/",
    "sign-in/provider/<slug:key>/",
    "sign-in/provider/<slug:key>/back/",
    "sign-in/second-factor/",
    "sign-out/",
    "admin/logout/",
    "admin/(?P<url>.*)$",
    "^(?:api/(?!docs/)|control/)",
}
SAMPLES = {
    "uuid": str(UUID(int=7)),
    "int": "1",
    "slug": "not-found",
    "str": "one",
    "path": "one",
}
REFUSED = {401, 403, 302}


def _routes(patterns: list[URLPattern | URLResolver], prefix: str = "") -> Iterator[str]:
    for pattern in patterns:
        route = prefix + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from _routes(pattern.url_patterns, route)
        else:
            yield route


def _address(route: str) -> str:
    route = re.sub(r"<(\w+):\w+>", lambda found: SAMPLES[found[1]], route)
    route = re.sub(r"\(\?P<\w+>[^()]*\)", "one", route)
    route = re.sub(r"\(\?:([^|()]*)[^()]*\)", r"\1", route)
    return "/" + re.sub(r"/\?\$$|[\^$]", "", route)


ROUTES = sorted(set(_routes(get_resolver().url_patterns)))


def test_the_walk_finds_the_routes():
    assert "api/v1/executions/<uuid:pk>/" in ROUTES
    assert "control/v1/kv/<path:key>" in ROUTES
    assert "executions/<uuid:pk>/" in ROUTES
    assert len(ROUTES) > 100


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"])
def test_a_stranger_is_refused(method, backends):
    client = Client(enforce_csrf_checks=False)
    for route in ROUTES:
        answer = client.generic(method, _address(route), b"{}", content_type="application/json")
        if route in OPEN and method in ("GET", "HEAD"):
            assert answer.status_code == 200, (route, answer.status_code)
        elif route in HOOKS:
            assert answer.status_code == (401 if method == "POST" else 405), (route, answer.status_code)
        elif route in OPEN or route in HARMLESS:
            assert answer.status_code in {200, 302, 401, 403, 404, 405}, (route, answer.status_code)
        else:
            assert answer.status_code in REFUSED, (route, answer.status_code)
            if answer.status_code == 302:
                assert "sign-in" in answer.headers["Location"] or "login" in answer.headers["Location"], route


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE"])
@pytest.mark.parametrize("path", ["/api/v1/nothing/", "/api/v2/events", "/control/nothing"])
def test_an_address_that_leads_nowhere_is_not_found(api, method, path):
    program = Client(enforce_csrf_checks=True, headers={"Authorization": f"Bearer {api.token}"})
    problem_of(program.generic(method, path, b"{}", content_type="application/json"), 404)


@pytest.mark.parametrize("token", ["nonsense", "ferris_" + "x" * 43, "", "ü" * 20, "a.b.c"])
def test_a_wrong_token_opens_nothing(token, backends):
    client = Client(headers={"Authorization": f"Bearer {token}".encode().decode("latin-1")})
    for path in (
        "/api/v1/executions/",
        "/metrics",
        "/control/claim",
        "/control/v1/kv/ferris.env",
        "/api/schema/",
    ):
        assert client.get(path).status_code == 401, path


def test_a_token_of_a_person_opens_no_control_route(api):
    assert api.post("/control/claim", {"execution": str(UUID(int=1)), "worker": "w"}).status_code == 401
    assert api.get("/control/v1/kv/ferris.env").status_code == 401


def test_the_executors_token_opens_nothing_of_people(executor):
    assert executor.get("/api/v1/executions/").status_code == 401
    assert executor.get("/control/v1/kv/ferris.env").status_code == 401


def test_a_disabled_user_and_an_expired_token_are_strangers(api, user):
    from datetime import UTC, datetime, timedelta

    from ferris_web.accounts.models import ApiToken

    assert api.get("/api/v1/executions/").status_code == 200
    ApiToken.objects.update(expires_at=datetime.now(UTC) - timedelta(seconds=1))
    assert api.get("/api/v1/executions/").status_code == 401
    ApiToken.objects.update(expires_at=None)
    user.is_active = False
    user.save()
    assert api.get("/api/v1/executions/").status_code == 401
    assert api.get("/metrics").status_code == 401


def test_a_session_reads_and_needs_a_csrf_token_to_write(user, backends):
    client = Client(enforce_csrf_checks=True)
    client.force_login(user)
    assert client.get("/api/v1/executions/").status_code == 200
    refused = client.post("/api/v1/events/", b"{}", content_type="application/cloudevents+json")
    assert refused.status_code == 403
    assert refused.headers["Content-Type"] == "application/problem+json"
    client.cookies["ferris_csrf"] = "s" * 32
    event = {"specversion": "1.0", "id": "1", "source": "/s", "type": "t"}
    taken = client.post(
        "/api/v1/events/",
        event,
        content_type="application/cloudevents+json",
        headers={"X-CSRFToken": "s" * 32},
    )
    assert taken.status_code == 202, taken.content


def test_details_of_readiness_are_for_known_users(anonymous, api, monkeypatch):
    from ferris.errors import BackendError
    from ferris_web.api import health
    from ferris_web.executions.checkup import readiness as looks

    def away() -> looks.State:
        raise BackendError("object store", "cannot use /some/private/folder", "mend it")

    readiness = looks.Readiness()
    readiness._checks["object_store"] = away
    monkeypatch.setattr(health, "_readiness", readiness)
    told = anonymous.get("/health/ready")
    assert told.status_code == 503
    assert told.json()["backends"]["object_store"]["state"] == "failed"
    assert b"private" not in told.content
    assert b"private" in api.get("/health/ready").content
