"""Names that there are once, wanted by two at the same moment: one gets it, the other hears so, and nothing is changed
of the first one's."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ferris.errors import Conflict
from ferris_web.accounts.services import service_account_add
from ferris_web.catalog.models import NotificationRule, Project, Repository, Subscription
from ferris_web.catalog.notifications import rule_set
from ferris_web.catalog.repositories import repository_add
from ferris_web.catalog.subscriptions import subscription_set
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
