"""A platform that has been in use for a day, for the console's tests and for looking at it: the sample projects,
a long flow, failures of every kind, schedules, dead letters, log lines, files.

`python -m tests.web.console_rows [TEXT]` fills the home of FERRIS_HOME, with that text wherever users' texts go.
"""

from __future__ import annotations

import json
import random
import sys
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

ROOT = Path(__file__).resolve().parents[2]
FIELDS = [
    {"type": "text", "name": "title", "label": "Title", "required": True, "placeholder": "of the report"},
    {"type": "textarea", "name": "note", "label": "Note", "description": "Stands under the title."},
    {"type": "int", "name": "rows", "label": "Rows", "min": 1, "max": 100, "default": 10},
    {"type": "float", "name": "least", "label": "Least magnitude", "min": 0, "step": 0.1, "default": "4.5"},
    {
        "type": "select",
        "name": "format",
        "label": "Format",
        "default": "html",
        "choices": [{"title": "Web page", "value": "html"}, {"title": "Table", "value": "csv"}],
    },
    {
        "type": "radio",
        "name": "speed",
        "label": "Speed",
        "required": True,
        "choices": [{"title": "Fast", "value": 1}, {"title": "Thorough", "value": 2}],
    },
    {
        "type": "multiselect",
        "name": "regions",
        "label": "Regions",
        "default": ["asia"],
        "choices": [{"title": "Asia", "value": "asia"}, {"title": "Europe", "value": "europe"}],
    },
    {"type": "file", "name": "source", "label": "Source file", "data": {"bucket": "incoming"}},
]
LINES = (
    ("info", "stdout", "reading catalogue of 1707 quakes"),
    ("", "stdout", "\x1b[32mok\x1b[0m rows 1 to 500"),
    ("warning", "log", "3 rows have no magnitude; they are left out"),
    ("", "stderr", "DeprecationWarning: datetime.utcnow() is deprecated"),
    ("error", "log", "alert service answered 503, trying again in 2 s"),
    ("info", "platform", "step alert.py completed"),
)


@dataclass
class Rows:
    """What was made, by the tests' names for it."""

    admin: Any = None
    executions: dict[str, Any] = field(default_factory=dict)
    flow: str = ""
    long_flow: str = ""
    event: Any = None
    letter: Any = None
    replay: Any = None
    schedule: Any = None
    gathering: Any = None
    chart: Any = None


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
    from ferris_web.executions.models import Delivery, DeliveryAttempt, Event, Notice, Notification
    from ferris_web.executions.services.rollups import rollups_piece
    from ferris_web.executions.services.values import value_set

    rows = Rows()
    rows.admin = User.objects.create_superuser("admin", "admin@example.org", "a long password")
    repeat_begin(rows.admin, "a-key", "0" * 64, now)
    for name in ("hello", "quakes"):
        project = catalog.project_add(name, str(ROOT / "examples" / name), now=now)
        catalog.project_sync(project, actor=rows.admin, now=now - timedelta(hours=20))
    _own_project(now, hostile)
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
    _History(rows, now, hostile).write(long)
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
    _stores(rows, now, hostile)
    _metrics(rows.executions["load"], now, hostile)
    while rollups_piece(now):
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


def _own_project(now: datetime, hostile: str) -> None:
    """A project made of rows: a service with every kind of field, one that is inactive, one that is gone."""
    from ferris_web.catalog import services as catalog
    from ferris_web.catalog.models import Project, Service
    from ferris_web.catalog.saved_runs import saved_run_set

    project = Project.objects.create(name="reports", description="Weekly reports." + hostile)
    folder = {
        "manifest.json": json.dumps(
            {
                "description": "Makes a report." + hostile,
                "tags": ["weekly", "report" + hostile],
                "trigger_events": [
                    {
                        "event_type": "quakes.report.*",
                        "filter": {"data": {"kind" + hostile: ["weekly" + hostile]}},
                    }
                ],
                "output_events": ["reports.made"],
                "schedule": "0 6 * * mon",
                "timeout": "10m",
                "retry": {"attempts": 3},
            }
        ),
        "parameters.json": json.dumps({"fields": FIELDS}),
        "report.py": f"# {hostile}\nfrom ferris_ef import context\n\nprint(context.params.get('title'))\n",
        "finish.sql": "select 1\n",
        "README.md": "# Report\n\nMakes *the* report.\n\n| a |\n|---|\n| 1 |\n\n```python\nprint(1)\n```\n\n"
        f"{hostile}\n\n[link](javascript:alert(1)) ![x](https://example.org/x.png)\n",
    }
    catalog.service_upload(project, "make_report", {k: v.encode() for k, v in folder.items()}, now=now)
    for name, manifest in (("old_report", {"active": False}), ("lost_report", {"trigger_events": ["lost"]})):
        files = {"manifest.json": json.dumps(manifest).encode(), "run.py": b"print(1)\n"}
        catalog.service_upload(project, name, files, now=now)
    Service.objects.filter(name="lost_report").update(vanished_at=now - timedelta(days=2))
    made = Service.objects.get(name="make_report")
    saved = {"title": "Quakes" + hostile, "rows": 5, "speed": 2}
    for row in (made, Service.objects.get(name="quakes_alert")):
        saved_run_set(row, "weekly" + hostile[:80], saved, actor="ana" + hostile, now=now)
    catalog.schedule_add(made, origin="person", cron="*/20 * * * *", timezone="Europe/Berlin", now=now)


class _History:
    """Flows, events and executions, as the gateway would have written them."""

    def __init__(self, rows: Rows, now: datetime, hostile: str) -> None:
        from ferris_web.catalog import selectors
        from ferris_web.catalog.models import Service

        self.rows, self.now, self.hostile = rows, now, hostile
        self.services = {s.name: s for s in Service.objects.select_related("version")}
        self.random = random.Random(7)
        self.offset = 0
        self.revision = selectors.revision()
        self.sequences: dict[str, int] = {}
        self.marks: dict[str, dict[str, str]] = {}

    def write(self, long: int) -> None:
        rows, now = self.rows, self.now
        rows.flow = "QUAKES2611"
        rows.long_flow = "LONGFLOW26"
        self._quakes(rows.flow, now - timedelta(minutes=4), 6, name="")
        self._quakes(rows.long_flow, now - timedelta(hours=2), long, name="long-")
        for hours in range(23):
            flow = f"HELLO{hours:05d}"
            at = now - timedelta(hours=hours, minutes=5)
            status = "failed" if hours in (3, 9, 10) else "completed"
            event = self.event("hello.requested", at, flow, {"name": "world"})
            for _ in range(1 + self.random.randrange(5)):
                self.execution(
                    "hello_world", event, at, status, reason="script_failed" if status == "failed" else ""
                )
        self._failures()
        self._letters()
        self._replays()
        self._promises()
        self._gathering()
        self._workers()
        self.rows.schedule = self.services["make_report"].schedules.filter(origin="person").first()

    def _promises(self) -> None:
        from ferris_web.catalog.models import Project, PromiseRule
        from ferris_web.executions.models import Promise

        hostile, at = self.hostile, self.now - timedelta(minutes=30)
        event = self.event("quakes.file.loaded", at, "LATEFLOW26", {"rows": 3})
        rule = PromiseRule.objects.create(
            id=UUID(int=1),
            project=Project.objects.get(name="quakes"),
            name="report in time" + hostile,
            rule={
                "name": "report in time" + hostile,
                "after": {"event_type": "quakes.file.loaded", "filter": None, "cesql": None},
                "expect": {"event_type": "quakes.report.made", "filter": None, "cesql": None},
                "within": 600.0,
                "by": "data.region" + hostile,
            },
        )
        for n, state in enumerate(("open", "kept", "overdue", "late", "withdrawn")):
            answered = at + timedelta(minutes=9 + n) if state in ("kept", "late") else None
            Promise.objects.create(
                id=UUID(int=n + 1),
                rule=rule,
                slot=UUID(int=n + 1),
                key="asia" + hostile,
                flow_id=event.flow_id,
                event=event,
                state=state,
                given_at=at,
                due_at=at + timedelta(minutes=10),
                wakes_at=at + timedelta(minutes=10) if state == "open" else None,
                answer_id=event.key if answered else None,
                answered_at=answered,
            )

    def _quakes(self, flow: str, at: datetime, count: int, name: str) -> None:
        begin = self.event("ferris.execution.requested", at, flow, {"limit": count})
        load = self.execution("quakes_load", begin, at, "completed", trigger="manual")
        self.rows.executions[name + "load"] = load
        seen = None
        for n in range(count):
            moment = at + timedelta(milliseconds=900 + 7 * n)
            magnitude = round(2.5 + self.random.random() * 3.9, 1)
            event = self.event(
                "quakes.quake.detected",
                moment,
                flow,
                {
                    "magnitude": magnitude,
                    "type": "earthquake",
                    "place": "84 km SSE of Hihifo, Tonga" + self.hostile,
                },
                cause=load,
                subject=f"us{n:05d}" + self.hostile,
            )
            self.execution(
                "quakes_tally", event, moment, "completed" if n % 50 else "in_progress", parent=load
            )
            if magnitude >= 4.5:
                status = "failed" if n % 37 == 0 else "completed"
                seen = self.execution(
                    "quakes_alert",
                    event,
                    moment,
                    status,
                    parent=load,
                    reason="script_failed" if status == "failed" else "",
                )
                sent = self.event("quakes.alert.raised", moment, flow, {"magnitude": magnitude}, cause=seen)
                if n == 1:
                    self.rows.event = sent
            self.rows.event = self.rows.event or event
        done = self.event("quakes.file.done", at + timedelta(seconds=20), flow, {"rows": count}, cause=load)
        self.rows.executions[name + "report"] = self.execution(
            "quakes_report", done, at + timedelta(seconds=20), "completed", parent=load
        )

    def _failures(self) -> None:
        from ferris_web.executions.models import Step

        now = self.now
        told = {
            "script_failed": "ZeroDivisionError: division by zero" + self.hostile,
            "timeout": "alert.py ran longer than 60 s",
            "executor_lost": "the executor w1 stopped answering while it ran this",
            "environment": "No solution found: requets==9 does not exist" + self.hostile,
            "package": "the package could not be unpacked",
            "no_scripts": "there is no script to run",
            "isolation": "its executor cannot make the network that its manifest requires",
            "platform": "its order could not be made",
        }
        for n, (reason, error) in enumerate(told.items()):
            event = self.event("reports.asked", now - timedelta(minutes=50 + n), f"FAILED{n:04d}", None)
            row = self.execution(
                "make_report", event, event.received_at, "failed", reason=reason, error=error
            )
            self.rows.executions[reason] = row
        row = self.rows.executions["script_failed"]
        row.attempt = 2
        row.save()
        step = Step.objects.get(execution=row)
        step.attempt, step.exit_code, step.error = 2, 1, told["script_failed"]
        step.save()
        Step.objects.create(
            execution=row,
            attempt=1,
            index=0,
            script="report.py",
            status="failed",
            started_at=row.started_at,
            finished_at=row.started_at + timedelta(seconds=1),
            exit_code=1,
        )
        event = self.event(
            "reports.asked", now - timedelta(seconds=40), "RUNNING001", {"title": "x" + self.hostile}
        )
        self.rows.executions["running"] = self.execution(
            "make_report", event, event.received_at, "in_progress"
        )
        self.rows.executions["queued"] = self.execution("hello_world", event, event.received_at, "queued")
        waits = self.execution("quakes_alert", event, event.received_at, "pending", reason="script_failed")
        waits.attempt, waits.not_before = 2, now + timedelta(minutes=1)
        waits.save()
        self.rows.executions["pending"] = waits
        self.rows.executions["skipped"] = self.execution(
            "old_report", event, event.received_at, "skipped", reason="inactive"
        )
        self.rows.executions["cancelled"] = self.execution(
            "hello_world", event, event.received_at, "cancelled", reason="cancelled"
        )

    def _letters(self) -> None:
        from ferris import events
        from ferris_web.executions.models import Artifact, DeadLetter, Execution

        looped = events.new(
            "loop.turned", "/loop" + self.hostile, {"n": 101}, now=self.now, correlation_id="LOOPFLOW01"
        )
        Artifact.objects.create(
            execution=Execution.objects.order_by("created_at", "id").first(), attempt=1, step=0, script="run.py",
            name="kept.txt", content_type="text/plain", size=1, day=f"{self.now:%Y-%m-%d}", created_at=self.now,
        )  # fmt: skip
        self.rows.letter = DeadLetter.objects.create(
            topic="ferris.events",
            offset=90001,
            reason="hop_limit",
            detail="101 hops, the limit is 100" + self.hostile,
            event_type="loop.turned",
            event_id=looped.id,
            flow_id="LOOPFLOW01",
            value=events.encode(looped),
            created_at=self.now - timedelta(minutes=30),
        )
        DeadLetter.objects.create(
            topic="ferris.events",
            offset=90002,
            reason="unreadable",
            detail="type: is missing" + self.hostile,
            value=b"\xff\xfe no JSON " + self.hostile.encode(),
            created_at=self.now - timedelta(minutes=20),
        )

    def _replays(self) -> None:
        from ferris_web.executions.models import Replay

        self.rows.replay = Replay.objects.create(
            status="running",
            service=self.services["make_report"],
            event_type="quakes.*",
            filter={"data": {"kind" + self.hostile: ["weekly" + self.hostile]}},
            flow_id="LONGFLOW26" + self.hostile,
            since=self.now - timedelta(days=1),
            until=self.now,
            rate=2.5,
            expected=100,
            read=70,
            sent=40,
            created_by="ana" + self.hostile,
            created_at=self.now - timedelta(minutes=1),
        )

    def _gathering(self) -> None:
        from dataclasses import asdict

        from ferris.intake import Join
        from ferris.triggers import TriggerSpec
        from ferris_web.executions.models import Gathering

        entries = tuple(TriggerSpec(kind) for kind in ("quakes.file.loaded", "quakes.report.made"))
        first = self.event("quakes.file.loaded", self.now, "HALFFLOW26", {"region": "asia" + self.hostile})
        self.rows.gathering = Gathering.objects.create(
            id=UUID(int=7),
            slot=UUID(int=7),
            service=self.services["make_report"],
            kind="join",
            key="asia" + self.hostile,
            rule=json.loads(json.dumps(asdict(Join("all_of", entries, 3600, "data.region")))),
            state="open",
            opened_at=self.now,
            due_at=self.now + timedelta(hours=1),
            until=self.now + timedelta(hours=1),
            first_event=first,
            last_event=first,
            size=1,
        )

    def _workers(self) -> None:
        from ferris.isolation import LAYERS
        from ferris.lanes import LANES
        from ferris_web.executions.services.workers import About, worker_seen

        lacking = {"cgroup_pids": "the folder of its group cannot be written" + self.hostile}
        isolation = {"level": "best", "layers": list(LAYERS)[:6], "lacking": lacking, "builds": ["limits"]}
        began = self.now - timedelta(hours=5)
        worker_seen("worker-1@tests", About(tuple(LANES), 8, began, isolation=isolation), self.now)
        worker_seen("worker-2@tests", About(("slow",), 2, began), self.now)

    def event(
        self, kind: str, at: datetime, flow: str, data: Any, *, cause: Any = None, subject: str = ""
    ) -> Any:
        from ferris import events
        from ferris_web.catalog.models import EventType
        from ferris_web.executions.models import Event, Flow

        self.offset += 1
        made = events.new(
            kind, "tests" + self.hostile, data, now=at, correlation_id=flow, subject=subject or None
        )
        Flow.objects.get_or_create(
            pk=flow, defaults={"started_at": at, "last_event_at": at, "root_type": kind}
        )
        EventType.objects.get_or_create(
            name=kind, defaults={"first_seen_at": at, "last_seen_at": at, "count": 1, "example": data}
        )
        return Event.objects.create(
            key=made.key,
            event_id=made.id,
            source=made.source,
            type=kind,
            subject=subject,
            time=at,
            received_at=at,
            flow_id=flow,
            causation_id=str(cause.pk) if cause else "",
            data=data,
            extensions={"correlationid": flow, **({"causationid": str(cause.pk)} if cause else {})},
            fingerprint="0" * 64,
            topic="ferris.events",
            offset=self.offset,
            revision=self.revision,
        )

    def execution(
        self,
        service: str,
        event: Any,
        at: datetime,
        status: str,
        *,
        trigger: str = "triggered",
        parent: Any = None,
        reason: str = "",
        error: str = "",
    ) -> Any:
        from ferris import events
        from ferris.execution import execution_id
        from ferris_web.executions.models import Event, Execution, Flow, Step

        owner = self.services[service]
        sequence = self.sequences[event.flow_id] = self.sequences.get(event.flow_id, 0) + 1
        Flow.objects.filter(pk=event.flow_id).update(sequence=sequence)
        Event.objects.filter(pk=event.pk).update(matched=event.matched + 1)
        event.matched += 1
        begun = status in ("completed", "failed", "in_progress", "cancelled")
        started = at + timedelta(milliseconds=12 + self.random.randrange(90)) if begun else None
        took = timedelta(milliseconds=80 + self.random.randrange(2600))
        ended = status in ("completed", "failed", "cancelled", "skipped")
        pk: UUID = execution_id(event.key, str(owner.pk))
        if Execution.objects.filter(pk=pk).exists():
            pk = UUID(int=self.random.getrandbits(128))
        row = Execution.objects.create(
            id=pk,
            service=owner,
            version=owner.version,
            event=event,
            flow_id=event.flow_id,
            sequence=sequence,
            correlation_id=events.correlation_id(event.flow_id, sequence),
            parent_id=parent.pk if parent else None,
            trigger_type=trigger,
            status=status,
            lane="default",
            created_at=at,
            rung_at=at,
            started_at=started,
            finished_at=(started or at) + took if ended else None,
            reason=reason,
            error=error or ("ValueError: unexpected answer" if status == "failed" else ""),
            worker="worker-1@tests" if begun else "",
        )
        if started:
            Step.objects.create(
                execution=row,
                attempt=1,
                index=0,
                script=owner.version.manifest["scripts"][0],
                status=status if status in ("completed", "failed", "in_progress") else "failed",
                started_at=started + timedelta(milliseconds=20),
                finished_at=row.finished_at,
                exit_code=1 if status == "failed" else 0 if status == "completed" else None,
                config_marks=self._marks(owner),
            )
        return row

    def _marks(self, owner: Any) -> dict[str, str]:
        from ferris_web.catalog.configs import configs_of

        if owner.name not in self.marks:
            self.marks[owner.name] = configs_of(owner).marks(owner.name, owner.project.name)
        return self.marks[owner.name]


def _stores(rows: Rows, now: datetime, hostile: str) -> None:
    from ferris_web import wiring

    records = [
        {
            "execution": str(rows.executions[name].pk),
            "attempt": rows.executions[name].attempt,
            "seq": n,
            "time": (now - timedelta(minutes=1) + timedelta(milliseconds=37 * n)).astimezone(UTC).isoformat(),
            "step": "report.py",
            "stream": stream,
            "level": level,
            "message": message + hostile,
            "service": "make_report",
            "flow": rows.executions[name].flow_id,
        }
        for name in ("script_failed", "running", "load")
        for n, (level, stream, message) in enumerate(LINES * 6, start=1)
    ]
    wiring.ops_store().write("logs", records)
    store = wiring.object_store()
    page = (
        f"<!doctype html><title>Quakes</title><h1>Report</h1>{hostile}<script>document.title='owned'</script>"
    )
    store.put("reports", "quakes/2026/report.html", page.encode(), "text/html")
    store.put("reports", "quakes/2026/quakes.csv", b"time,magnitude\n2026-11-01,6.4\n", "text/csv")
    store.put(
        "reports", "photo.svg", b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>"
    )
    store.put("reports", "data.bin", bytes(range(256)))
    _artifacts(rows.executions["load"], store, now, hostile)


def _metrics(execution: Any, now: datetime, hostile: str) -> None:
    """What its scripts recorded."""
    from ferris.metric_points import Point
    from ferris_web.executions.services.metrics import metrics_take

    points = [
        Point(
            uuid.uuid4(), execution.pk, now - timedelta(hours=n), name, value * (n % 7 + 1), unit + hostile[:50],
            {"region": region + hostile[:50]},
        )
        for n in range(20)
        for name, value, unit in (("quakes.magnitude", 1.2, ""), ("quakes.delay", 430, "ms"))
        for region in ("asia", "europe")
    ]  # fmt: skip
    metrics_take(points, now)


def _artifacts(execution: Any, store: Any, now: datetime, hostile: str) -> None:
    """A page, a table and a picture that a step left."""
    from ferris.artifacts import BUCKET
    from ferris_web.executions.models import Artifact

    left = {
        "chart.svg": ("image/svg+xml", "<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'/>"),
        "quakes.csv": ("text/csv", f"time,magnitude\n2026-11-01,6.4{hostile}\n"),
        "report.html": ("text/html", f"<title>Quakes</title><h1>Report</h1>{hostile}"),
    }
    for name, (kind, text) in left.items():
        row = Artifact.objects.create(
            execution=execution, attempt=1, step=0, script="load.py", name=name, content_type=kind,
            size=len(text.encode()), day=f"{now:%Y-%m-%d}", created_at=now,
        )  # fmt: skip
        store.put(BUCKET, row.key, text.encode(), kind)


if __name__ == "__main__":
    import django

    django.setup()
    fill(datetime.now(UTC), hostile="".join(sys.argv[1:]))
