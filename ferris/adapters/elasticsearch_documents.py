"""How operational records lie in Elasticsearch: index templates, a record as a document, terms as queries.

The record itself is kept unparsed (`body`): what a script puts into an event can neither break a mapping nor
make it grow. Beside it stand the fields people search by, in Kibana too, and two of the platform's own that
are indexed and not kept: `ferris_words`, the text cut into words here, so that a search finds the same on
every server, whatever analysers it has; and `ferris_facts`, "path=value" of each value inside the record.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from elasticsearch.dsl import Q
from elasticsearch.dsl.query import Query

from ferris.adapters import sqlite_ops_rows as rows
from ferris.adapters.ops_query import Term, parse
from ferris.errors import EventError

NAMES = {"logs": "logs", "events": "events", "lifecycle": "executions", "metrics": "metrics"}
COLUMNS = ("type", "source", "subject", "service", "flow", "execution")
LINE_COLUMNS = ("execution", "service", "flow", "step", "stream", "level")
_WORDS, _FACTS = "ferris_words", "ferris_facts"
_WORD = re.compile(r"[^\W_]+")
_LONGEST = 1000  # characters of a keyword; Lucene takes 32,766 bytes
_MOST_FACTS = 2000


def template(prefix: str, kind: str) -> dict[str, Any]:
    """The index template of one kind: daily indices `<prefix>-<name>-2026.11.24`."""
    keyword = {"type": "keyword", "ignore_above": _LONGEST}
    properties: dict[str, Any] = {
        "time": {"type": "date"},
        "arrival": {"type": "long"},
        "key": keyword,
        _WORDS: {"type": "text", "analyzer": "whitespace", "norms": False},
        "body": {"type": "object", "enabled": False},
    }
    if kind == "logs":
        properties |= dict.fromkeys(LINE_COLUMNS, keyword)
        properties |= {
            "message": {"type": "text"},
            "attempt": {"type": "integer"},
            "cursor": {"type": "long"},
        }
    else:
        properties |= dict.fromkeys(COLUMNS, keyword)
        properties[_FACTS] = keyword
    return {
        "index_patterns": [f"{prefix}-{NAMES[kind]}-*"],
        "priority": 200,
        "template": {
            "settings": {"number_of_shards": 1, "auto_expand_replicas": "0-1", "refresh_interval": "1s"},
            "mappings": {
                "dynamic": False,
                "_source": {"excludes": [_WORDS, _FACTS]},
                "properties": properties,
            },
        },
    }


def day(prefix: str, kind: str, milliseconds: int) -> str:
    """The index of a record's day (UTC)."""
    return f"{prefix}-{NAMES[kind]}-{datetime.fromtimestamp(milliseconds / 1000, UTC):%Y.%m.%d}"


def document(kind: str, record: Mapping[str, Any]) -> tuple[str, int, dict[str, Any]]:
    """A record's identity, its time and its document; EventError names what is wrong with it."""
    return _line(record) if kind == "logs" else _other(kind, record)


def _line(record: Mapping[str, Any]) -> tuple[str, int, dict[str, Any]]:
    execution, service, flow, cursor, time, step, stream, level, message = rows.line(record)
    body = rows.line_record((None, execution, cursor, time, step, stream, level, message, service, flow))
    fields = {name: body[name] for name in (*LINE_COLUMNS, "message", "attempt", "cursor")}
    key = f"{execution}:{cursor}"
    return key, time, {"time": time, "key": key, "body": body, _WORDS: words(message), **fields}


def _other(kind: str, record: Mapping[str, Any]) -> tuple[str, int, dict[str, Any]]:
    row = rows.document(kind, record)
    key, time, columns, text = str(row[1]), int(row[2] or 0), row[3:-1], str(row[-1])
    body = json.loads(text)
    leaves = list(_leaves("", body))
    return (
        key,
        time,
        {
            "time": time,
            "key": key,
            "body": body,
            _WORDS: words(" ".join(_text(value) for _, value in leaves if not isinstance(value, bool))),
            _FACTS: sorted({_fact(path, value) for path, value in leaves if path})[:_MOST_FACTS],
            **{name: value for name, value in zip(COLUMNS, columns, strict=True) if value is not None},
        },
    )


def _leaves(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Every text, number and truth inside; what lies in a list has no path."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _leaves(f"{path}.{name}" if path else name, inner)
    elif isinstance(value, list):
        for inner in value:
            yield from ((("", leaf)) for _, leaf in _leaves("", inner))
    elif value is not None:
        yield path, value


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return str(value)


def _fact(path: str, value: Any) -> str:
    return f"{path}={_text(value)}"[:_LONGEST]


def words(text: str) -> str:
    """Letters and digits in runs, without case and accents: what SQLite's full-text index makes of a text."""
    plain = "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))
    return " ".join(_WORD.findall(plain.casefold()))


# ----------------------------------------------------------------------------------------------- queries


def query(kind: str, text: str, since: datetime | None, until: datetime | None) -> Query:
    """A search as a query of the DSL; EventError says what is wrong with a bad one."""
    found: Query = Q("match_all")
    for term in parse(text, rows.LINE_FIELDS if kind == "logs" else None):
        condition = _condition(kind, term)
        found = found & ~condition if term.negated else found & condition
    if since is not None:
        found = found & Q("range", time={"gte": rows.milliseconds(since), "format": "epoch_millis"})
    if until is not None:
        found = found & Q("range", time={"lt": rows.milliseconds(until), "format": "epoch_millis"})
    return Q("bool", filter=[found])


def _condition(kind: str, term: Term) -> Query:
    if term.field is None or (kind == "logs" and term.field == "message"):
        return _in_text(term)
    rows.condition(kind, term)  # says what is wrong with the field or its value
    if kind == "logs" and term.field == "attempt":
        return Q("term", attempt=int(term.value))
    if kind == "logs" or term.field in (*COLUMNS, "key"):
        if term.prefix:
            return Q("prefix", **{term.field: {"value": term.value}})
        either = term.field in ("level", "stream")
        return Q("term", **{term.field: {"value": term.value, "case_insensitive": either}})
    if term.prefix:
        return Q("prefix", **{_FACTS: {"value": _fact(term.field, term.value)}})
    return Q("terms", **{_FACTS: sorted({_fact(term.field, value) for value in _spellings(term.value)})})


def _spellings(value: str) -> Iterator[str]:
    """The value as it is and, if it is a number, as JSON would have it."""
    yield value
    try:
        yield _text(float(value))
    except (ValueError, OverflowError):
        return


def _in_text(term: Term) -> Query:
    found = words(term.value).split()
    if not found:
        raise EventError("query", f"has {term.value}, which holds no letter and no digit to look for")
    if not term.prefix:
        return Q("match_phrase", **{_WORDS: " ".join(found)})
    if len(found) == 1:
        return Q("prefix", **{_WORDS: {"value": found[0]}})
    return Q("match_phrase_prefix", **{_WORDS: {"query": " ".join(found), "max_expansions": 1000}})


def grouping(kind: str, by: str) -> tuple[dict[str, Any], str]:
    """The aggregation that counts a field's values, and what its keys begin with; EventError for a bad field."""
    rows.field(kind, by)
    if kind == "logs" or by in (*COLUMNS, "key"):
        return {"field": by}, ""
    escaped = re.sub(r"[^\w]", lambda match: "\\" + match[0], by)
    return {"field": _FACTS, "include": f"{escaped}=.*"}, f"{by}="
