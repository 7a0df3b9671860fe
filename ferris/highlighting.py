"""What of a found record fits its query, to be marked: one rule for every store, over the parsed query.

A word is one as the stores' indexes know it (`searching.words`). Only the beginning of a long text is looked at, so
that a page of records costs little, whatever they hold.
"""

from __future__ import annotations

import operator
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from ferris.searching import WORD, All, Compare, Either, Match, Not, Query, Word, spellings, text_of, words

MOST_READ: Final = 10_000  # characters of one text
_MOST_MARKS: Final = 100  # in one text
_LEAD: Final = 40  # characters before what is marked, where a text is cut
_SIGNS: Final = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}
_ANY_CASE: Final = ("level", "stream")

Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Sought:
    """What a query looks for, without what it excludes. `phrases`: words with a space before each and behind the
    last, but for one that is only the beginning of a word."""

    phrases: frozenset[str]
    fields: Mapping[str, tuple[Match | Compare, ...]]

    def spans(self, text: str) -> list[Span]:
        """Where words and phrases stand in a text; apart from one another, in their order."""
        if not self.phrases:
            return []
        whole, places = _plain(text[:MOST_READ])
        starts, ends, joined = {}, {}, " "
        for match in WORD.finditer(whole):
            starts[len(joined) - 1] = places[match.start()]
            joined += match[0] + " "
            ends[len(joined) - 1] = max(places[match.end() - 1] + 1, places[match.end()])
        return _merged(
            (starts[at], ends[joined.index(" ", at + len(phrase) - 1)])
            for phrase in self.phrases
            for at in _places(joined, phrase)
        )

    def value(self, field: str, value: Any) -> list[Span]:
        """All of a field's value where the query asks for it by that field."""
        return (
            [(0, len(text_of(value)))] if any(_fits(one, value) for one in self.fields.get(field, ())) else []
        )


def sought(query: Query) -> Sought:
    """What there is to mark in what fits this query."""
    phrases: set[str] = set()
    fields: dict[str, tuple[Match | Compare, ...]] = {}
    for term in _terms(query, excluded=False):
        if not isinstance(term, Word):
            fields[term.field] = (*fields.get(term.field, ()), term)
        elif found := words(term.value):
            phrases.add(f" {found}" if term.prefix else f" {found} ")
    return Sought(frozenset(phrases), fields)


def pieces(text: str, spans: Iterable[Span], width: int) -> list[tuple[str, bool]]:
    """The text in pieces with whether each is marked; in about `width` characters, of which the first mark is one."""
    spans = list(spans)
    begin = 0
    if spans and spans[0][1] > width:
        begin = max(0, min(spans[0][0] - min(_LEAD, width // 4), len(text) - width))
    end = begin + width
    found, at = [("…", False)] if begin else [], begin
    for start, stop in spans:
        if start >= end:
            break
        found += [(text[at:start], False), (text[start : min(stop, end)], True)]
        at = min(stop, end)
    found += [(text[at:end], False), ("…" if end < len(text) else "", False)]
    return [piece for piece in found if piece[0]]


def _terms(query: Query, *, excluded: bool) -> Iterator[Word | Match | Compare]:
    match query:
        case All(parts) | Either(parts):
            for part in parts:
                yield from _terms(part, excluded=excluded)
        case Not(part):
            yield from _terms(part, excluded=not excluded)
        case _ if not excluded:
            yield query


def _plain(text: str) -> tuple[str, list[int] | range]:
    """The text as words are looked for in it, and the place in the text of each of its characters and of its end."""
    if text.isascii():
        return text.lower(), range(len(text) + 1)
    made: list[str] = []
    places: list[int] = []
    for at, character in enumerate(text):
        for part in unicodedata.normalize("NFKD", character):
            if not unicodedata.combining(part):
                folded = part.casefold()
                made.append(folded)
                places += [at] * len(folded)
    return "".join(made), [*places, len(text)]


def _places(joined: str, phrase: str) -> Iterator[int]:
    at = joined.find(phrase)
    for _ in range(_MOST_MARKS):
        if at < 0:
            return
        yield at
        at = joined.find(phrase, at + 1)


def _merged(spans: Iterable[Span]) -> list[Span]:
    found: list[Span] = []
    for start, end in sorted(spans):
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        else:
            found.append((start, end))
    return found[:_MOST_MARKS]


def _fits(term: Match | Compare, value: Any) -> bool:
    if isinstance(term, Compare):
        counts = isinstance(value, int | float) and not isinstance(value, bool)
        return counts and _SIGNS[term.sign](value, term.number)
    if term.any:
        return False  # whatever it is: nothing to point at
    text = text_of(value)
    if not term.exact:
        return _follow(text, term.parts)
    if term.field in _ANY_CASE:
        return text.casefold() == term.value.casefold()
    return text == term.value or (not isinstance(value, str | bool) and text in spellings(term.value))


def _follow(text: str, parts: tuple[str, ...]) -> bool:
    """Whether the text is these parts with anything between them."""
    first, *between, last = parts
    if not text.startswith(first):
        return False
    at = len(first)
    for part in between:
        at = text.find(part, at)
        if at < 0:
            return False
        at += len(part)
    return len(text) - len(last) >= at and text.endswith(last)
