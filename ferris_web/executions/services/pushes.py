"""Deliveries on their way: written with their events, claimed by who sends them, settled by what came of it.

A claim is a status and a time: whoever holds it is alone until then, and when it dies, the time makes the delivery
due again. It may then be sent twice, under the same `webhook-id`, and is never lost.
"""

from __future__ import annotations

import random
import re
import uuid
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from django.db import transaction
from django.db.models import Count, OuterRef, Q, QuerySet, Subquery, Value
from django.db.models.functions import Coalesce

from ferris import events, pushing
from ferris.config import EVENTS
from ferris.errors import EventError
from ferris.events import Event
from ferris.ports import LogRecord, Record
from ferris.pushing import SubscriptionError, Target
from ferris.replaying import MARK, bytes_again
from ferris.routing import RoutingTable
from ferris_web import wiring
from ferris_web.catalog.models import Subscription
from ferris_web.catalog.secrets import SecretUnreadable
from ferris_web.catalog.subscriptions import subscription_disable, subscription_opened
from ferris_web.executions.journal import event_of
from ferris_web.executions.models import Delivery, DeliveryAttempt
from ferris_web.executions.models import Event as EventRow
from ferris_web.executions.services.endings import endings

PARALLEL: Final = 4
"""So many requests at once to one subscription; to one that fails, a single one."""
LEASE: Final = timedelta(seconds=120)  # longer than the longest timeout, with the look-up of a name before it
SHOWN: Final = 2000

_Status = Delivery.Status
_OPEN: Final = (_Status.PENDING, _Status.SENDING)


def deliveries_write(
    fresh: Mapping[UUID, tuple[Event, LogRecord]], table: RoutingTable | None, now: datetime
) -> bool:
    """A delivery for each subscription that a new event matches, in the transaction of the event; True when there
    are some. Replays are not pushed, nor what is told of a subscription to that subscription itself."""
    if table is None:
        return False
    rows = []
    for key, (event, _) in fresh.items():
        if MARK in event.extensions:
            continue
        for trigger in table.match(event):
            if event.type.startswith("ferris.subscription.") and event.subject == trigger.service:
                continue
            subscription = UUID(trigger.service_id)
            rows.append(
                Delivery(
                    id=pushing.delivery_id(subscription, key),
                    subscription_id=subscription,
                    event_key=key,
                    event_id=event.id,
                    event_type=event.type,
                    created_at=now + timedelta(microseconds=len(rows)),
                    due_at=now,
                )
            )
    # One event is new once: a row that is there already was written for it before it left the journal.
    Delivery.objects.bulk_create(rows, ignore_conflicts=True)
    return bool(rows)


# --- claimed -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Job:
    """One request to send. `problem`: it cannot be sent, and why; trying again may help if `again`."""

    delivery: UUID
    subscription: UUID
    claim: str
    target: Target | None
    headers: Mapping[str, str]
    body: bytes
    secrets: Sequence[str]
    private: Sequence[str]
    seconds: float
    problem: str = ""
    again: bool = True

    @property
    def message_id(self) -> str:
        """Its `webhook-id`."""
        return pushing.message_id(self.delivery)


@dataclass(frozen=True)
class Claimed:
    """Jobs to send now, and when to look again, if nothing is heard of before: None, when nothing waits."""

    jobs: list[Job]
    again: datetime | None


def deliveries_claim(now: datetime, at_most: int) -> Claimed:
    """Claim what is due, some of each subscription: no one that is slow or has much keeps another from its turn."""
    jobs: list[Job] = []
    again: list[datetime] = []
    for subscription, soonest, room in _in_turn(now):
        if soonest is None or room <= 0:
            continue
        if soonest > now:
            again.append(soonest)
        elif len(jobs) < at_most:
            claim = uuid.uuid4().hex
            rows = _claim(subscription, claim, now, min(room, at_most - len(jobs)))
            jobs += _jobs(subscription, rows, claim, now)
    return Claimed(jobs, min(again, default=None))


def _in_turn(now: datetime) -> Iterable[tuple[Subscription, datetime | None, int]]:
    """Each that is active, with the time of its next delivery and how many more may be sent at once. Whoever waits
    longest comes first."""
    mine = Delivery.objects.filter(subscription=OuterRef("pk"))
    sending = mine.filter(status=_Status.SENDING)
    count = (
        sending.filter(due_at__gt=now).order_by().values("subscription").annotate(n=Count("pk")).values("n")
    )
    rows = (
        Subscription.objects.filter(status=Subscription.Status.ACTIVE)
        .select_related("project")
        .annotate(
            pending=Subquery(mine.filter(status=_Status.PENDING).order_by("due_at").values("due_at")[:1]),
            lapses=Subquery(sending.order_by("due_at").values("due_at")[:1]),
            sending=Coalesce(Subquery(count), Value(0)),
        )
    )
    found = [
        (
            row,
            min((at for at in (row.pending, row.lapses) if at is not None), default=None),
            (1 if row.failing_since else PARALLEL) - row.sending,
        )
        for row in rows.order_by("pk")
    ]
    return sorted(found, key=lambda one: (one[1] is None, one[1]))


def _claim(subscription: Subscription, claim: str, now: datetime, at_most: int) -> list[Delivery]:
    due = Delivery.objects.filter(subscription=subscription, status__in=_OPEN, due_at__lte=now)
    ids: list[UUID] = []
    for status in (_Status.SENDING, _Status.PENDING):  # whose claim has lapsed, and those in the line
        if len(ids) < at_most:
            some = due.filter(status=status).order_by("due_at").values_list("pk", flat=True)
            ids += some[: at_most - len(ids)]
    # The condition is asked once more by the update: of two who do it at once, each row goes to one.
    if not ids or not due.filter(pk__in=ids).update(status=_Status.SENDING, claim=claim, due_at=now + LEASE):
        return []
    return list(Delivery.objects.filter(pk__in=ids, claim=claim).order_by("created_at", "id"))


def _jobs(subscription: Subscription, rows: Sequence[Delivery], claim: str, now: datetime) -> list[Job]:
    keys = [row.event_key for row in rows if row.event_key is not None]
    known = {pk: _again(kept) for pk, kept in EventRow.objects.in_bulk(keys).items()} if keys else {}
    if rest := set(keys) - known.keys():
        known |= endings(rest)
    return [_job(subscription, row, known, claim, now) for row in rows]


def _job(
    subscription: Subscription, row: Delivery, known: Mapping[UUID, Event], claim: str, now: datetime
) -> Job:
    ids = (row.pk, subscription.pk, claim)
    try:
        sealed = subscription_opened(subscription, now)
        target = pushing.target(subscription.url)
        event = _event(subscription, row, known)
        headers, body = pushing.message(event, subscription.form)
    except _Gone as error:
        return Job(*ids, None, {}, b"", (), (), 0, str(error), again=False)
    except (EventError, SubscriptionError) as error:
        return Job(*ids, None, {}, b"", (), (), 0, f"cannot be sent: {error}", again=False)
    except SecretUnreadable:
        return Job(
            *ids, None, {}, b"", (), (), 0, "no key opens the subscription's secret; give it a new one"
        )
    headers = {
        **headers,
        "User-Agent": "Ferris-Webhooks/1",
        "Accept": "*/*",
        pushing.HOPS: str(event.hops),
        **subscription.headers,
        **sealed.headers,
    }
    shy = [value for value in sealed.headers.values() if len(value) > 5]
    private = [*sealed.secrets, *shy, *_of_url(subscription.url)]
    return Job(*ids, target, headers, body, sealed.secrets, private, subscription.timeout_seconds)


class _Gone(Exception):
    """The event is no longer in the journal."""


def _event(subscription: Subscription, row: Delivery, known: Mapping[UUID, Event]) -> Event:
    if row.event_key is None:
        return pushing.test_event(row.pk, subscription.name, subscription.project.name, row.created_at)
    kept = known.get(row.event_key)
    if kept is None:
        raise _Gone("its event has left the journal; see FERRIS_JOURNAL_DAYS")
    return kept


def _again(row: EventRow) -> Event:
    event = event_of(row)
    return replace(event, data=bytes_again(event))


def _of_url(url: str) -> list[str]:
    """Parts of a URL that some receivers take for a password, should they say them back."""
    path = url.partition("://")[2].partition("/")[2]
    return [part for part in re.split("[/?&=]", path) if len(part) > 15]


def deliveries_release(now: datetime) -> None:
    """Make due what is being sent: those who did are known to be gone."""
    Delivery.objects.filter(status=_Status.SENDING, due_at__gt=now).update(due_at=now)


# --- settled -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Outcome:
    """What came of a job. `status` 0: there was no answer, and `problem` says why. `answer` is masked."""

    job: Job
    at: datetime
    seconds: float
    status: int
    problem: str = ""
    answer: str = ""
    retry_after: float | None = None

    @property
    def good(self) -> bool:
        """True when the receiver has it."""
        return 200 <= self.status < 300


def deliveries_settle(outcomes: Sequence[Outcome], now: datetime) -> None:
    """Write what came of them. One whose claim went to somebody else meanwhile keeps a line in the log."""
    with transaction.atomic():
        rows = Delivery.objects.select_for_update().order_by("pk").in_bulk([o.job.delivery for o in outcomes])
        log, changed = [], []
        by_subscription: dict[UUID, list[Outcome]] = defaultdict(list)
        for outcome in outcomes:
            row = rows.get(outcome.job.delivery)
            if row is None:
                continue
            row.attempts += 1
            log.append(
                DeliveryAttempt(
                    delivery=row,
                    number=row.attempts,
                    at=outcome.at,
                    seconds=outcome.seconds,
                    status=outcome.status,
                    problem=outcome.problem[:300],
                    answer=outcome.answer,
                )
            )
            if row.claim == outcome.job.claim and row.status == _Status.SENDING:
                _settle(row, outcome, now)
            if not row.test:
                by_subscription[outcome.job.subscription].append(outcome)
            changed.append(row)
        Delivery.objects.bulk_update(
            changed,
            [
                *("status", "due_at", "finished_at", "tries", "attempts", "claim"),
                *("last_status", "last_problem"),
            ],
        )
        DeliveryAttempt.objects.bulk_create(log)
        for pk in sorted(by_subscription):
            _health(pk, by_subscription[pk], now)


def _settle(row: Delivery, outcome: Outcome, now: datetime) -> None:
    row.tries += 1
    row.claim = ""
    row.last_status, row.last_problem = outcome.status, outcome.problem[:300]
    if outcome.good:
        row.status, row.finished_at = _Status.DELIVERED, now
        return
    chance = random.random()  # noqa: S311 - spreads retries
    due = pushing.next_attempt(row.tries, now, chance, outcome.retry_after)
    if not outcome.job.again or row.test:
        due = None
    if due is None:
        row.status, row.finished_at = _Status.FAILED, now
    else:
        row.status, row.due_at = _Status.PENDING, due


def _health(pk: UUID, outcomes: Sequence[Outcome], now: datetime) -> None:
    """When all goes wrong for long, or the receiver says that it is gone, it is switched off."""
    row = Subscription.objects.select_for_update(no_key=True).filter(pk=pk).first()
    if row is None:
        return
    if any(outcome.good for outcome in outcomes):
        if row.failing_since is not None:
            Subscription.objects.filter(pk=pk).update(failing_since=None)
        return
    since = row.failing_since or now
    if row.failing_since is None:
        Subscription.objects.filter(pk=pk).update(failing_since=now)
    if any(outcome.status == pushing.GONE for outcome in outcomes):
        subscription_disable(row, "the receiver answered 410: it wants no more", now)
    elif now - since >= timedelta(days=row.disable_after_days):
        subscription_disable(row, f"every attempt failed for {row.disable_after_days} days", now)


def subscriptions_tell(now: datetime) -> None:
    """An event for each that was switched off, and only then the note that it was told."""
    untold = Subscription.objects.filter(disabled_told=False).select_related("project").order_by("pk")
    for row in untold:
        if row.disabled_at is not None:
            waiting = Delivery.objects.filter(subscription=row, status__in=_OPEN).count()
            event = pushing.disabled_event(
                row.pk,
                name=row.name,
                project=row.project.name,
                receiver=row.receiver,
                reason=row.disabled_reason,
                failing_since=row.failing_since,
                waiting=waiting,
                at=row.disabled_at,
            )
            event = events.with_flow(event)
            wiring.event_log().append(EVENTS, [Record(events.encode(event), key=event.flow_id)])
        Subscription.objects.filter(pk=row.pk, disabled_at=row.disabled_at).update(disabled_told=True)


def deliveries_open() -> QuerySet[Delivery]:
    """What is still to be sent: events that these need stay in the journal."""
    off = Q(subscription__status=Subscription.Status.DISABLED)
    return Delivery.objects.filter(status__in=_OPEN).exclude(off)
