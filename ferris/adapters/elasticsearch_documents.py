"""How operational records lie in Elasticsearch: index templates, a record as a document.

The record itself is kept unparsed (`body`): what a script puts into an event can neither break a mapping nor
make it grow. Beside it stand the fields people search by, in Kibana too, and three of the platform's own that
are indexed and not kept: `ferris_words`, the text cut into words here, so that a search finds the same on
every server, whatever analysers it has; `ferris_facts`, "path=value" of each value inside the record; and
`ferris_numbers`, the same of its numbers, written so that their order is that of the numbers.
"""

from __future__ import annotations

import json
import struct
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from ferris.adapters import sqlite_ops_rows as rows
from ferris.searching import text_of, words
from ferris.terminal import plain

NAMES = {"logs": "logs", "events": "events", "lifecycle": "executions", "metrics": "metrics"}
COLUMNS = rows.DOCUMENT_COLUMNS
LINE_COLUMNS = ("execution", "service", "flow", "step", "stream", "level")
WORDS, FACTS, NUMBERS = "ferris_words", "ferris_facts", "ferris_numbers"
_LONGEST = 1000  # characters of a keyword; Lucene takes 32,766 bytes
_MOST_FACTS = 2000
BEHIND_ALL = "g"  # numbers are written in hexadecimal digits
_LARGEST = sys.float_info.max
_SIGN, _ALL_BITS = 1 << 63, (1 << 64) - 1


def template(prefix: str, kind: str) -> dict[str, Any]:
    """The index template of one kind: daily indices `<prefix>-<name>-2026.11.24`."""
    keyword = {"type": "keyword", "ignore_above": _LONGEST}
    properties: dict[str, Any] = {
        "time": {"type": "date"},
        "arrival": {"type": "long"},
        "key": keyword,
        WORDS: {"type": "text", "analyzer": "whitespace", "norms": False},
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
        properties |= {FACTS: keyword, NUMBERS: keyword}
    return {
        "index_patterns": [f"{prefix}-{NAMES[kind]}-*"],
        "priority": 200,
        "template": {
            # No `refresh_interval`: without one Elasticsearch refreshes only what is searched, every second.
            "settings": {"number_of_shards": 1, "auto_expand_replicas": "0-1"},
            "mappings": {
                "dynamic": False,
                "_source": {"excludes": [WORDS, FACTS, NUMBERS]},
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
    fields = {name: body[name] for name in (*LINE_COLUMNS, "attempt", "cursor")}
    key, text = f"{execution}:{cursor}", plain(message)
    return key, time, {"time": time, "key": key, "body": body, WORDS: words(text), "message": text, **fields}


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
            WORDS: words(" ".join(text_of(value) for _, value in leaves if not isinstance(value, bool))),
            FACTS: sorted({fact(path, value) for path, value in leaves if path})[:_MOST_FACTS],
            NUMBERS: sorted({number(path, value) for path, value in leaves if _counts(path, value)})[
                :_MOST_FACTS
            ],
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


def fact(path: str, value: Any) -> str:
    """A value with its path, as a word of its own."""
    return f"{path}={text_of(value)}"[:_LONGEST]


def number(path: str, value: float) -> str:
    """A number with its path: the order of such words is the order of the numbers of a path."""
    bits = int(struct.unpack(">Q", struct.pack(">d", float(value) + 0.0))[0])
    return f"{path}={bits ^ (_ALL_BITS if bits >> 63 else _SIGN):016x}"


def _counts(path: str, value: Any) -> bool:
    if (
        not path
        or len(path) > _LONGEST - 20
        or isinstance(value, bool)
        or not isinstance(value, (int, float))
    ):
        return False
    return abs(value) <= _LARGEST
