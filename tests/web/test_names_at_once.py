"""Names that there are once, wanted by two at the same moment: one gets it, the other hears so, and nothing is changed
of the first one's."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.forms import UserCreationForm
from django.contrib.auth.models import Group
from django.db.models import Model
from django.test import Client

from ferris.errors import Conflict
from ferris_web.accounts.models import User
from ferris_web.accounts.services import service_account_add
from ferris_web.catalog.connections import connection_set
from ferris_web.catalog.editing import service_make
from ferris_web.catalog.models import (
    Connection,
    NotificationRule,
    Project,
    Repository,
    Service,
    Subscription,
    Webhook,
)
from ferris_web.catalog.notifications import rule_set
from ferris_web.catalog.repositories import repository_add
from ferris_web.catalog.subscriptions import subscription_set
from ferris_web.catalog.upload import service_upload
from ferris_web.catalog.webhooks import webhook_set
from tests.web.at_once import at_once

pytestmark = pytest.mark.django_db(transaction=True)
NOW = datetime(2026, 3, 1, tzinfo=UTC)
TRIES = range(4)


@pytest.fixture
def projects(backends) -> list[Project]:
    return [Project.objects.create(name=name) for name in ("ours", "theirs")]


def outcomes(*jobs: Callable[[], object]) -> list[str]:
    """What came of them, done at once: the type of what each raised, or nothing."""
    said: list[str] = []

    def noted(job: Callable[[], object]) -> Callable[[], None]:
        def run() -> None:
            try:
                job()
            except Exception as error:
                said.append(type(error).__name__)
            else:
                said.append("")

        return run

    at_once(*map(noted, jobs))
    return sorted(said)


def test_a_new_subscription_changes_no_other_one(projects):
    for n in TRIES:

        def made(project: Project, name: str = f"orders{n}") -> Callable[[], object]:
            return lambda: subscription_set(
                name,
                now=NOW,
                new=True,
                project=project,
                event_type="a",
                url=f"https://{project.name}.example/",
            )

        assert outcomes(*map(made, projects)) == ["", "Conflict"]
        row = Subscription.objects.select_related("project").get(name=f"orders{n}")
        assert row.url == f"https://{row.project.name}.example/"


def test_a_new_rule_changes_no_other_one(projects):
    for n in TRIES:

        def made(project: Project, name: str = f"pager{n}") -> Callable[[], object]:
            return lambda: rule_set(
                name, new=True, project=project, kind="failures", targets=[f"json://{project.name}.example"]
            )

        assert outcomes(*map(made, projects)) == ["", "Conflict"]
        assert NotificationRule.objects.filter(name=f"pager{n}").count() == 1


def test_what_there_is_already_is_a_conflict(projects):
    said = {"now": NOW, "event_type": "a", "url": "https://example.org/"}
    subscription_set("orders", new=True, project=projects[0], **said)
    with pytest.raises(Conflict, match="there is a subscription 'orders' already"):
        subscription_set("orders", new=True, project=projects[1], **said)
    assert subscription_set("orders", **said | {"url": "https://example.org/b"}).subscription.url.endswith(
        "/b"
    )


def test_a_project_is_made_once(backends, tmp_path: Path):
    for n in TRIES:
        folders = [tmp_path / f"{n}{name}" for name in "ab"]
        for folder in folders:
            folder.mkdir()
        jobs = [lambda f=folder, p=f"new{n}": repository_add(p, str(f), now=NOW) for folder in folders]
        assert set(outcomes(*jobs)) <= {"", "Conflict", "ValidationError"}
        assert Repository.objects.filter(project__name=f"new{n}").exists()


def test_a_service_account_is_made_once(projects):
    one = projects[0]
    for n in TRIES:
        jobs = [lambda n=n: service_account_add(one.pk, one.name, f"robot{n}", "viewer")] * 2
        assert outcomes(*jobs) == ["", "Conflict"]


def console(*addresses: str) -> list[Client]:
    """A browser each, of an administrator."""
    boss = User.objects.create_superuser("boss", password="a long password")
    found = [Client() for _ in addresses]
    for one in found:
        one.force_login(boss)
    return found


def posted(browsers: list[Client], address: str, *forms: dict[str, str]) -> list[int]:
    """The status of the answer to each of these forms, sent at once."""
    said: list[int] = []

    def sent(browser: Client, form: dict[str, str]) -> Callable[[], None]:
        return lambda: said.append(browser.post(address, form).status_code)

    at_once(*(sent(browser, form) for browser, form in zip(browsers, forms, strict=True)))
    return sorted(said)


@pytest.mark.parametrize(
    ("address", "model", "field", "given"),
    [
        ("/webhooks/add/", Webhook, "description", {"kind": "hmac", "event_type": "a.b", "secret": "long enough " * 3}),
        ("/connections/add/", Connection, "description", {"url": "sqlite:////tmp/no-such-place.db"}),
        ("/subscriptions/add/", Subscription, "description",
         {"project": "ours", "event_type": "a", "url": "https://example.org/", "form": "structured"}),
        ("/notifications/add/", NotificationRule, "service",
         {"project": "ours", "kind": "failures", "targets": "json://example.org", "active": "on"}),
    ],
)  # fmt: skip
def test_of_two_forms_one_makes_it_and_the_other_hears_so(projects, address, model, field, given):
    browsers = console(address, address)
    for n in TRIES:
        forms = [{**given, "name": f"n{n}", field: f"of {who}"} for who in "ab"]
        before = model.objects.count()
        statuses = posted(browsers, address, *forms)
        assert statuses in ([200, 422], [302, 422]), statuses
        assert model.objects.count() == before + 1


def test_what_the_form_made_is_not_changed_by_the_next(projects):
    connection_set("db", new=True, url="sqlite:////tmp/no-such-place.db", description="the first")
    webhook_set("hook", now=NOW, new=True, kind="hmac", event_type="a.b", description="the first")
    with pytest.raises(Conflict, match="there is a database connection 'db' already"):
        connection_set("db", new=True, url="sqlite:////tmp/another.db", description="the second")
    with pytest.raises(Conflict, match="there is a webhook 'hook' already"):
        webhook_set("hook", now=NOW, new=True, kind="hmac", event_type="c.d", description="the second")
    assert Connection.objects.get().description == Webhook.objects.get().description == "the first"


@pytest.mark.parametrize("make", [service_make, service_upload])
def test_a_service_is_made_once(projects, make):
    for n in TRIES:
        jobs = [
            lambda project=project, name=f"s{n}": make(
                project, name, {"run.py": b"print()\n"}, author="ada", now=NOW
            )
            for project in projects
        ]
        said = outcomes(*jobs)
        assert set(said) <= {"", "Conflict"}  # an upload that comes later is refused by its outcome
        assert Service.objects.filter(name=f"s{n}").count() == 1
        assert Service.objects.get(name=f"s{n}").versions.count() == 1


ADMINISTERED = [
    ("auth/group", Group, "name", {}),
    ("accounts/user", User, "username", {"usable_password": "false", "password1": "", "password2": ""}),
    ("catalog/connection", Connection, "name", {"url": "sqlite:////tmp/no-such-place.db"}),
    ("catalog/webhook", Webhook, "name", {
        "kind": "hmac", "event_type": "a.b", "secret": "long enough " * 3, "options": "{}", "headers": "{}",
        "window_seconds": "300", "active": "on", "type_from": "", "id_from": "",
    }),
]  # fmt: skip


@pytest.mark.parametrize(("page", "model", "field", "given"), ADMINISTERED)
def test_of_two_forms_of_the_administration_one_makes_it(backends, page, model, field, given):
    address = f"/admin/{page}/add/"
    browsers = console(address, address)
    for n in TRIES:
        assert posted(browsers, address, *[{**given, field: f"n{n}"}] * 2) == [200, 302]
        assert model.objects.filter(**{field: f"n{n}"}).count() == 1


@pytest.mark.parametrize(("page", "model", "field", "given"), ADMINISTERED)
def test_a_name_that_was_taken_while_the_form_was_looked_at_is_the_forms_error(
    backends, monkeypatch, page, model, field, given
):
    """The moment between look and save, which SQLite's transactions do not have."""
    address = f"/admin/{page}/add/"
    [browser] = console(address)
    assert browser.post(address, {**given, field: "taken"}).status_code == 302
    real, looks = model._perform_unique_checks, []

    def too_early(row: Model, checks: list[Any]) -> dict[str, list[Any]]:
        looks.append(row)
        return real(row, checks) if len(looks) > 1 else {}

    monkeypatch.setattr(model, "_perform_unique_checks", too_early)
    monkeypatch.setattr(UserCreationForm, "clean_username", lambda form: form.cleaned_data["username"])
    answer = browser.post(address, {**given, field: "taken"})
    assert answer.status_code == 200
    assert "already exists" in answer.content.decode()
    assert model.objects.filter(**{field: "taken"}).count() == 1
