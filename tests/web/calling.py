"""Calls the REST and control APIs through Django's whole request cycle, with tokens as programs bring them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest
from django.test import Client

CLOUDEVENT = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"


class Caller:
    """A program with a bearer token. Answers are Django's responses."""

    def __init__(self, token: str | None, *, raise_faults: bool = True) -> None:
        self.token = token
        self._client = Client(raise_request_exception=raise_faults)

    def __call__(
        self, method: str, path: str, body: Any = None, *, type: str = "application/json", **headers: str
    ) -> Any:
        """A request. `body`: bytes as they are, else JSON. Headers by name, with _ for -."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if self.token is not None:
            sent.setdefault("Authorization", f"Bearer {self.token}")
        if body is not None:
            sent["Content-Type"] = type
        content = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        return self._client.generic(
            method, path, content, content_type=type if body is not None else "", headers=sent
        )

    def get(self, path: str, **headers: str) -> Any:
        return self("GET", path, **headers)

    def post(self, path: str, body: Any = None, **options: Any) -> Any:
        return self("POST", path, {} if body is None else body, **options)

    def put(self, path: str, body: Any) -> Any:
        return self("PUT", path, body)

    def patch(self, path: str, body: Any) -> Any:
        return self("PATCH", path, body)

    def delete(self, path: str) -> Any:
        return self("DELETE", path)

    def all(self, path: str) -> list[Any]:
        """Every result of a paged list, page by page."""
        found, url = [], path
        while url:
            page = self.get(url).json()
            found += page["results"]
            url = page["next"]
        return found


def problem_of(response: Any, status: int) -> dict[str, Any]:
    """The problem document of an answer, checked for what RFC 9457 and our own rules ask."""
    assert response.status_code == status, (response.status_code, response.content[:500])
    assert response.headers["Content-Type"] == "application/problem+json"
    document = json.loads(response.content)
    assert document["status"] == status
    assert document["title"]
    assert document["detail"]
    assert "/problems/" in document["type"]
    return document


def an_event(event_type: str = "shop.order.placed", **attributes: Any) -> dict[str, Any]:
    """A structured event; an attribute given as None is left out."""
    made = {
        "specversion": "1.0",
        "id": "1",
        "source": "/shop",
        "type": event_type,
        "data": {"n": 1},
        **attributes,
    }
    return {name: value for name, value in made.items() if value is not None}


@pytest.fixture
def user(db: None) -> Any:
    """Somebody who may sign in."""
    from ferris_web.accounts.models import User

    return User.objects.create_user("ada", password="a long password")


@pytest.fixture
def api(user: Any, backends: Any) -> Caller:
    """A program of that user, on empty backends."""
    from ferris_web.accounts.services import token_create

    return Caller(token_create(user))


@pytest.fixture
def anonymous(backends: Any) -> Caller:
    """A program without a token."""
    return Caller(None)


@pytest.fixture
def executor(backends: Any) -> Caller:
    """An executor."""
    from ferris_web import wiring

    return Caller(wiring.config().executor_token)


@pytest.fixture
def routing(backends: Any) -> Iterator[None]:
    """A router at work beside the test (which needs `django_db(transaction=True)`)."""
    from ferris_web import wiring
    from gateway.router import Router
    from tests.web.at_once import at_work

    with at_work(Router(wiring.event_log(), 100)):
        yield


def script_of(executor: Caller, execution: UUID) -> Caller:
    """The script of an execution, after its claim: a program with the execution's own token."""
    answer = executor.post("/control/claim", {"execution": str(execution), "worker": "w1"}).json()
    assert answer["go"], answer
    return Caller(answer["order"]["token"])
