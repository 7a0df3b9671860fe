"""How many requests each caller of the REST API may send, with the headers of the IETF's draft
(draft-ietf-httpapi-ratelimit-headers) that say so.

A process counts what it answers itself, in memory: with several web processes a caller may send so many to each.
"""

from __future__ import annotations

import functools
import math
import threading
import time
from collections.abc import Callable
from typing import Any, Final

from django.http import HttpRequest, HttpResponseBase
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from ferris.rates import Rate, Taken, take
from ferris_web import wiring

WINDOW: Final = 60.0
_REMEMBERED: Final = 10_000  # callers, before those who have their whole allowance again are forgotten
_lock = threading.Lock()
_whole_at: dict[int, float] = {}


class PerCaller(BaseThrottle):
    """By user, whichever of their tokens a request brings."""

    _taken: Taken

    def allow_request(self, request: Request, view: Any) -> bool:
        amount, counted = wiring.config().api_rate, getattr(request._request, "counted", [])
        if not amount or request.user.pk is None or counted:
            return True
        self._taken = _count(Rate(amount, WINDOW), request.user.pk, time.monotonic())
        counted.append(self._taken)
        return self._taken.allowed

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
            response.headers["RateLimit-Policy"] = f'"caller";q={wiring.config().api_rate};w={WINDOW:.0f}'
            response.headers["RateLimit"] = f'"caller";r={taken.remaining};t={math.ceil(taken.whole_in)}'
        return response

    return answer


def forget() -> None:
    """All begin anew."""
    with _lock:
        _whole_at.clear()


def _count(rate: Rate, caller: int, now: float) -> Taken:
    with _lock:
        if len(_whole_at) > _REMEMBERED:
            for other in [one for one, moment in _whole_at.items() if moment <= now]:
                del _whole_at[other]
        taken, _whole_at[caller] = take(rate, _whole_at.get(caller, now), now)
        return taken
