"""Events and executions one by one, as the gateway would have written them."""

from __future__ import annotations

import random
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID


class Journal:
    """Writes them at any time of the past."""

    def __init__(self, now: datetime, hostile: str) -> None:
        from ferris_web.catalog import selectors
        from ferris_web.catalog.models import Service

        self.now, self.hostile = now, hostile
        self.services = {s.name: s for s in Service.objects.select_related("version")}
        self.random = random.Random(7)
        self.offset = 0
        self.revision = selectors.revision()
        self.sequences: dict[str, int] = {}
        self.marks: dict[str, dict[str, str]] = {}

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
            project_id=owner.project_id,
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
