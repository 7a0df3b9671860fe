"""What rules tell of: noted in the transaction that makes it so, gathered into messages, and these sent.

A message is claimed like a delivery: by a status and a time. Who dies while it sends has it sent once more.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from django.db import transaction
from django.db.models import Exists, Min, OuterRef, Q, QuerySet, Subquery

from ferris import notifying
from ferris.errors import Conflict
from ferris.events import Event
from ferris.lifecycle import Reason
from ferris.ports import LogRecord
from ferris.replaying import MARK
from ferris_web import wiring
from ferris_web.catalog.changes import notify
from ferris_web.catalog.models import NotificationRule
from ferris_web.catalog.notifications import CHANGED, rule_targets
from ferris_web.catalog.secrets import SecretUnreadable
from ferris_web.executions.models import Execution, Notice, Notification

GATHER: Final = timedelta(seconds=3)
"""So long the first notice after a quiet period waits for those that come with it."""
LEASE: Final = timedelta(seconds=120)
_MOST: Final = 5_000
_Status = Notification.Status
_OPEN: Final = (_Status.PENDING, _Status.SENDING)


# --- noted -------------------------------------------------------------------------------------------


def notices_of_events(fresh: Mapping[UUID, tuple[Event, LogRecord]], now: datetime) -> bool:
    """A notice for each rule that tells of one of these new events; True when there are some."""
    found = [
        (key, event, kind)
        for key, (event, _) in fresh.items()
        if (kind := notifying.OF_EVENTS.get(event.type)) is not None and MARK not in event.extensions
    ]
    if not found:
        return False
    rules = list(_rules({kind for _, _, kind in found}).select_related("project"))
    return _write(
        Notice(
            id=notifying.notice_id(rule.pk, key),
            rule=rule,
            at=now,
            text=notifying.event_line(kind, event.data)[:500],
            place=f"/events/{key}/",
        )
        for key, event, kind in found
        for rule in rules
        if rule.kind == kind and _concerns(rule, event)
    )


def _concerns(rule: NotificationRule, event: Event) -> bool:
    """A schema belongs to no project; what is told of a project is for its own rules."""
    if rule.kind == notifying.SCHEMA_BROKEN:
        return True
    return isinstance(event.data, dict) and event.data.get("project") == rule.project.name


def notices_of_failures(rows: Iterable[Execution], now: datetime) -> bool:
    """A notice for each rule that tells of one of these executions, which are written, if it has failed."""
    failed = [row for row in rows if row.status == "failed"]
    if not failed:
        return False
    kinds = {notifying.FAILURES, notifying.ENVIRONMENT}
    rules = list(_rules(kinds).filter(project__in={row.project_id for row in failed}))
    if not rules:
        return False
    streaks: dict[tuple[UUID, UUID], bool] = {}
    notices = []
    for row in failed:
        name = getattr(row, "service_name", None) or row.service.name
        for rule in rules:
            if rule.project_id != row.project_id or rule.service not in ("", name):
                continue
            if rule.kind == notifying.ENVIRONMENT:
                if row.reason != Reason.ENVIRONMENT:
                    continue
            else:
                asked = (rule.pk, row.service_id)
                if asked not in streaks:
                    streaks[asked] = _often_enough(rule, row, now)
                if not streaks[asked]:
                    continue
            notices.append(
                Notice(
                    id=notifying.notice_id(rule.pk, row.pk),
                    rule=rule,
                    at=now,
                    text=_failure_line(rule, name, row)[:500],
                    place=f"/executions/{row.pk}/",
                )
            )
    return _write(notices)


def _often_enough(rule: NotificationRule, row: Execution, now: datetime) -> bool:
    mine = Execution.objects.filter(service_id=row.service_id)
    if rule.times == 1:
        return True
    if rule.within_minutes:
        since = now - timedelta(minutes=rule.within_minutes)
        recent = mine.filter(status="failed", finished_at__gte=since)
        return len(recent.values_list("pk")[: rule.times]) == rule.times
    ended = mine.filter(status__in=("completed", "failed")).order_by("-finished_at")
    last = list(ended.values_list("status", flat=True)[: rule.times])
    return last == ["failed"] * rule.times


def _failure_line(rule: NotificationRule, name: str, row: Execution) -> str:
    if rule.kind == notifying.ENVIRONMENT:
        return f"The packages of {name} could not be installed"
    reason = row.reason.replace("_", " ")
    if rule.times == 1:
        return f"{name} failed: {reason}"
    often = f"within {rule.within_minutes} min" if rule.within_minutes else "in a row"
    return f"{name} failed {rule.times} times {often}: {reason}"


def _rules(kinds: Iterable[str]) -> QuerySet[NotificationRule]:
    return NotificationRule.objects.filter(active=True, kind__in=set(kinds)).order_by("pk")


def _write(notices: Iterable[Notice]) -> bool:
    made = list(notices)
    Notice.objects.bulk_create(made, ignore_conflicts=True)
    return bool(made)


# --- gathered ----------------------------------------------------------------------------------------


def messages_make(now: datetime) -> datetime | None:
    """Messages of what is to be told now; when to look again, or None."""
    later = []
    untold = Notice.objects.filter(rule=OuterRef("pk"), told=False)
    oldest = untold.order_by().values("rule").annotate(at=Min("at")).values("at")
    rules = NotificationRule.objects.filter(Exists(untold)).annotate(oldest=Subquery(oldest))
    for rule in rules.select_related("project").order_by("pk"):
        due = max(rule.oldest + GATHER, rule.quiet_until or rule.oldest)
        if due > now:
            later.append(due)
        else:
            _message(rule, now)
    return min(later, default=None)


def _message(rule: NotificationRule, now: datetime) -> None:
    with transaction.atomic():
        quiet = now + max(timedelta(minutes=rule.quiet_minutes), GATHER)
        mine = NotificationRule.objects.filter(pk=rule.pk, quiet_until=rule.quiet_until)
        if not mine.update(quiet_until=quiet):
            return  # another gateway makes it
        untold = Notice.objects.filter(rule=rule, told=False).order_by("-at", "-id")
        found = list(untold.values_list("pk", "text", "place")[:_MOST])
        if not found:
            return
        Notice.objects.filter(rule=rule, told=False, pk__in=[pk for pk, _, _ in found]).update(told=True)
        if not rule.active:
            return
        title, body = notifying.message(
            rule.name,
            rule.project.name,
            len(found),
            [(text, place) for _, text, place in found],
            wiring.config().public_url,
        )
        _to_targets(rule, title, body, len(found), now)


def _to_targets(
    rule: NotificationRule, title: str, body: str, notices: int, now: datetime
) -> list[Notification]:
    return Notification.objects.bulk_create(
        Notification(
            rule=rule,
            target=target["id"],
            shown=target["shown"][:100],
            notices=notices,
            title=title,
            body=body,
            created_at=now + timedelta(microseconds=number),
            due_at=now,
        )
        for number, target in enumerate(rule.targets)
    )


def rule_test(rule: NotificationRule, *, now: datetime) -> list[Notification]:
    """Send a sample to each of its targets, at once. Conflict when it is switched off."""
    if not rule.active:
        raise Conflict(f"the notification rule {rule.name} is switched off")
    place = f"{wiring.config().public_url}/notifications/{rule.name}/"
    body = f"A sample, sent to test the notification rule {rule.name}: {place}"
    with transaction.atomic():
        made = _to_targets(rule, f"[Ferris] {rule.project.name}: a test", body, 0, now)
        notify(CHANGED)
    return made


def message_list(rule: NotificationRule) -> QuerySet[Notification]:
    """What was sent, newest first."""
    return rule.messages.order_by("-created_at", "-id")


# --- sent --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Message:
    """One message to send. `problem`: it cannot be, and why."""

    id: UUID
    claim: str
    url: str
    title: str
    body: str
    problem: str = ""


def messages_claim(now: datetime, at_most: int) -> tuple[list[Message], datetime | None]:
    """Claim what is due; and when the next one is."""
    due = Notification.objects.filter(status__in=_OPEN, due_at__lte=now)
    ids = list(due.order_by("due_at").values_list("pk", flat=True)[:at_most]) if at_most > 0 else []
    claim = uuid.uuid4().hex
    found: list[Message] = []
    # The condition is asked once more by the update: of two who do it at once, each row goes to one.
    if ids and due.filter(pk__in=ids).update(status=_Status.SENDING, claim=claim, due_at=now + LEASE):
        rows = Notification.objects.filter(pk__in=ids, claim=claim).select_related("rule").order_by("due_at")
        found = [_opened(row, claim) for row in rows]
    later = Notification.objects.filter(status__in=_OPEN, due_at__gt=now).order_by("due_at")
    return found, later.values_list("due_at", flat=True).first()


def _opened(row: Notification, claim: str) -> Message:
    url, problem = "", ""
    try:
        url = rule_targets(row.rule).get(row.target, "")
        problem = "" if url else "the rule has this target no more"
    except NotificationRule.DoesNotExist:
        problem = "its rule is gone"
    except SecretUnreadable:
        problem = "no key opens the rule's targets; give them anew"
    return Message(row.pk, claim, url, row.title, row.body, problem)


def messages_settle(outcomes: Sequence[tuple[Message, str]], now: datetime) -> None:
    """Write what came of them: a problem, or none. One that failed is tried again three times."""
    with transaction.atomic():
        ids = [message.id for message, _ in outcomes]
        rows = Notification.objects.select_for_update().order_by("pk").in_bulk(ids)
        for message, problem in outcomes:
            row = rows.get(message.id)
            if row is None or row.claim != message.claim or row.status != _Status.SENDING:
                continue
            row.attempts += 1
            row.claim, row.problem = "", problem[:300]
            if not problem:
                row.status, row.finished_at = _Status.SENT, now
            elif message.problem or not row.notices or row.attempts > len(notifying.RETRIES):
                row.status, row.finished_at = _Status.FAILED, now
            else:
                row.status, row.due_at = _Status.PENDING, now + notifying.RETRIES[row.attempts - 1]
            row.save()


def messages_release(now: datetime) -> None:
    """Make due what is being sent: those who did are known to be gone."""
    Notification.objects.filter(status=_Status.SENDING, due_at__gt=now).update(due_at=now)


def notices_prune(before: datetime) -> None:
    """Remove what was noted, and messages that were sent, before then; and those of rules that are gone."""
    rule = NotificationRule.objects.filter(pk=OuterRef("rule_id"))
    for rows in (
        Notice.objects.filter(at__lt=before),
        Notification.objects.filter(created_at__lt=before).filter(~Q(status__in=_OPEN) | ~Exists(rule)),
    ):
        while ids := list(rows.values_list("pk", flat=True)[:500]):
            rows.model.objects.filter(pk__in=ids).delete()
