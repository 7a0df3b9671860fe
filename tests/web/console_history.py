"""Flows, failures, dead letters, promises, gatherings: what a platform has seen in a day."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from uuid import UUID

from tests.web.console_journal import Journal
from tests.web.console_rows import Rows


class History(Journal):
    """Writes the day."""

    def __init__(self, rows: Rows, now: datetime, hostile: str) -> None:
        super().__init__(now, hostile)
        self.rows = rows

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
