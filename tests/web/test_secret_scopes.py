"""Who may set and remove secrets of which scope."""

from __future__ import annotations

import pytest
from django.test import Client

from ferris_web.accounts.models import Membership, User
from ferris_web.accounts.services import token_create
from ferris_web.catalog import secrets
from ferris_web.catalog.models import Secret
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
