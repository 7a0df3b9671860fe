"""Why executions that have not begun are waiting: one answer for each, in a few queries for all."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.utils.translation import gettext

from ferris.limits import Limits
from ferris.precedence import Precedence
from ferris_web.catalog.models import Service
from ferris_web.executions.models import Execution, Gate, LanePause, Worker
from ferris_web.executions.services.turns import turns_before
from ferris_web.executions.services.urgency import lanes_paused
from ferris_web.executions.services.workers import ALIVE

TIME, PAUSED, CONCURRENCY, RATE, ADMISSION = "time", "service_paused", "concurrency", "rate", "admission"
LANE_PAUSED, LANE_FULL, NO_WORKER, EXECUTOR = "lane_paused", "lane_full", "no_worker", "executor"

REASONS = (TIME, PAUSED, CONCURRENCY, RATE, ADMISSION, LANE_PAUSED, LANE_FULL, NO_WORKER, EXECUTOR)
_MOST_NAMED = 10


@dataclass(frozen=True)
class Waiting:
    """What an execution waits for: one of REASONS, the end of a sentence that says it, and what belongs to it.
    Fields that do not apply are empty."""

    reason: str
    text: str
    until: datetime | None = None
    since: datetime | None = None
    by: str = ""
    key: str = ""
    limit: int | None = None
    per: float | None = None
    lane: str = ""
    share: str = ""
    turns_before: int | None = None
    behind: tuple[UUID, ...] = field(
        default=()
    )  # executions that have to end first; some of them if they are many

    def to_json(self) -> dict[str, Any]:
        """Without what does not apply."""
        said: dict[str, Any] = {"reason": self.reason, "text": self.text}
        for name in ("until", "since", "by", "key", "limit", "per", "lane", "share", "turns_before"):
            if (value := getattr(self, name)) not in (None, ""):
                said[name] = value
        if self.behind:
            said["behind"] = [str(pk) for pk in self.behind]
        return said


def executions_waiting(rows: Iterable[Execution]) -> dict[UUID, Waiting]:
    """By execution, why it waits; those that run or have ended are left out."""
    found: dict[UUID, Waiting] = {}
    held: dict[UUID, list[Execution]] = defaultdict(list)
    rows = list(rows)
    # What has rung waits in no paused lane, or is on its way to somebody who will be told of the pause.
    paused = lanes_paused() if any(row.status == "queued" and row.rung_at is None for row in rows) else {}
    crewed = _crewed() if any(row.status == "queued" and row.rung_at is not None for row in rows) else None
    before = turns_before(row for row in rows if row.status == "queued" and row.rung_at is None)
    for row in rows:
        if row.status == "queued":
            found[row.pk] = _in_lane(row, paused.get(row.lane), crewed, before.get(row.pk, 0))
        elif row.status == "pending" and row.not_before is not None:
            found[row.pk] = _for_its_time(row, row.not_before)
        elif row.status == "pending":
            held[row.service_id].append(row)
    if held:
        known = Service.objects.in_bulk(held)
        opening = dict(Gate.objects.filter(pk__in=held).values_list("pk", "opens_at"))
        for pk, waiters in held.items():
            found |= _at_the_gate(known[pk], waiters, opening.get(pk))
    return found


def execution_waiting(row: Execution) -> Waiting | None:
    """Why this one waits; None when it does not."""
    return executions_waiting([row]).get(row.pk)


def _moment(time: datetime) -> str:
    return f"{time:%Y-%m-%d %H:%M:%S} UTC"


def _turns(row: Execution, before: int) -> str:
    of = gettext(" for {key}").format(key=repr(row.share_key)) if row.share_key else ""
    if not before:
        return gettext("this one{of} is in the next turn").format(of=of)
    return gettext("this one{of} is in the turn after {count} others").format(of=of, count=before)


def _for_its_time(row: Execution, until: datetime) -> Waiting:
    text = gettext("for its time, {time}").format(time=_moment(until))
    if row.reason:
        text += gettext(": attempt {number}, after {reason}").format(number=row.attempt, reason=row.reason)
    return Waiting(TIME, text, until=until)


def _crewed() -> set[str] | None:
    """The lanes that a worker serves which takes executions; None when nothing is known of workers."""
    rows = list(Worker.objects.values_list("lanes", "seen_at", "stops", "drain_at"))
    if not rows:
        return None
    since = datetime.now(UTC) - ALIVE
    serving = [of for of, seen_at, stops, drain in rows if seen_at > since and not stops and drain is None]
    return {lane for of in serving for lane in of}


def _in_lane(row: Execution, pause: LanePause | None, crewed: set[str] | None, before: int) -> Waiting:
    if row.rung_at is None and pause is not None:
        text = gettext("until the lane {lane} goes on: {who} paused it at {time}").format(
            lane=row.lane, who=pause.paused_by, time=_moment(pause.paused_at)
        )
        return Waiting(LANE_PAUSED, text, lane=row.lane, since=pause.paused_at, by=pause.paused_by)
    if row.rung_at is None:
        text = gettext(
            "for room in the lane {lane}, whose queue is full: projects take turns, in each the most urgent "
            "first, of equal priority services and their keys in turn; {turns}"
        ).format(lane=row.lane, turns=_turns(row, before))
        return Waiting(LANE_FULL, text, lane=row.lane, share=row.share_key, turns_before=before)
    if crewed is not None and row.lane not in crewed:
        text = gettext("for a worker: none serves the lane {lane} now, or takes anything new").format(
            lane=row.lane
        )
        return Waiting(NO_WORKER, text, lane=row.lane, since=row.rung_at)
    text = gettext("for an executor of the lane {lane} to take it: its doorbell rang at {time}").format(
        lane=row.lane, time=_moment(row.rung_at)
    )
    return Waiting(EXECUTOR, text, lane=row.lane, since=row.rung_at)


def _at_the_gate(
    service: Service, rows: Sequence[Execution], opens_at: datetime | None
) -> dict[UUID, Waiting]:
    if service.paused_at is not None:
        text = gettext("until {name} goes on: {who} paused it at {time}").format(
            name=service.name, who=service.paused_by, time=_moment(service.paused_at)
        )
        paused = Waiting(PAUSED, text, since=service.paused_at, by=service.paused_by)
        return {row.pk: paused for row in rows}
    rules = Limits.from_json(service.limits)
    ahead = _running(service, rules, {row.slot for row in rows})
    found = {row.pk: _at_a_limit(row, rules, ahead, opens_at) for row in rows}
    key = Precedence.from_json(service.precedence).fair_share
    if not key or not _shared(rules, key):
        return found
    before = turns_before(rows)
    return {row.pk: _in_turn(found[row.pk], row, key, before[row.pk]) for row in rows}


def _shared(rules: Limits, key: str) -> bool:
    """Whether values of the key have a limit in common, so that it matters whose turn it is."""
    return any(rule is not None and rule.key != key for rule in (rules.concurrency, rules.rate))


def _in_turn(found: Waiting, row: Execution, key: str, before: int) -> Waiting:
    text = gettext("{why}. Each {key} has its turn: {turns}").format(
        why=found.text, key=key, turns=_turns(row, before)
    )
    return replace(found, text=text, share=row.share_key, turns_before=before)


def _at_a_limit(
    row: Execution, rules: Limits, ahead: Mapping[str, list[UUID]], opens_at: datetime | None
) -> Waiting:
    concurrency, rate = rules.concurrency, rules.rate
    slot = row.slot or "" if concurrency and concurrency.key else ""
    behind = ahead.get(slot, [])
    if concurrency and len(behind) >= concurrency.limit:
        of = f"{concurrency.key} = {slot!r}" if concurrency.key else ""
        said = (
            gettext("for one of {count} with {of} to end: at most {limit} run at once")
            if of
            else gettext("for one of {count} to end: at most {limit} run at once")
        )
        text = said.format(count=len(behind), of=of, limit=concurrency.limit)
        return Waiting(
            CONCURRENCY, text, key=slot, limit=concurrency.limit, behind=tuple(behind[:_MOST_NAMED])
        )
    if rate:
        key = row.rate_key or "" if rate.key else ""
        of = f"{rate.key} = {key!r}" if rate.key else ""
        said = (
            gettext("for its turn: at most {limit} with {of} start within {per} s")
            if of
            else gettext("for its turn: at most {limit} start within {per} s")
        )
        text = said.format(limit=rate.limit, of=of, per=f"{rate.per:g}")
        if opens_at is not None:
            text += gettext("; the next may start at {time}").format(time=_moment(opens_at))
        return Waiting(RATE, text, key=key, limit=rate.limit, per=rate.per, until=opens_at)
    return Waiting(ADMISSION, gettext("to be let in, any moment now"))


def _running(service: Service, rules: Limits, slots: set[str | None]) -> Mapping[str, list[UUID]]:
    """By slot, those that are admitted and have not ended, the first to come first."""
    if rules.concurrency is None:
        return {}
    found = Execution.objects.filter(
        service=service, status__in=("queued", "in_progress"), slot__isnull=False
    )
    if rules.concurrency.key:
        found = found.filter(slot__in=[slot or "" for slot in slots])
    ahead: dict[str, list[UUID]] = defaultdict(list)
    for pk, slot in found.order_by("created_at", "id").values_list("pk", "slot"):
        ahead[slot if rules.concurrency.key else ""].append(pk)
    return ahead
