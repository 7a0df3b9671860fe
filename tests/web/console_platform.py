"""A platform that has been in use for a day, for the console's tests and for looking at it: the sample projects,
a long flow, failures of every kind, schedules, dead letters, log lines, files.

`python -m tests.web.console_platform [TEXT]` fills the home of FERRIS_HOME, with that text wherever users' texts go.
"""

from __future__ import annotations

import sys
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.web.console_history import History
from tests.web.console_rows import Rows
from tests.web.console_service import own_project
from tests.web.console_stores import metrics, stores

ROOT = Path(__file__).resolve().parents[2]


def fill(now: datetime, *, long: int = 400, hostile: str = "") -> Rows:
    """Fill the database and the stores. `hostile` is a text that is put wherever users' texts go."""
    from ferris_web.accounts.models import User
    from ferris_web.accounts.repeats import repeat_begin
    from ferris_web.catalog import connections, secrets, subscriptions, values, webhooks
    from ferris_web.catalog import services as catalog
    from ferris_web.catalog.models import (
        EventMap,
        EventSchema,
        EventType,
        NotificationRule,
        Project,
        Service,
        WebhookDelivery,
    )
    from ferris_web.catalog.repositories import repository_add
    from ferris_web.executions.models import Delivery, DeliveryAttempt, Event, Notice, Notification
    from ferris_web.executions.services.bonds import bonds_renew
    from ferris_web.executions.services.failure_kinds import failures_piece
    from ferris_web.executions.services.rollups import rollups_piece
    from ferris_web.executions.services.tallies import tallies_piece
    from ferris_web.executions.services.values import value_set

    rows = Rows()
    rows.admin = User.objects.create_superuser("admin", "admin@example.org", "a long password")
    repeat_begin(rows.admin, "a-key", "0" * 64, now)
    for name in ("hello", "quakes"):
        project = repository_add(name, str(ROOT / "examples" / name), now=now).project
        catalog.project_sync(project, actor=rows.admin, now=now - timedelta(hours=20))
    own_project(now, hostile)
    alert = Service.objects.get(name="quakes_alert")
    secrets.secret_set(
        "service", "webhook" + hostile, "https://example.org/s3cr3t-of-the-hook", service=alert
    )
    secrets.secret_set("platform", "smtp", {"password": "s3cr3t-of-mail"})
    for kind in ("config", "state"):
        place = values.Place(kind, alert)
        for number in (1, 2, 3):
            value_set(
                place, {"above" + hostile: number, "note": hostile}, actor="ada" + hostile,
                now=now - timedelta(hours=4 - number),
            )  # fmt: skip
    connections.connection_set(
        "warehouse",
        url="postgresql://ferris:s3cr3t-of-the-warehouse@db.example.org/sales",
        description="All sales." + hostile,
        projects=list(Project.objects.filter(name="quakes")),
    )
    hook = webhooks.webhook_set(
        "github", kind="github", secret="s3cr3t-of-github", description="Pushes." + hostile, now=now
    ).webhook
    webhooks.delivery_add(
        WebhookDelivery(webhook=hook, received_at=now, outcome="invalid", detail=hostile, body=hostile)
    )
    pushed = subscriptions.subscription_set(
        "partner",
        now=now,
        project=Project.objects.get(name="quakes"),
        description="All alerts." + hostile,
        event_type="quakes.*",
        url="https://example.org/t0k3n",
        headers={"X-Tenant": "blue"},
        secret_headers={"Authorization": "s3cr3t-of-the-partner"},
    ).subscription
    delivery = Delivery.objects.create(
        subscription=pushed, event_type="quakes.alert" + hostile, event_id="1" + hostile, event_key=uuid.uuid4(),
        created_at=now, due_at=now, last_problem=hostile[:300],
    )  # fmt: skip
    DeliveryAttempt.objects.create(
        delivery=delivery, number=1, at=now, seconds=0.2, status=500, problem=hostile[:300], answer=hostile
    )
    rule = NotificationRule.objects.create(
        project=Project.objects.get(name="quakes"), name="pager", kind="failures", times=3,
        targets=[{"id": "1", "shown": "Discord (discord://…)"}],
        ciphertext=secrets.encrypted({"1": "discord://s3cr3t-of-the-pager/x"}),
    )  # fmt: skip
    Notification.objects.create(
        rule=rule, target="1", shown="Discord (discord://…)", notices=2, title="[Ferris] quakes" + hostile,
        body=hostile or "x", status="failed", created_at=now, due_at=now, problem=hostile[:300],
    )  # fmt: skip
    Notice.objects.create(id=uuid.uuid4(), rule=rule, at=now, text="x" + hostile, place="/", told=True)
    config = values.Place(values.Kind.CONFIG, alert)
    value_set(config, {"channel": "seismology" + hostile, "least": 4.5}, actor="ada", now=now)
    for owner in (alert.project, None):
        far = values.Place(values.Kind.CONFIG, owner)
        value_set(far, {"least": 3, "region" + hostile: hostile or "eu"}, actor="ada", now=now)
    History(rows, now, hostile).write(long)
    detected = EventType.objects.filter(name="quakes.quake.detected")
    detected.update(description="One quake of the file." + hostile, schema_number=1, schema_learned=20)
    EventSchema.objects.create(
        event_type=detected.get(),
        number=1,
        schema={"type": "object", "properties": {"place" + hostile: {"type": "string"}}, "required": []},
        changes=[
            {"path": "data.place" + hostile, "kind": "type", "before": ["integer"], "after": ["string"]}
        ],
        breaking=True,
        consumers=[{"service": alert.name, "reads": ["data.place" + hostile], "through": ["filter"]}],
        sample={"key": str(Event.objects.first().pk), "id": "1", "source": "tests" + hostile},
        created_at=now,
    )
    EventMap.objects.create(
        source="quakes.quake.detected",
        target="news.item" + hostile,
        fields={"place": "title" + hostile},
        strategy="mapped",
        constants={"kind": "quake" + hostile},
        created_by="ana" + hostile,
    )
    stores(rows, now, hostile)
    metrics(rows.executions["load"], now, hostile)
    bonds_renew(now)
    while rollups_piece(now) or failures_piece() or tallies_piece(now):
        pass
    _charts(rows, now, hostile)
    return rows


def _charts(rows: Rows, now: datetime, hostile: str) -> None:
    """One for each source, drawn in each way: counted, answered, and one that cannot be fetched."""
    from ferris_web.catalog.models import Project, Service
    from ferris_web.executions.models import ChartFeed
    from ferris_web.executions.services.chart_counting import fill_piece
    from ferris_web.executions.services.charts import chart_save

    project, service = Project.objects.get(name="quakes"), Service.objects.get(name="quakes_load")
    events = {"source": "events", "event_type": "*", "description": ("About quakes." + hostile)[:300]}
    for kind in ("line", "bar", "pie", "table", "kpi"):
        said = {**events, "title": f"Events as {kind}{hostile}"[:100], "kind": kind, "group_path": "type"}
        rows.chart = chart_save(said, now=now, project=project, actor="ada" + hostile[:100])
    while fill_piece(now + timedelta(minutes=1)).read:
        pass
    metric = {
        "source": "metrics",
        "service": service,
        "metric": "quakes.magnitude",
        "title": "Magnitude",
        "kind": "line",
    }
    left = {
        "source": "artifact",
        "service": service,
        "artifact": "chart.json",
        "title": "Left",
        "kind": "pie",
    }
    asked = {
        "source": "url",
        "url": "https://example.org/t0k3n",
        "title": "Asked",
        "kind": "bar",
        "width": "full",
    }
    for given in (metric, left, asked):
        chart_save(given, now=now, project=project)
    last = chart_save({**asked, "title": "Of the platform"}, now=now)
    text = ("north" + hostile)[:200]
    ChartFeed.objects.filter(chart__source="url").exclude(pk=last.pk).update(
        answer={"labels": [text, "south"], "series": [{"name": text, "values": [3, 4]}], "unit": ""},
        answered_at=now, problem="HTTP 503" + hostile[:400], failing_since=now,
    )  # fmt: skip


if __name__ == "__main__":
    import django

    django.setup()
    fill(datetime.now(UTC), hostile="".join(sys.argv[1:]))
