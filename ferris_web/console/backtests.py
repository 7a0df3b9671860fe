"""How far a backtest of the console is: what it has counted, kept by the page that goes on with it.

Nothing of a backtest is kept on the platform (docs/decisions/0048-backtests-in-pieces.md): the page has it, signed, and
sends it along when it asks for the next piece.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from django.core import signing

from ferris.backtest import Past, Tally
from ferris_web.executions.backtesting import Place, Tested

_HOURS: Final = 12 * 3600  # in which one goes on


@dataclass(frozen=True)
class Begun:
    """The window that was asked for, the place to go on behind, and what was counted before it."""

    since: datetime
    until: datetime
    place: Place
    past: Past

    @property
    def percent(self) -> int:
        """How much of the time was looked at."""
        whole = (self.until - self.since).total_seconds()
        return int(100 * (self.until - self.place[0]).total_seconds() / whole) if whole > 0 else 0


def begun_of(tested: Tested) -> Begun | None:
    """Where to go on; None when that was all."""
    if tested.following is None:
        return None
    test = tested.backtest
    told = {
        name: tally
        for name, tally in test.tallies.items()
        if tally.before or tally.after or tally.state != "unchanged"
    }
    return Begun(tested.since, tested.until, tested.following, Past(test.events, told))


def sealed(begun: Begun, asked: Mapping[str, str], user: Any) -> str:
    """As the page keeps it: good for the same question by the same person."""
    moment, key = begun.place
    said = {
        "window": [begun.since.isoformat(), begun.until.isoformat(), moment.isoformat(), str(key)],
        "events": begun.past.events,
        "tallies": [_kept(tally) for tally in begun.past.tallies.values()],
    }
    return signing.dumps(said, salt=_salt(asked, user), compress=True)


def _kept(tally: Tally) -> dict[str, Any]:
    """As JSON, its samples with what the page shows of them."""
    said = asdict(tally)
    for side in ("gained_samples", "lost_samples"):
        said[side] = [{name: str(one[name]) for name in ("key", "type", "why")} for one in said[side]]
    return said


def opened(text: str, asked: Mapping[str, str], user: Any) -> Begun | None:
    """What the page kept; None when it is of another question or person, or too old."""
    try:
        said = signing.loads(text, salt=_salt(asked, user), max_age=_HOURS)
    except signing.BadSignature:
        return None
    since, until, moment = map(datetime.fromisoformat, said["window"][:3])
    tallies = {one["service"]: Tally(**one) for one in said["tallies"]}
    return Begun(since, until, (moment, UUID(said["window"][3])), Past(said["events"], tallies))


def _salt(asked: Mapping[str, str], user: Any) -> str:
    # Lines of a form end in one way as it was typed, and in another as a script sends it.
    said = sorted((name, " ".join(text.split())) for name, text in asked.items())
    return repr(("backtest", user.pk, said))
