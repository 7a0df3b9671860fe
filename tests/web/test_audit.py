"""The audit log: what is in it, who reads it, and that nobody changes it."""

from __future__ import annotations

import codecs
import json
from importlib import import_module

import pytest
from django.db import DatabaseError, connection, transaction
from django.test import Client

from ferris_web.accounts.models import AuditEntry, Membership, User
from ferris_web.accounts.services import token_create
from ferris_web.catalog import secrets
from ferris_web.catalog.models import EventMap, Project
from tests.web.calling import CLOUDEVENT, Caller, an_event
from tests.web.platform import dispatch, event, service

pytestmark = pytest.mark.django_db
MIGRATION = import_module("ferris_web.accounts.migrations.0005_audit")


@pytest.fixture
def owner(backends):
    for name in ("shop", "other"):
        project = Project.objects.create(name=name)
        made = User.objects.create_user(f"owner-of-{name}", password="a long password")
        Membership.objects.filter(user=made).update(project=project, role="owner")
    return Caller(token_create(User.objects.get(username="owner-of-shop")))


def test_a_change_is_noted_with_before_and_after(owner):
    User.objects.create_user("ben")
    owner.put("/api/v1/projects/shop/members/user/ben/", {"role": "viewer"})
    owner.put("/api/v1/projects/shop/members/user/ben/", {"role": "operator"})
    last, first = AuditEntry.objects.order_by("-id")
    assert (last.actor, last.action, last.method, last.status) == ("owner-of-shop", "api:member", "PUT", 204)
    assert owner.token.startswith(last.via)
    assert last.address == "127.0.0.1"
    assert last.project == "shop"
    assert last.said == {"role": "operator"}
    assert last.before["members"]["ben"] == "viewer"
    assert last.after["members"]["ben"] == "operator"
    assert "ben" not in first.before["members"]


def test_refusals_are_noted_and_reading_is_not(owner):
    owner.get("/api/v1/projects/shop/")
    assert owner.put("/api/v1/secrets/token/", {"value": "s3cr3t"}).status_code == 403
    entry = AuditEntry.objects.get()
    assert (entry.action, entry.status) == ("api:secret", 403)


def test_what_was_made_and_changed_is_kept_as_it_was_and_is(owner):
    """Of subscriptions, rules, projects' and services' values; nothing that may be secret."""
    service("mailer", "x", project="shop")
    pushed = {
        "name": "pushed",
        "project": "shop",
        "event_type": "a",
        "url": "https://example.org/?key=s3cr3t",
    }
    assert owner.post("/api/v1/subscriptions/", pushed).status_code == 201
    assert owner.put("/api/v1/subscriptions/pushed/", {**pushed, "description": "x"}).status_code == 200
    owner.put("/api/v1/services/mailer/config/", {"a": 1})
    owner.put("/api/v1/projects/shop/config/", {"a": 1})
    entries = {entry.action: entry for entry in AuditEntry.objects.order_by("id")}
    first, second = entries["api:subscriptions"], entries["api:subscription"]
    assert first.before == {}
    assert first.after["event_type"] == "a"
    assert (second.before, second.after) == ({"description": ""}, {"description": "x"})
    assert entries["api:service-config"].after == {"config_change": 1}
    assert entries["api:project-config"].after == {"config_change": 1}
    assert entries["api:service-config"].project == "shop"
    assert "s3cr3t" not in str([(entry.before, entry.after, entry.said) for entry in entries.values()])


def test_charts_are_kept_as_they_were_and_are(owner):
    secrets.secret_set("project", "stock", "s3cr3t", project=Project.objects.get(name="shop"))
    said = {
        "project": "shop", "title": "Stock", "kind": "table", "source": "url",
        "url": "https://example.org/s3cr3t.json", "header": "Authorization", "header_secret": "stock",
    }  # fmt: skip
    made = owner.post("/api/v1/charts/", said)
    assert made.status_code == 201
    address = f"/api/v1/charts/{made.json()['id']}/"
    counted = {"source": "events", "event_type": "shop.order", "kind": "bar"}
    assert owner.put(address, {"title": "All stock"}).status_code == 200
    assert owner.put(address, counted).status_code == 200
    assert owner.delete(address).status_code == 204
    first, renamed, changed, removed = AuditEntry.objects.order_by("id")
    assert {entry.project for entry in (first, renamed, changed, removed)} == {"shop"}
    assert first.before == {}
    assert (first.after["title"], first.after["url"]) == ("Stock", "https://example.org")
    assert first.after["header_secret"] == "stock"
    assert (renamed.before, renamed.after) == ({"title": "Stock"}, {"title": "All stock"})
    assert changed.before["source"] == "url"
    assert (changed.after["source"], changed.after["event_type"]) == ("events", "shop.order")
    assert (removed.before["title"], removed.after) == ("All stock", {})
    assert "s3cr3t" not in str(
        [(entry.before, entry.after, entry.said) for entry in AuditEntry.objects.all()]
    )


def test_a_chart_made_in_the_console_and_event_maps_are_kept(backends):
    User.objects.create_superuser("root", password="a long password")
    browser, caller = Client(), Caller(token_create(User.objects.get(username="root")))
    browser.force_login(User.objects.get(username="root"))
    chart = {"source": "events", "title": "All", "kind": "bar", "event_type": "*", "aggregate": "count"}
    assert browser.post("/charts/add/", {**chart, "do": "try"}).status_code == 200
    assert browser.post("/charts/add/", chart).status_code == 302
    plan = {"map": {"a.made": "b.made", "x": "y"}, "strategy": "mapped"}
    number = caller.post("/api/v1/event-maps/", plan).json()["id"]
    assert caller.delete(f"/api/v1/event-maps/{number}/").status_code == 204
    form = {"map": json.dumps(plan["map"]), "strategy": "mapped", "constants": "", "templates": ""}
    tried = browser.post("/event-maps/new/", form).context["tried"]
    assert browser.post("/event-maps/new/", {**form, "do": "save", "tried": tried}).status_code == 302
    row = EventMap.objects.get()
    assert browser.post(f"/event-maps/{row.pk}/remove/").status_code == 302
    entries = [entry for entry in AuditEntry.objects.order_by("id") if entry.before or entry.after]
    assert [(entry.action, bool(entry.before), bool(entry.after)) for entry in entries] == [
        ("console:chart-add", False, True),
        ("api:event-maps", False, True),
        ("api:event-map", True, False),
        ("console:event-map-new", False, True),
        ("console:event-map-remove", True, False),
    ]
    assert (entries[0].after["title"], entries[0].project) == ("All", "")
    for entry in entries[1:]:
        kept = entry.before or entry.after
        assert (kept["source"], kept["target"], kept["fields"]) == ("a.made", "b.made", {"x": "y"})


def test_no_secret_is_in_it(owner):
    owner.put("/api/v1/projects/shop/secrets/token/", {"value": "s3cr3t"})
    browser = Client()
    browser.force_login(User.objects.get(username="owner-of-shop"))
    browser.post("/projects/shop/secrets/", {"name": "key", "value": "s3cr3t"})
    entries = list(AuditEntry.objects.order_by("id").values())
    assert len(entries) == 2
    assert "s3cr3t" not in str(entries)
    assert entries[0]["after"] == {"secrets": ["token"]}
    assert entries[1]["said"]["name"] == "key"


def test_texts_that_no_database_holds_are_noted_without_them(owner):
    browser = Client()
    browser.force_login(User.objects.get(username="owner-of-shop"))
    assert browser.post("/projects/shop/members/", {"do": "x\0y", "na\0me": "a"}).status_code == 302
    entry = AuditEntry.objects.get()
    assert entry.said["do"] == "xy"


def test_events_that_come_are_in_the_journal_only(owner):
    assert owner("POST", "/api/v1/events/", an_event(), type=CLOUDEVENT).status_code == 202
    assert not AuditEntry.objects.exists()


def test_every_use_of_secrets_is_noted(backends, executor):
    row = service("mailer", "shop.*")
    secrets.secret_set("service", "password", "s3cr3t", service=row)
    dispatch(event("shop.placed"))
    wanted = row.executions.get().pk
    assert executor.post("/control/claim", {"execution": str(wanted), "worker": "w1"}).json()["go"]
    entry = AuditEntry.objects.get()
    assert (entry.action, entry.actor, entry.object) == ("secrets.used", f"execution {wanted}", "mailer")
    assert entry.said == {"secrets": ["password"], "attempt": 1, "worker": "w1"}
    assert entry.project == row.project.name


def test_owners_read_what_is_their_projects(owner):
    owner.put("/api/v1/projects/shop/secrets/token/", {"value": "x"})
    other = Caller(token_create(User.objects.get(username="owner-of-other")))
    assert len(owner.all("/api/v1/audit/?query=secret&project=shop")) == 1
    assert owner.all("/api/v1/audit/?query=nothing") == []
    assert other.all("/api/v1/audit/") == []
    root = Caller(token_create(User.objects.create_superuser("root", password="a long password")))
    assert len(root.all("/api/v1/audit/?limit=1")) == 1


def test_what_is_made_belongs_to_the_project_that_the_request_names(owner):
    """Its address names none: /schedules/, /views/."""
    service("mailer", "x", project="shop")
    asked = {"service": "mailer", "name": "nightly", "schedule": "0 6 * * *", "parameters": {}}
    assert owner.post("/api/v1/schedules/", asked).status_code == 201
    view = {"list": "executions", "name": "failed", "query": "status=failed", "project": "shop"}
    assert owner.post("/api/v1/views/", view).status_code == 201
    seen = owner.all("/api/v1/audit/")
    assert [(entry["action"], entry["project"]) for entry in seen] == [
        ("api:saved-views", "shop"),
        ("api:schedules", "shop"),
    ]
    other = Caller(token_create(User.objects.get(username="owner-of-other")))
    assert other.all("/api/v1/audit/") == []


def test_it_is_searched_and_exported(owner):
    for name in ("one", "two", "=three"):
        owner.put(f"/api/v1/projects/shop/secrets/{name}/", {"value": "x"})
    browser = Client()
    browser.force_login(User.objects.get(username="owner-of-shop"))
    page = browser.get("/audit/?q=secrets/two").content.decode()
    assert "secrets/two" in page
    assert "secrets/one" not in page
    lines = b"".join(browser.get("/audit/export/?format=jsonl")).decode().splitlines()
    assert [json.loads(line)["object"].split("/")[-2] for line in lines] == ["one", "two", "=three"]
    table = b"".join(browser.get("/audit/export/?format=csv&q=two")).decode("utf-8-sig").splitlines()
    assert len(table) == 2
    assert table[0].startswith("at,actor,via,address,action")
    for form in ("jsonl", "csv"):
        there = b"".join(browser.get(f"/audit/export/?format={form}&q=two")).removeprefix(codecs.BOM_UTF8)
        answer = owner.get(f"/api/v1/audit/file/?form={form}&query=two")
        assert b"".join(answer.streaming_content) == there
    assert answer["Content-Disposition"].startswith('attachment; filename="ferris-audit-')
    assert owner.get("/api/v1/audit/file/?form=xls").status_code == 400
    other = Caller(token_create(User.objects.get(username="owner-of-other")))
    assert b"".join(other.get("/api/v1/audit/file/").streaming_content) == b""


def test_no_entry_is_changed_or_deleted(owner):
    owner.put("/api/v1/projects/shop/secrets/token/", {"value": "x"})
    if connection.vendor == "sqlite":
        with connection.cursor() as cursor:
            cursor.execute(MIGRATION.SQLITE_KEPT)  # the tests take this one away, see conftest.py
    try:
        for change in (
            lambda: AuditEntry.objects.update(actor="eve"),
            lambda: AuditEntry.objects.all().delete(),
        ):
            with pytest.raises(DatabaseError, match="audit"), transaction.atomic():
                change()
    finally:
        if connection.vendor == "sqlite":
            with connection.cursor() as cursor:
                cursor.execute("DROP TRIGGER audit_kept")
    assert AuditEntry.objects.get().actor == "owner-of-shop"
