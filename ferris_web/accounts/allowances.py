"""How often something may be done, counted in the database: for all web processes together, and over their restarts.

For what must be held back whoever answers it: tries of passwords, and (in pieces, see `api.throttle`) the requests of a
caller. Nothing of this is asked where nothing is tried.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import datetime, timedelta

from django.db import transaction

from ferris_web.accounts.models import Allowance


def allowance_take(limits: Mapping[str, int], window: timedelta, now: datetime) -> bool:
    """Count one more of each of these within its window, at most so many; False, and nothing counted, when one has come
    to its limit.

    Count before what is limited is looked at: of many at once no more get through than one after the other would. A
    window that ends two windows ahead was begun before the clock was set back: it is over.
    """
    known = {_key(name): limit for name, limit in limits.items()}
    with transaction.atomic():
        rows = _locked(known, now)
        for row in rows:
            if row.until <= now or row.until > now + 2 * window:
                row.used, row.until = 0, now + window
            if row.used >= known[row.key]:
                return False
            row.used += 1
        Allowance.objects.bulk_update(rows, ["used", "until"])
    return True


def allowance_give_back(name: str, now: datetime) -> None:
    """What was counted last counts for nothing."""
    with transaction.atomic():
        for row in _locked((_key(name),), now):
            Allowance.objects.filter(pk=row.pk).update(used=max(0, row.used - 1))


def allowance_forget(name: str) -> None:
    """Nothing was counted."""
    Allowance.objects.filter(key=_key(name)).delete()


def allowance_put_off(name: str, by: timedelta, window: timedelta, now: datetime) -> datetime:
    """The moment at which the whole allowance of this is back, later by so much: what `ferris.rates` remembers, never
    more than a window ahead."""
    with transaction.atomic():
        (row,) = _locked((_key(name),), now)
        row.until = max(min(row.until, now + window), now) + by
        row.save(update_fields=["until"])
    return row.until


def allowances_prune(now: datetime) -> int:
    """Forget what counts for nothing any more; how much that was."""
    gone, _ = Allowance.objects.filter(until__lte=now - timedelta(minutes=1)).delete()
    return gone


def _locked(keys: Mapping[str, int] | tuple[str, ...], now: datetime) -> list[Allowance]:
    """Their rows, in one order whoever asks, and nobody else's until the end of the transaction."""
    wanted = sorted(keys)
    Allowance.objects.bulk_create([Allowance(key=key, until=now) for key in wanted], ignore_conflicts=True)
    return list(Allowance.objects.select_for_update().filter(key__in=wanted).order_by("key"))


def _key(name: str) -> str:
    """What is counted, and of whom as a digest: no user name that somebody mistyped a password into is kept."""
    kind, _, whose = name.partition(":")
    return f"{kind}:{hashlib.blake2b(whose.encode(errors='replace'), digest_size=16).hexdigest()}"
