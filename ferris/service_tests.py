"""What a service's `tests/*.json` expect, and what is missing from what came.

A case is an object: `event` (its `type` and `data`, perhaps other attributes), perhaps `config`, `secrets` and `state`
that the scripts find, and `expect`:

- `runs`: false when the event must not trigger the service at all (default true);
- `status`: the exit status (default 0);
- `events`: the events that are sent, in any order and no others; of each only what is named is compared;
- `log`: texts that stand in the output;
- `state`: what the state holds afterwards, of which only what is named is compared;
- `artifacts`: their paths, no others.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from ferris.documents import near

_PARTS: Final = ("description", "event", "config", "secrets", "state", "expect")
_EXPECTED: Final = ("runs", "status", "events", "log", "state", "artifacts")


class CaseError(ValueError):
    """The file is no case; the text names the key and what was expected."""


@dataclass(frozen=True)
class Case:
    """One case of a file. What `expect` leaves out is not looked at, but for `runs` and `status`."""

    event_type: str | None
    event: Mapping[str, Any]
    config: Mapping[str, Any] = field(default_factory=dict)
    secrets: Mapping[str, Any] = field(default_factory=dict)
    state: Mapping[str, Any] = field(default_factory=dict)
    runs: bool = True
    status: int = 0
    events: Sequence[Mapping[str, Any]] | None = None
    log: Sequence[str] = ()
    state_after: Mapping[str, Any] | None = None
    artifacts: Sequence[str] | None = None


@dataclass(frozen=True)
class Came:
    """What a run brought."""

    status: int
    output: str
    state: Mapping[str, Any]
    artifacts: Sequence[str]


def case_of(text: str) -> Case:
    """The case that a file holds; CaseError."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise CaseError(f"is no JSON: {error}") from None
    said = _object(found, "", _PARTS)
    event = _object(said.get("event", {}), "event")
    expect = _object(said.get("expect", {}), "expect", _EXPECTED)
    kind = event.get("type")
    if kind is not None and not isinstance(kind, str):
        raise CaseError(f"event.type: is {_kind(kind)}; expected the event's type as a text")
    events = expect.get("events")
    return Case(
        event_type=kind,
        event=event,
        config=_object(said.get("config", {}), "config"),
        secrets=_object(said.get("secrets", {}), "secrets"),
        state=_object(said.get("state", {}), "state"),
        runs=_is(expect.get("runs", True), bool, "expect.runs", "true or false"),
        status=_is(expect.get("status", 0), int, "expect.status", "an exit status"),
        events=None
        if events is None
        else [_object(one, f"expect.events[{at}]") for at, one in enumerate(_list(events, "expect.events"))],
        log=[_is(one, str, "expect.log", "texts") for one in _list(expect.get("log", []), "expect.log")],
        state_after=_object(expect["state"], "expect.state") if "state" in expect else None,
        artifacts=[
            _is(one, str, "expect.artifacts", "paths")
            for one in _list(expect["artifacts"], "expect.artifacts")
        ]
        if "artifacts" in expect
        else None,
    )


def differences(case: Case, came: Came) -> Iterator[str]:
    """A line for each expectation that was not met."""
    if came.status != case.status:
        yield f"exit status {came.status}; expected {case.status}"
    for text in case.log:
        if text not in came.output:
            yield f"the output does not hold {text!r}"
    if case.events is not None:
        yield from _events(case.events, events_of(came.output))
    if case.state_after is not None:
        for place, wanted, seen in _missing(case.state_after, came.state, "state"):
            yield f"{place} is {_short(seen)}; expected {_short(wanted)}"
    if case.artifacts is not None:
        wanted_paths, seen_paths = set(case.artifacts), set(came.artifacts)
        for path in sorted(wanted_paths - seen_paths):
            yield f"there is no artifact {path}"
        for path in sorted(seen_paths - wanted_paths):
            yield f"the artifact {path} was not expected"


def events_of(output: str) -> list[Mapping[str, Any]]:
    """The events among what was printed: the helper library prints them where there is no platform."""
    found = []
    for line in output.splitlines():
        if line.startswith("event {"):
            try:
                found.append(json.loads(line.removeprefix("event ")))
            except ValueError:
                continue
    return found


def _events(wanted: Sequence[Mapping[str, Any]], came: list[Mapping[str, Any]]) -> Iterator[str]:
    left = list(came)
    for one in wanted:
        fitting = next((event for event in left if not list(_missing(one, event, ""))), None)
        if fitting is not None:
            left.remove(fitting)
            continue
        alike = [event for event in left if event.get("type") == one.get("type")]
        if alike:
            place, value, seen = next(iter(_missing(one, alike[0], "event")))
            yield f"no event {_short(one)}: in the nearest, {place} is {_short(seen)}, expected {_short(value)}"
        else:
            kinds = ", ".join(sorted({str(event.get("type")) for event in came})) or "none"
            yield f"no event {_short(one)}: there came {kinds}"
    if len(wanted) < len(came):
        for event in left:
            yield f"an event that was not expected: {_short(event)}"


def _missing(wanted: Any, seen: Any, place: str) -> Iterator[tuple[str, Any, Any]]:
    """(place, expected, seen) of what differs; an object may hold more than is wanted."""
    if isinstance(wanted, Mapping) and isinstance(seen, Mapping):
        for name, value in wanted.items():
            yield from _missing(value, seen.get(name), f"{place}.{name}".lstrip("."))
    elif wanted != seen or isinstance(wanted, bool) != isinstance(seen, bool):
        yield place, wanted, seen


def _object(value: Any, place: str, known: Sequence[str] = ()) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise CaseError(f"{place or 'the file'}: is {_kind(value)}; expected an object")
    for name in value:
        if known and name not in known:
            key = f"{place}.{name}" if place else name
            raise CaseError(f"{key}: is not known; expected {', '.join(known)}{near(name, known)}")
    return value


def _list(value: Any, place: str) -> list[Any]:
    return _is(value, list, place, "a list")  # type: ignore[no-any-return]


def _is(value: Any, kind: type, place: str, expected: str) -> Any:
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise CaseError(f"{place}: holds {_kind(value)}; expected {expected}")
    return value


def _kind(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)[:60]


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 200 else f"{text[:200]}…"
