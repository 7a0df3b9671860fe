"""Who set a secret, when it was last used and by whom; and that no value of it is shown anywhere."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from django.test import Client

from ferris_web.accounts.models import Membership, Role, User
from ferris_web.catalog import secret_uses, secrets
from ferris_web.catalog.models import Secret, SecretUse
from ferris_web.catalog.secret_uses import uses_note
from ferris_web.executions.models import Execution
from ferris_web.executions.services.claims import execution_claim
from tests.web.platform import dispatch, event, service

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("backends")]
VALUE = "s3cr3t-of-mine"


@pytest.fixture(autouse=True)
def _nothing_noted() -> Iterator[None]:
    secret_uses._noted.clear()
    yield
    secret_uses._noted.clear()


def now() -> datetime:
    return datetime.now(UTC)


def claimed(at: datetime) -> Execution:
    dispatch(event())
    row = Execution.objects.filter(status__in=("pending", "queued")).get()
    Execution.objects.filter(pk=row.pk).update(status="queued")
    assert not isinstance(execution_claim(row.pk, "w", at), str)
    return row


def test_a_claim_is_a_use_of_the_nearest_secret_of_each_name():
    mine = service("mine", "a.happened")
    near = secrets.secret_set("service", "key", VALUE, service=mine)
    secrets.secret_set("platform", "key", "hidden by the nearer")
    far = secrets.secret_set("platform", "other", VALUE)
    at = now()
    row = claimed(at)
    uses = {use.secret_id: (use.service, use.execution, use.at) for use in SecretUse.objects.all()}
    assert uses == {near.pk: (mine, row.pk, at), far.pk: (mine, row.pk, at)}


def test_it_is_noted_to_the_minute(django_assert_num_queries):
    mine = service("mine")
    one = secrets.secret_set("platform", "a", 1)
    first, at = (one.pk, mine.pk, mine.pk), now()
    uses_note([first], at)
    with django_assert_num_queries(0):
        uses_note([first], at + timedelta(seconds=59))
    secret_uses._noted.clear()  # as in another process
    uses_note([first], at + timedelta(seconds=61))
    assert [use.at for use in SecretUse.objects.all()] == [at + timedelta(seconds=61)]


def test_a_secret_that_is_removed_at_that_moment_spoils_no_claim():
    mine = service("mine")
    uses_note([(999_999, mine.pk, mine.pk)], now())
    assert SecretUse.objects.count() == 1


def test_it_is_told_over_rest_without_a_value(api):
    mine, other = service("mine", "a.happened"), service("other")
    address = f"/api/v1/projects/{mine.project.name}/secrets/"
    assert api.put(f"{address}key/", {"value": VALUE}).status_code == 204
    row = claimed(now())
    uses_note([(Secret.objects.get().pk, other.pk, other.pk)], now() - timedelta(days=1))
    [told] = api.get(address).json()["results"]
    assert (told["set_by"], told["set_execution"], told["services"]) == ("ada", None, 2)
    assert [(use["service"], use["execution"]) for use in told["used_by"]] == [
        ("mine", str(row.pk)), ("other", str(other.pk)),
    ]  # fmt: skip
    assert VALUE not in str(told)
    assert api.get(f"{address}key/").status_code == 405


def test_pages_tell_it_and_nothing_of_other_projects(client: Client):
    mine, theirs = service("mine", "a.happened"), service("theirs", project="elsewhere")
    secrets.secret_set("project", "key", VALUE, project=mine.project, by="grace")
    everybodys = secrets.secret_set("platform", "shared", VALUE, by="grace")
    claimed(now())
    uses_note([(everybodys.pk, theirs.pk, theirs.pk)], now())
    viewer = User.objects.create_user("viewer")
    Membership.objects.filter(user=viewer).delete()
    Membership.objects.create(user=viewer, project=mine.project, role=Role.VIEWER)
    client.force_login(viewer)
    for address in ("/services/mine/settings/", f"/projects/{mine.project.name}/"):
        text = client.get(address).content.decode()
        assert "by grace" in text
        assert VALUE not in text
        assert "theirs" not in text
        assert "just now" in text
    assert "/services/mine/" in text
