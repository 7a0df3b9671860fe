"""Which triggers match an event, by a scan that shares no code with the table."""

from __future__ import annotations

from typing import Any

from ferris import events
from ferris.routing import Trigger


def naive_type(pattern: str, type: str) -> bool:
    parts, seen = pattern.split("."), type.split(".")
    if pattern == "*":
        return True
    if parts[-1] == "*":
        return len(seen) >= len(parts) and seen[: len(parts) - 1] == parts[:-1]
    return seen == parts


def same(a: Any, b: Any) -> bool:
    if isinstance(a, bool) or isinstance(b, bool):
        return a is b
    if isinstance(a, (int, float)) and isinstance(b, (int, float)):
        return a == b
    return type(a) is type(b) and a == b and not isinstance(a, (dict, list))


def naive_wildcard(pattern: str, text: str) -> bool:
    if not pattern:
        return not text
    if pattern[0] == "*":
        return any(naive_wildcard(pattern[1:], text[at:]) for at in range(len(text) + 1))
    return text[:1] == pattern[0] and naive_wildcard(pattern[1:], text[1:])


def naive_test(test: Any, value: Any) -> bool:
    if not isinstance(test, dict):
        return same(test, value)
    ((name, operand),) = test.items()
    if name in ("prefix", "suffix") and isinstance(operand, dict):
        lower = operand["equals-ignore-case"].lower()
        return isinstance(value, str) and naive_test({name: lower}, value.lower())
    if name == "equals-ignore-case":
        return isinstance(value, str) and value.lower() == operand.lower()
    if name == "wildcard":
        return isinstance(value, str) and naive_wildcard(operand, value)
    if name == "cidr":
        return value == "10.0.0.7" if operand == "10.0.0.0/24" else value in ("10.0.0.7", "10.0.9.9")
    if name == "prefix":
        return isinstance(value, str) and value[: len(operand)] == operand
    if name == "suffix":
        return isinstance(value, str) and value[len(value) - len(operand) :] == operand
    if name == "anything-but":
        if isinstance(operand, dict):
            ((kind, inner),) = operand.items()
            return not any(
                naive_test({kind: one}, value) for one in (inner if isinstance(inner, list) else [inner])
            )
        return not any(same(item, value) for item in (operand if isinstance(operand, list) else [operand]))
    if name == "numeric":
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            return False
        return all(
            eval(f"value {'==' if sign == '=' else sign} bound", {"value": value, "bound": bound})
            for sign, bound in zip(operand[::2], operand[1::2], strict=True)
        )
    return name == "exists" and operand


def flat(value: Any) -> list[Any]:
    if isinstance(value, list):
        return [leaf for item in value for leaf in flat(item)]
    return [] if isinstance(value, dict) else [value]


def everywhere(value: Any, path: tuple[str, ...]) -> list[Any]:
    if not path:
        return flat(value)
    if isinstance(value, list):
        return [leaf for item in value for leaf in everywhere(item, path)]
    return everywhere(value[path[0]], path[1:]) if isinstance(value, dict) and path[0] in value else []


def naive_field(pattern: Any, holder: Any, path: tuple[str, ...], root: Any) -> bool:
    value = holder.get(path[-1], []) if isinstance(holder, dict) else []
    if isinstance(pattern, dict):
        return naive_object(pattern, value, path, root)
    tests = pattern if isinstance(pattern, list) else [pattern]
    if {"exists": False} in [t for t in tests if isinstance(t, dict)] and not everywhere(root, path):
        return True
    return any(naive_test(test, item) for test in tests for item in flat(value) if test != {"exists": False})


def naive_object(pattern: dict[str, Any], value: Any, path: tuple[str, ...], root: Any) -> bool:
    if isinstance(value, list) and value:
        return any(naive_object(pattern, item, path, root) for item in value)
    for name, inner in pattern.items():
        if name == "$or":
            if not any(naive_object(branch, value, path, root) for branch in inner):
                return False
        elif not naive_field(inner, value, (*path, name), root):
            return False
    return True


def naive_cesql(parts: str | None, root: dict[str, Any]) -> bool:
    """Expressions of the kind that `expressions` below makes, by Python's own means."""
    if parts is None:
        return True
    known = {name: value for name, value in root.items() if name != "data"}
    return bool(eval(CESQL[parts], {"e": known}))


def naive_match(triggers: list[Trigger], seen: events.Event) -> list[Trigger]:
    root: dict[str, Any] = {"source": seen.source, "type": seen.type, "id": seen.id}
    if seen.subject is not None:
        root["subject"] = seen.subject
    if seen.data is not None:
        root["data"] = seen.data
    found, services = [], set()
    for trigger in triggers:
        if (
            trigger.service_id not in services
            and naive_type(trigger.event_type, seen.type)
            and seen.service in (None, trigger.service, trigger.service_id)
            and naive_object(trigger.filter or {}, root, (), root)
            and naive_cesql(trigger.cesql, root)
        ):
            services.add(trigger.service_id)
            found.append(trigger)
    return found


CESQL = {
    "subject = 'a'": "e.get('subject') == 'a'",
    "subject LIKE 'a%'": "e.get('subject', '').startswith('a')",
    "subject LIKE '%b' AND source = 'a'": "e.get('subject', '').endswith('b') and e['source'] == 'a'",
    "subject LIKE 'a_'": "len(e.get('subject', '')) == 2 and e['subject'][0] == 'a'",
    "subject IN ('a', 'ab') OR source = 'b'": "e.get('subject') in ('a', 'ab')",
    "source = 'b' OR EXISTS subject": "'subject' in e",
    "NOT (subject = 'a')": "'subject' in e and e['subject'] != 'a'",
    "subject != 'a' XOR source = 'a'": "e.get('subject') == 'a'",
    "LENGTH(subject) = 1": "len(e.get('subject', '')) == 1",
    "subject < 5": "e.get('subject') in ('1', '2')",
    "subject > 1": "e.get('subject') == '2'",
    "subject = 1 AND LENGTH(subject) = 1": "e.get('subject') == '1'",
    "subject LIKE '%' AND subject LIKE '%b%'": "'b' in e.get('subject', '')",
    "subject LIKE '%b'": "e.get('subject', '').endswith('b')",
    "LENGTH(subject) = 1 AND EXISTS source": "len(e.get('subject', '')) == 1",
    "subject": "False",
    "subject = '1' AND subject": "False",
    "FALSE AND missing OR source = 'a'": "True",
    "source = 'a' OR missing = 1": "True",
}
