"""Reading what users wrote: JSON documents, value by value, with a message for every mistake.

A message says which file, which key (a JSON path), what is there and what was expected. Nothing here
raises: a wrong value becomes a message and the default, so that one look shows all mistakes of a file.
Values are never shown from secrets.json.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, Never, overload

from ferris.attributes import kind_of, shown
from ferris.content import check_value
from ferris.errors import EventError
from ferris.isolation import size_of, size_text
from ferris.json_text import place, syntax_problem

Level = Literal["error", "warning", "info"]

MAX_DOCUMENT: Final = 1024 * 1024
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)?", re.ASCII)
_SECONDS = {"ms": 0.001, None: 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
_FLAGS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
_UTF16 = (b"\xff\xfe", b"\xfe\xff")


@dataclass(frozen=True, slots=True)
class Message:
    """Something to tell the owner of a service. An error keeps the service from being synced."""

    level: Level
    file: str
    key: str
    text: str

    def __str__(self) -> str:
        return f"{self.file}: {self.key} {self.text}" if self.key else f"{self.file} {self.text}"


class Notes:
    """Collects the messages of one service."""

    def __init__(self) -> None:
        self.messages: list[Message] = []

    def error(self, file: str, key: str, text: str) -> None:
        self.messages.append(Message("error", file, key, text))

    def warning(self, file: str, key: str, text: str) -> None:
        self.messages.append(Message("warning", file, key, text))

    def info(self, file: str, key: str, text: str) -> None:
        self.messages.append(Message("info", file, key, text))

    @property
    def failed(self) -> bool:
        return any(message.level == "error" for message in self.messages)


class Section:
    """One JSON object inside a document; its readers take a key, check the value and note what is wrong."""

    def __init__(self, values: Mapping[str, Any], file: str, path: str, notes: Notes) -> None:
        self.values, self.file, self.path, self.notes = values, file, path, notes

    def key(self, name: str) -> str:
        return f"{self.path}.{name}" if self.path else name

    def get(self, name: str) -> Any:
        """The raw value; null counts as absent."""
        return self.values.get(name)

    def wrong(self, name: str, expected: str) -> None:
        self.notes.error(self.file, self.key(name), f"is {shown(self.get(name))}; expected {expected}")

    def known(self, names: Iterable[str]) -> None:
        """Warn of keys that nobody reads."""
        names = list(names)
        for name in self.values:
            if name not in names:
                hint = near(name, names)
                self.notes.warning(
                    self.file, self.key(name), f"is not a key this platform knows{hint}; it is ignored"
                )

    def text(self, name: str, default: str = "", *, limit: int = 10_000) -> str:
        value = self.get(name)
        if value is None:
            return default
        if not isinstance(value, str) or len(value) > limit:
            self.wrong(name, f"a text of at most {limit} characters")
            return default
        return value

    def flag(self, name: str, default: bool) -> bool:
        value = self.get(name)
        if value is None:
            return default
        flag = _FLAGS.get(str(value).strip().lower()) if isinstance(value, (bool, int, str)) else None
        if flag is None:
            self.wrong(name, "true or false")
            return default
        return flag

    def whole(self, name: str, default: int, low: int, high: int) -> int:
        value = self.get(name)
        number = whole_of(value)
        if value is None:
            return default
        if number is None or not low <= number <= high:
            self.wrong(name, f"a whole number from {low} to {high}")
            return default
        return number

    def number(self, name: str, default: float, low: float, high: float) -> float:
        value = self.get(name)
        number = number_of(value)
        if value is None:
            return default
        if number is None or not low <= number <= high:
            self.wrong(name, f"a number from {low:g} to {high:g}")
            return default
        return number

    @overload
    def duration(self, name: str, default: float, low: float, high: float) -> float: ...
    @overload
    def duration(self, name: str, default: None, low: float, high: float) -> float | None: ...
    def duration(self, name: str, default: float | None, low: float, high: float) -> float | None:
        value = self.get(name)
        if value is None:
            return default
        seconds = duration_of(value)
        if seconds is None or not low <= seconds <= high:
            self.wrong(
                name, f'seconds or a text such as "30s", "5m", "2h", "1d", from {low:g} s to {high:g} s'
            )
            return default
        return seconds

    def size(self, name: str, low: int) -> int | None:
        value = self.get(name)
        if value is None:
            return None
        size = size_of(value)
        if size is None or (size and not low <= size < 1 << 50):
            self.wrong(
                name, f'bytes or a text such as "512MB", "2GB", at least {size_text(low)}; 0 for no limit'
            )
            return None
        return size

    def texts(self, name: str) -> tuple[str, ...]:
        """A list of texts that are not empty; a single text stands for a list of one, with a warning."""
        value = self.get(name)
        if value is None:
            return ()
        if isinstance(value, str):
            self.notes.warning(
                self.file, self.key(name), f"is a text; expected a list, taken as [{shown(value)}]"
            )
            value = [value]
        if not isinstance(value, list):
            self.wrong(name, "a list of texts")
            return ()
        found = []
        for index, item in enumerate(value):
            if isinstance(item, str) and item.strip():
                found.append(item.strip())
            else:
                self.notes.error(
                    self.file,
                    f"{self.key(name)}[{index}]",
                    f"is {shown(item)}; expected a text that is not empty",
                )
        return tuple(found)


def near(name: str, names: Iterable[str]) -> str:
    """' (did you mean x?)' when one of the names is close, else ''."""
    import difflib

    flat = {_flat(candidate): candidate for candidate in names}
    found = difflib.get_close_matches(_flat(name), flat, n=1, cutoff=0.7)
    return f" (did you mean {flat[found[0]]}?)" if found else ""


def _flat(name: str) -> str:
    return re.sub(r"[^a-z0-9./]", "", name.lower())


def whole_of(value: Any) -> int | None:
    """A whole number from a number or a text; None when it is none."""
    number = number_of(value)
    return int(number) if number is not None and number == int(number) else None


def number_of(value: Any) -> float | int | None:
    """A finite number from a number or a text; None when it is none."""
    if isinstance(value, str):
        text = value.strip()
        if len(text) > 400 or "_" in text:
            return None
        try:
            value = int(text)
        except ValueError:
            try:
                value = float(text)
            except ValueError:
                return None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return value if isinstance(value, int) or math.isfinite(value) else None


def duration_of(value: Any) -> float | None:
    """Seconds from a number, or from a text with a unit; None when it is neither."""
    if isinstance(value, str):
        match = _DURATION.fullmatch(value.strip().lower())
        if not match or len(match[1]) > 20:
            return None
        return float(match[1]) * _SECONDS[match[2]]
    number = number_of(value)
    return None if number is None or abs(number) > 1e12 else float(number)


def _span(seconds: float) -> str:
    return f"{seconds / 86400:g} days" if seconds >= 86400 else f"{seconds:g} s"


def read_text(file: str, content: bytes, notes: Notes) -> str | None:
    """A file as text, or None and a message. A byte order mark is dropped."""
    if content[:2] in _UTF16:
        notes.error(file, "", "is in UTF-16; expected UTF-8")
        return None
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        notes.error(file, "", f"is not UTF-8: line {line}, byte {error.start}; save it in UTF-8")
        return None


def read_object(file: str, content: bytes, notes: Notes) -> dict[str, Any] | None:
    """The JSON object a file holds, or None and a message that says where it goes wrong."""
    if len(content) > MAX_DOCUMENT:
        notes.error(file, "", f"has {len(content)} bytes; expected at most {MAX_DOCUMENT}")
        return None
    text = read_text(file, content, notes)
    value = None if text is None else _read_json(file, text, notes)
    if value is None:
        return None
    if not isinstance(value[0], dict):
        notes.error(file, "", f"holds {kind_of(value[0])}; expected a JSON object, {{...}}")
        return None
    return value[0]


def _read_json(file: str, text: str, notes: Notes) -> tuple[Any] | None:
    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name, value in items:
            if name in found:
                notes.warning(file, name, "stands more than once in the same object; the last one counts")
            found[name] = value
        return found

    try:
        value = json.loads(text, object_pairs_hook=pairs, parse_constant=_refuse)
        check_value(value, 1, "")
    except json.JSONDecodeError as error:
        notes.error(file, "", _syntax(text, error))
        return None
    except EventError as error:
        notes.error(file, "", error.problem)
        return None
    except ValueError as error:
        notes.error(file, "", f"is not JSON: {error}")
        return None
    except RecursionError:
        notes.error(file, "", "is nested too deeply")
        return None
    return (value,)


def _refuse(name: str) -> Never:
    raise ValueError(f"{name} is no number in JSON; expected a finite number or null")


def _syntax(text: str, error: json.JSONDecodeError) -> str:
    if not text.strip():
        return "is empty; expected a JSON object, {...}"
    problem, position = syntax_problem(text, error)
    line, column = place(text, position)
    what, _, remedy = problem.partition("; ")
    return f"is not JSON: {what} at line {line}, column {column}" + (f"; {remedy}" if remedy else "")
