"""Fields that no request may set: whatever a body brings beside what its route takes, nothing of it is written.

What a route says it does not know is left out and the rest sent again: what is left, the route took for its own.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.core.cache import cache
from django.db import connection, transaction
from django.test import Client

from ferris_web.accounts.models import Membership, User
from ferris_web.accounts.services import token_create
from ferris_web.catalog.models import Project
from tests.web.console_rows import Rows
from tests.web.test_permissions import ROUTES, _bodies, mine

__all__ = ["mine"]

MARK, NUMBER = "mallory-was-here", 42_424_242
# What the tables have and people do not decide: whose it is, who made it, when, what became of it.
TEXTS = [
    "created_by",
    "updated_by",
    "deleted_by",
    "actor",
    "owner",
    "user",
    "username",
    "paused_by",
    "set_by",
    "who",
    "status",
    "state",
    "reason",
    "worker",
    "digest",
    "fingerprint",
    "ciphertext",
    "password",
    "token",
    "token_digest",
    "prefix",
    "secret_key",
    "flow",
    "correlation_id",
    "parent",
    "trigger_type",
    "origin",
    "last_problem",
    "sealed",
    "project_name",
    "service_name",
]
NUMBERS = [
    "id",
    "pk",
    "number",
    "revision",
    "version",
    "user_id",
    "owner_id",
    "project_id",
    "service_id",
    "repository_id",
    "attempt",
    "attempts",
    "sequence",
    "offset",
    "read",
    "sent",
    "expected",
    "fire_count",
    "failures",
]
FLAGS = [
    "is_superuser",
    "is_staff",
    "is_active",
    "is_admin",
    "administrator",
    "administrator_by_provider",
    "every_project",
    "verified",
]
FORBIDDEN = {
    **dict.fromkeys(TEXTS, MARK),
    **dict.fromkeys(NUMBERS, NUMBER),
    **dict.fromkeys(FLAGS, True),
    "created_at": "1999-09-09T09:09:09Z",
    "groups": [MARK],
    "user_permissions": [MARK],
}
AUDIT = "accounts_auditentry"  # it tells what was asked, be it refused
WRITES = ("POST", "PUT", "PATCH")


def bodies(objects: dict[str, Any]) -> dict[str, Any]:
    """Requests that get through, or nearly."""
    project, service = objects["project"], objects["service"]
    return {
        **_bodies(objects),
        "api:tokens": {"name": "laptop"},
        "api:member": {"role": "viewer"},
        "api:service-accounts": {"name": "robot2", "role": "viewer"},
        "api:service-account-tokens": {"name": "robot's"},
        "api:saved-views": {"list": "executions", "name": "mine", "query": "status=failed"},
        "api:service-secret": {"value": "a secret value"},
        "api:project-secret": {"value": "a secret value"},
        "api:service-config": {"value": {"above": 1}},
        "api:service-state": {"value": {"above": 1}},
        "api:service-saved-run": {"parameters": {}},
        "api:service-saved-runs": {"name": "weekly", "parameters": {}},
        "api:service": {"active": True, "priority": 5},
        "api:schedule": {"active": False},
        "api:service-pause": {},
        "api:execution-priority": {"priority": 3},
        "api:repositories": {"source": "https://git.example/b"},
        "api:repository": {"branch": "main"},
        "api:replays": {"service": service, "since": "2026-01-01T00:00:00Z", "until": "2026-01-02T00:00:00Z"},
        "api:bulk": {"list": "executions", "action": "cancel", "query": f"project={project}"},
        "api:notification-rules": {
            "name": "new", "project": project, "kind": "failures", "times": 3, "targets": ["json://example.org"],
        },
        "api:event-maps": {"name": "m", "source_type": "a", "target_type": "b"},
    }  # fmt: skip


def _unknown(answer: Any) -> set[str]:
    """The names that an answer says its route does not know."""
    told = answer.json().get("errors", ()) if answer.status_code == 400 else ()
    return {one["field"] for one in told if "is not known here" in one["problem"]}


@pytest.mark.timeout(400)
def test_what_no_request_decides(
    rows: Rows, db: None, mine: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    for place in ("ferris_web.api.views.executions", "ferris_web.executions.services"):
        monkeypatch.setattr(f"{place}.wait_visible", lambda *a, **k: None)  # nobody routes here
    cache.clear()
    owner = User.objects.create_user("mallory")
    Membership.objects.filter(user=owner).delete()
    Membership.objects.create(user=owner, project=Project.objects.get(name="reports"), role="owner")
    client = Client(raise_request_exception=False)
    headers = {"Authorization": f"Bearer {token_create(owner)}"}
    written: list[tuple[str, str]] = []
    content = type(
        connection.Database.Binary(b"")
    )  # a configuration or a state: the body itself, whatever it holds
    said = bodies(mine)

    def watched(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        if sql.startswith(("INSERT", "UPDATE")) and AUDIT not in sql[:40]:
            for value in params if not many else [one for row in params for one in row]:
                if isinstance(value, content):
                    continue
                if MARK in str(value) or value == NUMBER or str(value).startswith("1999-09-09"):
                    written.append((label, sql[:120]))
        return execute(sql, params, many, context)

    answered: dict[int, int] = {}
    before = list(User.objects.order_by("pk").values_list("pk", "is_superuser", "is_staff", "is_active"))
    with connection.execute_wrapper(watched):
        for route in (route for route in ROUTES if route.space == "api"):
            for method in (method for method in route.methods if method in WRITES):
                label, body = f"{method} {route.name}", said.get(route.name, {})
                extra = {k: v for k, v in FORBIDDEN.items() if k not in body}
                with transaction.atomic():
                    for _ in range(2):
                        answer = client.generic(
                            method, route.address(mine), json.dumps({**extra, **body}),
                            content_type="application/json", headers=headers,
                        )  # fmt: skip
                        extra = {name: extra[name] for name in extra.keys() - _unknown(answer)}
                    after = list(User.objects.filter(pk__in=[one[0] for one in before]).order_by("pk")
                                 .values_list("pk", "is_superuser", "is_staff", "is_active"))  # fmt: skip
                    elsewhere = (
                        Membership.objects.filter(user=owner).exclude(project__name="reports").exists()
                    )
                    mighty = User.objects.exclude(pk__in=[one[0] for one in before])
                    assert not mighty.filter(is_superuser=True).exists(), label
                    assert not mighty.filter(is_staff=True).exists(), label
                    transaction.set_rollback(True)
                assert answer.status_code < 500, label
                assert after == before, label
                assert not elsewhere, label
                answered[answer.status_code // 100] = answered.get(answer.status_code // 100, 0) + 1
    assert not written, sorted(set(written))
    assert answered[2] > 25, answered
