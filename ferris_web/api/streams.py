"""What changes as server-sent events: a list's rows, one execution, one flow.

A message is a row as it is by now, as the list or the address without `follow` shows it; changes that come close
together are told once. An `id` is a place on `ferris.changes`: who comes back with it misses and repeats nothing.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from django.http import StreamingHttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter
from rest_framework.exceptions import ValidationError
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.serializers import Serializer

from ferris.config import CHANGES
from ferris_web import live, live_places, sse
from ferris_web.accounts.models import User
from ferris_web.accounts.permissions import reach
from ferris_web.api.following import Caller
from ferris_web.api.listed import asked_of
from ferris_web.executions.listings import Listing
from ferris_web.executions.log_following import in_thread
from ferris_web.executions.models import OPEN, Event, Execution
from ferris_web.executions.settling import Mark, flow_settled
from ferris_web.executions.visibility import within
from ferris_web.live import Notice

LONGEST_SECONDS = 3600.0
"""A stream ends after this, and the client comes back with the last `id`."""

_GATHER_SECONDS: Final = 0.1  # changes that come close together are told once
_SOON_SECONDS: Final = 0.2
_AT_ONCE: Final = 500
_RETRY: Final = b"retry: 2000\n"
_GAP: Final = {"detail": "What happened meanwhile is not known any more: read the list again."}

PARAMETERS: Final = [
    OpenApiParameter(
        "follow", OpenApiTypes.BOOL, description="Send changes as they come, as server-sent events."
    ),
    OpenApiParameter(
        "Last-Event-ID",
        OpenApiTypes.STR,
        OpenApiParameter.HEADER,
        description="The `id` of the last message of a stream: go on behind it.",
    ),
]
"""Of an address that can be followed."""


def and_stream(shown: Any) -> dict[tuple[int, str], Any]:
    """Its answers: what it shows, or the stream."""
    return {(200, "application/json"): shown, (200, "text/event-stream"): sse.SCHEMA}


TOLD: Final = (
    "With `follow=1` (or `Accept: text/event-stream`): server-sent events. {} `data` is what this address shows of it "
    "without `follow`; comments come while there is nothing to say. A client that comes back with `Last-Event-ID` "
    "misses nothing; after more than an hour it gets the event `gap` first. The stream ends when its caller may not "
    "see this any more."
)
"""Its description."""


@dataclass(frozen=True)
class Said:
    """What there is to say now: (event, data) each. `end`: and nothing after it. `soon`: look again in a moment."""

    messages: Sequence[tuple[str, Any]] = ()
    end: bool = False
    soon: bool = False


Look = Callable[[User, Sequence[Notice] | None], Said]
"""What to say to this user of these notices; None: of whatever there is, since nothing or not all was told before."""


def list_stream(
    request: Request,
    listing: Listing,
    shown: type[Serializer],
    prepared: Callable[[Any], Any] = lambda rows: rows,
) -> StreamingHttpResponse:
    """The rows of a list that change, or are new, and fit its filters; from now on."""
    asked_of(request, listing)  # or it says what is wrong

    def look(user: User, notices: Sequence[Notice] | None) -> Said:
        if notices is None:
            return Said([("gap", _GAP)])
        keys = list(dict.fromkeys(_keys(listing, notices)))
        if not keys:
            return Said()
        said: list[tuple[str, Any]] = []
        asked = asked_of(request, listing)
        for at in range(0, len(keys), _AT_ONCE):
            rows = listing.found(asked, reach(user)).filter(pk__in=keys[at : at + _AT_ONCE])
            found = {row.pk: row for row in prepared(rows)}
            said += [("", row) for row in _shown(shown, (found[k] for k in keys if k in found))]
        return Said(said)

    return _stream(request, look, live.subscribe(topics=(CHANGES,)), from_now=True)


def _keys(listing: Listing, notices: Iterable[Notice]) -> Iterable[UUID]:
    for notice in notices:
        if listing.model is Event:
            yield from map(UUID, notice.value.get("events", ()))
        elif notice.execution:
            yield UUID(notice.execution)


def execution_stream(request: Request, pk: UUID, shown: Callable[[], Any]) -> StreamingHttpResponse:
    """One execution as it is and whenever it has changed, until it has ended; `shown` reads it."""
    told: list[Any] = []

    def look(user: User, notices: Sequence[Notice] | None) -> Said:
        row = shown()
        new = row not in told  # without a notice too: one may have been lost
        told[:] = [row]
        end = row["status"] not in OPEN
        return Said([("", row)] * new + [("end", {"status": row["status"]})] * end, end)

    subscription = live.subscribe(execution=str(pk), topics=(CHANGES,))
    return _stream(request, look, subscription, lambda notice: notice.execution == str(pk))


def flow_stream(
    request: Request, flow: str, shown: type[Serializer], prepared: Callable[[Any], Any]
) -> StreamingHttpResponse:
    """The executions of a flow, the newest so far and then each that changes, until the flow has settled."""
    mark: list[Mark | None] = [None]

    def look(user: User, notices: Sequence[Notice] | None) -> Said:
        runs = within(Execution.objects.filter(flow_id=flow), reach(user))
        if notices is None:
            found = list(prepared(runs).order_by("-sequence")[:_AT_ONCE])[::-1]
        else:
            keys = list(dict.fromkeys(UUID(notice.execution) for notice in notices if notice.execution))
            found = [
                row
                for at in range(0, len(keys), _AT_ONCE)
                for row in prepared(runs.filter(pk__in=keys[at : at + _AT_ONCE])).order_by("sequence")
            ]
        if notices is None or found:
            mark[0] = None
        settled, mark[0] = flow_settled(flow, mark[0])
        said = [("", row) for row in _shown(shown, found)]
        if settled:
            return Said([*said, ("end", {"settled": True})], end=True)
        return Said(said, soon=mark[0] is not None)

    subscription = live.subscribe(flow=flow)
    return _stream(request, look, subscription, lambda notice: notice.value.get("flow") == flow)


def _shown(shown: type[Serializer], rows: Iterable[Any]) -> list[Any]:
    return list(shown(list(rows), many=True).data)


def _stream(
    request: Request,
    look: Look,
    subscription: live.Subscription,
    wanted: Callable[[Notice], bool] = lambda notice: True,
    *,
    from_now: bool = False,
) -> StreamingHttpResponse:
    """`from_now`: who begins is told nothing of what was before."""
    try:
        given = request.headers.get("Last-Event-ID", "")
        try:
            place = live_places.read(given) if given else None
        except ValueError as error:
            raise ValidationError({"Last-Event-ID": str(error)}) from None
        follower = live_places.Follower(subscription, place, wanted)
    except BaseException:
        subscription.close()
        raise
    caller = Caller(request)
    whole = place is None and not from_now
    return sse.response(_messages(follower, caller, look, whole), caller.pk, follower.close)


async def _messages(
    follower: live_places.Follower, caller: Caller, look: Look, whole: bool
) -> AsyncIterator[bytes]:
    yield _RETRY + _place(follower)
    said, deadline = Said(), time.monotonic() + LONGEST_SECONDS
    pinged = time.monotonic()
    while time.monotonic() < deadline:
        notices: Sequence[Notice] | None = None
        if not whole:
            try:
                pause = _SOON_SECONDS if said.soon else max(0.0, pinged + sse.PING_SECONDS - time.monotonic())
                notices = await follower.get(pause)
            except live_places.Gone:
                pass
        quiet = time.monotonic() - pinged >= sse.PING_SECONDS
        if not (whole or notices is None or notices or quiet or said.soon):
            continue  # nothing of this that is wanted here
        whole = False
        said = await in_thread(_look, caller, look, notices)
        if said is None:
            return
        if said.messages:
            yield _written(said, follower.id)
        elif quiet:
            yield sse.PING[:-1] + _place(follower)
        if said.messages or quiet:
            pinged = time.monotonic()
        if said.end:
            return
        if said.messages:
            await asyncio.sleep(_GATHER_SECONDS)


def _place(follower: live_places.Follower) -> bytes:
    """An id without data: the client comes back with it, and is told nothing."""
    return f"id: {follower.id}\n\n".encode()


def _look(caller: Caller, look: Look, notices: Sequence[Notice] | None) -> Said | None:
    user = caller.now()
    return None if user is None else look(user, notices)


def _written(said: Said, id: str) -> bytes:
    """The last message has the id: who has read only some of them gets all of them again."""
    last = len(said.messages) - 1
    return b"".join(
        sse.message(_json(data), event=event, id=id if number == last else "")
        for number, (event, data) in enumerate(said.messages)
    )


def _json(data: Any) -> str:
    return str(JSONRenderer().render(data), "utf-8")
