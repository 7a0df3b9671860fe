"""The address of Kibana's Discover with a search of ours: the same query, time and records.

Queries become ones of Lucene's language, which Discover takes beside its own (KQL): only there a range is of one value
of a field with several (`ferris_numbers`). Every value of a query stands in quotes, or has its marks escaped.
Discover reads its state from the fragment, in Rison: `_g` the time, `_a` the data view (those of
`compose/kibana/ferris.ndjson`), the query, the columns. The form is that of Kibana 8.15 and later.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from urllib.parse import quote

from ferris import searching
from ferris.adapters import elasticsearch_documents as documents
from ferris.errors import EventError
from ferris.events import rfc3339
from ferris.searching import COLUMNS, All, Compare, Either, Match, Not, Query, Word

_COLUMNS: Final = {"logs": ("level", "service", "step", "execution", "message")}
_NOTHING: Final = "(NOT *:*)"
_IN_A_FRAGMENT: Final = "!():,'*@/;?"  # of what Rison writes, as it is; the rest is percent-encoded
_MARK = re.compile(r"[^\w*]", re.ASCII)
_UNESCAPABLE: Final = "<>"


class Untranslatable(EventError):
    """A part of a query that Kibana's languages can't say."""


def discover(
    address: str, kind: str, query: str, since: datetime | None = None, until: datetime | None = None
) -> str:
    """Where Discover shows what the query finds; EventError for a wrong query, Untranslatable for some others."""
    time = {"from": rfc3339(since) if since else "now-24h", "to": rfc3339(until) if until else "now"}
    state = {
        "columns": _COLUMNS.get(kind, ()),
        "dataSource": {"dataViewId": f"ferris-{documents.NAMES[kind]}", "type": "dataView"},
        "interval": "auto",
        "query": {"language": "lucene", "query": lucene(kind, query)},
        "sort": [("time", "desc")],
    }
    whole, own = (quote(_rison(part), safe=_IN_A_FRAGMENT) for part in ({"time": time}, state))
    return f"{address.rstrip('/')}/app/discover#/?_g={whole}&_a={own}"


def lucene(kind: str, query: str) -> str:
    """A query of ours in Lucene's language."""
    parsed = searching.parse(query, kind)
    return "" if parsed == All() else _said(kind, parsed)


def _said(kind: str, query: Query) -> str:
    match query:
        case All(parts):
            return "(" + " AND ".join(_said(kind, part) for part in parts) + ")"
        case Either(parts):
            return "(" + " OR ".join(_said(kind, part) for part in parts) + ")"
        case Not(part):
            return f"(*:* AND NOT {_said(kind, part)})"
        case Word():
            return _word(query)
        case Match():
            return _match(kind, query)
        case Compare():
            return _compare(kind, query)


def _word(word: Word) -> str:
    found = searching.words(word.value)
    if not word.prefix:
        return f"{documents.WORDS}:{_quoted(found)}"
    if " " in found:
        raise Untranslatable("query", f"has {word.value}*: there a phrase can't end within a word")
    return f"{documents.WORDS}:{found}*"


def _match(kind: str, term: Match) -> str:
    field = term.field
    own = kind == "logs" or field in COLUMNS
    if kind == "logs" and field in ("attempt", "cursor"):
        if term.any:
            return "*:*"
        return f"{field}:{int(term.value)}" if len(term.value) < 19 else _NOTHING
    if term.any:
        return f"_exists_:{field}" if own else f"{documents.FACTS}:{_open((f'{field}=', ''))}"
    if not term.exact:
        parts = term.parts if own else (f"{field}={term.parts[0]}", *term.parts[1:])
        return f"{field if own else documents.FACTS}:{_open(parts)}"
    if not own:
        spellings = sorted({documents.fact(field, one) for one in searching.spellings(term.value)})
        return _any_of(documents.FACTS, spellings)
    if field in ("level", "stream"):  # whatever their case: the cases in which they are written
        value = term.value
        return _any_of(field, sorted({value, value.lower(), value.upper(), value.capitalize()}))
    return f"{field}:{_quoted(term.value)}"


def _compare(kind: str, term: Compare) -> str:
    above = term.sign.startswith(">")
    begin, end = ("[" if term.sign == ">=" else "{"), ("]" if term.sign == "<=" else "}")
    if kind == "logs":
        bound = _quoted(searching.text_of(term.number))
        return f"{term.field}:{begin}{bound} TO *}}" if above else f"{term.field}:{{* TO {bound}{end}"
    bound = _quoted(documents.number(term.field, term.number))
    if above:
        return f"{documents.NUMBERS}:{begin}{bound} TO {_quoted(f'{term.field}={documents.BEHIND_ALL}')}}}"
    return f"{documents.NUMBERS}:[{_quoted(f'{term.field}=')} TO {bound}{end}"


def _any_of(field: str, values: Sequence[str]) -> str:
    return "(" + " OR ".join(f"{field}:{_quoted(value)}" for value in values) + ")"


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _open(parts: Sequence[str]) -> str:
    """Texts with anything between them. What Lucene can't escape is any one character."""
    return "*".join(
        _MARK.sub(lambda mark: "?" if mark[0] in _UNESCAPABLE else "\\" + mark[0], part) for part in parts
    )


def _rison(value: Any) -> str:
    """A value as Rison writes it, every text in quotes: https://github.com/Nanonid/rison."""
    if isinstance(value, Mapping):
        return "(" + ",".join(f"{name}:{_rison(one)}" for name, one in value.items()) + ")"
    if isinstance(value, str):
        return "'" + value.replace("!", "!!").replace("'", "!'") + "'"
    return "!(" + ",".join(_rison(one) for one in value) + ")"
