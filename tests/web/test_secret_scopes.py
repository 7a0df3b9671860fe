"""Who may set and remove secrets of which scope."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import uuid4

import pytest
from django.test import Client

from ferris_web.accounts.models import Membership, User
from ferris_web.accounts.services import token_create
from ferris_web.catalog import secrets
from ferris_web.catalog.models import Secret
from ferris_web.catalog.secret_uses import uses_note
from tests.web.calling import Caller, problem_of
from tests.web.platform import service

pytestmark = pytest.mark.django_db


@pytest.fixture
def everywhere(backends) -> User:
    """A maintainer of every project, those to come included, and no administrator."""
    made = User.objects.create_user("mia", password="a long password")
    Membership.objects.filter(user=made).delete()
    Membership.objects.create(user=made, role="maintainer")
    return made


def test_secrets_of_the_platform_are_for_its_administrators(everywhere):
    mailer = service("mailer")
    secrets.secret_set("platform", "smtp", "s3cr3t")
    program, browser = Caller(token_create(everywhere)), Client()
    browser.force_login(everywhere)
    assert [row["name"] for row in program.all("/api/v1/secrets/")] == ["smtp"]
    problem = problem_of(program.put("/api/v1/secrets/smtp/", {"value": "mine"}), 403)
    assert "administrators" in problem["detail"]
    problem_of(program.delete("/api/v1/secrets/smtp/"), 403)
    for action in ("set", "delete"):
        form = {"name": "smtp", "value": "mine", "scope": "platform", "action": action}
        assert browser.post(f"/services/{mailer.name}/secrets/", form).status_code == 403
    assert secrets.secret_find(mailer, "smtp") == "s3cr3t"
    form = {"name": "smtp", "value": "its own", "scope": "project"}
    assert browser.post(f"/services/{mailer.name}/secrets/", form).status_code == 302
    assert secrets.secret_find(mailer, "smtp") == "its own"

    User.objects.filter(pk=everywhere.pk).update(is_staff=True)
    assert program.put("/api/v1/secrets/smtp/", {"value": "new"}).status_code == 204
    secret = Secret.objects.get(scope="platform")
    assert secret.set_by == "mia"
    only_runs = Caller(token_create(everywhere, scopes=["read", "write"]))
    assert "scope admin" in problem_of(only_runs.delete("/api/v1/secrets/smtp/"), 403)["detail"]


def test_the_list_of_all_secrets_shows_each_what_is_theirs(everywhere, django_assert_max_num_queries):
    mailer, ledger = service("mailer"), service("ledger", project="books")
    platform = secrets.secret_set("platform", "smtp", "s3cr3t-1", by="root")
    secrets.secret_set("project", "key", "s3cr3t-2", project=ledger.project)
    own = secrets.secret_set("service", "key", "s3cr3t-3", service=mailer)
    secrets.secret_set("project", "old", "s3cr3t-4", project=mailer.project)
    at, run = datetime.now(UTC), uuid4()
    uses_note([(platform.pk, mailer.pk, run), (platform.pk, ledger.pk, run), (own.pk, mailer.pk, run)], at)
    member = User.objects.create_user("ben", password="a long password")
    Membership.objects.filter(user=member).update(project=mailer.project, role="viewer")
    program, browser = Caller(token_create(member)), Client()

    def listed(asked: str = "") -> list[tuple[object, ...]]:
        rows = program.all(f"/api/v1/known-secrets/?limit=2{asked}")
        return [(row["name"], row["scope"], row["project"], row["service"], row["services"]) for row in rows]

    mine = [
        ("key", "service", "testing", "mailer", 1),
        ("old", "project", "testing", None, 0),
        ("smtp", "platform", None, None, 1),
    ]
    assert listed() == mine
    assert listed("&unused=true") == mine[1:2]
    assert listed("&scope=platform&q=SM") == mine[2:]
    assert listed("&project=books") == []
    assert len(Caller(token_create(everywhere)).all("/api/v1/known-secrets/")) == 4
    problem_of(program.get("/api/v1/secrets/"), 403)

    browser.force_login(member)
    with django_assert_max_num_queries(12):
        page = browser.get("/secrets/").content.decode()
    assert "/services/mailer/settings/" in page
    assert "ledger" not in page
    assert "books" not in page
    assert "s3cr3t" not in page
    assert 'action="/secrets/platform/"' not in page
    assert browser.post("/secrets/platform/", {"name": "smtp", "value": "x"}).status_code == 403
    assert "old" in browser.get("/secrets/?use=unused").content.decode()
    User.objects.filter(pk=member.pk).update(is_staff=True)
    assert browser.post("/secrets/platform/", {"name": "new", "value": "x"}).status_code == 302
    assert secrets.secret_find(ledger, "new") == "x"
    assert browser.post("/secrets/platform/", {"name": "new", "action": "delete"}).status_code == 302
    assert secrets.secret_find(ledger, "new") is None
