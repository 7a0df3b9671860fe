"""What is too old leaves the journal: events with the executions they caused, then flows of which nothing is left.

An event goes when it was taken in before the limit, none of its executions is still open, and it waits in no
gathering, nor for the execution that one became, nor to be pushed to a subscriber; nor did it begin or last touch one
that is open, nor a promise that is. Its executions go with it, with their steps; so do dead letters of that age. A
flow goes when its latest event is that old.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime
from typing import Final

from django.db import transaction
from django.db.models import Exists, OuterRef, Q

from ferris_web.executions.models import (
    OPEN,
    Artifact,
    DeadLetter,
    Event,
    Execution,
    Flow,
    GatheredEvent,
    Gathering,
    Promise,
    Step,
)
from ferris_web.executions.services.chart_counting import AT_ONCE as ENTRIES_AT_ONCE
from ferris_web.executions.services.chart_counting import entries_piece
from ferris_web.executions.services.failure_kinds import failure_kinds_prune
from ferris_web.executions.services.pushes import deliveries_open
from ferris_web.executions.services.rollups import AT_ONCE as COUNTED_AT_ONCE
from ferris_web.executions.services.rollups import rollups_piece
from ferris_web.executions.services.tallies import tallies_prune

log = logging.getLogger(__name__)

AT_ONCE: Final = 500


def journal_prune(before: datetime, now: datetime, *, stopped: Callable[[], bool] = lambda: False) -> int:
    """Remove what is older, some at a time, each time in a short transaction; how many events.

    Whoever is interrupted finds the rest the next time. Two at once disturb each other no more than that. What goes
    is in the roll-ups, and in the charts that count it, before.
    """
    while not stopped() and rollups_piece(now) == COUNTED_AT_ONCE:
        pass
    while not stopped() and entries_piece() == ENTRIES_AT_ONCE:
        pass
    waiting = Execution.objects.filter(event=OuterRef("key"), status__in=OPEN)
    became = Execution.objects.filter(gathering_id=OuterRef("gathering_id"), status__in=OPEN)
    gathered = GatheredEvent.objects.filter(event=OuterRef("key")).filter(
        Q(gathering__state="open") | Exists(became)
    )
    old = Event.objects.filter(received_at__lt=before).order_by("received_at", "key")
    live = Gathering.objects.filter(state="open").filter(Q(until=None) | Q(until__gt=before) | Q(held__gt=0))
    first, last = live.filter(first_event=OuterRef("key")), live.filter(last_event=OuterRef("key"))
    promised = Promise.objects.filter(event=OuterRef("key"), wakes_at__isnull=False)
    unsent = deliveries_open().filter(event_key=OuterRef("key"))
    for reason in (waiting, gathered, first, last, promised, unsent):
        old = old.exclude(Exists(reason))
    removed = 0
    while not stopped():
        keys = list(old.values_list("key", flat=True)[:AT_ONCE])
        if not keys:
            break
        with transaction.atomic():
            runs = list(Execution.objects.filter(event__in=keys).values_list("pk", flat=True))
            Step.objects.filter(execution__in=runs).delete()
            Artifact.objects.filter(execution__in=runs).delete()
            Execution.objects.filter(pk__in=runs).delete()
            Event.objects.filter(key__in=keys).delete()
        removed += len(keys)
    while not stopped():
        left = Event.objects.filter(flow_id=OuterRef("pk"))
        flows = (
            Flow.objects.filter(started_at__lt=before, last_event_at__lt=before)
            .exclude(Exists(left))
            .order_by("started_at")
        )
        ids = list(flows.values_list("pk", flat=True)[:AT_ONCE])
        if not ids:
            break
        Flow.objects.filter(pk__in=ids, last_event_at__lt=before).delete()
    while not stopped():
        letters = list(
            DeadLetter.objects.filter(created_at__lt=before).values_list("pk", flat=True)[:AT_ONCE]
        )
        if not letters:
            break
        DeadLetter.objects.filter(pk__in=letters).delete()
    failure_kinds_prune(before)
    tallies_prune(before)
    if removed:
        log.info("%d events from before %s left the journal", removed, before.isoformat())
    return removed
