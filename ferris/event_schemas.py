"""What the data of an event type look like: a JSON Schema inferred from samples, and what breaks it.

The schemas are those of genson: `type`, `properties`, `required`, `items`, `patternProperties`, `anyOf`. They are open:
a field that is not known yet fits. What doesn't fit is a value of another type than was ever seen in its place, and a
field that was in every sample and is missing.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

LEARN: Final = 20
"""So many samples make the first schema; until then nothing breaks it."""
MOST_FIELDS: Final = 100
"""An object with more fields than this is a map: its values have one schema whatever their names."""
MAX_SCHEMA_BYTES: Final = 64 * 1024

Path = tuple[str, ...]
Schema = dict[str, Any]
ITEM, ANY = "[]", "*"


@dataclass(frozen=True)
class Change:
    """How a field differs from what was known: `added`, of another `type`, or `missing`."""

    path: str
    kind: str
    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()

    @property
    def breaking(self) -> bool:
        """True when data no longer fit the schema that was known."""
        return self.kind != "added"

    @property
    def fault(self) -> str:
        """What is wrong with a value that made this change."""
        expected = " or ".join(_words(kind) for kind in self.before)
        if self.kind == "missing":
            return f"is missing; expected {expected}"
        new = " or ".join(_words(kind) for kind in self.after if kind not in self.before)
        return f"is new: {new}" if self.kind == "added" else f"is {new}; expected {expected}"

    @property
    def problem(self) -> str:
        """The same as a sentence."""
        return f"{self.path} {self.fault}"

    def to_json(self) -> dict[str, Any]:
        return asdict(self) | {"before": list(self.before), "after": list(self.after)}


def widened(schema: Schema, samples: Iterable[Any]) -> Schema:
    """The schema that all of these samples fit as well; the same one when they fit already, or when it would be
    larger than a schema may be."""
    made: Schema = _whole(_merged(schema, samples))
    if made == schema or len(json.dumps(made)) > MAX_SCHEMA_BYTES:
        return schema
    return made


def changes(before: Schema, after: Schema) -> list[Change]:
    """What the second schema, widened from the first, has more: by path."""
    known, found = dict(_fields(before)), dict(_fields(after))
    made = []
    for path, (types, always) in sorted(found.items()):
        if path not in known:
            if path[:-1] in known or not path:  # what is inside a new field is not news of its own
                made.append(Change(shown(path), "added", (), types))
            continue
        types_before, always_before = known[path]
        if types != types_before:
            made.append(Change(shown(path), "type", types_before, types))
        if always_before and not always:
            made.append(Change(shown(path), "missing", types_before, types))
    return made


def misfits(schema: Schema, data: Any) -> list[Change]:
    """Why these data don't fit the schema, for each field; [] when they do."""
    return [change for change in changes(schema, _merged(schema, [data])) if change.breaking]


def shown(path: Path) -> str:
    """A path as people read it: data.items[].price."""
    return "data" + "".join(ITEM if step == ITEM else f".{step}" for step in path)


def touches(changed: str, read: str) -> bool:
    """True when who reads one path sees a change at the other: the same field, one inside it, or one around it."""
    ours, theirs = changed.replace(ITEM, "").split("."), read.replace(ITEM, "").split(".")
    return all(a == b or ANY in (a, b) for a, b in zip(ours, theirs, strict=False))


def _merged(schema: Schema, samples: Iterable[Any]) -> Schema:
    from genson import SchemaBuilder

    builder = SchemaBuilder(schema_uri=None)
    if schema:
        builder.add_schema(schema)
    for sample in samples:
        builder.add_object(sample)
    made: Schema = builder.to_schema()
    return made


def _whole(node: Any) -> Any:
    """With `required` in every object (without it, the next sample would make all its fields required), and objects
    of very many fields as maps."""
    if not isinstance(node, Mapping):
        return node
    made = dict(node)
    for name in ("properties", "patternProperties"):
        if name in made:
            made[name] = {key: _whole(inner) for key, inner in made[name].items()}
    if "items" in made:
        made["items"] = _whole(made["items"])
    if "anyOf" in made:
        made["anyOf"] = [_whole(inner) for variant in made["anyOf"] for inner in _apart(variant)]
    elif len(variants := _apart(made)) > 1:
        return {"anyOf": [_whole(inner) for inner in variants]}
    if made.get("type") == "object":
        made.setdefault("required", [])
        if len(made.get("properties", ())) > MOST_FIELDS:
            made = {"type": "object", "patternProperties": {"^": _one(made["properties"])}, "required": []}
    return made


def _apart(node: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """An empty object beside the other types: its `required` has no place in a list of types."""
    kinds = node.get("type")
    if not isinstance(kinds, list) or "object" not in kinds:
        return [node]
    rest = [kind for kind in kinds if kind != "object"]
    return [{**node, "type": rest[0] if len(rest) == 1 else rest}, {"type": "object"}]


def _one(properties: Mapping[str, Any]) -> Any:
    from genson import SchemaBuilder

    builder = SchemaBuilder(schema_uri=None)
    for inner in properties.values():
        builder.add_schema(inner)
    return _whole(builder.to_schema())


def _fields(schema: Schema, path: Path = (), always: bool = True) -> Iterator[tuple[Path, tuple[Any, bool]]]:
    """Every place of a schema with the types it may hold, and whether it was there in every sample."""
    variants = schema.get("anyOf", [schema])
    types: set[str] = set()
    for variant in variants:
        kind = variant.get("type", ())
        types.update([kind] if isinstance(kind, str) else kind)
    if types or path:
        yield path, (tuple(sorted(types)), always)
    for variant in variants:
        required = variant.get("required", ())
        for name, inner in variant.get("properties", {}).items():
            yield from _fields(inner, (*path, name), name in required)
        for inner in variant.get("patternProperties", {}).values():
            yield from _fields(inner, (*path, ANY), False)
        if "items" in variant:
            yield from _fields(variant["items"], (*path, ITEM), False)


def _words(kind: str) -> str:
    return "null" if kind == "null" else f"{'an' if kind[0] in 'aio' else 'a'} {kind}"
