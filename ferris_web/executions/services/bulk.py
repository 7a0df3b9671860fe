"""Bulk work: one action on all rows of a list that fit a filter, in pieces, each done whole or again.

The place in the list is moved by compare-and-set behind the work. Who dies between the two, or works beside another,
does the same piece again, and that changes nothing: what is cancelled stays so, a retry has an id made of the job and
the execution, an event that is sent again keeps its identity, what is deleted is gone.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from django.db import transaction
from django.db.models import F, Q

from ferris import events
from ferris.config import EVENTS
from ferris.errors import Conflict, NotFound
from ferris.ports import Record
from ferris_web import keyset, wiring
from ferris_web.accounts.models import User
from ferris_web.accounts.permissions import Action, access_of, reach
from ferris_web.catalog.changes import notify
from ferris_web.executions.listings import DEAD_LETTERS, EXECUTIONS, LISTINGS, Asked, Listing
from ferris_web.executions.listings.fields import Rows
from ferris_web.executions.models import OPEN, BulkJob, DeadLetter, Execution
from ferris_web.executions.services.redrive import RETRY_SOURCE, dead_letters_send
from ferris_web.executions.services.requests import execution_cancel, retry_event
from ferris_web.executions.visibility import within

AT_ONCE: Final = 200
LEASE: Final = timedelta(seconds=30)
NOTICE: Final = "bulk"
ACTIONS: Final[Mapping[str, tuple[str, ...]]] = {
    EXECUTIONS.name: ("cancel", "retry"),
    DEAD_LETTERS.name: ("send", "delete"),
}
"""What can be done with all that fit, by list."""
NEEDS: Final = {"cancel": Action.RUN, "retry": Action.RUN, "send": Action.RUN, "delete": Action.EDIT}
_OF_THEM: Final[Mapping[str, Q]] = {
    "cancel": Q(status__in=OPEN),
    "retry": ~Q(status__in=OPEN),
    "send": Q(redriven_at=None, topic=EVENTS),
    "delete": Q(),
}


def bulk_rows(listing: Listing, action: str, asked: Asked, user: User, before: datetime) -> Rows:
    """The rows that it would be done with: those that fit, are in the state for it, and that this person may."""
    found = listing.found(asked, reach(user, NEEDS[action])).filter(_OF_THEM[action])
    return found.filter(**{f"{listing.time}__lt": before})


def bulk_begin(
    listing: Listing, action: str, asked: Asked, user: User, now: datetime, *, expected: int | None = None
) -> BulkJob:
    """Begin it: from now on the gateway works it off. Conflict when nothing fits, or not as many as were expected."""
    count = bulk_rows(listing, action, asked, user, now).count()
    if not count:
        raise Conflict(f"nothing fits that you may {action}")
    if expected is not None and count > expected:
        raise Conflict(f"{count:,} fit by now, not {expected:,}: look again, then confirm")
    projects = reach(user, NEEDS[action])
    with transaction.atomic():
        job = BulkJob.objects.create(
            listing=listing.name,
            action=action,
            filter=asked.to_json(),
            projects=None if projects is None else sorted(projects),
            created_by=user,
            created_at=now,
            expected=count,
        )
        notify(NOTICE)
    return job


def bulk_get(wanted: UUID, user: User) -> BulkJob:
    """The job of that id, if it is this person's, or they administer the platform; NotFound."""
    found = bulk_list(user).filter(pk=wanted).first()
    if found is None:
        raise NotFound(f"there is no bulk job {wanted}")
    return found


def bulk_list(user: User) -> Any:
    """A person's jobs; an administrator's are all."""
    found = BulkJob.objects.select_related("created_by")
    return found if reach(user, Action.OWN) is None else found.filter(created_by=user)


def bulk_stop(job: BulkJob, now: datetime) -> BulkJob:
    """Do no more; what is done stays done. Conflict when it is not running."""
    moved = BulkJob.objects.filter(pk=job.pk, status="running").update(
        status="stopped", finished_at=now, fed_by="", fed_until=None
    )
    job.refresh_from_db()
    if not moved:
        raise Conflict(f"the job is {job.status}")
    return job


# --- working it off ----------------------------------------------------------------------------------


def bulk_claim(owner: str, now: datetime) -> list[BulkJob]:
    """The running jobs that this gateway works on: its own, and those that nobody works on any more."""
    free = Q(fed_by=owner) | Q(fed_until=None) | Q(fed_until__lt=now)
    running = BulkJob.objects.filter(status="running")
    for pk in running.filter(free).values_list("pk", flat=True):
        running.filter(free, pk=pk).update(fed_by=owner, fed_until=now + LEASE)
    return list(running.filter(fed_by=owner).select_related("created_by").order_by("created_at", "id"))


def bulk_release() -> None:
    """Let whoever asks first work on the running ones: those who did are known to be gone."""
    BulkJob.objects.filter(status="running").update(fed_by="", fed_until=None)


def bulk_next_free() -> datetime | None:
    """When a job that another gateway works on is free, should it not be heard of."""
    running = BulkJob.objects.filter(status="running").order_by("fed_until")
    return running.values_list("fed_until", flat=True).first()


def bulk_piece(job: BulkJob, now: datetime, most: int = AT_ONCE) -> bool:
    """The next piece; False when that was the last, or somebody else was faster, or it was stopped: also because
    whoever began it may do it nowhere any more."""
    if not access_of(job.created_by).may_somewhere(NEEDS[job.action]):
        with suppress(Conflict):  # somebody else was faster
            bulk_stop(job, now)
        return False
    listing = LISTINGS[job.listing]
    asked = listing.of(job.filter)
    rows = bulk_rows(listing, job.action, asked, job.created_by, job.created_at)
    rows = within(rows, None if job.projects is None else frozenset(job.projects))
    place, _ = keyset.read(job.place, listing.model, listing.order)
    if place is not None:
        rows = rows.filter(keyset.behind(listing.order, place))
    chunk = list(rows.order_by(*listing.order)[:most])
    done = _DO[job.action](job, chunk, now) if chunk else 0
    last = len(chunk) < most
    moved = BulkJob.objects.filter(pk=job.pk, status="running", pieces=job.pieces).update(
        pieces=F("pieces") + 1,
        done=F("done") + done,
        refused=F("refused") + len(chunk) - done,
        fed_until=now + LEASE,
        **({"place": keyset.written(chunk[-1], listing.order)} if chunk else {}),
        **({"status": "completed", "finished_at": now} if last else {}),
    )
    return bool(moved) and not last


def _cancel(job: BulkJob, rows: Sequence[Execution], now: datetime) -> int:
    done = 0
    for row in rows:
        try:
            execution_cancel(row.pk, actor=job.created_by.get_username(), now=now)
            done += 1
        except (Conflict, NotFound):
            continue  # it has ended meanwhile
    return done


def _retry(job: BulkJob, rows: Sequence[Execution], now: datetime) -> int:
    known = Execution.objects.select_related("service", "event").in_bulk([row.pk for row in rows])
    batch = []
    for row in (known[row.pk] for row in rows if row.pk in known):
        if row.service.runs:
            event = retry_event(row, RETRY_SOURCE, now=now, id=str(uuid.uuid5(job.pk, str(row.pk))))
            batch.append(
                replace(event, extensions={**event.extensions, "ferrisactor": job.created_by.get_username()})
            )
    if batch:
        records = [Record(events.encode(event), key=event.flow_id) for event in batch]
        wiring.event_log().append(EVENTS, records)
    return len(batch)


def _send(job: BulkJob, rows: Sequence[DeadLetter], now: datetime) -> int:
    return dead_letters_send(rows, now)


def _delete(job: BulkJob, rows: Sequence[DeadLetter], now: datetime) -> int:
    return DeadLetter.objects.filter(pk__in=[row.pk for row in rows]).delete()[0]


_DO: Final[Mapping[str, Callable[[BulkJob, Any, datetime], int]]] = {
    "cancel": _cancel,
    "retry": _retry,
    "send": _send,
    "delete": _delete,
}
