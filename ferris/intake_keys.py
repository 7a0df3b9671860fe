"""The keys of manifest.json that act before an execution exists: `ferris.intake` as users write it."""

from __future__ import annotations

from typing import Any, Final, TypeVar

from ferris import events, intake
from ferris.attributes import shown
from ferris.documents import Section
from ferris.event_keys import CORRELATION, EXPECTED, is_path
from ferris.intake import ABSENCE, ALL_OF, SEQUENCE, Batch, Debounce, Deduplicate, Intake, Join, Throttle
from ferris.routing import type_matches
from ferris.triggers import ATTRIBUTES, EXTENSIONS, TriggerSpec, is_event_type, trigger_of

KEYS: Final = ("deduplicate", "throttle", "debounce", "batch", "join")

_DAY: Final = 86400
_SHORTEST: Final = 0.1
_KINDS = (ALL_OF, SEQUENCE, ABSENCE)
T = TypeVar("T")


def intake_of(section: Section, triggers: tuple[TriggerSpec, ...]) -> Intake:
    """What the manifest asks for before events become executions; each mistake is noted at its place."""
    found = Intake(
        deduplicate=_deduplicate(section),
        throttle=_throttle(section),
        debounce=_debounce(section),
        batch=_batch(section),
        join=_join(section),
    )
    _together(section, found, triggers)
    return found


def _object(
    section: Section, name: str, keys: tuple[str, ...], example: str, short: str = ""
) -> Section | None:
    """The object under a key; with `short`, a bare value stands for an object with just that key."""
    given = section.get(name)
    if given is None:
        return None
    if short and isinstance(given, (str, int, float)) and not isinstance(given, bool):
        given = {short: given}
    if not isinstance(given, dict):
        section.wrong(name, f"an object such as {example}")
        return None
    inner = Section(given, section.file, section.key(name), section.notes)
    inner.known(keys)
    return inner


def _debounce(section: Section) -> Debounce | None:
    inner = _object(
        section,
        "debounce",
        ("wait", "max_wait", "key", "events"),
        '{"wait": "10s", "max_wait": "1m"}',
        "wait",
    )
    if inner is None:
        return None
    wait = _needed(inner, "wait", "10s", _DAY)
    max_wait = inner.duration("max_wait", wait * 10, _SHORTEST, 30 * _DAY)
    if max_wait < wait:
        inner.wrong("max_wait", f"at least the wait, which is {wait:g} s")
    return Debounce(wait, max_wait, _key(inner, "key"), _choice(inner, "events", (intake.LAST, intake.ALL)))


def _batch(section: Section) -> Batch | None:
    inner = _object(section, "batch", ("size", "wait", "key"), '{"size": 100, "wait": "5s"}')
    if inner is None:
        return None
    size = inner.whole("size", 0, 1, intake.MAX_EVENTS)
    if inner.get("size") is None:
        inner.wrong("size", f"a whole number from 1 to {intake.MAX_EVENTS}")
    if inner.get("size") is not None and size == 1:
        inner.notes.warning(inner.file, inner.key("size"), "is 1: each event is a batch of its own")
    return Batch(size, _needed(inner, "wait", "5s", 30 * _DAY), _key(inner, "key"))


def _deduplicate(section: Section) -> Deduplicate | None:
    inner = _object(section, "deduplicate", ("key", "window"), '{"key": "data.order_id", "window": "1h"}')
    if inner is None:
        return None
    if inner.get("key") is None:
        inner.wrong("key", EXPECTED)
    return Deduplicate(_key(inner, "key"), _needed(inner, "window", "1h", 30 * _DAY))


def _throttle(section: Section) -> Throttle | None:
    inner = _object(section, "throttle", ("limit", "per", "key", "excess"), '{"limit": 1, "per": "1m"}')
    if inner is None:
        return None
    return Throttle(
        inner.whole("limit", 1, 1, intake.MAX_LIMIT),
        _needed(inner, "per", "1m", 30 * _DAY),
        _key(inner, "key"),
        _choice(inner, "excess", (intake.DROP, intake.WAIT)),
    )


def _join(section: Section) -> Join | None:
    inner = _object(
        section,
        "join",
        (*_KINDS, "by", "within", "event"),
        '{"all_of": ["a.done", "b.done"], "within": "1h"}',
    )
    if inner is None:
        return None
    kinds = [kind for kind in _KINDS if inner.get(kind) is not None]
    if len(kinds) != 1:
        problem = f"has {' and '.join(kinds)}" if kinds else "says nothing to wait for"
        inner.notes.error(inner.file, inner.path, f"{problem}; expected one of {', '.join(_KINDS)}")
        return None
    kind = kinds[0]
    entries = _absence(inner) if kind == ABSENCE else _entries(inner, kind)
    within = _needed(inner, "within", "1h", 30 * _DAY)
    by = _key(inner, "by") or CORRELATION
    fired = _fired(inner, kind, entries) if len(entries) > 1 else ""
    return Join(kind, entries, within, by, fired)


def _entries(inner: Section, kind: str) -> tuple[TriggerSpec, ...]:
    given = inner.get(kind)
    if not isinstance(given, list) or not 2 <= len(given) <= intake.MAX_ENTRIES:
        inner.wrong(
            kind,
            f"a list of 2 to {intake.MAX_ENTRIES} event types, or of objects with event_type and filter or cesql",
        )
        return ()
    found = [trigger_of(inner, f"{inner.key(kind)}[{index}]", item) for index, item in enumerate(given)]
    return tuple(entry for entry in found if entry is not None)


def _absence(inner: Section) -> tuple[TriggerSpec, ...]:
    """ "after" and "of", in this order: that of the bits in `ferris.joins`."""
    section = _object(inner, ABSENCE, ("of", "after"), '{"of": "payment.received", "after": "order.placed"}')
    if section is None:
        return ()
    found = [trigger_of(inner, section.key(name), section.get(name)) for name in ("after", "of")]
    return tuple(entry for entry in found if entry is not None)


def _fired(inner: Section, kind: str, entries: tuple[TriggerSpec, ...]) -> str:
    """The type of the event that an absence fires."""
    given = inner.get("event")
    if kind != ABSENCE:
        if given is not None:
            inner.notes.error(
                inner.file, inner.key("event"), "means nothing here: only an absence fires an event"
            )
        return ""
    of = entries[1].event_type
    if given is None:
        if "*" in of:
            inner.wrong("event", f"the type of the event to fire, as {of} names several")
            return ""
        given = f"{of}.absent"
    if not is_event_type(inner, inner.key("event"), given, pattern=False):
        return ""
    name = str(given).strip()
    if events.is_reserved(name):
        inner.notes.error(
            inner.file, inner.key("event"), f"is {shown(name)}, which is reserved for the platform"
        )
    for entry, which in zip(entries, ("after", "of"), strict=True):
        if type_matches(entry.event_type, name):
            problem = f"is {shown(name)}, which {which} listens to: the join would answer itself"
            inner.notes.error(inner.file, inner.key("event"), problem)
    return name


# --- values ----------------------------------------------------------------------------------------


def _needed(inner: Section, name: str, example: str, high: float) -> float:
    if inner.get(name) is None:
        inner.notes.error(inner.file, inner.key(name), f'is missing; expected a time such as "{example}"')
        return 1.0
    return inner.duration(name, 1.0, _SHORTEST, high)


def _key(inner: Section, name: str) -> str:
    given = inner.get(name)
    if given is None:
        return ""
    text = given.strip() if isinstance(given, str) else given
    if not is_path(text):
        inner.wrong(name, EXPECTED)
        return ""
    if text not in (*ATTRIBUTES, *EXTENSIONS, CORRELATION) and not text.startswith("data"):
        inner.notes.warning(
            inner.file,
            inner.key(name),
            f'looks at an extension attribute called {text}; a field of the data would be "data.{text}"',
        )
    return str(text)


def _choice(inner: Section, name: str, choices: tuple[str, ...]) -> str:
    """One of some words, by default the first."""
    given: Any = inner.get(name)
    if given is None:
        return choices[0]
    if given not in choices:
        inner.wrong(name, " or ".join(f'"{choice}"' for choice in choices))
        return choices[0]
    return str(given)


# --- what stands together --------------------------------------------------------------------------


def _together(section: Section, found: Intake, triggers: tuple[TriggerSpec, ...]) -> None:
    notes, file = section.notes, section.file
    names = [name for name in KEYS if getattr(found, name) is not None]
    if found.join is not None:
        for name in names[:-1]:
            notes.error(file, name, "stands beside join, which decides alone; expected one of the two")
        if triggers:
            notes.error(
                file,
                "join",
                "stands beside trigger_events; expected one of the two: its entries are triggers",
            )
        return
    if names and not triggers:
        what = "acts on events, and there are no trigger_events: runs by hand and by the clock pass it by"
        for name in names:
            notes.warning(file, name, what)
    if found.debounce is not None and found.batch is not None:
        notes.error(file, "batch", "stands beside debounce; expected one of the two")
    if found.throttle is not None and found.throttle.excess == intake.WAIT:
        for name in ("debounce", "batch"):
            if name in names:
                notes.error(
                    file,
                    "throttle.excess",
                    f'is "wait" beside {name}, which makes events wait itself; expected "drop"',
                )
    if found.deduplicate is not None and found.debounce is not None:
        one, other = found.deduplicate, found.debounce
        if one.key == other.key and one.window >= other.wait:
            notes.warning(
                file,
                "debounce",
                "has the key of deduplicate and is not longer: one event of a key is left, and nothing to merge",
            )
