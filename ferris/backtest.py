"""What other triggers would have made of past events: fired before and after, gained and lost, service by service.

Events are counted as they come, some at a time: nothing grows with their number. Triggers are all that is looked
at; what flow control makes of their matches, and what the services would have sent, is left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal

from ferris.errors import FerrisError
from ferris.events import Event
from ferris.routing import RoutingTable, Trigger
from ferris.verdicts import ADDRESSED, judge

SAMPLES: Final = 5
State = Literal["added", "changed", "removed", "unchanged"]


class Refused(FerrisError):
    """The triggers to try have mistakes; `problems` lists them, each as one line."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = tuple(problems)


@dataclass(frozen=True)
class Side:
    """One service on one side of the comparison. Without triggers (or inactive) nothing makes it run."""

    service: str
    service_id: str
    triggers: tuple[Trigger, ...] = ()
    active: bool = True
    vanished: bool = False

    @property
    def fires(self) -> tuple[Trigger, ...]:
        return self.triggers if self.active and not self.vanished else ()


@dataclass
class Tally:
    """How one service fared. Samples: events that tell the two sides apart, with why the other one is silent."""

    service: str
    state: State
    before: int = 0
    after: int = 0
    gained: int = 0
    lost: int = 0
    gained_samples: list[dict[str, Any]] = field(default_factory=list)
    lost_samples: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True)
class Past:
    """What was counted of newer events: how many there were, and how services fared, by name."""

    events: int
    tallies: Mapping[str, Tally]


class Backtest:
    """Two sets of services, and the events that are fed to both. `past`: what was counted before, to go on from.

    Raises FilterError, or ValueError, for triggers that a sync would refuse.
    """

    def __init__(
        self,
        before: Mapping[str, Side],
        after: Mapping[str, Side],
        *,
        samples: int = SAMPLES,
        past: Past | None = None,
    ) -> None:
        self._before, self._after, self._samples = before, after, samples
        self._old = RoutingTable(_triggers(before.values()))
        self._new = RoutingTable(_triggers(after.values()))
        names = sorted({*before, *after})
        self.tallies = {name: Tally(name, _state(before.get(name), after.get(name))) for name in names}
        self.events = 0
        if past is not None:
            self.events = past.events
            # A sync in between may bring a service, or take one away.
            self.tallies |= {
                name: replace(tally, state=self.tallies[name].state) if name in self.tallies else tally
                for name, tally in past.tallies.items()
            }

    def types(self) -> set[str]:
        """Every event type or pattern that a trigger of either side names."""
        return {t.event_type for side in (*self._before.values(), *self._after.values()) for t in side.fires}

    def feed(self, event: Event) -> None:
        """Count one event."""
        self.events += 1
        if event.type in ADDRESSED:
            return  # runs the service it names, whatever triggers say
        old = {trigger.service for trigger in self._old.match(event)}
        new = {trigger.service for trigger in self._new.match(event)}
        for name in old:
            self.tallies[name].before += 1
        for name in new:
            self.tallies[name].after += 1
        if old == new:
            return
        for name in new - old:
            tally = self.tallies[name]
            tally.gained += 1
            self._keep(tally.gained_samples, event, name, self._before.get(name))
        for name in old - new:
            tally = self.tallies[name]
            tally.lost += 1
            self._keep(tally.lost_samples, event, name, self._after.get(name))

    def _keep(self, samples: list[dict[str, Any]], event: Event, name: str, silent: Side | None) -> None:
        if len(samples) >= self._samples:
            return
        if silent is None:
            why = f"there is no {name}"
        else:
            side = judge(
                event,
                name,
                silent.service_id,
                silent.triggers,
                active=silent.active,
                vanished=silent.vanished,
            )
            why = side.why
        samples.append(
            {
                "key": str(event.key),
                "id": event.id,
                "type": event.type,
                "source": event.source,
                "time": event.time,
                "why": why,
            }
        )

    @property
    def gained(self) -> int:
        """How many more runs there would have been."""
        return sum(tally.gained for tally in self.tallies.values())

    @property
    def lost(self) -> int:
        """How many runs there would not have been."""
        return sum(tally.lost for tally in self.tallies.values())


def _triggers(sides: Iterable[Side]) -> list[Trigger]:
    return [trigger for side in sides for trigger in side.fires]


def _state(before: Side | None, after: Side | None) -> State:
    if before is None or before.vanished:
        return "added"
    if after is None or after.vanished:
        return "removed"
    same = [(t.event_type, t.filter, t.cesql) for t in before.fires] == [
        (t.event_type, t.filter, t.cesql) for t in after.fires
    ]
    return "unchanged" if same else "changed"
