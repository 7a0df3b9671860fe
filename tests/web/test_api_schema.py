"""Every operation of the OpenAPI schema is asked what the schema allows, and what it does not allow: no answer is a
fault, and each is what the schema says.

Real objects stand in the addresses, so that requests get further than 404; what a request changes is undone.
`FERRIS_TESTS_EXAMPLES=50 python -m pytest tests/web/test_api_schema.py` looks longer.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from django.core.signals import request_finished, request_started
from django.core.wsgi import get_wsgi_application
from django.db import close_old_connections, transaction
from django.urls import resolve
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.errors import FailureGroup
from schemathesis.specs.openapi import checks

from ferris_web.accounts.models import User
from ferris_web.accounts.services import token_create
from ferris_web.catalog.models import Project
from tests.web.console_rows import Rows
from tests.web.test_permissions import ROUTES, _objects

pytestmark = pytest.mark.walk

EXAMPLES = int(os.environ.get("FERRIS_TESTS_EXAMPLES", "2"))  # of each operation and mode
CHECKS = [
    not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
]
_CONDITIONS = ("If-Match", "If-None-Match", "Idempotency-Key")
_PARAMETER = re.compile(r"<\w+:(\w+)>")


@pytest.fixture
def one_connection() -> Iterator[None]:
    """A request's end closes no connection: its transaction is the test's."""
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)
    yield
    for signal in (request_started, request_finished):
        signal.connect(close_old_connections)


@pytest.fixture
def asked(rows: Rows, db: None, one_connection: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The schema as an administrator sees it, and by address the objects that stand in it."""
    for place in ("ferris_web.api.views.executions", "ferris_web.executions.services"):
        monkeypatch.setattr(f"{place}.wait_visible", lambda *a, **k: None)  # nobody routes here
    monkeypatch.setattr("ferris_web.api.streams.LONGEST_SECONDS", 0.1)
    objects = _objects(Project.objects.get(name="reports"))
    places = {}
    for route in ROUTES:
        if route.space == "api":
            found = resolve(route.address(objects)).kwargs
            address = _PARAMETER.sub(lambda part: f"{{{_shown(part[1])}}}", f"/{route.pattern.pattern}")
            places[address] = {_shown(name): str(value) for name, value in found.items()}
    root = User.objects.create_superuser("root", password="a long password")
    headers = {"Authorization": f"Bearer {token_create(root)}"}
    schema = schemathesis.openapi.from_wsgi(
        "/api/schema/?format=json", get_wsgi_application(), headers=headers
    )
    return schema, places, headers


def _shown(name: str) -> str:
    """The schema calls a primary key `id`."""
    return "id" if name == "pk" else name


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("mode", GenerationMode)
def test_every_operation_answers_as_its_schema_says(asked: Any, mode: GenerationMode) -> None:
    schema, places, headers = asked
    failures, statuses = [], dict[int, int]()
    for found in schema.get_all_operations():
        operation = found.ok()
        cases = operation.as_strategy(mode, path_parameters=places.get(operation.path))

        @settings(
            max_examples=EXAMPLES,
            phases=[Phase.generate],
            derandomize=True,
            database=None,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        )
        @given(case=cases)
        def ask(case: Any) -> None:
            for name in _CONDITIONS:  # made up, they would keep all changes from happening
                case.headers.pop(name, None)
            with transaction.atomic():
                answer = case.call(headers=headers)
                transaction.set_rollback(True)
            statuses[answer.status_code] = statuses.get(answer.status_code, 0) + 1
            case.validate_response(answer, checks=CHECKS)

        try:
            ask()
        except FailureGroup as failure:
            failures.append(f"{operation.label}: {failure}")
    assert not failures, "\n".join(failures)
    assert sum(n for status, n in statuses.items() if status < 300) > len(places) / 2, statuses
    assert set(statuses) - {200, 404}, statuses
