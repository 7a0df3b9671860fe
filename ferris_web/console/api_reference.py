"""The REST API as pages: what the OpenAPI document says of each operation, arranged to be read and tried."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from http import HTTPStatus
from typing import Any, Final

from ferris.errors import NotFound
from ferris_web.console.presentation import json_text
from ferris_web.openapi import document

_Schema = Mapping[str, Any]
_DEEPEST: Final = 6  # levels of a shape that are listed; what lies deeper, its example shows
_LIMITS: Final = {
    "minimum": "from {}",
    "maximum": "to {}",
    "minLength": "at least {} characters",
    "maxLength": "at most {} characters",
    "maxItems": "at most {} of them",
}


@dataclass(frozen=True, slots=True)
class Field:
    """A parameter, or a part of a body: `name` says where it stands, as in `results[].id`."""

    name: str
    kind: str
    required: bool
    description: str
    limits: str
    choices: tuple[str, ...] = ()

    @property
    def unexplained(self) -> tuple[str, ...]:
        """The choices, unless the description goes through all of them."""
        told = all(f"* `{one}`:" in self.description for one in self.choices)
        return () if told else self.choices


@dataclass(frozen=True, slots=True)
class Body:
    """What is sent or answered in one form."""

    media_type: str
    kind: str
    fields: tuple[Field, ...]
    example: str

    @property
    def is_file(self) -> bool:
        """True of bytes, which are chosen and not written."""
        return self.kind == "file"


@dataclass(frozen=True, slots=True)
class Answer:
    """A status and what comes with it."""

    code: str
    phrase: str
    description: str
    bodies: tuple[Body, ...]


@dataclass(frozen=True, slots=True)
class Operation:
    """A method of an address. `id` is its name in the document and in the address of its page."""

    id: str
    group: str
    method: str
    path: str
    summary: str
    description: str
    told: _Schema = field(repr=False)

    @property
    def place(self) -> str:
        """The address without what all of them begin with."""
        return self.path.removeprefix("/api/v1")

    @property
    def parameters(self) -> dict[str, tuple[Field, ...]]:
        """By where they are given: `path`, `query`, `header`."""
        found: dict[str, list[Field]] = {"path": [], "query": [], "header": []}
        for one in self.told.get("parameters", ()):
            found[one["in"]].append(_field(one["name"], one["schema"], one.get("required", False), one))
        return {where: tuple(fields) for where, fields in found.items()}

    @property
    def bodies(self) -> tuple[Body, ...]:
        """The forms in which something may be sent; none where nothing is."""
        return _bodies(self.told.get("requestBody", {}), sent=True)

    @property
    def answers(self) -> tuple[Answer, ...]:
        """In the order of their status, without the faults that all operations have in common."""
        return tuple(
            Answer(code, _phrase(code), told.get("description", ""), _bodies(told, sent=False))
            for code, told in sorted(self.told["responses"].items())
            if code != "default"
        )

    def holds(self, words: list[str]) -> bool:
        """Whether all of them are in what is said of it."""
        text = (
            f"{self.id} {self.method} {self.path} {self.group} {self.summary} {self.description}".casefold()
        )
        return all(word in text for word in words)


@dataclass(frozen=True, slots=True)
class Group:
    """Operations about one kind of thing."""

    name: str
    operations: tuple[Operation, ...]

    @property
    def title(self) -> str:
        """Its name as a heading."""
        return self.name.replace("-", " ").capitalize()


def groups(query: str = "") -> list[Group]:
    """All of them by name, or what holds every word of `query`."""
    words = query.casefold().split()
    found: dict[str, list[Operation]] = {}
    for one in _operations().values():
        if one.holds(words):
            found.setdefault(one.group, []).append(one)
    return [Group(name, tuple(found[name])) for name in sorted(found)]


def operation(name: str) -> Operation:
    """The operation of that id; NotFound."""
    try:
        return _operations()[name]
    except KeyError:
        raise NotFound(f"the API has no operation {name!r}") from None


@cache
def _operations() -> dict[str, Operation]:
    return {
        told["operationId"]: Operation(
            told["operationId"],
            told["tags"][0],
            method.upper(),
            path,
            told["summary"],
            told["description"],
            told,
        )
        for path, methods in document()["paths"].items()
        for method, told in methods.items()
    }


def _bodies(told: _Schema, *, sent: bool) -> tuple[Body, ...]:
    return tuple(
        Body(kind, "stream", (), "")  # of what the same address answers without `follow`
        if kind == "text/event-stream"
        else Body(kind, _kind(content["schema"]), tuple(_parts(content["schema"], sent)), _example(content))
        for kind, content in told.get("content", {}).items()
    )


def _example(content: _Schema) -> str:
    if "example" in content:
        raw = content["schema"].get("type") == "string"  # text and bytes: as they are, not as JSON
        return str(content["example"]) if raw else json_text(content["example"])
    for named in content.get("examples", {}).values():
        return json_text(named["value"])
    return ""


def _parts(schema: _Schema, sent: bool, at: str = "", within: tuple[int, ...] = ()) -> Iterator[Field]:
    """The fields of a shape and of what lies in it, each below the one that holds it. What is answered is always
    whole: only of what is sent it matters whether a field may be missing."""
    schema = _resolved(schema)
    if id(schema) in within or len(within) == _DEEPEST:
        return
    within = (*within, id(schema))
    if "items" in schema:
        yield from _parts(schema["items"], sent, f"{at}[]", within)
    for part in (*schema.get("allOf", ()), *schema.get("oneOf", ()), *schema.get("anyOf", ())):
        yield from _parts(part, sent, at, within)
    required = schema.get("required", ())
    for name, told in schema.get("properties", {}).items():
        whole = f"{at}.{name}" if at else name
        yield _field(whole, told, sent and name in required, told)
        yield from _parts(told, sent, whole, within)
    inner = schema.get("additionalProperties")
    if isinstance(inner, dict):
        yield from _parts(inner, sent, f"{at}.*" if at else "*", within)


def _field(name: str, schema: _Schema, required: bool, told: _Schema) -> Field:
    whole = _resolved(schema)
    return Field(
        name,
        _kind(schema),
        required,
        told.get("description") or whole.get("description", ""),
        ", ".join(_limits(whole)),
        tuple(str(one) for one in whole.get("enum", ()) if one not in (None, "")),
    )


def _limits(schema: _Schema) -> Iterator[str]:
    for key, said in _LIMITS.items():
        if key in schema and (key, schema[key]) != ("minLength", 1):
            yield said.format(schema[key])
    if schema.get("default") not in (None, "", [], {}):
        yield f"{schema['default']} if not given"


def _kind(schema: _Schema) -> str:
    """The type in words: `string or null`, `list of integer`, `uuid`."""
    schema = _resolved(schema)
    choices = [_kind(one) for key in ("oneOf", "anyOf") for one in schema.get(key, ())]
    if choices:
        return " or ".join(dict.fromkeys(choices))
    if "allOf" in schema:
        return _kind(schema["allOf"][0])
    types = schema.get("type", "any value")
    types = types if isinstance(types, list) else [types]
    return " or ".join(_named(one, schema) for one in types)


def _named(kind: str, schema: _Schema) -> str:
    if kind == "array":
        return f"list of {_kind(schema.get('items', {}))}"
    if kind == "string":
        form = schema.get("format", "string")
        return {"binary": "file", "date-time": "date and time", "uri": "address"}.get(form, form)
    return kind


def _resolved(schema: _Schema) -> _Schema:
    while "$ref" in schema:
        schema = document()["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return schema


def _phrase(code: str) -> str:
    return HTTPStatus(int(code)).phrase if code.isdigit() else ""
