"""Route by role: every address of console and API is asked for by every role, and `docs/permissions.md` is the answer.

`FERRIS_TESTS_WRITE=1 python -m pytest tests/web/test_permissions.py` writes that page anew: read what has
changed in it.
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.contrib.auth.models import Group
from django.core.cache import cache
from django.db import transaction
from django.test import Client
from django.urls import URLPattern
from django.urls.converters import IntConverter, UUIDConverter
from django.utils import timezone

from ferris.artifacts import BUCKET
from ferris.intake import Debounce
from ferris_web import wiring
from ferris_web.accounts.models import Membership, Role, User
from ferris_web.accounts.services import service_account_add, token_create
from ferris_web.api import needs as api_needs
from ferris_web.api import urls as api_urls
from ferris_web.catalog.models import (
    NotificationRule,
    Project,
    Repository,
    RepositorySecret,
    Schedule,
    SyncRun,
)
from ferris_web.catalog.secrets import encrypted, secret_set
from ferris_web.catalog.subscriptions import subscription_set
from ferris_web.catalog.values import Kind, Place
from ferris_web.console import needs as console_needs
from ferris_web.console import urls as console_urls
from ferris_web.executions.models import (
    Artifact,
    DeadLetter,
    Delivery,
    Event,
    Execution,
    Flow,
    Gathering,
    Replay,
)
from ferris_web.executions.services.charts import chart_save
from ferris_web.executions.services.values import value_set
from tests.web.console_rows import Rows

pytestmark = [pytest.mark.walk, pytest.mark.once]

PAGE = Path(__file__).resolve().parents[2] / "docs" / "permissions.md"
# For everybody, whoever they are (tests/web/test_api_permissions.py walks what a stranger gets), and what executors
# and scripts call with tokens of their own.
OPEN = {
    "sign-in",
    "sign-in-provider",
    "sign-in-provider-back",
    "language",
    "second-factor",
    "sign-out",
    "live",
    "ready",
    "problems",
    "chart-schema",
    "problem",
    "hook",
    "push",
}
METRICS = {"metrics"}  # no view of the REST framework: it asks for itself, see the test below
ROLES = ["nobody", *(str(role) for role in Role), *(f"{role} everywhere" for role in Role), "administrator"]
# What belongs to one project, though its route is for anyone: the view asks once the row is there.
ASKED_BY_VIEW = {"console:execution": "execution", "console:flow": "flow"}
OTHERS = {
    "saved": "weekly",
    "listing": "executions",
    "secret": "token", "lane": "slow", "topic": "ferris.events", "number": 1, "bucket": "reports", "key": "a.txt",
}  # fmt: skip


_SAMPLES = {IntConverter: 1, UUIDConverter: UUID(int=7)}


@dataclass
class Route:
    """One route, as the resolver has it."""

    space: str
    pattern: URLPattern

    @property
    def name(self) -> str:
        return f"{self.space}:{self.pattern.name}"

    @property
    def need(self) -> Any:
        table = console_needs.NEEDS if self.space == "console" else api_needs.NEEDS
        return table.get(self.pattern.name or "")

    @property
    def kind(self) -> str:
        """What its address names, if that belongs to projects."""
        return ASKED_BY_VIEW.get(self.name) or (self.need.of if self.need and self.need.named else "")

    @property
    def methods(self) -> list[str]:
        view = getattr(self.pattern.callback, "view_class", None)
        if view is None:
            return ["GET", "POST"] if self.space == "console" else ["GET"]
        return [m.upper() for m in ("get", "post", "put", "patch", "delete") if hasattr(view, m)]

    def address(self, objects: dict[str, Any]) -> str:
        text = str(self.pattern.pattern)
        for name, converter in self.pattern.pattern.converters.items():
            by = (
                self.need.by if self.need and self.need.named else next(iter(self.pattern.pattern.converters))
            )
            if self.kind and name == by:
                value = objects[self.kind]
            elif f"{self.kind} {name}" in objects:
                value = objects[f"{self.kind} {name}"]
            elif self.kind and name == "name":
                value = "kept.txt"
            elif "/repositories/" in text:
                value = objects["repository"]
            elif "/service-accounts/" in text:
                value = objects["account" if name == "account" else "token"]
            else:
                value = OTHERS.get(name, _SAMPLES.get(type(converter), "x"))
                if "/syncs/" in text:
                    value = objects["sync"]
            for kind in ("str", "uuid", "int", "path", "slug"):
                text = text.replace(f"<{kind}:{name}>", str(value))
        assert "<" not in text, text
        return "/" + text


def _routes() -> Iterator[Route]:
    for space, urls in (("console", console_urls), ("api", api_urls)):
        for pattern in urls.urlpatterns:
            if (pattern.name and pattern.name not in OPEN | METRICS | {"live"}) or (space, pattern.name) == (
                "console",
                "live",
            ):
                yield Route(space, pattern)


ROUTES = list(_routes())


def test_every_route_says_what_it_needs() -> None:
    without = [route.name for route in ROUTES if route.need is None]
    assert not without, f"say in needs.py what these ask for: {without}"
    known = {(route.space, route.pattern.name) for route in ROUTES}
    for space, table in (("console", console_needs.NEEDS), ("api", api_needs.NEEDS)):
        gone = [name for name in table if (space, name) not in known and name != "administration"]
        assert not gone, f"there are no such routes of {space}: {gone}"


_CHART = {"title": "Orders", "kind": "kpi", "source": "events", "event_type": "a"}


def _objects(project: Project) -> dict[str, Any]:
    """One of everything, of this project alone."""
    service = project.services.filter(executions__isnull=False).order_by("name").first()
    execution = (
        Execution.objects.filter(service=service).order_by("created_at", "id").select_related("event")[0]
    )
    event = execution.event
    flow = f"ONLY{project.pk:06d}"
    now = timezone.now()
    event.received_at = execution.created_at = now
    Flow.objects.create(pk=flow, started_at=now, last_event_at=now, root_type=event.type)
    event.pk, event.event_id, event.flow_id = uuid4(), f"only-{project.name}", flow
    event.save(force_insert=True)
    execution.pk, execution.event, execution.flow_id = uuid4(), event, flow
    execution.correlation_id, execution.parent_id = f"{flow}_01", None
    execution.save(force_insert=True)
    artifact = Artifact.objects.create(
        execution=execution, attempt=1, step=0, script="run.py", name="kept.txt", content_type="text/plain",
        size=1, day=f"{now:%Y-%m-%d}", created_at=now,
    )  # fmt: skip
    wiring.object_store().put(BUCKET, artifact.key, io.BytesIO(b"x"))
    places = [Place(Kind.STATE, service), *(Place(Kind.CONFIG, owner) for owner in (service, project, None))]
    for place in (*places, Place(Kind.ENV)):
        value_set(place, {"of": project.name}, actor="ada", now=now)
    letter = DeadLetter.objects.create(
        topic="ferris.events", offset=500_000 + project.pk, reason="unreadable", detail="x", flow_id=flow,
        value=b"{}", created_at=now,
    )  # fmt: skip
    gathering = Gathering.objects.create(
        id=uuid4(), slot=uuid4(), service=service, kind="debounce", rule=asdict(Debounce(1, 10)),
        state="open", opened_at=now, first_event=event, last_event=event, size=1,
    )  # fmt: skip
    schedule = Schedule.objects.create(
        service=service, name="every day", cron="0 0 * * *", timezone="UTC", origin="person"
    )
    secret_set("service", "token", "a secret value", service=service)
    secret_set("project", "token", "a secret value", project=project)
    account = service_account_add(project.pk, project.name, "robot", "viewer")
    token_create(account)
    replay = Replay.objects.create(service=service, since=now, until=now, created_at=now)
    pushed = subscription_set(
        f"of_{project.name}", now=now, project=project, event_type="a", url="https://example.org/"
    ).subscription
    delivery = Delivery.objects.create(
        subscription=pushed, event_type="a", event_key=uuid4(), created_at=now, due_at=now
    )
    rule = NotificationRule.objects.create(name=f"of_{project.name}", project=project, kind="failures")
    chart = chart_save(_CHART, now=now, project=project)
    folder = wiring.config().home / "empty"
    folder.mkdir(exist_ok=True)
    repository = Repository.objects.create(project=project, source=str(folder))
    for kind in ("push", "deploy_key"):
        RepositorySecret.objects.create(repository=repository, kind=kind, ciphertext=encrypted("x"))
    group, _ = Group.objects.get_or_create(name=f"of {project.name}")
    Membership.objects.create(group=group, project=project, role="viewer")
    return {
        "project kind": "group",
        "project member": group.name,
        "chart": chart.pk,
        "notification rule": rule.name,
        "subscription": pushed.name,
        "subscription pk": delivery.pk,
        "project": project.name,
        "account": account.username,
        "token": account.api_tokens.get().pk,
        "repository": repository.pk,
        "sync": SyncRun.objects.create(repository=repository, status="failed", started_at=now).pk,
        "service": service.name,
        "execution": execution.pk,
        "event": event.pk,
        "flow": flow,
        "dead letter": letter.pk,
        "gathering": gathering.pk,
        "schedule": schedule.pk,
        "replay": replay.pk,
    }


@pytest.fixture
def mine(rows: Rows, db: None) -> dict[str, Any]:
    return _objects(Project.objects.get(name="reports"))


@pytest.fixture
def theirs(rows: Rows, db: None) -> dict[str, Any]:
    return _objects(Project.objects.get(name="quakes"))


def _person(role: str) -> Client:
    name = role.replace(" ", "-")
    person = User.objects.create_user(name, password="a long password", is_staff=role == "administrator")
    Membership.objects.filter(user=person).delete()  # what FERRIS_DEFAULT_ROLE of the tests gave
    if role in Role.values:
        Membership.objects.create(user=person, project=Project.objects.get(name="reports"), role=role)
    elif role.endswith("everywhere"):
        Membership.objects.create(user=person, role=role.split()[0])
    client = Client(raise_request_exception=False)
    client.force_login(person)
    return client


@pytest.fixture
def people(rows: Rows, db: None, monkeypatch: pytest.MonkeyPatch) -> dict[str, Client]:
    for place in ("ferris_web.api.views.executions", "ferris_web.executions.services"):
        monkeypatch.setattr(f"{place}.wait_visible", lambda *a, **k: None)  # nobody routes here
    cache.clear()
    return {role: _person(role) for role in ROLES}


def _bodies(objects: dict[str, Any]) -> dict[str, Any]:
    """For routes that ask about what the body names."""
    return {
        "api:services": {"project": objects["project"], "name": "new_one", "files": {"run.py": "eA=="}},
        "api:projects": {"name": objects["project"], "source": "https://git.example/a"},
        "api:schedules": {"service": objects["service"], "schedule": "0 0 * * *"},
        "api:charts": {"project": objects["project"], **_CHART},
        "api:chart-preview": {"project": objects["project"], **_CHART},
        "api:charts-order": {"project": objects["project"], "charts": []},
        "console:charts": {"project": objects["project"]},
        "console:chart-add": {"project": objects["project"], **_CHART},
        "api:notification-rules": {
            "name": "new",
            "project": objects["project"],
            "kind": "failures",
            "targets": [],
        },
        "api:subscriptions": {
            "name": "new",
            "project": objects["project"],
            "event_type": "a",
            "url": "https://example.org/",
        },
        "api:replays": {"service": objects["service"], "since": "2026-01-01T00:00:00Z"},
        "api:replay-preview": {"service": objects["service"], "since": "2026-01-01T00:00:00Z"},
        "api:project-preview": {"repository": objects["repository"], "branch": "x"},
        "console:replay-new": {"service": objects["service"]},
    }


def _asked(client: Client, route: Route, method: str, objects: dict[str, Any]) -> int:
    body = _bodies(objects).get(route.name, {})
    with transaction.atomic():  # what it changes is undone: the next one asks the same
        if method == "GET":
            answer = client.get(route.address(objects))
        elif route.space == "console":
            answer = client.post(route.address(objects), body)
        else:
            answer = client.generic(
                method, route.address(objects), json.dumps(body), content_type="application/json"
            )
        transaction.set_rollback(True)
    for end in getattr(
        answer, "_resource_closers", ()
    ):  # of a stream; its `close` would close the database too
        end()
    return int(answer.status_code)


def _refused(route: Route, status: int) -> bool:
    return status == 403 or (status == 404 and bool(route.kind))


@pytest.mark.timeout(900)  # thousands of requests, and behind others in CI
def test_the_table_of_routes_and_roles(people, mine, theirs) -> None:
    found: dict[tuple[str, str], str] = {}
    for route in ROUTES:
        for method in route.methods:
            answers = ((role, _asked(people[role], route, method, mine)) for role in ROLES)
            least = next(((role, status) for role, status in answers if not _refused(route, status)), None)
            assert least is not None, (route.name, method, "refuses even administrators")
            assert least[1] < 500, (route.name, method, least)
            if least[1] != 405:
                found[route.name, method] = least[0]
    made = _page(found)
    if os.environ.get("FERRIS_TESTS_WRITE"):
        PAGE.write_text(made)
    assert PAGE.read_text() == made, (
        "who may do what has changed: FERRIS_TESTS_WRITE=1 writes it anew, see above"
    )


def test_what_is_anothers_is_not_there(people, mine, theirs) -> None:
    """Each route that names something, with something of a project that one is no member of."""
    owner = people["owner"]
    for route in ROUTES:
        if not route.kind:
            continue
        for method in route.methods:
            status = _asked(owner, route, method, theirs)
            assert status == 404 or (status == 405 and method == "POST"), (route.name, method, status)
    for name, body in _bodies(theirs).items():
        route = next(r for r in ROUTES if r.name == name)
        with transaction.atomic():
            if route.space == "api":
                answer = owner.post(route.address(mine), body, content_type="application/json")
            else:
                answer = owner.post(route.address(mine), body)
            transaction.set_rollback(True)
        assert answer.status_code in (403, 404, 422), (name, answer.status_code)


LISTS = {
    "/services/": "service", "/executions/?since=": "execution", "/projects/": "project", "/flows/": "flow",
    "/events/": "event", "/gatherings/": "gathering", "/schedules/": "service", "/replays/": "replay",
    "/dead-letters/?since=": "dead letter",
    "/api/v1/services/?limit=200": "service", "/api/v1/executions/?limit=200": "execution",
    "/api/v1/projects/": "project", "/api/v1/flows/?limit=200": "flow", "/api/v1/events/?limit=200": "event",
    "/api/v1/gatherings/": "gathering", "/api/v1/schedules/": "schedule", "/api/v1/replays/": "replay",
    "/api/v1/dead-letters/": "dead letter",
}  # fmt: skip


def test_lists_show_what_is_ones_own(people, mine, theirs) -> None:
    for address, kind in LISTS.items():
        said = {
            role: people[role].get(address).content.decode() for role in ("viewer", "nobody", "administrator")
        }
        own, other = (f'"id":{o[kind]},' if address.startswith("/api") and kind == "dead letter" else str(o[kind])
                      for o in (mine, theirs))  # fmt: skip
        if kind == "dead letter" and not address.startswith("/api"):
            own, other = (f"/dead-letters/{o[kind]}/" for o in (mine, theirs))
        assert own in said["viewer"], address
        assert other not in said["viewer"].replace("console/", ""), address
        assert own not in said["nobody"], address
        assert own in said["administrator"], address
        assert other in said["administrator"], address


def test_a_flow_through_two_projects_shows_each_its_own(people, mine, theirs) -> None:
    Execution.objects.filter(pk=theirs["execution"]).update(flow_id=mine["flow"])
    Event.objects.filter(pk=theirs["event"]).update(flow_id=mine["flow"])
    graph = people["viewer"].get(f"/api/v1/flows/{mine['flow']}/").json()
    text = json.dumps(graph)
    assert str(mine["execution"]) in text
    assert str(theirs["event"]) in text, "the events of a flow belong to all through whose projects it runs"
    assert str(theirs["execution"]) not in text
    assert theirs["service"] not in people["viewer"].get(f"/flows/{mine['flow']}/").content.decode()


def test_a_group_is_a_member_as_well(people, mine) -> None:
    group = Group.objects.create(name="night shift")
    User.objects.get(username="nobody").groups.add(group)
    address = f"/api/v1/services/{mine['service']}/"
    assert people["nobody"].get(address).status_code == 404
    Membership.objects.create(group=group, project=Project.objects.get(name="reports"), role="viewer")
    assert people["nobody"].get(address).status_code == 200
    refused = people["nobody"].post(f"{address}run/", {}, content_type="application/json")
    assert refused.status_code == 403
    assert "role operator" in refused.json()["detail"]


def test_figures_are_for_members_everywhere(people) -> None:
    assert people["owner"].get("/metrics").status_code == 403
    assert people["viewer everywhere"].get("/metrics").status_code == 200


def _page(found: dict[tuple[str, str], str]) -> str:
    lines = [
        "# Who may do what",
        "",
        "The least role that each address asks for, as a test finds it by asking (tests/web/test_permissions.py; it",
        "writes this page). *viewer* to *owner* are roles in the project that the address names, or for lists in any",
        "project; *everywhere* is a membership without a project; *nobody* is anyone who is signed in: such lists show",
        "each what is theirs. What belongs to a project that one is no member of is not there (404). A page that only",
        "shows something stands here with POST as well: it changes nothing.",
        "",
        "| address | method | least role |",
        "|---|---|---|",
    ]
    by_name = {route.name: route for route in ROUTES}
    for (name, method), role in found.items():
        address = "/" + str(by_name[name].pattern.pattern).replace("|", "\\|")
        lines.append(f"| `{address}` | {method} | {role} |")
    return "\n".join(lines) + "\n"
