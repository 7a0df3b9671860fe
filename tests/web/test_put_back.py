"""What GET gives may be put back: it is taken, and nothing is different after it.

Of what is never shown, the part that is (the names of secret headers, the kinds of targets, a URL without its
password) stands for what there is.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from ferris_web.accounts.models import User
from ferris_web.accounts.services import token_create
from ferris_web.api.incoming import parameters_of
from ferris_web.catalog import connections, notifications, subscriptions, webhooks
from ferris_web.catalog.models import Connection, NotificationRule, Project, Subscription, Webhook
from ferris_web.catalog.saved_runs import saved_run_set
from ferris_web.catalog.secrets import decrypted
from ferris_web.executions.models import SavedView
from ferris_web.executions.services.saved_views import view_default_set
from tests.web.calling import Caller, problem_of
from tests.web.console_rows import Rows
from tests.web.test_permissions import OTHERS, ROUTES, _objects

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 3, 1, tzinfo=UTC)
MOVES = ("updated_at", "saved_at", "created_at")
SLACK = "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ"


@pytest.fixture
def root(db: None) -> User:
    return User.objects.create_superuser("root", password="a long password")


@pytest.fixture
def call(root: User) -> Caller:
    return Caller(token_create(root))


@pytest.fixture
def shop(backends: Any) -> Project:
    return Project.objects.create(name="shop")


def _still(said: Any) -> Any:
    return {k: v for k, v in said.items() if k not in MOVES} if isinstance(said, dict) else said


def _value(field: dict[str, Any]) -> Any:
    """One that the field of a run form takes."""
    if field.get("choices"):
        chosen = field["choices"][0]["value"]
        return [chosen] if field["type"] == "multiselect" else chosen
    return 1 if field["type"] in ("int", "float") else "x"


@pytest.mark.walk
def test_every_put_takes_what_its_get_gives(rows: Rows, root: User, call: Caller, tmp_path: Path) -> None:
    """Each with as little in it as there may be: what is empty is shown as null."""
    project = Project.objects.get(name="reports")
    objects = _objects(project)
    connections.connection_set("x", url=f"sqlite:///{tmp_path}/x.db")
    webhooks.webhook_set("x", now=NOW, kind="none")
    NotificationRule.objects.filter(name=objects["notification rule"]).delete()
    notifications.rule_set(objects["notification rule"], project=project, kind="failures", targets=[SLACK])
    service = project.services.get(name=objects["service"])
    values = parameters_of(service, {one["name"]: _value(one) for one in service.version.parameters})
    saved_run_set(service, OTHERS["saved"], values, actor="root", now=NOW)
    view = SavedView.objects.create(
        owner=root, listing=OTHERS["listing"], name="mine", query="", saved_at=NOW
    )
    view_default_set(root, OTHERS["listing"], view.pk)
    asked = []
    for route in ROUTES:
        view_class = getattr(route.pattern.callback, "view_class", None)
        if route.space != "api" or not hasattr(view_class, "put") or not hasattr(view_class, "get"):
            continue
        address = route.address(objects)
        if route.name == "api:service-file":
            address += "?path=run.py"
        before = call.get(address)
        if route.name in ("api:bucket-object", "api:service-file") and before.status_code != 200:
            continue  # bytes, of a repository's or the platform's own
        assert before.status_code == 200, (address, before.content)
        said = before.getvalue() if before.streaming else before.content
        answer = call("PUT", address, said, type=before.headers["Content-Type"].partition(";")[0])
        if route.name == "api:service-file" and answer.status_code == 409:
            continue  # a repository holds it
        assert answer.status_code in (200, 204), (address, said, answer.content)
        after = call.get(address)
        if before.headers["Content-Type"].startswith("application/json"):
            assert _still(after.json()) == _still(json.loads(said)), address
        asked.append(route.name)
    assert {"api:subscription", "api:connection", "api:webhook", "api:notification-rule", "api:chart"} <= set(
        asked
    )
    assert len(asked) > 9, asked


def test_secret_headers_that_are_named_stay(shop: Project, call: Caller) -> None:
    address = "/api/v1/subscriptions/orders/"
    subscriptions.subscription_set(
        "orders", now=NOW, project=shop, event_type="a", url="https://example.org/",
        secret_headers={"Authorization": "s3cr3t", "X-Key": "k3y"},
    )  # fmt: skip

    def kept() -> dict[str, str]:
        return subscriptions.subscription_opened(Subscription.objects.get(name="orders"), NOW).headers

    shown = call.get(address).json()
    assert call.put(address, shown).status_code == 200
    assert kept() == {"Authorization": "s3cr3t", "X-Key": "k3y"}
    assert (
        call.put(address, {**shown, "secret_headers": {"authorization": None, "X-New": "n3w"}}).status_code
        == 200
    )
    assert {name.lower(): value for name, value in kept().items()} == {
        "authorization": "s3cr3t",
        "x-new": "n3w",
    }
    assert call.put(address, {"description": "others"}).status_code == 200
    assert len(kept()) == 2
    [error] = problem_of(call.put(address, {"secret_headers": ["X-Other"]}), 400)["errors"]
    assert error["field"] == "secret_headers"
    assert "X-Other" in error["problem"]
    problem_of(call.put(address, {"secret_headers": [1]}), 400)
    assert call.put(address, {"secret_headers": []}).status_code == 200
    assert kept() == {}


def test_a_password_that_is_hidden_stays(shop: Project, call: Caller) -> None:
    address = "/api/v1/connections/warehouse/"
    url = "postgresql://reader:pw@db.example.org/quakes"
    assert call.put(address, {"url": url, "projects": ["shop"]}).status_code == 200

    def kept() -> str:
        return str(decrypted(Connection.objects.get(name="warehouse").ciphertext, "it"))

    shown = call.get(address).json()
    assert "pw" not in shown["url"]
    assert call.put(address, {**shown, "description": "All quakes"}).status_code == 200
    assert kept() == url
    elsewhere = shown["url"].replace("db.example.org", "evil.example.org")
    [error] = problem_of(call.put(address, {"url": elsewhere}), 400)["errors"]
    assert error["field"] == "url"
    assert kept() == url
    problem_of(call.put("/api/v1/connections/other/", {"url": shown["url"]}), 400)


def test_targets_that_are_named_as_they_are_shown_stay(shop: Project, call: Caller) -> None:
    address = "/api/v1/notification-rules/pager/"
    mail = "mailtos://user:password@smtp.example.org?to=team@example.org"
    notifications.rule_set(
        "pager", project=shop, kind="failures", targets=[SLACK, mail, mail + ",b@example.org"]
    )

    def kept() -> set[str]:
        return set(notifications.rule_targets(NotificationRule.objects.get(name="pager")).values())

    shown = call.get(address).json()
    ids = [one["id"] for one in NotificationRule.objects.get(name="pager").targets]
    assert call.put(address, shown).status_code == 200
    assert kept() == {SLACK, mail, mail + ",b@example.org"}
    assert [one["id"] for one in NotificationRule.objects.get(name="pager").targets] == ids
    [error] = problem_of(call.put(address, {"targets": shown["targets"][:2]}), 400)["errors"]
    assert "1 of 2" in error["problem"], "which of the two is not said"
    new = "json://hooks.example.org/"
    assert call.put(address, {"targets": [shown["targets"][0], new]}).status_code == 200
    assert kept() == {SLACK, new}
    [error] = problem_of(call.put(address, {"targets": [shown["targets"][1]]}), 400)["errors"]
    assert "there is none" in error["problem"]
    problem_of(call.put(address, {"targets": []}), 400)
    assert kept() == {SLACK, new}


def test_a_webhook_is_put_back_with_its_secret(shop: Project, call: Caller) -> None:
    address = "/api/v1/webhooks/till/"
    secret = call.put(address, {"kind": "standard"}).json()["secret"]
    answer = call.put(address, call.get(address).json())
    assert (answer.status_code, answer.json()["secret"]) == (200, None)
    assert webhooks.secrets_at(Webhook.objects.get(name="till"), NOW) == [secret]
