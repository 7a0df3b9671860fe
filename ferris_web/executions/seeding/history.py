"""What the services of a seeded platform did: flows of events and executions over some weeks, and dead letters."""

from __future__ import annotations

import itertools
import json
import math
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from ferris import events, lanes
from ferris.execution import execution_id
from ferris_web.catalog.models import EventType, Service
from ferris_web.catalog.selectors import revision
from ferris_web.executions.models import DeadLetter, Event, Execution, Flow, Step
from ferris_web.executions.seeding.bulk import Table
from ferris_web.executions.seeding.catalog import Progress, event_type
from ferris_web.executions.seeding.kinds import Kinds
from ferris_web.executions.seeding.sums import Sums

LETTERS = 100
"""Of so many events one has a dead letter beside it."""
_SIZES = (
    (1, 50),
    (2, 18),
    (3, 12),
    (5, 10),
    (9, 6),
    (25, 3),
    (120, 1),
)  # executions of a flow, and how often
_ERRORS = (
    ("script_failed", "ValueError: the answer to order {n} has no field 'amount'"),
    ("script_failed", "KeyError: 'customer'"),
    ("script_failed", "ConnectionError: host 10.0.{n} did not answer within 30 s"),
    ("timeout", "run.py ran longer than 60 s"),
    ("executor_lost", "the executor stopped answering while it ran this"),
)
_RARE = "/by/hand"  # a source of few events
_LETTERS = (
    ("unreadable", "type: is missing"),
    ("schema", "data.amount: is a string, a number was expected"),
    ("hop_limit", "101 hops, the limit is 100"),
)
_HOURS = [1 + math.exp(-((hour - 13) ** 2) / 18) * 6 for hour in range(24)]  # UTC: most happens by day


@dataclass(frozen=True, slots=True)
class Size:
    """How much is made."""

    executions: int
    events: int
    days: float


class History:
    """Writes it all, flow by flow, in the order of time."""

    def __init__(
        self, services: Sequence[Service], chance: random.Random, now: datetime, progress: Progress
    ) -> None:
        self._services, self._chance, self._now, self._progress = services, chance, now, progress
        self._revision = revision()
        self._numbers = range(len(services))
        self._busy = list(itertools.accumulate(1 / (n + 3) for n in self._numbers))
        self._seen: Counter[str] = Counter()
        self._offset = 0
        self.flows = Table(Flow, ("id", "started_at", "last_event_at", "root_type", "sequence"))
        self.events = Table(Event, _EVENT)
        self.executions = Table(Execution, _EXECUTION)
        self.steps = Table(Step, _STEP)
        self.letters = Table(DeadLetter, _LETTER)
        self._kinds = Kinds()
        self._sums = Sums()

    def write(self, size: Size) -> None:
        """All of it; `progress` hears of each batch."""
        roots = max(1, round(size.executions / _mean()))
        for begun in self._moments(roots, size):
            if self.executions.count >= size.executions:
                break
            self._flow(begun, size)
            if self.executions.full:
                self._flush()
                self._sums.settle(begun)
                self._progress("executions", self.executions.count, size.executions)
        while self.executions.count < size.executions:
            self._flow(self._now - timedelta(hours=self._chance.random()), size)
        self._sums.finish()
        for begun in self._moments(size.events - self.events.count, size):
            self._lone(begun)
            if self.events.full:
                self._flush()
        self._flush()
        self._kinds.finish()
        self._types()
        self._progress("events", self.events.count, size.events)

    def _flush(self) -> None:
        self._kinds.flush()
        for table in (self.flows, self.events, self.executions, self.steps, self.letters):
            table.flush()

    def _moments(self, count: int, size: Size) -> Iterator[datetime]:
        """So many moments of the last days, in order: more by day than by night, more lately than long ago."""
        hours = max(1, round(size.days * 24))
        begin = self._now - timedelta(hours=hours)
        weights = [
            _HOURS[(begin + timedelta(hours=n)).hour] * (1 + n / hours) * self._chance.uniform(0.8, 1.2)
            for n in range(hours)
        ]
        given = 0
        for n, upto in enumerate(itertools.accumulate(weights)):
            wanted = round(count * upto / sum(weights)) - given
            given += wanted
            for offset in sorted(self._chance.random() for _ in range(wanted)):
                yield begin + timedelta(hours=n + offset)

    def _flow(self, begun: datetime, size: Size) -> None:
        chance = self._chance
        flow = events.new_flow_id()
        wanted = chance.choices([n for n, _ in _SIZES], [weight for _, weight in _SIZES])[0]
        wanted = min(wanted, size.executions - self.executions.count)
        number = chance.choices(self._numbers, cum_weights=self._busy)[0]
        root, moment, parent, key = event_type(number), begun, None, None
        last = begun
        for sequence in range(1, wanted + 1):
            fans_out = key is not None and chance.random() < 0.1
            if not fans_out or key is None:
                key = self._event(flow, event_type(number), moment, parent, sequence - 1, matched=1)
                last = moment
            pk, ended = self._execution(flow, sequence, number, key, moment, parent)
            if chance.random() < 0.15 and self._spare(size):
                self._event(flow, f"{root}.noted", ended, pk, sequence, matched=0)
                last = max(last, ended)
            parent, moment = pk, ended
            number = (number + 1 + chance.randrange(40)) % len(self._services)
        self.flows.add(flow, begun, last, root, wanted)

    def _spare(self, size: Size) -> bool:
        """True when the events that run something will not need all that are to be made."""
        return self.events.count - self.executions.count < size.events - size.executions

    def _lone(self, moment: datetime) -> None:
        flow = events.new_flow_id()
        kind = f"{event_type(self._chance.randrange(len(self._services)))}.noted"
        self._event(flow, kind, moment, None, 0, matched=0)
        self.flows.add(flow, moment, moment, kind, 0)

    def _event(
        self, flow: str, kind: str, at: datetime, parent: UUID | None, hops: int, matched: int
    ) -> UUID:
        chance = self._chance
        key = UUID(int=chance.getrandbits(128), version=5)
        amount = chance.randrange(1, 100_000)
        self._seen[kind] += 1
        self._offset += 1
        self.events.add(
            key,
            f"{chance.getrandbits(64):016x}",
            _RARE if chance.random() < 0.0002 else f"/{kind.split('.', 1)[0]}",
            kind,
            f"customer-{amount % 5000}",
            at,
            at,
            flow,
            str(parent or ""),
            min(hops, 100),
            "application/json",
            {"id": amount, "amount": amount / 100, "customer": f"c{amount % 5000}", "region": "north"},
            {"correlationid": flow},
            "0" * 64,
            "ferris.events",
            self._offset,
            self._revision,
            matched,
        )
        if self._offset % LETTERS == 0:
            reason, detail = chance.choice(_LETTERS)
            value = json.dumps({"specversion": "1.0", "type": kind, "data": {"amount": "1"}}).encode()
            self.letters.add("ferris.events", self._offset + 10**12, reason, detail, kind, flow, value, at)
        return key

    def _execution(
        self, flow: str, sequence: int, number: int, event: UUID, asked: datetime, parent: UUID | None
    ) -> tuple[UUID, datetime]:
        chance, service = self._chance, self._services[number]
        pk = execution_id(event, str(service.pk))
        status = chance.choices(("completed", "failed", "cancelled", "skipped"), (930, 50, 10, 10))[0]
        trigger = (
            "triggered"
            if parent
            else chance.choice(("triggered", "triggered", "manual", "scheduled", "retried"))
        )
        lane = lanes.choose(service.priority, trigger)
        reason, error = chance.choice(_ERRORS) if status == "failed" else ("", "")
        error = error.replace("{n}", str(chance.randrange(10**6)))
        begun = asked + timedelta(milliseconds=min(60_000, chance.lognormvariate(4, 1)))
        ended = begun + timedelta(milliseconds=min(3_600_000, chance.lognormvariate(6 + number % 3, 1)))
        kind = None
        if status == "failed":
            kind = self._kinds.of(service.pk, service.project_id, reason, error, asked)
        ran = status != "skipped"
        if not ran:
            reason, ended = "inactive", begun
        self.executions.add(
            pk, service.pk, service.project_id, service.version_id, event, flow, sequence,
            events.correlation_id(flow, sequence), parent, trigger, status, lane.lane, lane.reason, service.priority,
            asked, asked,
            begun if ran else None, begun if ran else None, ended, reason, error, "seeded" if ran else "", True,
            kind,
        )  # fmt: skip
        times = asked, begun if ran else None, ended
        self._sums.take(service.project_id, service.pk, (status, trigger, lane.lane), times)
        if ran:
            failed = status != "completed"
            self.steps.add(
                pk, 1, 0, "run.py", "failed" if failed else "completed", begun, ended, int(failed), error,
                round((ended - begun).total_seconds() * 1000),
            )  # fmt: skip
        return pk, ended

    def _types(self) -> None:
        rows = [
            EventType(name=name, count=count, first_seen_at=self._now, last_seen_at=self._now)
            for name, count in sorted(self._seen.items())
        ]
        EventType.objects.bulk_create(
            rows,
            update_conflicts=True,
            unique_fields=["name"],
            update_fields=["count", "first_seen_at", "last_seen_at"],
            batch_size=500,
        )


def _mean() -> float:
    return sum(n * weight for n, weight in _SIZES) / sum(weight for _, weight in _SIZES)


_EVENT = (
    "key", "event_id", "source", "type", "subject", "time", "received_at", "flow_id", "causation_id", "hops",
    "datacontenttype", "data", "extensions", "fingerprint", "topic", "offset", "revision", "matched",
)  # fmt: skip
_EXECUTION = (
    "id", "service_id", "project_id", "version_id", "event_id", "flow_id", "sequence", "correlation_id", "parent_id",
    "trigger_type", "status", "lane", "lane_reason", "priority", "created_at", "rung_at", "claimed_at",
    "started_at", "finished_at", "reason", "error", "worker", "counted",
    "failure_id",
)  # fmt: skip
_STEP = (
    "execution_id", "attempt", "index", "script", "status", "started_at", "finished_at", "exit_code", "error",
    "wall_ms",
)  # fmt: skip
_LETTER = ("topic", "offset", "reason", "detail", "event_type", "flow_id", "value", "created_at")
