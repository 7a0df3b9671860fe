"""What makes a service run, as its manifest says it: event types, each perhaps with a filter or an expression."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ferris.attributes import MAX_ATTRIBUTE, kind_of, shown
from ferris.documents import Section, near
from ferris.filters import compile_filter
from ferris.predicates import OR, FilterError
from ferris.routing import check_pattern
from ferris.rules import CesqlRule

ATTRIBUTES = ("id", "source", "type", "subject", "time", "datacontenttype", "dataschema", "specversion")
EXTENSIONS = (
    "correlationid",
    "causationid",
    "ferrishops",
    "ferrisservice",
    "ferristrigger",
    "ferrispriority",
    "partitionkey",
)


@dataclass(frozen=True, slots=True)
class TriggerSpec:
    """One of trigger_events: an event type (exact, `prefix.*` or `*`) and perhaps a filter or an expression."""

    event_type: str
    filter: Mapping[str, Any] | None = None
    cesql: str | None = None


def triggers_of(section: Section) -> tuple[TriggerSpec, ...]:
    """What `trigger_events` says; each mistake is noted."""
    given = section.get("trigger_events")
    if given is None:
        return ()
    if isinstance(given, (str, dict)):
        section.notes.warning(
            section.file, "trigger_events", f"is {kind_of(given)}; expected a list, taken as a list of one"
        )
        given = [given]
    if not isinstance(given, list):
        section.wrong(
            "trigger_events", "a list of event types, or of objects with event_type and filter or cesql"
        )
        return ()
    found: list[TriggerSpec] = []
    for index, item in enumerate(given):
        trigger = trigger_of(section, f"trigger_events[{index}]", item)
        if trigger is None:
            continue
        if trigger in found:
            section.notes.warning(
                section.file, f"trigger_events[{index}]", "repeats an earlier one; it is ignored"
            )
        else:
            found.append(trigger)
    return tuple(found)


def trigger_of(section: Section, path: str, item: Any) -> TriggerSpec | None:
    """One entry, which stands at `path`: an event type, or an object with a filter or an expression."""
    notes, file = section.notes, section.file
    if not isinstance(item, dict):
        return TriggerSpec(item.strip()) if is_event_type(section, path, item, pattern=True) else None
    inner = Section(item, file, path, notes)
    inner.known(("event_type", "type", "filter", "cesql"))
    name = "type" if item.get("event_type") is None and "type" in item else "event_type"
    event_type, filter, cesql = item.get(name), item.get("filter"), item.get("cesql")
    good = is_event_type(section, inner.key(name), event_type, pattern=True)
    if filter is not None and not _is_filter(section, inner.key("filter"), filter):
        good = False
    if cesql is not None:
        if filter is not None:
            notes.error(file, inner.key("cesql"), "stands beside filter; expected one of the two")
            good = False
        elif not _is_cesql(section, inner.key("cesql"), cesql):
            good = False
    return TriggerSpec(event_type.strip(), filter, cesql) if good and isinstance(event_type, str) else None


def is_event_type(section: Section, path: str, value: Any, *, pattern: bool) -> bool:
    """Whether the value names an event type, or with `pattern` several; if not, that is noted."""
    expected = "an event type, exact or 'prefix.*' or '*'" if pattern else "an event type"
    problem = None
    if not isinstance(value, str) or not value.strip():
        problem = f"is {shown(value)}"
    elif len(value) > MAX_ATTRIBUTE:
        problem = f"has {len(value)} characters, at most {MAX_ATTRIBUTE} are possible"
    else:
        try:
            check_pattern(value.strip())
        except ValueError:
            problem = f"is {shown(value)}"
        if not pattern and "*" in value:
            problem = f"is {shown(value)}"
    if problem is not None:
        section.notes.error(section.file, path, f"{problem}; expected {expected}")
    return problem is None


def _is_cesql(section: Section, path: str, text: Any) -> bool:
    try:
        CesqlRule(text)
    except FilterError as error:
        section.notes.error(section.file, path, error.problem)
        return False
    return True


def _is_filter(section: Section, path: str, filter: Any) -> bool:
    try:
        compile_filter(filter)
    except FilterError as error:
        key = f"{path}.{error.path}" if error.path else path
        section.notes.error(section.file, key, error.problem)
        return False
    for name in filter:
        if name not in (OR, *ATTRIBUTES, *EXTENSIONS, "data"):
            section.notes.warning(
                section.file,
                f"{path}.{name}",
                f'looks at an extension attribute called {name}; a field of the data stands inside "data"'
                + near(name, (*ATTRIBUTES, "data")),
            )
    return True
