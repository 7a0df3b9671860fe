"""Parameters: the fields of a service's run form (parameters.json), and the values someone submits."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Self

from ferris.attributes import kind_of, shown
from ferris.documents import Message, Notes, Section, near, number_of, whole_of

TYPES: Final = ("text", "textarea", "file", "int", "float", "select", "multiselect", "radio")
NUMBERS: Final = ("int", "float")
CHOOSERS: Final = ("select", "multiselect", "radio")
RESERVED: Final = (
    "package_name", "package_id", "secrets", "_fxcid", "_fxexec", "_fxparentexec", "origin_event_type",
)  # fmt: skip
"""Names the platform sets in every script's argument."""

MAX_TEXT: Final = 100_000
VALUES: Final = "parameters"
"""What stands for the file in messages about submitted values."""

_KEYS = (
    "type", "name", "label", "description", "required", "default", "placeholder",
    "min", "max", "step", "choices", "data",
)  # fmt: skip
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")


@dataclass(frozen=True, slots=True)
class Choice:
    title: str
    value: str | int | float | bool


@dataclass(frozen=True, slots=True)
class Parameter:
    """One field of the form. `choices` for select, multiselect and radio; `bucket` for file."""

    type: str
    name: str
    label: str
    description: str = ""
    required: bool = False
    default: Any = None
    placeholder: str = ""
    min: float | None = None
    max: float | None = None
    step: float | None = None
    choices: tuple[Choice, ...] = ()
    bucket: str | None = None
    data_async: bool = False

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """The field from its plain values, as `dataclasses.asdict` gives them."""
        known = {name: document[name] for name in cls.__slots__ if name in document}
        return cls(**{**known, "choices": tuple(Choice(**choice) for choice in known.get("choices", ()))})


class _Wrong(Exception):
    """What is wrong with one value, without its name."""


# --- the form --------------------------------------------------------------------------------------


def parse_fields(document: Mapping[str, Any], file: str, notes: Notes) -> tuple[Parameter, ...]:
    """The fields of a parameters.json; what is wrong is noted and that field left out."""
    section = Section(document, file, "", notes)
    section.known(("fields",))
    fields = document.get("fields")
    if not isinstance(fields, list):
        section.wrong("fields", "a list of fields, each with a type and a name")
        return ()
    parameters: dict[str, Parameter] = {}
    for index, field in enumerate(fields):
        path = f"fields[{index}]"
        if not isinstance(field, dict):
            notes.error(file, path, f"is {kind_of(field)}; expected an object with a type and a name")
            continue
        parameter = _field(Section(field, file, path, notes))
        if parameter is None:
            continue
        if parameter.name in parameters:
            notes.error(
                file,
                f"{path}.name",
                f"is {parameter.name!r}, as an earlier field's; expected names once each",
            )
        parameters[parameter.name] = parameter
    return tuple(parameters.values())


def _field(section: Section) -> Parameter | None:
    section.known(_KEYS)
    before = len(section.notes.messages)
    kind, name = _type(section), _name(section)
    if kind is None or name is None:
        return None
    low, high, step = _range(section, kind)
    bucket, data_async = _data(section, kind)
    parameter = Parameter(
        type=kind,
        name=name,
        label=section.text("label", limit=500) or name,
        description=section.text("description"),
        required=section.flag("required", False),
        placeholder=_placeholder(section),
        min=low,
        max=high,
        step=step,
        choices=_choices(section, kind),
        bucket=bucket,
        data_async=data_async,
    )
    if any(message.level == "error" for message in section.notes.messages[before:]):
        return parameter
    return _with_default(section, parameter)


def _type(section: Section) -> str | None:
    kind = section.get("type")
    if isinstance(kind, str) and kind.strip().lower() in TYPES:
        return kind.strip().lower()
    hint = near(kind, TYPES) if isinstance(kind, str) else ""
    section.wrong("type", f"one of {', '.join(TYPES)}{hint}")
    return None


def _name(section: Section) -> str | None:
    name = section.get("name")
    if not isinstance(name, str) or not name.strip() or len(name) > 255 or not name.isprintable():
        section.wrong("name", "a text of 1 to 255 characters")
        return None
    if name in RESERVED:
        section.wrong("name", "another name: the platform itself gives this one to every script")
        return None
    return name


def _placeholder(section: Section) -> str:
    value = section.get("placeholder")
    return str(value) if number_of(value) is not None else section.text("placeholder", limit=500)


def _range(section: Section, kind: str) -> tuple[float | None, float | None, float | None]:
    found: list[float | None] = []
    for name in ("min", "max", "step"):
        value = section.get(name)
        if value in (None, ""):
            found.append(None)
            continue
        number = number_of(value)
        if kind not in NUMBERS:
            section.notes.warning(
                section.file, section.key(name), f"is for int and float; a {kind} field does not use it"
            )
            number = None
        elif number is None:
            section.wrong(name, "a number")
        found.append(number)
    low, high, step = found
    if low is not None and high is not None and low > high:
        section.wrong("min", f"at most max, which is {high:g}")
    if step is not None and step <= 0:
        section.wrong("step", "a number above 0")
    return low, high, step


def _choices(section: Section, kind: str) -> tuple[Choice, ...]:
    given = section.get("choices")
    if kind not in CHOOSERS:
        if given:
            section.notes.warning(
                section.file,
                section.key("choices"),
                f"is for {', '.join(CHOOSERS)}; a {kind} field does not use it",
            )
        return ()
    if not isinstance(given, list) or not given:
        section.wrong("choices", f'a list of {{"title": ..., "value": ...}}, which a {kind} field needs')
        return ()
    choices: dict[str, Choice] = {}
    for index, item in enumerate(given):
        key = f"{section.key('choices')}[{index}]"
        value = item.get("value") if isinstance(item, dict) else item
        title = item.get("title") if isinstance(item, dict) else None
        if not isinstance(value, (str, int, float)):
            section.notes.error(
                section.file, key, 'has no usable value; expected {"title": text, "value": text or number}'
            )
        elif str(value) in choices:
            section.notes.error(
                section.file, key, f"has the value {shown(value)} of an earlier choice; expected each once"
            )
        else:
            choices[str(value)] = Choice(str(value if title in (None, "") else title), value)
    return tuple(choices.values())


def _data(section: Section, kind: str) -> tuple[str | None, bool]:
    data = section.get("data")
    if data is None:
        return None, False
    if kind != "file":
        section.notes.warning(
            section.file, section.key("data"), f"is for file; a {kind} field does not use it"
        )
        return None, False
    if not isinstance(data, dict):
        section.wrong("data", 'an object {"bucket": ..., "async": ...}')
        return None, False
    inner = Section(data, section.file, section.key("data"), section.notes)
    inner.known(("bucket", "async"))
    bucket = inner.get("bucket")
    if bucket is not None and not (isinstance(bucket, str) and _BUCKET.fullmatch(bucket)):
        inner.wrong("bucket", "the name of a bucket: 3 to 63 of a-z, 0-9, dot and hyphen")
        bucket = None
    return bucket, inner.flag("async", False)


def _with_default(section: Section, parameter: Parameter) -> Parameter:
    default = section.get("default")
    if _is_empty(default):
        return parameter
    if parameter.type == "file":
        section.notes.warning(section.file, section.key("default"), "is not for file fields; it is ignored")
        return parameter
    if parameter.type == "multiselect" and not isinstance(default, list):
        section.notes.warning(
            section.file, section.key("default"), f"is {shown(default)}; expected a list, taken as one"
        )
    try:
        value = _coerce(parameter, default)
    except _Wrong as wrong:
        section.notes.error(section.file, section.key("default"), str(wrong))
        return parameter
    return replace(parameter, default=value)


# --- values ----------------------------------------------------------------------------------------


def parse_parameters(
    fields: Sequence[Parameter], values: Mapping[str, Any]
) -> tuple[dict[str, Any], list[Message]]:
    """Submitted values as a script gets them, and what is wrong with them (errors name the field in `key`).

    A field that was left out or empty takes its default. Values of no field pass as they are, with a
    warning when there is a form. A file is {"bucket", "key"}; a text counts as the key.
    """
    notes = Notes()
    taken: dict[str, Any] = {}
    for field in fields:
        given = values.get(field.name)
        if _is_empty(given):
            if field.default is not None:
                taken[field.name] = field.default
            elif field.required:
                notes.error(VALUES, field.name, f"is missing; expected {_expected(field)}")
            continue
        try:
            taken[field.name] = _coerce(field, given)
        except _Wrong as wrong:
            notes.error(VALUES, field.name, str(wrong))
    names = {field.name for field in fields}
    for name, value in values.items():
        if name in RESERVED:
            notes.error(VALUES, name, "is a name the platform sets itself; expected another one")
        elif name not in names:
            taken[name] = value
            if names:
                notes.warning(
                    VALUES, name, f"is no field of this service{near(name, names)}; passed on as it is"
                )
    return taken, notes.messages


def _is_empty(value: Any) -> bool:
    return value is None or (isinstance(value, (str, list)) and not value)


def _coerce(field: Parameter, value: Any) -> Any:
    """The value in the type of its field; _Wrong says what was expected."""
    match field.type:
        case "int" | "float":
            return _number(field, value)
        case "select" | "radio":
            return _choice(field, value)
        case "multiselect":
            chosen = value if isinstance(value, (list, tuple)) else [value]
            return list(dict.fromkeys(_choice(field, item) for item in chosen))
        case "file":
            return _file(field, value)
    if isinstance(value, (bool, list, dict)):
        raise _Wrong(f"is {kind_of(value)}; expected {_expected(field)}")
    text = str(value)
    if len(text) > MAX_TEXT:
        raise _Wrong(f"has {len(text)} characters; expected at most {MAX_TEXT}")
    if "\0" in text:
        raise _Wrong("holds the character NUL; expected text without it")
    return text


def _number(field: Parameter, value: Any) -> float | int:
    number = whole_of(value) if field.type == "int" else number_of(value)
    in_range = (
        number is not None
        and (field.min is None or number >= field.min)
        and (field.max is None or number <= field.max)
        and abs(number) < 2**63
    )
    if number is None or not in_range or not _on_step(field, number):
        raise _Wrong(f"is {shown(value)}; expected {_expected(field)}")
    return number if field.type == "int" else float(number)


def _on_step(field: Parameter, number: float) -> bool:
    """As browsers count: steps begin at min, or at 0."""
    if field.step is None:
        return True
    steps = (number - (field.min or 0)) / field.step
    return abs(steps - round(steps)) < 1e-6


def _choice(field: Parameter, value: Any) -> str | int | float | bool:
    """By its text, because forms send texts; the answer is the value as parameters.json writes it."""
    for choice in field.choices:
        if str(choice.value) == str(value):
            return choice.value
    raise _Wrong(f"is {shown(value)}; expected {_expected(field)}")


def _file(field: Parameter, value: Any) -> dict[str, Any]:
    if isinstance(value, str):
        value = {"key": value}
    if not isinstance(value, Mapping) or not isinstance(value.get("key"), str) or not value["key"]:
        raise _Wrong(f"is {shown(value)}; expected {_expected(field)}")
    bucket = value.get("bucket", field.bucket)
    if not isinstance(bucket, str):
        raise _Wrong("names no bucket; expected an object with bucket and key")
    return {**value, "bucket": bucket}


def _expected(field: Parameter) -> str:
    """What a value of the field looks like, in words."""
    if field.type in CHOOSERS:
        shown_choices = ", ".join(str(choice.value) for choice in field.choices[:10])
        more = ", ..." if len(field.choices) > 10 else ""
        return f"{'a list of' if field.type == 'multiselect' else 'one of'} {shown_choices}{more}"
    if field.type == "file":
        return "an uploaded file (an object with bucket and key)"
    if field.type not in NUMBERS:
        return "a text"
    parts = ["a whole number" if field.type == "int" else "a number"]
    if field.min is not None:
        parts.append(f"from {field.min:g}")
    if field.max is not None:
        parts.append(f"to {field.max:g}")
    if field.step is not None:
        parts.append(f"in steps of {field.step:g}")
    return " ".join(parts)
