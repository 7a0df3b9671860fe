"""The journal's events as the domain knows them, one or very many of them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from uuid import UUID

from django.db.models import Q, Value
from django.db.models.functions import Concat

from ferris.events import Event
from ferris_web.executions.models import Event as EventRow
from ferris_web.executions.visibility import Projects, within
from ferris_web.keyset import from_behind

AT_ONCE = 2000


def event_of(row: EventRow) -> Event:
    """The event that a row keeps. Its `dataschema` is not kept; bytes are, as hexadecimal text."""
    return Event(
        id=row.event_id,
        source=row.source,
        type=row.type,
        time=row.time,
        subject=row.subject or None,
        datacontenttype=row.datacontenttype or None,
        data=row.data,
        extensions=row.extensions,
    )


def journal_chunks(
    since: datetime,
    until: datetime,
    *,
    types: Q | None = None,
    newest_first: bool = False,
    after: tuple[datetime, UUID] | None = None,
    at_once: int = AT_ONCE,
    projects: Projects | None = None,
) -> Iterator[list[EventRow]]:
    """The events taken in from `since` up to `until`, by that time, some at a time.

    Each chunk is a query of its own along the index, from where the last one ended: memory stays small, no
    transaction stays open, and neither new events nor a busy writer disturb the walk. `types` may name `kind`,
    the type as no index has it: with several types a database would else gather and sort all of them each time.
    """
    order = ("-received_at", "-key") if newest_first else ("received_at", "key")
    rows = within(EventRow.objects.filter(received_at__gte=since, received_at__lt=until), projects)
    rows = rows.order_by(*order)
    rows = rows.only(
        "key",
        "event_id",
        "source",
        "type",
        "subject",
        "time",
        "received_at",
        "flow_id",
        "revision",
        "datacontenttype",
        "data",
        "extensions",
        "replay_id",
    )
    if types is not None:
        rows = rows.annotate(kind=Concat("type", Value(""))).filter(types)
    place = after
    while True:
        following = rows if place is None else from_behind(rows, order, place)
        chunk = list(following[:at_once])
        if not chunk:
            return
        yield chunk
        if len(chunk) < at_once:
            return
        place = chunk[-1].received_at, chunk[-1].key
