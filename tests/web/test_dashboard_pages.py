"""Dashboards: of the platform and of a project, from roll-ups; each person sees what is theirs."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.test import Client

from ferris_web.accounts.models import Membership, User
from ferris_web.catalog.models import Project
from ferris_web.console import dashboards
from ferris_web.executions.figures import PERIODS, figures
from ferris_web.executions.models import Execution
from ferris_web.executions.rankings import service_rankings
from ferris_web.executions.services import execution_claim, reports_apply
from ferris_web.executions.services.rollups import rollups_piece
from tests.web.console_pages import Page
from tests.web.platform import dispatch, event, report, service

pytestmark = pytest.mark.django_db
NOW = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)


@pytest.fixture(autouse=True)
def fresh(backends: Any) -> None:
    """The hour is the test's own: the run may have begun in an earlier one."""
    global NOW
    NOW = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)


def ran(
    kind: str, count: int, status: str = "completed", seconds: float = 4, at: datetime | None = None
) -> None:
    at = at or NOW
    bells = dispatch(*(event(kind) for _ in range(count)), now=at)
    for bell in bells:
        execution_claim(bell.execution_id, "w", at + timedelta(seconds=1))
        end = at + timedelta(seconds=1 + seconds)
        reports_apply(
            [report(bell.execution_id, f"execution.{status}", now=end, reason="script_failed")], end
        )
    while rollups_piece(NOW):
        pass


@pytest.fixture
def two_projects() -> None:
    service("mine_a", "mine.a", project="mine")
    service("mine_b", "mine.b", project="mine")
    service("theirs_a", "theirs.a", project="theirs")
    ran("mine.a", 4)
    ran("mine.a", 1, "failed", 20)
    ran("mine.b", 2, seconds=90)
    ran("theirs.a", 7, seconds=500)
    ran("mine.a", 3, at=NOW - timedelta(days=3))
    dispatch(event("mine.a"), now=NOW)


def member(*projects: str) -> Client:
    user = User.objects.create_user("member", password="x" * 12)
    Membership.objects.filter(user=user).delete()  # everywhere
    for name in projects:
        Membership.objects.create(user=user, project=Project.objects.get(name=name), role="viewer")
    client = Client()
    client.force_login(user)
    return client


def test_figures_of_all_of_some_and_of_one(two_projects: None) -> None:
    mine = Project.objects.get(name="mine")
    day, month = PERIODS["24h"], PERIODS["30d"]
    assert figures(day, NOW).statuses == {"completed": 13, "failed": 1, "queued": 1}
    assert figures(month, NOW).statuses["completed"] == 16
    for where in ({"project": mine}, {"projects": frozenset((mine.pk,))}):
        found = figures(day, NOW, **where)
        assert found.statuses == {"completed": 6, "failed": 1, "queued": 1}
        assert (found.ended, found.failed_part) == (7, 1 / 7)
        assert found.spans[-1].statuses == found.statuses
        assert found.took.count == 7
        assert found.took.average == pytest.approx(1000 * (4 * 4 + 20 + 2 * 90) / 7)
        assert found.waited.p95 == pytest.approx(1000, rel=0.1)
        assert found.lanes["default"].count == 7
    ranked = service_rankings(day, 2, project=mine)
    assert [(one.name, one.count, one.failed) for one in ranked.frequent] == [
        ("mine_a", 5, 1),
        ("mine_b", 2, 0),
    ]
    assert [(one.name, one.average_ms) for one in ranked.slowest] == [("mine_b", 90_000), ("mine_a", 4000)]
    assert service_rankings(day, 1).frequent[0].name == "theirs_a"


def test_a_members_dashboard_tells_of_their_projects_only(two_projects: None) -> None:
    client = member("mine")
    page = client.get("/")
    assert page.context["figures"].statuses["completed"] == 6
    assert "theirs_a" not in page.content.decode()
    assert client.get("/projects/mine/dashboard/").status_code == 200
    assert client.get("/projects/theirs/dashboard/").status_code == 404
    assert "theirs_a" in Client_of_all().get("/").content.decode()


def Client_of_all() -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("root", password="x" * 12))
    return client


@pytest.mark.parametrize("period", [*PERIODS, "nonsense", "24h'\"<b>"])
@pytest.mark.parametrize("address", ["/", "/projects/mine/dashboard/"])
def test_every_period_is_a_whole_page(two_projects: None, address: str, period: str) -> None:
    answer = Client_of_all().get(address, {"range": period, "view": "tables"})
    assert answer.status_code == 200
    page = Page(answer.content.decode())
    assert not page.dangers
    assert not page.unclosed
    assert [name for name, count in page.ids.items() if count > 1] == []
    assert "<b>" not in answer.context["period"].name


def test_each_value_leads_to_its_rows(two_projects: None) -> None:
    client = Client_of_all()
    answer = client.get("/projects/mine/dashboard/?view=tables")
    outcomes = answer.context["plots"][0]
    names = outcomes.head[1:]
    # The last hour in which anything ran: another may have begun since.
    ran = [row for row in outcomes.rows if any(cell.text != "0" for cell in row[1:])]
    cells = dict(zip(names, ran[-1][1:], strict=True))
    assert {name: cell.text for name, cell in cells.items()} == {
        "completed": "6",
        "failed": "1",
        "queued": "1",
    }
    for name, cell in cells.items():
        shown = client.get(cell.href)
        assert len(shown.context["page"].rows) == int(cell.text), name
    whole = client.get(outcomes.columns[-1].href)
    assert len(whole.context["page"].rows) == 8
    assert parse_qs(urlsplit(outcomes.columns[-1].href).query)["project"] == ["mine"]
    failed = client.get(answer.context["failed_url"])
    assert [row.status for row in failed.context["page"].rows] == ["failed"]


def test_every_chart_is_a_table_too(two_projects: None) -> None:
    client = Client_of_all()
    for view in ("", "tables"):
        page = Page(client.get("/", {"view": view}).content.decode())
        assert page.html.count('<svg class="chart"') == 3
        assert page.html.count("<caption") >= 6
        assert "took, average" in page.text


def test_without_anything_it_says_what_to_do() -> None:
    client = Client_of_all()
    assert "No services yet" in client.get("/").content.decode()
    Project.objects.create(name="empty")
    text = client.get("/projects/empty/dashboard/").content.decode()
    assert "Synchronise the project" in text
    assert "Nothing ran in this time." in text


def test_who_has_no_role_is_told_so_and_not_that_there_is_nothing(two_projects: None) -> None:
    newcomer = member()
    for address in ("/", "/services/"):
        text = Page(newcomer.get(address).content.decode()).text
        assert "member: no role yet; ask an owner of a project" in text
        assert "manage.py project add" not in text, "the projects are there, and others add them"


def test_a_view_counts_no_executions_that_have_ended(two_projects: None) -> None:
    """They were added up: what is no longer in the journal is shown all the same."""
    Execution.objects.filter(finished_at__isnull=False).delete()
    assert Client_of_all().get("/").context["figures"].statuses["completed"] == 13


def test_over_the_api(two_projects: None, api: Any) -> None:
    whole = api.get("/api/v1/dashboard/").json()
    assert whole["outcomes"] == {"completed": 13, "failed": 1, "queued": 1}
    found = api.get("/api/v1/projects/mine/dashboard/?range=30d").json()
    assert (found["range"], found["span"], len(found["spans"])) == ("30d", "day", 30)
    assert sum(one["outcomes"].get("completed", 0) for one in found["spans"]) == 9
    assert found["trigger_types"] == {"triggered": 11} or sum(found["trigger_types"].values()) >= 10
    assert found["frequent"][0]["service"] == "mine_a"
    assert found["slowest"][0]["service"] == "mine_b"
    assert {one["lane"] for one in found["lanes"]} == {"priority", "default", "slow", "scheduled"}
    assert json.dumps(found["took"])
    bad = api.get("/api/v1/dashboard/?range=1y")
    assert bad.status_code == 400
    assert "24h, 7d, 30d, 90d" in bad.content.decode()


def test_links_of_charts_encode_each_time_and_each_value_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a dashboard of 90 days as tables there are some 900."""
    encoded: list[Any] = []
    plain = dashboards.urlencode
    monkeypatch.setattr(dashboards, "urlencode", lambda query: encoded.append(query) or plain(query))
    days = [NOW - timedelta(days=n) for n in range(90)]
    for project in ("", "a b&c"):
        links = dashboards.Links(project)
        encoded.clear()
        for since in days:
            for asked in ({}, {"status": "failed"}, {"status": "completed"}, {"trigger": "manual"}):
                for until in (None, since + timedelta(days=1)):
                    url = urlsplit(links(since, until, **asked))
                    wanted = {"from": f"{since:%Y-%m-%dT%H:%M:%SZ}"} | asked
                    wanted |= {"until": f"{until:%Y-%m-%dT%H:%M:%SZ}"} if until else {}
                    wanted |= {"project": project} if project else {}
                    assert url.path == "/executions/"
                    assert parse_qs(url.query) == {name: [value] for name, value in wanted.items()}
        assert len(encoded) == 90 * 2 + 4
