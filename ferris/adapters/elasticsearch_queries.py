"""Searches of operational records as Elasticsearch's queries, built value by value: no text of a query is ever
taken apart by the server, and no pattern of it is one of a regular expression.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from datetime import datetime
from functools import reduce
from operator import and_, or_
from typing import Any

from elasticsearch.dsl import Q
from elasticsearch.dsl.query import Query as Built

from ferris import searching
from ferris.adapters import elasticsearch_documents as documents
from ferris.adapters.sqlite_ops_rows import milliseconds
from ferris.errors import EventError
from ferris.searching import COLUMNS, All, Compare, Either, Match, Not, Query, Word

_PATH = re.compile(r"[^\W\d][\w.-]*")
_MARKS = re.compile(r"[*?\\]")
_SIGNS = {"<": "lt", "<=": "lte", ">": "gt", ">=": "gte"}


def query(
    kind: str,
    text: str,
    since: datetime | None,
    until: datetime | None,
    among: Mapping[str, Collection[str]] | None,
) -> Built:
    """A search as a query of the DSL; EventError says what is wrong with a bad one."""
    found = [_built(kind, searching.parse(text, kind))]
    found += [Q("terms", **{name: sorted(known)}) for name, known in (among or {}).items()]
    if since is not None:
        found.append(Q("range", time={"gte": milliseconds(since), "format": "epoch_millis"}))
    if until is not None:
        found.append(Q("range", time={"lt": milliseconds(until), "format": "epoch_millis"}))
    return Q("bool", filter=found)


def grouping(kind: str, by: str) -> tuple[dict[str, Any], str]:
    """The aggregation that counts a field's values, and what its keys begin with; EventError for a bad field."""
    fields, others = searching.fields_of(kind)
    if by in fields and fields[by] != searching.WORDS:
        return {"field": by}, ""
    if not others:
        known = sorted(name for name, held in fields.items() if held != searching.WORDS)
        raise EventError("by", f"knows no field {by!r}; use one of {', '.join(known)}")
    if not _PATH.fullmatch(by):
        raise EventError("by", f"is no field's name: {by!r}")
    escaped = re.sub(r"[^\w]", lambda match: "\\" + match[0], by)
    return {"field": documents.FACTS, "include": f"{escaped}=.*"}, f"{by}="


def _built(kind: str, wanted: Query) -> Built:
    match wanted:
        case All(parts):
            return reduce(and_, (_built(kind, part) for part in parts), Q("match_all"))
        case Either(parts):
            return reduce(or_, (_built(kind, part) for part in parts))
        case Not(part):
            return ~_built(kind, part)
        case Word():
            return _in_text(wanted)
        case Match():
            return _match(kind, wanted)
        case Compare():
            return _compare(kind, wanted)


def _match(kind: str, wanted: Match) -> Built:
    field = wanted.field
    own = kind == "logs" or field in COLUMNS
    if kind == "logs" and field in ("attempt", "cursor"):
        return _whole(wanted)
    if wanted.any:
        return Q("exists", field=field) if own else Q("prefix", **{documents.FACTS: {"value": f"{field}="}})
    if not wanted.exact:
        pattern = "*".join(_MARKS.sub(r"\\\g<0>", part) for part in wanted.parts)
        if own:
            return Q("wildcard", **{field: {"value": pattern}})
        return Q("wildcard", **{documents.FACTS: {"value": f"{field}={pattern}"}})
    if own:
        either = field in ("level", "stream")
        return Q("term", **{field: {"value": wanted.value, "case_insensitive": either}})
    facts = {documents.fact(field, value) for value in searching.spellings(wanted.value)}
    return Q("terms", **{documents.FACTS: sorted(facts)})


def _whole(wanted: Match) -> Built:
    if wanted.any:
        return Q("match_all")
    return Q("term", **{wanted.field: int(wanted.value)}) if len(wanted.value) < 19 else Q("match_none")


def _compare(kind: str, wanted: Compare) -> Built:
    sign = _SIGNS[wanted.sign]
    if kind == "logs":
        return Q("range", **{wanted.field: {sign: wanted.number}})
    field, bound = wanted.field, documents.number(wanted.field, wanted.number)
    other = {"lt": f"{field}={documents.BEHIND_ALL}"} if sign.startswith("g") else {"gte": f"{field}="}
    return Q("range", **{documents.NUMBERS: {sign: bound, **other}})


def _in_text(wanted: Word) -> Built:
    found = searching.words(wanted.value).split()
    if not found:
        raise EventError("query", f"has {wanted.value}, which holds no letter and no digit to look for")
    if not wanted.prefix:
        return Q("match_phrase", **{documents.WORDS: " ".join(found)})
    if len(found) == 1:
        return Q("prefix", **{documents.WORDS: {"value": found[0]}})
    return Q("match_phrase_prefix", **{documents.WORDS: {"query": " ".join(found), "max_expansions": 1000}})
