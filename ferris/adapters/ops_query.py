"""The search language of the operational records, the same on every store behind them.

    timeout "connection refused" level:error service:quakes_* -heartbeat

Everything must hold. Words and quoted phrases are looked for in the text, `wor*` by their beginning,
`field:value` in a field; a leading `-` excludes. Quotes make anything a phrase: "level:error" is text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from ferris.errors import EventError

_MAX_LENGTH = 1000
_MAX_TERMS = 40
_TERM = re.compile(
    r"""\s*(?P<minus>-)?
    (?:(?P<field>[^\W\d][\w.-]*):(?!//))?
    (?:"(?P<phrase>[^"]*)"|(?P<word>[^\s"]+))?""",
    re.VERBOSE,
)
_SOMETHING = re.compile(r"[^\W_]")  # a letter or a digit: what a text index knows


@dataclass(frozen=True, slots=True)
class Term:
    """One condition: `value` in the text, or in a field; as a beginning if `prefix`; not so if `negated`."""

    value: str
    field: str | None = None
    prefix: bool = False
    negated: bool = False


def parse(query: str, fields: frozenset[str] | None = None) -> tuple[Term, ...]:
    """The terms of a query. `fields` are those there are (None: any name, with dots for what lies inside).

    EventError with attribute "query" says what is wrong and what would be right.
    """
    if len(query) > _MAX_LENGTH:
        raise _bad(f"is longer than {_MAX_LENGTH} characters")
    if "\0" in query:
        raise _bad("holds a NUL character")
    terms: list[Term] = []
    position, end = 0, len(query.rstrip())
    while position < end:
        match = _TERM.match(query, position)
        assert match is not None  # every part of the pattern may be empty
        position = match.end()
        if query[position : position + 1] == '"' and match["phrase"] is None and match["word"] is None:
            raise _bad('has a quote (") that is not closed')
        terms.append(_term(match, fields))
        if len(terms) > _MAX_TERMS:
            raise _bad(f"has more than {_MAX_TERMS} terms")
    return tuple(terms)


def _term(match: re.Match[str], fields: frozenset[str] | None) -> Term:
    field, phrase, word = match["field"], match["phrase"], match["word"]
    value = phrase if phrase is not None else word
    if value is None:
        return _without_value(match, fields)
    negated = match["minus"] is not None
    prefix = phrase is None and value.endswith("*")
    if prefix:
        value = value.rstrip("*")
    if field is not None:
        if fields is not None and field not in fields:
            known = ", ".join(sorted(fields))
            raise _bad(f'knows no field "{field}" (there are {known}); put it in quotes to look for the text')
        if not value:
            raise _bad(f'gives no value for "{field}:"')
        return Term(value, field, prefix, negated)
    if not _SOMETHING.search(value):
        raise _bad(f"has {match[0].strip()}, which holds no letter and no digit to look for")
    return Term(value, None, prefix, negated)


def _without_value(match: re.Match[str], fields: frozenset[str] | None) -> Term:
    field = match["field"]
    if field is None:
        raise _bad('has a "-" with nothing behind it')
    if fields is not None and field not in fields:  # a word like "Error:"
        return Term(field, None, False, match["minus"] is not None)
    raise _bad(f'gives no value for "{field}:"')


def _bad(problem: str) -> EventError:
    return EventError("query", problem)
