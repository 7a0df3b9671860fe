"""Who waits to be admitted, and who is: executions of services with limits, and of those that were paused.

Such an execution is `pending` without a time to wait for. Its service's gate is a row: whoever admits locks it, so
that of several gateways one at a time counts what runs and lets the next ones in. What it counts are the executions
themselves: nothing can be forgotten to be given back. Admission follows a commit that made or ended executions;
should it be missed (a gateway died in between), the rescuer comes by.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from django.db import connection, transaction
from django.db.models import Count, Exists, Min, OuterRef, QuerySet

from ferris import limits
from ferris.limits import Limits, Starts, Waiter
from ferris_web.executions.models import Execution, Gate
from ferris_web.executions.services.changes import Change
from ferris_web.executions.services.turns import Entry, turn_written, turns_give

Slots = dict[UUID, set[str]]
"""By service: whose concurrency may have room."""

_AT_ONCE = 1000
_KEYS_AT_ONCE = 50
_MOST_SKIPPED = 5000
_SOONEST = timedelta(milliseconds=20)
_CLOCKS_DIFFER = 5.0  # seconds, those of several machines
_RUNNING = ("queued", "in_progress")


@dataclass
class Admitted:
    """What an admission came to: lanes in which executions now wait for their doorbells, those that were skipped
    or admitted, and whether a gate has got another time to open."""

    lanes: set[str] = field(default_factory=set)
    changes: list[Change] = field(default_factory=list)
    skipped: list[tuple[UUID, str, int, str]] = field(default_factory=list)  # id, flow, attempt, reason
    timed: bool = False


class _Held(NamedTuple):
    """A row that waits, as far as admission looks at it."""

    id: UUID
    lane: str
    slot: str | None
    rate_key: str | None
    priority: int
    turn: int
    created_at: Any
    flow_id: str
    attempt: int
    project_id: int | None
    share_key: str


_ORDER = ("priority", "turn", "created_at", "id")


def _order(row: _Held) -> tuple[Any, ...]:
    return row.priority, row.turn, row.created_at, row.id


_Pair = tuple[str | None, str | None]  # a slot and a rate key, as rows have them


def held(rows: QuerySet[Execution] | None = None) -> QuerySet[Execution]:
    """Of these executions (or all), those that wait to be admitted."""
    found = Execution.objects.all() if rows is None else rows
    return found.filter(status="pending", not_before=None)


def gates_make(services: Iterable[UUID]) -> None:
    """See to it that these services have a gate."""
    Gate.objects.bulk_create([Gate(service_id=pk) for pk in services], ignore_conflicts=True)


def gates_waiting() -> list[UUID]:
    """Services with executions that wait to be admitted, and which are not paused."""
    waiting = held().filter(service_id=OuterRef("service_id")).order_by()
    return list(Gate.objects.filter(Exists(waiting), service__paused_at=None).values_list("pk", flat=True))


def gates_due(now: datetime) -> list[UUID]:
    """Services whose rate lets the next execution start."""
    return list(Gate.objects.filter(opens_at__lte=now).values_list("pk", flat=True))


def gates_next() -> datetime | None:
    """When the next gate opens by itself."""
    return (
        Gate.objects.filter(opens_at__isnull=False)
        .order_by("opens_at")
        .values_list("opens_at", flat=True)
        .first()
    )


def executions_admit(wanted: Mapping[UUID, Collection[str] | None], now: datetime) -> Admitted:
    """Admit what may run, of these services; of each either those slots only or (None) all.

    One transaction for each service. Those admitted are `queued` and wait for their doorbells.
    """
    done = Admitted()
    for service in sorted(wanted):
        with transaction.atomic():
            _admit(service, wanted[service], now, done)
    return done


def _admit(service: UUID, slots: Collection[str] | None, now: datetime, done: Admitted) -> None:
    gate = (
        Gate.objects.select_for_update(of=("self",))
        .filter(pk=service)
        .values("opens_at", "service__name", "service__paused_at", "service__limits")
        .first()
    )
    if gate is None:
        return
    if gate["service__paused_at"] is not None:
        Gate.objects.filter(pk=service, opens_at__isnull=False).update(opens_at=None)
        return
    door = _Door(service, gate["service__name"], Limits.from_json(gate["service__limits"]), now, done)
    opens_at = door.open(slots)
    if slots is not None and gate["opens_at"] is not None:  # of the other keys' time nothing was learnt
        opens_at = min(opens_at or gate["opens_at"], gate["opens_at"])
    if opens_at != gate["opens_at"]:
        Gate.objects.filter(pk=service).update(opens_at=opens_at)
        done.timed |= opens_at is not None


class _Door:
    """One admission to one service."""

    def __init__(self, service: UUID, name: str, rules: Limits, now: datetime, done: Admitted) -> None:
        self._service, self._name, self._rules = service, name, rules
        self._now, self._done = now, done
        self._waiting = held().filter(service_id=service).order_by()

    def open(self, slots: Collection[str] | None) -> datetime | None:
        """Let in who may. Gives when the rate lets the next one in, if someone waits for that."""
        rules = self._rules
        if not rules:
            while rows := _read([self._waiting.order_by(*_ORDER)], _AT_ONCE):
                self._let_in(rows)
            return None
        pairs = self._pairs(slots)
        running = self._running({self._slot(slot) for slot, _ in pairs})
        starts = self._starts({self._rate_key(key) for _, key in pairs})
        found = self._candidates(pairs, running, starts)
        rows = {row.id: row for row in sorted(found, key=_order)}
        waiters = [Waiter(pk, self._slot(row.slot), self._rate_key(row.rate_key)) for pk, row in rows.items()]
        answer = limits.admit(rules, waiters, running, starts)
        self._let_in([rows[one.id] for one in answer.admitted])
        self._skip([(rows[one.id], why) for one, why in answer.kept])
        for one in answer.admitted:
            starts.setdefault(one.rate_key or "", Starts()).count += 1
        return self._opens_at(starts)

    def _slot(self, slot: str | None) -> str:
        """The slot of a row as the rules of today see it: without a key all of the service share one."""
        return slot or "" if self._rules.concurrency and self._rules.concurrency.key else ""

    def _rate_key(self, key: str | None) -> str:
        return key or "" if self._rules.rate and self._rules.rate.key else ""

    def _pairs(self, slots: Collection[str] | None) -> list[_Pair]:
        """Which keys to look at: those of all who wait, or of these slots."""
        rate = self._rules.rate
        if slots is not None and not (rate and rate.key):
            return [(slot, "" if rate else None) for slot in slots]
        waiting = self._waiting if slots is None else self._waiting.filter(slot__in=slots)
        return list(waiting.values_list("slot", "rate_key").distinct())

    def _running(self, slots: Collection[str]) -> dict[str, int]:
        """By slot, how many are admitted and have not ended."""
        if self._rules.concurrency is None:
            return {}
        found = Execution.objects.filter(service_id=self._service, status__in=_RUNNING, slot__isnull=False)
        if not self._rules.concurrency.key:
            return {"": found.order_by().count()}
        return dict(found.filter(slot__in=slots).order_by().values_list("slot").annotate(n=Count("id")))

    def _starts(self, keys: Collection[str]) -> dict[str, Starts]:
        """By rate key, how many starts count against the rate."""
        rate = self._rules.rate
        if rate is None:
            return {}
        rated = Execution.objects.filter(service_id=self._service, rate_key__isnull=False).order_by()
        if rate.key:
            rated = rated.filter(rate_key__in=keys)
        since = self._now - timedelta(seconds=rate.per)
        queued = rated.filter(status="queued", slot__isnull=False).values_list("rate_key")
        # Nor what seems to be claimed later than clocks differ: the clock was set back since.
        until = self._now + timedelta(seconds=max(rate.per, _CLOCKS_DIFFER))
        begun = rated.filter(claimed_at__gt=since, claimed_at__lte=until).values_list("rate_key")
        starts: dict[str, Starts] = {}
        # In this order: one that is claimed between the two looks counts twice for now; in the other, not at all.
        for key, count in queued.annotate(n=Count("id")):
            starts.setdefault(self._rate_key(key), Starts()).count += count
        for key, count, oldest in begun.annotate(n=Count("id"), oldest=Min("claimed_at")):
            one = starts.setdefault(self._rate_key(key), Starts())
            one.count += count
            one.oldest = min(one.oldest or oldest, oldest)
        return starts

    def _candidates(
        self, pairs: Sequence[_Pair], running: Mapping[str, int], starts: Mapping[str, Starts]
    ) -> list[_Held]:
        """The most urgent of each pair of keys, as many as could be let in; all where what waits is skipped."""
        rules, looks = self._rules, []
        skips = any(rule and rule.on_limit == limits.SKIP for rule in (rules.concurrency, rules.rate))
        for slot, key in pairs:
            room = _MOST_SKIPPED if skips else _AT_ONCE
            if rules.concurrency and not skips:
                room = min(room, rules.concurrency.limit - running.get(self._slot(slot), 0))
            if rules.rate and not skips:
                begun = starts.get(self._rate_key(key), Starts())
                room = min(room, rules.rate.limit - begun.count)
            if room > 0:
                of_keys = self._waiting.filter(slot=slot, rate_key=key)
                looks.append(of_keys.order_by(*_ORDER)[:room])
        return _read(looks)

    def _let_in(self, rows: Sequence[_Held]) -> None:
        given = turns_give(
            [
                Entry(row.id, row.lane, row.project_id, self._service, row.share_key, row.priority)
                for row in rows
            ]
        )
        for some in _portions([row.id for row in rows], _AT_ONCE):
            turn = turn_written({pk: given[pk] for pk in some})
            self._waiting.filter(pk__in=some).update(status="queued", rung_at=None, turn=turn)
        self._done.lanes |= {row.lane for row in rows}
        self._done.changes += [Change(row.id, "queued", self._name, row.flow_id, row.attempt) for row in rows]

    def _skip(self, kept: Sequence[tuple[_Held, str]]) -> None:
        """End those that a limit keeps which nobody is to wait for. A further attempt waits all the same."""
        for why in ("concurrency", "rate"):
            rule = getattr(self._rules, why)
            if rule is None or rule.on_limit != limits.SKIP:
                continue
            gone = {row.id: row for row, reason in kept if reason == why and row.attempt == 1}
            for some in _portions(list(gone), _AT_ONCE):
                self._waiting.filter(pk__in=some).update(
                    status="skipped", finished_at=self._now, reason=why, error=_skipped_by(rule)
                )
            self._done.skipped += [(pk, row.flow_id, row.attempt, why) for pk, row in gone.items()]
            self._done.changes += [
                Change(pk, "skipped", self._name, row.flow_id, row.attempt) for pk, row in gone.items()
            ]

    def _opens_at(self, starts: Mapping[str, Starts]) -> datetime | None:
        rate = self._rules.rate
        if rate is None or not self._waiting.exists():
            return None
        full = [found for found in starts.values() if found.count >= rate.limit]
        times = [opens for found in full if (opens := limits.rate_opens(rate, found, self._now)) is not None]
        return max(min(times), self._now + _SOONEST) if times else None


def _skipped_by(rule: limits.Concurrency | limits.Rate) -> str:
    of = f" for the same {rule.key}" if rule.key else ""
    if isinstance(rule, limits.Rate):
        return f"{rule.limit} had started{of} within {rule.per:g} s; its manifest says to skip then"
    return f"{rule.limit} ran{of} at that time; its manifest says to skip then"


def _read(looks: Sequence[QuerySet[Execution]], most: int | None = None) -> list[_Held]:
    """The rows of several queries, in one for many of them."""
    rows: list[_Held] = []
    for some in _portions(looks, _KEYS_AT_ONCE):
        parts, values = [], []
        for number, look in enumerate(some):
            sql, params = look.values_list(*_Held._fields)[:most].query.sql_with_params()
            parts.append(f"SELECT * FROM ({sql}) AS held{number}")  # noqa: S608 - Django's own text, values apart
            values += params
        with connection.cursor() as cursor:
            cursor.execute(" UNION ALL ".join(parts), values)
            rows += [_Held(UUID(str(pk)), *rest) for pk, *rest in cursor.fetchall()]
    return rows


def _portions(of: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    for start in range(0, len(of), size):
        yield of[start : start + size]
