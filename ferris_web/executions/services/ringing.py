"""Which doorbells ring, in which lane, and which were not answered."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from django.db import connection, transaction
from django.db.models import Q, QuerySet

from ferris.adapters.prepared import Prepared
from ferris.lanes import LANES
from ferris_web.executions.models import Execution
from ferris_web.executions.services.dispatch import Doorbell
from ferris_web.executions.services.turns import lane_next

_SET_BACK: Final = timedelta(minutes=5)
"""More than clocks differ, and than passes between a ring and the look at whether it was answered."""


def executions_unrung(lane: str) -> bool:
    """True when executions of a lane wait whose doorbell has not rung."""
    return bool(_UNRUNG.rows([lane]))


def lane_closed(lane: str) -> bool:
    """True when nothing new is to be rung for in a lane: it is paused, or something in it has waited longer."""
    with connection.cursor() as cursor:
        cursor.execute(_CLOSED, (lane, lane))
        return bool(cursor.fetchone()[0])


def executions_ring(lane: str, most: int, now: datetime) -> list[Doorbell]:
    """Note that the doorbells of those whose turn it is ring now, see `services.turns`; ring them when it returns.

    Two callers at once get different executions; the second one perhaps fewer than there are.
    """
    with transaction.atomic():
        chosen = lane_next(lane, most)
        # On PostgreSQL the rows are locked and passed over by others; on SQLite the transaction has the file.
        mine = _unrung(lane).filter(pk__in=chosen).select_for_update(skip_locked=_can_skip_locked())
        found = set(mine.values_list("id", flat=True))
        Execution.objects.filter(pk__in=found, status="queued").update(rung_at=now)
    return [Doorbell(pk, lane) for pk in chosen if pk in found]


def executions_spill(source: str, target: str, most: int, now: datetime) -> list[Doorbell]:
    """Move executions that have waited longest for an executor of a lane to another one; ring them there when it
    returns. Their doorbells in the lane that they leave are answered by whoever comes first, as ever.
    """
    with transaction.atomic():
        rung = Execution.objects.filter(status="queued", lane=source, rung_at__isnull=False)
        found = list(
            rung.order_by("rung_at")
            .select_for_update(skip_locked=_can_skip_locked())
            .values_list("id", flat=True)[:most]
        )
        Execution.objects.filter(pk__in=found, status="queued").update(
            lane=target, lane_reason="spilled", rung_at=now
        )
    return [Doorbell(pk, target) for pk in found]


def executions_unanswered(before: datetime) -> list[str]:
    """Lanes with queued executions whose doorbell rang before a time, some seconds ago, and was not answered; or rang
    later than can be, before the clock was set back."""
    return [lane for lane in LANES if _unanswered(lane, before).exists()]


def executions_silence(lane: str, before: datetime) -> int:
    """Hold the lane's doorbells that rang before a time and were not answered for lost: they count as not rung."""
    return int(_unanswered(lane, before).update(rung_at=None))


def _unrung(lane: str) -> QuerySet[Execution]:
    return Execution.objects.filter(status="queued", lane=lane, rung_at=None)


# Asked for on the way of an event, so in one statement.
_CLOSED = (
    "SELECT EXISTS (SELECT 1 FROM executions_lanepause WHERE lane = %s) OR EXISTS "
    "(SELECT 1 FROM executions_execution WHERE status = 'queued' AND lane = %s AND rung_at IS NULL)"
)
# Asked for whenever executors may have made room.
_UNRUNG = Prepared(
    lambda lanes: (
        Execution.objects.filter(status="queued", lane__in=lanes, rung_at=None)
        .order_by()
        .values_list("id")[:1]
    )
)


def _unanswered(lane: str, before: datetime) -> QuerySet[Execution]:
    rung = Q(rung_at__lte=before) | Q(rung_at__gt=before + _SET_BACK)
    return Execution.objects.filter(rung, status="queued", lane=lane)


def _can_skip_locked() -> bool:
    return bool(connection.features.has_select_for_update_skip_locked)
