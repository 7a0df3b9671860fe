"""The administration: every model can be found and read, secrets cannot, and what the platform wrote stays."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
from django.contrib import admin
from django.contrib.admin.utils import quote
from django.contrib.auth.models import Group
from django.db import connection
from django.db.models import Model
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from ferris_web.accounts.models import Allowance, ApiToken, AuditEntry, BrowserSession, Membership, User
from ferris_web.catalog.models import Project
from tests.web.console_rows import Rows

OURS = [
    model for model in admin.site._registry if model._meta.app_label in ("accounts", "catalog", "executions")
]
MOST_QUERIES = 30
CHANGEABLE = {"User", "Membership", "ApiToken", "Project", "EventType", "Connection", "Webhook"}
DELETABLE = {
    "User",
    "Membership",
    "ApiToken",
    "Secret",
    "Connection",
    "Webhook",
    "WebhookDelivery",
}
ADDABLE = {"User", "Membership", "Connection", "Webhook"}


def address(model: type[Model], page: str, *arguments: object) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{page}", args=arguments)


def test_every_model_is_there() -> None:
    from django.apps import apps

    models = [
        m for app in ("accounts", "catalog", "executions") for m in apps.get_app_config(app).get_models()
    ]
    assert {m.__name__ for m in models} == {m.__name__ for m in OURS}


def any_row(model: type[Model]) -> Model | None:
    if model is ApiToken:
        from ferris_web.accounts.services import token_create

        token_create(User.objects.first(), "test")  # type: ignore[arg-type]
    if model is AuditEntry:
        AuditEntry.objects.create(at=datetime.now(UTC), actor="ada", action="console:project-sync")
    if model is Allowance:
        Allowance.objects.get_or_create(key="sign-in:a1", used=1, until=datetime.now(UTC))
    if model is BrowserSession:
        BrowserSession.objects.get_or_create(
            user=User.objects.first(), session_key="a-key", created_at=datetime.now(UTC)
        )
    if model is Membership:
        Membership.objects.get_or_create(user=User.objects.first(), project=None, role="viewer")
    if not model._default_manager.exists():
        _make_rows_of_flow_control()
    return model._default_manager.order_by("-pk").first()  # the empty key of KeyValue comes last


def _make_rows_of_flow_control() -> None:
    """What the seeded rows have none of: each would change what other pages show."""
    from ferris_web.catalog.models import Repository, RepositorySecret, Service
    from ferris_web.executions import models

    now = datetime.now(UTC)
    service, event = Service.objects.first(), models.Event.objects.first()
    models.Worker.objects.create(name="w1", lanes=["default"], slots=4, started_at=now, seen_at=now)
    repository = Repository.objects.first()
    assert repository is not None
    RepositorySecret.objects.create(repository=repository, kind="push", ciphertext="gAAAA")
    models.LanePause.objects.create(lane="slow", paused_at=now, paused_by="ada")
    models.Pace.objects.create(service=service, last_seconds=[400.0])
    models.Gate.objects.create(service=service)
    models.BulkJob.objects.create(
        listing="executions", action="cancel", created_by=User.objects.first(), created_at=now
    )
    gathering = models.Gathering.objects.create(
        id=uuid4(), slot=uuid4(), service=service, kind="debounce", rule={"wait": 1}, state="open",
        opened_at=now, first_event=event, last_event=event, size=1,
    )  # fmt: skip
    models.GatheredEvent.objects.create(
        gathering=gathering, service=service, event=event, decision="merged", at=now
    )
    _make_rows_of_history(service, now)


def _make_rows_of_history(service: Any, now: datetime) -> None:
    from ferris_web.catalog.models import Secret, SecretUse, ValueChange
    from ferris_web.executions import models

    ValueChange.objects.get_or_create(
        key="s3.state",
        number=1,
        until=now,
        defaults={"since": now, "at": now, "by": "person", "value": b"s3cr3t"},
    )
    SecretUse.objects.create(secret=Secret.objects.first(), service=service, at=now, execution=uuid4())
    models.ChartEntry.objects.create(key=uuid4())
    models.Rollup.objects.create(
        id=uuid4(),
        span="hour",
        start=now,
        service=service,
        status="completed",
        trigger_type="event",
        lane="slow",
    )
    models.Binding.objects.create(service=service, kind="sends", event_type="a", declared=True)
    models.BindingsMark.objects.update_or_create(pk=1, defaults={"revision": 1, "at": now})
    models.Standing.objects.create(service=service, project=service.project, period="1d", oldest=now)
    series = models.MetricSeries.objects.create(
        id=uuid4(), service=service, name="rows", last_value=1, last_at=now
    )
    models.MetricPoint.objects.create(id=uuid4(), taken_at=now)
    models.MetricRollup.objects.create(
        id=uuid4(), series=series, span="hour", start=now, least=1, most=1, last_value=1, last_at=now
    )
    user = User.objects.first()
    view = models.SavedView.objects.create(listing="events", name="mine", owner=user, saved_at=now)
    models.DefaultView.objects.create(user=user, listing="events", view=view)


@pytest.mark.parametrize("model", OURS, ids=lambda m: m.__name__)
def test_it_is_listed_found_and_read(model: type[Model], rows: Rows, administrator: Client) -> None:
    row = any_row(model)
    assert row is not None, "the seeded rows have one of each"
    for place in (address(model, "changelist"), address(model, "change", quote(row.pk))):
        with CaptureQueriesContext(connection) as queries:
            answer = administrator.get(place)
        assert answer.status_code == 200, place
        assert len(queries) <= MOST_QUERIES, (place, len(queries))
        html = answer.content.decode()
        assert "s3cr3t" not in html
        assert "gAAAA" not in html, "an encrypted value"
        assert "pbkdf2" not in html
    if admin.site._registry[model].search_fields:
        assert administrator.get(address(model, "changelist"), {"q": "LONGFLOW26"}).status_code == 200


@pytest.mark.parametrize("model", OURS, ids=lambda m: m.__name__)
def test_what_the_platform_writes_is_not_changed_by_hand(
    model: type[Model], rows: Rows, administrator: Client
) -> None:
    row = any_row(model)
    assert row is not None
    change = administrator.post(address(model, "change", quote(row.pk)), {})
    assert (change.status_code == 403) == (model.__name__ not in CHANGEABLE)
    delete = administrator.post(address(model, "delete", quote(row.pk)), {"post": "yes"})
    assert (delete.status_code == 403) == (model.__name__ not in DELETABLE)
    add = administrator.get(address(model, "add"))
    assert (add.status_code == 403) == (model.__name__ not in ADDABLE)


def test_the_lists_cost_no_query_per_row(rows: Rows, administrator: Client) -> None:
    from ferris_web.executions.models import Event, Execution, Step

    for model in (Execution, Event, Step):
        with CaptureQueriesContext(connection) as many:
            administrator.get(address(model, "changelist"))
        with CaptureQueriesContext(connection) as none:
            administrator.get(address(model, "changelist"), {"q": "nothing at all"})
        assert len(many) <= len(none) + 1, model


def test_schedules_are_switched(rows: Rows, administrator: Client) -> None:
    from ferris_web.catalog.models import Schedule

    row = Schedule.objects.filter(active=True).first()
    assert row is not None
    form = {"action": "switch_off", "_selected_action": [str(row.pk)]}
    administrator.post(address(Schedule, "changelist"), form)
    row.refresh_from_db()
    assert not row.active
    administrator.post(address(Schedule, "changelist"), {**form, "action": "switch_on"})
    row.refresh_from_db()
    assert row.active
    assert row.next_due_at


def test_staff_may_not_raise_itself(db: None) -> None:
    from django.contrib.auth.models import Permission

    person = User.objects.create_user("eve", password="a long password", is_staff=True)
    person.user_permissions.set(Permission.objects.filter(content_type__app_label="accounts"))
    client = Client()
    client.force_login(person)
    form = {"username": "eve", "is_active": "on", "is_staff": "on", "is_superuser": "on"}
    client.post(address(User, "change", person.pk), form)
    person.refresh_from_db()
    assert not person.is_superuser


def staff_of_accounts() -> Client:
    """Somebody who may change every record of people, and is no superuser."""
    from django.contrib.auth.models import Permission

    person = User.objects.create_user("eve", password="a long password", is_staff=True)
    person.user_permissions.set(Permission.objects.filter(content_type__app_label="accounts"))
    client = Client()
    client.force_login(person)
    return client


def test_staff_does_not_take_over_a_superuser(db: None) -> None:
    """A password that they set, an address, or a person who is gone would each be worth a superuser's rights."""
    root = User.objects.create_superuser("root", password="a long password")
    User.objects.create_superuser("other", password="a long password")
    eve = staff_of_accounts()
    words = {"password1": "of eves own choice", "password2": "of eves own choice", "usable_password": "true"}
    eve.post(reverse("admin:auth_user_password_change", args=[root.pk]), words)
    eve.post(address(User, "change", root.pk), {"username": "root", "email": "eve@example.org"})
    eve.post(address(User, "delete", root.pk), {"post": "yes"})
    chosen = {"action": "delete_selected", "_selected_action": [str(root.pk)], "post": "yes"}
    eve.post(address(User, "changelist"), chosen)
    found = User.objects.get(username="root")
    assert found.check_password("a long password")
    assert (found.is_active, found.email) == (True, "")


@pytest.mark.parametrize("without", ["is_active", "is_superuser"])
def test_the_last_administrator_stays_one(db: None, without: str) -> None:
    User.objects.filter(is_superuser=True).update(is_active=False)  # they help nobody
    root = User.objects.create_superuser("root", password="a long password")
    client = Client()
    client.force_login(root)
    form = {"username": "root", "is_active": "on", "is_staff": "on", "is_superuser": "on"}
    del form[without]
    page = client.post(address(User, "change", root.pk), form)
    assert "last administrator" in page.content.decode()
    root.refresh_from_db()
    assert root.is_active
    assert root.is_superuser
    client.post(address(User, "delete", root.pk), {"post": "yes"})
    chosen = {"action": "delete_selected", "_selected_action": [str(root.pk)], "post": "yes"}
    client.post(address(User, "changelist"), chosen)
    assert User.objects.filter(pk=root.pk).exists()

    other = User.objects.create_superuser("other", password="a long password")
    client.force_login(other)
    assert client.post(address(User, "change", root.pk), form).status_code == 302
    root.refresh_from_db()
    assert not getattr(root, without)


def test_a_person_is_deleted_with_what_was_theirs(administrator: Client) -> None:
    """Sessions, requests and bulk jobs are looked at, and not deleted by hand: they go with the person."""
    from ferris_web.accounts.models import RepeatableRequest

    person = User.objects.create_user("eve", password="a long password")
    Client().login(username="eve", password="a long password")
    now = datetime.now(UTC)
    BrowserSession.objects.create(user=person, session_key="s", created_at=now)
    RepeatableRequest.objects.create(user=person, key="k", fingerprint="f", created_at=now)
    said = administrator.post(address(User, "delete", person.pk), {"post": "yes"})
    assert said.status_code == 302
    assert not User.objects.filter(username="eve").exists()


def test_who_disables_the_last_owner_of_projects_says_yes_to_it(administrator: Client) -> None:
    shop, bank = (Project.objects.create(name=name) for name in ("shop", "bank"))
    ada, ben = (User.objects.create_user(name, password="a long password") for name in ("ada", "ben"))
    for person, project in ((ada, shop), (ada, bank), (ben, bank)):
        Membership.objects.create(user=person, project=project, role="owner")
    change = address(User, "change", ada.pk)
    assert "Nobody else who can sign in owns shop." in administrator.get(change).content.decode()
    form = {"username": "ada"}  # not ticked: is_active
    page = administrator.post(change, form)
    assert (
        "No owner who can sign in would be left to shop: make somebody else owner first"
        in page.content.decode()
    )
    ada.refresh_from_db()
    assert ada.is_active
    asked = administrator.get(address(User, "delete", ada.pk)).content.decode()
    assert "No owner who can sign in would be left to shop" in asked
    assert administrator.post(change, {**form, "leaves_projects": "on"}).status_code == 302
    ada.refresh_from_db()
    assert not ada.is_active
    assert "Nobody else" not in administrator.get(change).content.decode()  # it is so already
    assert "owns bank" in administrator.get(address(User, "change", ben.pk)).content.decode()


def test_other_owners_are_disabled_without_a_question(administrator: Client) -> None:
    shop = Project.objects.create(name="shop")
    ada, ben = (User.objects.create_user(name, password="a long password") for name in ("ada", "ben"))
    group = Group.objects.create(name="owners")
    ben.groups.add(group)
    Membership.objects.create(user=ada, project=shop, role="owner")
    Membership.objects.create(group=group, project=shop, role="owner")
    assert administrator.post(address(User, "change", ada.pk), {"username": "ada"}).status_code == 302
    assert "owns shop" in administrator.get(address(User, "change", ben.pk)).content.decode()


def test_the_last_owner_stays_in_the_table_of_memberships(administrator: Client) -> None:
    shop = Project.objects.create(name="shop")
    ada, ben = (User.objects.create_user(name, password="a long password") for name in ("ada", "ben"))
    row = Membership.objects.create(user=ada, project=shop, role="owner")
    form = {"user": ada.pk, "project": shop.pk, "role": "viewer"}
    change = address(Membership, "change", row.pk)
    assert "keeps its last owner" in administrator.post(change, form).content.decode()
    administrator.post(address(Membership, "delete", row.pk), {"post": "yes"})
    chosen = {"action": "delete_selected", "_selected_action": [str(row.pk)], "post": "yes"}
    administrator.post(address(Membership, "changelist"), chosen)
    row.refresh_from_db()
    assert row.role == "owner"
    Membership.objects.create(user=ben, project=shop, role="owner")
    assert administrator.post(change, form).status_code == 302
    row.refresh_from_db()
    assert row.role == "viewer"
