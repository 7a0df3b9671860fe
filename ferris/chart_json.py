"""Chart JSON: what a service leaves behind, or an address answers, to be drawn as a chart.

    {"labels": ["north", "south"], "series": [{"name": "orders", "values": [12, 7]}], "unit": "EUR"}
    {"value": 129.5, "unit": "EUR"}

Chart.js's own form (`datasets` of `label` and `data`) is understood too. Whoever wrote it is not trusted: it is
bounded, and what is wrong is told with its place.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from ferris.charts import Series, Value
from ferris.errors import FerrisError
from ferris.json_text import JsonProblem, read_json

MAX_BYTES: Final = 256 * 1024
MOST_LABELS: Final = 500
MOST_SERIES: Final = 20
LONGEST_TEXT: Final = 200
LONGEST_UNIT: Final = 20
LARGEST: Final = 1e15
"""Beyond it neighbours are no longer told apart, and nobody reads them."""

_NUMBER: Final = {"type": "number", "minimum": -LARGEST, "maximum": LARGEST}
_TEXT: Final = {"type": "string", "maxLength": LONGEST_TEXT}
_NAME: Final = {**_TEXT, "type": ["string", "null"]}
_UNIT: Final = {"type": ["string", "null"], "maxLength": LONGEST_UNIT}
_VALUES: Final = {
    "type": "array",
    "maxItems": MOST_LABELS,
    "items": {"anyOf": [_NUMBER, _TEXT, {"type": "null"}]},
}


def _several(list_name: str, name: str, values: str) -> dict[str, Any]:
    one = {"type": "object", "required": [values], "properties": {name: _NAME, values: _VALUES}}
    return {
        "required": ["labels", list_name],
        "properties": {
            "labels": {
                "type": "array",
                "maxItems": MOST_LABELS,
                "items": {"anyOf": [_TEXT, _NUMBER]},
            },
            list_name: {"type": "array", "minItems": 1, "maxItems": MOST_SERIES, "items": one},
        },
    }


SCHEMA: Final[Mapping[str, Any]] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "Chart JSON",
    "type": "object",
    "properties": {"unit": _UNIT},
    "anyOf": [
        _several("series", "name", "values"),
        _several("datasets", "label", "data"),
        {"required": ["value"], "properties": {"value": {"anyOf": [_NUMBER, _TEXT, {"type": "null"}]}}},
    ],
}
"""As a JSON schema; that a series has no more values than there are labels is beyond what one can say."""


class ChartProblem(FerrisError):
    """What is wrong with chart JSON, and where."""

    def __init__(self, place: str, problem: str) -> None:
        super().__init__(place, problem)
        self.place, self.problem = place, problem

    def __str__(self) -> str:
        return f"{self.place} {self.problem}" if self.place else self.problem


@dataclass(frozen=True)
class Drawn:
    """What chart JSON says."""

    labels: tuple[str, ...]
    series: tuple[Series, ...]
    unit: str = ""

    def as_json(self) -> dict[str, Any]:
        """In the first of the forms, to be kept and read again."""
        return {
            "labels": list(self.labels),
            "series": [{"name": one.name, "values": list(one.values)} for one in self.series],
            "unit": self.unit,
        }


def read(content: bytes) -> Drawn:
    """The chart that a file or an answer holds. ChartProblem."""
    if len(content) > MAX_BYTES:
        raise ChartProblem("", f"is longer than {MAX_BYTES // 1024} KiB")
    try:
        return drawn(read_json(content.decode("utf-8-sig")))
    except UnicodeDecodeError:
        raise ChartProblem("", "is no JSON: it is not UTF-8") from None
    except JsonProblem as error:
        raise ChartProblem("", f"is no JSON: {error}") from None


def drawn(said: Any) -> Drawn:
    """The chart of a JSON value. ChartProblem."""
    if not isinstance(said, Mapping):
        raise ChartProblem("", 'is no object such as {"labels": ["a"], "series": [{"values": [1]}]}')
    unit = said.get("unit")
    unit = "" if unit is None else _text("unit", unit, LONGEST_UNIT)
    if "value" in said:
        return Drawn(("value",), (Series("value", (_value("value", said["value"]),)),), unit)
    if "series" in said:
        return _several_of(said, "series", "name", "values", unit)
    if "datasets" in said:
        return _several_of(said, "datasets", "label", "data", unit)
    raise ChartProblem("", "has neither series, datasets nor value")


def _several_of(said: Mapping[str, Any], key: str, name: str, values: str, unit: str) -> Drawn:
    labels = tuple(
        _label(f"labels[{n}]", one)
        for n, one in enumerate(_list("labels", said.get("labels"), MOST_LABELS, "labels"))
    )
    found = _list(key, said[key], MOST_SERIES, "series")
    if not found:
        raise ChartProblem(key, "is empty; expected at least one series")
    series = []
    for n, one in enumerate(found):
        place = f"{key}[{n}]"
        if not isinstance(one, Mapping):
            raise ChartProblem(place, f"is no object with {values}")
        given = _list(f"{place}.{values}", one.get(values), MOST_LABELS, "values")
        if len(given) > len(labels):
            raise ChartProblem(
                f"{place}.{values}",
                f"has {len(given)} values for {len(labels)} labels; expected one for each",
            )
        called = one.get(name)
        series.append(
            Series(
                f"series {n + 1}" if called is None else _text(f"{place}.{name}", called, LONGEST_TEXT),
                tuple(_value(f"{place}.{values}[{m}]", value) for m, value in enumerate(given)),
            )
        )
    return Drawn(labels, tuple(series), unit)


def _list(place: str, said: Any, most: int, what: str) -> list[Any]:
    if not isinstance(said, list):
        raise ChartProblem(place, "is missing" if said is None else "is no list")
    if len(said) > most:
        raise ChartProblem(place, f"has {len(said)} {what}; at most {most} are drawn")
    return said


def _text(place: str, said: Any, longest: int) -> str:
    if not isinstance(said, str):
        raise ChartProblem(place, "is no text")
    if len(said) > longest:
        raise ChartProblem(place, f"has {len(said)} characters; at most {longest} are shown")
    return "".join(char if char.isprintable() else " " for char in said)


def _label(place: str, said: Any) -> str:
    found = _value(place, said)
    if found is None:
        raise ChartProblem(place, "is null; expected a text or a number")
    return found if isinstance(found, str) else f"{found:g}" if isinstance(found, float) else str(found)


def _value(place: str, said: Any) -> Value:
    if said is None:
        return None
    if isinstance(said, str):
        return _text(place, said, LONGEST_TEXT)
    if isinstance(said, bool) or not isinstance(said, int | float):
        raise ChartProblem(place, "is neither a number, a text nor null")
    if not math.isfinite(said) or abs(said) > LARGEST:
        raise ChartProblem(place, f"is no number from -{LARGEST:.0e} to {LARGEST:.0e}".replace("+", ""))
    return said
