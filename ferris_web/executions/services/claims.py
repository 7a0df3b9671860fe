"""Executors take executions, and keep them by heartbeats."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from django.db import InterfaceError, OperationalError, connection, transaction
from django.db.models import Exists, F, OuterRef, Q

from ferris.adapters import log_lines
from ferris.adapters.prepared import Prepared
from ferris.continuing import EXTENSION, Continuation, changed
from ferris.errors import BackendError
from ferris.execution import DRAINING, ExecutionOrder, params_of
from ferris.isolation import EGRESS, ResourceLimits
from ferris.retry import Retry
from ferris_web import wiring
from ferris_web.catalog import connections, secrets, subscriptions
from ferris_web.catalog.changes import notify
from ferris_web.catalog.configs import Configs, ConfigUnreadable
from ferris_web.catalog.secret_uses import uses_note
from ferris_web.catalog.secrets import SealedSecret
from ferris_web.executions.auditing import secrets_used
from ferris_web.executions.gathered import events_handed
from ferris_web.executions.models import Execution, LanePause, Worker
from ferris_web.executions.services.endings import deliveries_of_endings
from ferris_web.executions.services.tokens import execution_token
from ferris_web.executions.services.urgency import LANES_CHANGED

log = logging.getLogger(__name__)
# What an order is made of: a claim happens for every execution, and makes no objects of rows for it.
_ORDERED = (
    *("id", "attempt", "gathering_id", "flow_id", "correlation_id", "parent_id", "trigger_type"),
    *("service_id", "service__name", "service__project_id", "service__project__name", "service__paused_at"),
    *("version__digest", "version__manifest", "version__requirements"),
    *("event__event_id", "event__type", "event__data", "event__extensions", "event__hops"),
    *("lane_paused", "drains"),
)
_ROWS = Prepared(
    lambda ids: (
        Execution.objects.filter(pk__in=ids)
        .annotate(
            lane_paused=Exists(LanePause.objects.filter(lane=OuterRef("lane"))),
            drains=Exists(Worker.objects.filter(pk=OuterRef("worker"), drain_at__isnull=False)),
        )
        .order_by()
        .values_list(*_ORDERED)
    )
)
_TAKE = (
    "UPDATE executions_execution SET status = 'in_progress', worker = %s, lease_until = %s, "
    "started_at = COALESCE(started_at, %s), claimed_at = %s WHERE id IN ({}) AND status = 'queued' RETURNING id"
)
_ID = Execution._meta.pk


class Impossible(Exception):
    """An order that cannot be carried out; says why."""


class _Claimed(NamedTuple):
    """An execution that was just claimed, in the order of `_ORDERED`."""

    id: UUID
    attempt: int
    gathering_id: UUID | None
    flow_id: str
    correlation_id: str
    parent_id: UUID | None
    trigger_type: str
    service_id: UUID
    service: str
    project_id: int
    project: str
    paused_at: datetime | None
    digest: str
    manifest: dict[str, Any]
    requirements: str
    event_id: str
    event_type: str
    data: Any
    extensions: dict[str, Any]
    hops: int
    lane_paused: bool
    drains: bool


def execution_claim(wanted: UUID, worker: str, now: datetime) -> ExecutionOrder | str:
    """Give an execution to `worker`, once: its order, or the reason why not. See `executions_claim`."""
    return executions_claim([wanted], worker, now)[0]


def executions_claim(wanted: Sequence[UUID], worker: str, now: datetime) -> list[ExecutionOrder | str]:
    """Give executions to `worker`, each once: for each its order, or the reason why not.

    A compare-and-set from `queued` to `in_progress`: of several claimants one gets the order. The lease runs
    from `now` and is kept by heartbeats. All are claimed in one statement, and when the order of one cannot be
    made because a store is away, none is.
    """
    lease = timedelta(seconds=wiring.config().lease_seconds)
    won = _take(sorted(set(wanted)), worker, now, lease) if wanted else []
    rows = {row.id: row for row in map(_Claimed._make, _ROWS.rows(won) if won else ())}
    claimed = dict(rows)
    try:
        sealed = secrets.secrets_sealed((row.service_id, row.project_id) for row in claimed.values())
        configs = Configs((row.service, row.project) for row in claimed.values())
        answers = [
            _refusal(pk)
            if (row := rows.pop(pk, None)) is None
            else _claimed(row, sealed, configs, lease, now)
            for pk in wanted
        ]
        projects = {row.project: row.project_id for row in claimed.values()}
        uses_note(_uses(claimed.values(), sealed), now)
        secrets_used((order for order in answers if not isinstance(order, str)), projects, worker, now)
        return answers
    except (BackendError, OperationalError, InterfaceError):
        # A store is away: they stay claimable, and the executor, which hears of it, asks again.
        for row in claimed.values():
            _give_back(row, status="queued")
        raise


def _take(wanted: Sequence[UUID], worker: str, now: datetime, lease: timedelta) -> list[UUID]:
    """Those of them that were to be had, in one statement."""
    adapted = connection.ops.adapt_datetimefield_value
    places = ", ".join(["%s"] * len(wanted))
    if len(wanted) > 1 and connection.features.has_select_for_update:
        # Locked in one order: of two who want the same ones, one waits for the other, and not each for each.
        places = f"SELECT id FROM executions_execution WHERE id IN ({places}) ORDER BY id FOR UPDATE"  # noqa: S608
    with connection.cursor() as cursor:
        cursor.execute(
            _TAKE.format(places),
            (
                worker,
                adapted(now + lease),
                adapted(now),
                adapted(now),
                *(_ID.get_db_prep_value(pk, connection) for pk in wanted),
            ),
        )
        return [pk if isinstance(pk, UUID) else UUID(pk) for (pk,) in cursor.fetchall()]


def _refusal(wanted: UUID) -> str:
    status = Execution.objects.filter(pk=wanted).values_list("status", flat=True).first()
    return "unknown execution" if status is None else f"it is {status}"


def _claimed(
    row: _Claimed, sealed: Sequence[SealedSecret], configs: Configs, lease: timedelta, now: datetime
) -> ExecutionOrder | str:
    """The order of what was just claimed. BackendError, and errors of the database, when a store is away."""
    if row.paused_at is not None:  # its row was made while the pause was
        _give_back(row, status="pending", rung_at=None)
        return "its service is paused"
    if row.lane_paused:
        _give_back(row, status="queued", rung_at=None)
        return "its lane is paused"
    if row.drains:
        _give_back(row, status="queued", rung_at=None)
        notify(LANES_CHANGED)  # for another one
        return DRAINING
    try:
        return _order(row, sealed, configs, lease.total_seconds())
    except (secrets.SecretUnreadable, ConfigUnreadable, Impossible) as error:
        return _hopeless(row, now, str(error))
    except (BackendError, OperationalError, InterfaceError):
        raise
    except Exception as error:
        # Whatever keeps an order from being made would do so again: say it on the execution instead of looping.
        with log_lines.about(execution=row.id):
            log.exception("no order could be made for execution %s", row.id)
        problem = f"its order could not be made ({type(error).__name__}); see the web process's log"
        return _hopeless(row, now, problem)


def _hopeless(row: _Claimed, now: datetime, problem: str) -> str:
    """What was just claimed can never run: it failed."""
    mine = Execution.objects.filter(pk=row.id, status="in_progress", attempt=row.attempt)
    with transaction.atomic():
        pushes = bool(
            mine.update(status="failed", finished_at=now, reason="platform", error=problem)
        ) and deliveries_of_endings(Execution.objects.select_related("service").filter(pk=row.id), now)
    if pushes:
        notify(subscriptions.CHANGED)
    return "no order could be made"


def _give_back(row: _Claimed, **what: Any) -> None:
    """Undo a claim of which nothing has come."""
    Execution.objects.filter(pk=row.id, status="in_progress", attempt=row.attempt).update(
        worker="",
        lease_until=None,
        started_at=None if row.attempt == 1 else F("started_at"),
        claimed_at=None,
        **what,
    )


def _order(
    row: _Claimed, sealed: Sequence[SealedSecret], configs: Configs, lease_seconds: float
) -> ExecutionOrder:
    manifest = row.manifest
    return ExecutionOrder(
        execution_id=str(row.id),
        attempt=row.attempt,
        lease_seconds=lease_seconds,
        token=execution_token(row.id, row.attempt),
        service=row.service,
        service_id=str(row.service_id),
        project=row.project,
        digest=row.digest,
        scripts=tuple(manifest.get("scripts", ())),
        timeout=manifest.get("timeout") and wiring.config().ceiling.seconds(manifest["timeout"]),
        python=manifest.get("python"),
        requirements=row.requirements or None,
        retry=Retry.from_json(manifest["retry"]),
        params=_params(row),
        secrets=secrets.secrets_opened(row.service_id, row.project_id, sealed),
        config=configs.of(row.service, row.project),
        config_marks=configs.marks(row.service, row.project),
        event_id=row.event_id,
        event_type=row.extensions.get("ferriseventname") or row.event_type,
        flow_id=row.flow_id,
        correlation_id=row.correlation_id,
        parent_execution=str(row.parent_id) if row.parent_id else None,
        hops=row.hops,
        trigger_type=row.trigger_type,
        **_sql(row),
        # A version that came before the ceiling did may ask for more.
        limits=ResourceLimits(**manifest.get("resources") or {})
        .within(wiring.config().ceiling.limits)
        .to_json(),
        network=manifest.get("network") or EGRESS,
        isolation=manifest.get("isolation"),
        continues=_continues(row),
    )


def _continues(row: _Claimed) -> dict[str, Any] | None:
    """The run that this one takes up. Impossible when the service has become another one since that was asked for."""
    wanted = Continuation.of(row.extensions.get(EXTENSION))
    if wanted is None:
        return None
    earlier = Execution.objects.filter(pk=wanted.execution_id)
    manifest = earlier.values_list("version__manifest", flat=True).first() or {}
    problem = changed(manifest.get("scripts", ()), row.manifest.get("scripts", ()), wanted.step)
    if problem:
        raise Impossible(problem)
    return wanted.to_json()


def _uses(rows: Iterable[_Claimed], sealed: Sequence[SealedSecret]) -> Iterator[tuple[int, UUID, UUID]]:
    for row in rows if sealed else ():
        for one in secrets.secrets_nearest(row.service_id, row.project_id, sealed):
            yield one.id, row.service_id, row.id


def _sql(row: _Claimed) -> dict[str, Any]:
    """The databases of its .sql scripts; nothing is asked for where there is none."""
    manifest = row.manifest
    if not any(script.endswith(".sql") for script in manifest.get("scripts", ())):
        return {}
    return {
        "connections": connections.connections_of(row.project_id, manifest.get("connections")),
        "sql": manifest.get("sql") or {},
    }


def _params(row: _Claimed) -> dict[str, Any]:
    """The event's data; beside it, as `events`, all that were gathered for this run, if its rule hands them over."""
    params = params_of(row.data)
    gathered = events_handed(row.gathering_id) if row.gathering_id else None
    return params if gathered is None else {**params, "events": gathered}


def executions_heartbeat(
    worker: str, running: Sequence[tuple[UUID, int]], now: datetime
) -> list[dict[str, Any]]:
    """Keep the leases of what a worker runs; answer what it must stop, and why (`cancelled`, `fenced`).

    Leases are written when a third of their time has passed, not at every beat.
    """
    lease = timedelta(seconds=wiring.config().lease_seconds)
    rows = {
        row["id"]: row
        for row in Execution.objects.filter(pk__in=[pk for pk, _ in running]).values(
            "id", "attempt", "status", "cancel_requested_at", "lease_until"
        )
    }
    stop, keep = [], []
    for pk, attempt in running:
        row = rows.get(pk)
        if row is None or row["status"] != "in_progress" or row["attempt"] != attempt:
            stop.append({"id": str(pk), "attempt": attempt, "why": "fenced"})
        elif row["cancel_requested_at"]:
            stop.append({"id": str(pk), "attempt": attempt, "why": "cancelled"})
        if row and row["status"] == "in_progress" and row["lease_until"] - now < lease * 2 / 3:
            keep.append(pk)
    if keep:
        Execution.objects.filter(pk__in=keep, status="in_progress", worker=worker).update(
            lease_until=now + lease
        )
    return stop


def leases_bound(now: datetime) -> int:
    """Shorten leases that end later than any that is given now could: the clock was set back since. Who lives renews it
    in time, and who is gone is found a lease from now."""
    lease = timedelta(seconds=wiring.config().lease_seconds)
    late = Execution.objects.filter(status="in_progress", lease_until__gt=now + 2 * lease)
    return int(late.update(lease_until=now + lease))


def executions_orphaned(now: datetime, *, engine_began: datetime | None = None) -> list[Execution]:
    """Executions whose executor is gone: the lease ran out, or it was claimed before the only executor began."""
    claimed = Execution.objects.filter(status="in_progress").select_related("service")
    claimed = claimed.only("id", "attempt", "flow_id", "worker", "service__name")
    gone = Q(lease_until__lt=now)
    if engine_began is not None:
        gone |= Q(claimed_at__lt=engine_began)
    return list(claimed.filter(gone))
