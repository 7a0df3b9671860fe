"""`context.metrics`: numbers of the service's own, which the platform adds up and draws."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ferris_ef.events import Events

TYPE = "ferris.metric.recorded"
TOPIC = "ferris.metrics"
MOST_POINTS = 1000
"""In one script."""
MOST_LABELS = 8
LONGEST_NAME = 100
_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-")


class Metrics:
    """`metrics.put(...)`."""

    def __init__(self, events: Events) -> None:
        self._events = events
        self._count = 0

    def put(self, name: str, value: float, unit: str = "", labels: dict[str, str] | None = None) -> None:
        """Record one value, such as `put("orders.total", 129.5, unit="EUR", labels={"shop": "north"})`.

        Values of one name and the same labels are one line of the chart on the service's page. It is kept once the
        script has ended, also when the script fails afterwards. Not for every row of a table: a script may record
        1000 values. ValueError or TypeError for what cannot be recorded, PlatformError without a platform.
        """
        labels = {} if labels is None else labels
        _name("name", name)
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise TypeError(f"value: is a {type(value).__name__}; expected a number")
        if not -1e300 < value < 1e300:
            raise ValueError(f"value: is {value!r}; expected a number between -1e300 and 1e300")
        _text("unit", unit, empty=True)
        if not isinstance(labels, dict):
            raise TypeError(f"labels: is a {type(labels).__name__}; expected a dict of texts")
        if len(labels) > MOST_LABELS:
            raise ValueError(f"labels: are {len(labels)}; expected at most {MOST_LABELS}")
        for key, text in labels.items():
            _name("labels", key)
            _text(f"labels.{key}", text)
        if self._count >= MOST_POINTS:
            raise ValueError(
                f"a script records at most {MOST_POINTS} values; add them up first and record the sums"
            )
        self._count += 1
        data = {"name": name, "value": float(value), "unit": unit, "labels": labels}
        self._events.send(TYPE, data=data, topic=TOPIC)


def _name(which: str, value: Any) -> None:
    _text(which, value)
    if not _PLAIN.issuperset(value):
        raise ValueError(f"{which}: is {value!r}; expected letters of ASCII, digits, and . _ -")


def _text(which: str, value: Any, *, empty: bool = False) -> None:
    if not isinstance(value, str):
        raise TypeError(f"{which}: is a {type(value).__name__}; expected a text")
    if (not value and not empty) or len(value) > LONGEST_NAME or not value.isprintable():
        raise ValueError(f"{which}: is {value[:50]!r}; expected 1 to {LONGEST_NAME} printable characters")
