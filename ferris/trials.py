"""Trying a filter on an event, without a platform: what `manage.py match` answers for one line.

An event is taken as it is written: nothing is filled in, and its time keeps its offset (the platform keeps
times in UTC). A document that is no CloudEvent (no `specversion`) may be tried too: a filter's outermost
keys are then the fields of that object, whatever they are called.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Any, Final

from ferris.attributes import kind_of
from ferris.cesql import SyntaxProblem, compile_expression
from ferris.cesql_syntax import LARGEST, SMALLEST, Value
from ferris.conditions import ABSENT
from ferris.filters import compile_filter
from ferris.predicates import FilterError

Answer = dict[str, Any]

_DATA: Final = ("data", "data_base64")
_KEYS: Final = ("filter", "cesql", "event")


def main() -> None:
    """One answer on standard output for each line on standard input."""
    try:
        for raw in sys.stdin.buffer:
            found = answer(raw.decode("utf-8-sig", "replace"))
            sys.stdout.buffer.write(json.dumps(found, ensure_ascii=False).encode("utf-8", "replace") + b"\n")
            sys.stdout.buffer.flush()
    except BrokenPipeError:  # whoever reads has seen enough
        sys.stdout = None  # or the interpreter would flush it once more
    except KeyboardInterrupt:
        sys.exit(130)


def answer(line: str) -> Answer:
    """{"matched", "why", "value", "error"} for one line of JSON; never raises."""
    try:
        request = json.loads(line)
    except (ValueError, RecursionError) as error:
        return _refused(f"the line is no JSON: {error}")
    if not isinstance(request, dict):
        return _refused(
            f"the line is {kind_of(request)}; expected an object with a filter (or cesql) and an event"
        )
    odd = next((name for name in request if name not in _KEYS), None)
    if odd is not None:
        return _refused(f"{odd!r} has no meaning here; expected filter or cesql, and event")
    if ("filter" in request) == ("cesql" in request):
        found = "both" if "filter" in request else "neither"
        return _refused(f"the line has {found} of filter and cesql; expected one of them")
    event = request.get("event")
    if not isinstance(event, dict):
        return _refused(f"event is {'missing' if event is None else kind_of(event)}; expected an object")
    try:
        return _filter(request["filter"], event) if "filter" in request else _cesql(request["cesql"], event)
    except RecursionError:
        return _refused("the line is nested too deep")


def _filter(pattern: Any, event: Mapping[str, Any]) -> Answer:
    cloud_event = "specversion" in event
    try:
        compiled = compile_filter(pattern, any_object=not cloud_event)
    except FilterError as error:
        return _refused(f"filter.{error}" if error.path else f"filter {error}")

    def look(name: str) -> Any:
        value = event.get(name, ABSENT)
        return ABSENT if cloud_event and value is None else value

    failure = compiled.reason(look)
    if failure is None:
        return {"matched": True, "why": "matches", "value": None, "error": None}
    clause, expected, seen = failure
    return {
        "matched": False,
        "why": f"{clause} is {_shown(seen)}; expected {_shown(expected)}",
        "value": None,
        "error": None,
    }


def _cesql(text: Any, event: Mapping[str, Any]) -> Answer:
    if not isinstance(text, str):
        return _refused(f"cesql is {kind_of(text)}; expected a text, the expression")
    try:
        expression = compile_expression(text)
    except SyntaxProblem as error:
        return {**_refused(f"parse: {error}"), "value": False}
    result = expression.evaluate(lambda name: _primitive(event.get(name)) if name not in _DATA else None)
    if result.error is not None:
        why = f"does not match: {result.error}"
    elif result.value is True:
        why = "matches"
    elif result.value is False:
        why = "does not match: the expression is false"
    else:
        why = f"does not match: the expression is {result.value!r}, which is no boolean"
    return {"matched": result.passes, "why": why, "value": result.value, "error": result.error}


def _primitive(value: Any) -> Value | None:
    """An attribute as CESQL sees it; what is none of its types becomes text."""
    if value is None or type(value) in (str, bool):
        return value  # type: ignore[no-any-return] # just compared
    if type(value) is int and SMALLEST <= value <= LARGEST:
        return value
    return json.dumps(value, ensure_ascii=False)


def _refused(problem: str) -> Answer:
    return {"matched": False, "why": "not tried", "value": None, "error": problem}


def _shown(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f'"{name}": {_shown(inner)}' for name, inner in value.items()) + "}"
    return "absent" if value is ABSENT else json.dumps(value, ensure_ascii=False, default=str)
