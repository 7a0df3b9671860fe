"""How many requests each caller of the REST API may send, with the headers of the IETF's draft
(draft-ietf-httpapi-ratelimit-headers) that say so.

A process counts what it answers in memory. Where there may be several, it adds each hundredth part of the limit that a
caller has used to what all have counted, in the database, and goes on from there: however many processes there are, a
caller gets through at most a hundredth part of the limit more for each, and most requests ask the database nothing.
"""

from __future__ import annotations

import functools
import logging
import math
import threading
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from django.db import DatabaseError, connection
from django.http import HttpRequest, HttpResponseBase
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from ferris.rates import Rate, Taken, take
from ferris_web import wiring
from ferris_web.accounts.allowances import allowance_put_off

log = logging.getLogger(__name__)

WINDOW: Final = 60.0
_REMEMBERED: Final = 10_000  # callers, before those who have their whole allowance again are forgotten
_PIECES: Final = 100  # of the limit: one is counted here before it is counted for all
_lock = threading.Lock()
_whole_at: dict[int, float] = {}
_untold: Counter[int] = Counter()  # requests of each caller that the other processes do not know of


class PerCaller(BaseThrottle):
    """By user, whichever of their tokens a request brings."""

    _taken: Taken

    def allow_request(self, request: Request, view: Any) -> bool:
        counted = getattr(request._request, "counted", [])
        taken = None if counted else taken_by(request.user.pk)
        if taken is None:
            return True
        self._taken = taken
        counted.append(taken)
        return taken.allowed

    def wait(self) -> float:
        """Seconds, for `Retry-After`."""
        return self._taken.wait


def rated(view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
    """The view, whose answers say what their caller has left."""

    @functools.wraps(view)
    def answer(request: HttpRequest, **named: Any) -> HttpResponseBase:
        counted = request.counted = list[Taken]()  # once, however often the view is asked for one answer
        response = view(request, **named)
        for taken in counted:
            tell(response, taken)
        return response

    return answer


def taken_by(caller: int | None) -> Taken | None:
    """One request more of that caller; None where nothing is counted."""
    amount = wiring.config().api_rate
    return _count(Rate(amount, WINDOW), caller, time.time()) if amount and caller is not None else None


def tell(response: HttpResponseBase, taken: Taken) -> None:
    """Say in the headers of an answer what its caller has left."""
    response.headers["RateLimit-Policy"] = f'"caller";q={wiring.config().api_rate};w={WINDOW:.0f}'
    response.headers["RateLimit"] = f'"caller";r={taken.remaining};t={math.ceil(taken.whole_in)}'


def forget() -> None:
    """All begin anew."""
    with _lock:
        _whole_at.clear()
        _untold.clear()


def _shares() -> bool:
    """On SQLite there is one web process."""
    return bool(connection.vendor != "sqlite")


def _count(rate: Rate, caller: int, now: float) -> Taken:
    taken = _counted(rate, caller, now)
    if not taken.allowed or not _shares():
        return taken
    with _lock:
        _untold[caller] += 1
        piece = _untold[caller]
        if piece < max(1, rate.amount // _PIECES):
            return taken
        del _untold[caller]
    each = timedelta(seconds=rate.window / rate.amount)
    try:
        window, moment = timedelta(seconds=rate.window), datetime.fromtimestamp(now, UTC)
        whole_at = allowance_put_off(f"api:{caller}", each * piece, window, moment)
    except DatabaseError:
        log.warning("requests of user %s are not counted for all web processes", caller, exc_info=True)
        return taken
    # What others have counted; what was counted here meanwhile is small, and comes with the next piece.
    with _lock:
        _whole_at[caller] = max(_whole_at.get(caller, 0.0), whole_at.timestamp())
    return taken


def _counted(rate: Rate, caller: int, now: float) -> Taken:
    with _lock:
        if len(_whole_at) > _REMEMBERED:
            for other in [one for one, moment in _whole_at.items() if moment <= now]:
                del _whole_at[other]
                _untold.pop(other, None)
        taken, _whole_at[caller] = take(rate, _whole_at.get(caller, now), now)
        return taken
