"""The search language of the operational records: from its text to what must hold, the same on every store.

    timeout "connection refused" level:error service:quakes_* -heartbeat
    (type:orders.* OR type:payments.*) data.total:>100 NOT data.test:true

Parts that stand side by side, or with AND between them, must all hold; OR takes either side and binds weaker;
NOT and a leading `-` exclude; parentheses group. Words and "phrases in quotes" are looked for in the text, `wor*`
by their beginning. `field:value` looks into a field (dots lead to what lies inside), in which `*` stands for any
characters, `field:*` for any value; `field:>5` compares numbers. Quotes make anything a text: "level:error".
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from ferris.errors import EventError

LONGEST: Final = 1000
_MOST_TERMS: Final = 40
_DEEPEST: Final = 10
_MOST_STARS: Final = 3
_PART = re.compile(
    r"""(?P<minus>-)?
    (?:(?P<field>[^\W\d][\w.-]*):(?!//)(?P<compared>[<>]=?)?)?
    (?:"(?P<phrase>[^"]*)"|(?P<word>[^\s"()]+))?""",
    re.VERBOSE,
)
_SOMETHING = re.compile(r"[^\W_]")  # a letter or a digit: what a text index knows
WORD: Final = re.compile(r"[^\W_]+")


class SearchError(EventError):
    """A search that is not done as it was asked for."""


class QueryError(SearchError):
    """What is wrong with a query; `at` is the place in it, counted from 0."""

    def __init__(self, problem: str, query: str, at: int) -> None:
        super().__init__("query", f"{problem} (at character {at + 1})")
        self.query, self.at = query, at

    def pointed(self, width: int = 60) -> tuple[str, str]:
        """The part of the query around the place, and a line with a caret below it."""
        begin = max(0, self.at - width // 2)
        shown = self.query[begin : begin + width]
        return "".join(c if c.isprintable() else " " for c in shown), " " * (self.at - begin) + "^"


@dataclass(frozen=True, slots=True)
class Word:
    """A word or phrase in the text; as the beginning of a word if `prefix`."""

    value: str
    prefix: bool = False


@dataclass(frozen=True, slots=True)
class Match:
    """A field's value. `parts`: the texts between its stars, in this order; one alone is the whole value."""

    field: str
    parts: tuple[str, ...]

    @property
    def value(self) -> str:
        """Where there is no star."""
        return self.parts[0]

    @property
    def exact(self) -> bool:
        """True when there is no star."""
        return len(self.parts) == 1

    @property
    def any(self) -> bool:
        """True when every value will do."""
        return not self.exact and not any(self.parts)


@dataclass(frozen=True, slots=True)
class Compare:
    """A field's number is `<`, `<=`, `>` or `>=` than this one."""

    field: str
    sign: str
    number: float


@dataclass(frozen=True, slots=True)
class Not:
    """What must not hold."""

    part: Query


@dataclass(frozen=True, slots=True)
class All:
    """Every part must hold; without parts all records fit."""

    parts: tuple[Query, ...] = ()


@dataclass(frozen=True, slots=True)
class Either:
    """One of the parts must hold."""

    parts: tuple[Query, ...]


Query = Word | Match | Compare | Not | All | Either

WORDS, TEXT, NUMBER, ANYTHING = "words", "text", "number", "anything"
"""What a field holds: the text that words are looked for in, one value, a whole number, whatever it is."""

COLUMNS: Final = ("type", "source", "subject", "service", "flow", "execution", "key")
"""The fields of events, reports and metrics that have a place of their own. Others are found by their path."""

_LINES: Final = {
    **dict.fromkeys(("execution", "service", "flow", "step", "stream", "level"), TEXT),
    **dict.fromkeys(("attempt", "cursor"), NUMBER),
    "message": WORDS,
}


def fields_of(kind: str) -> tuple[Mapping[str, str], bool]:
    """The fields of a kind of records with what they hold, and whether there may be others."""
    return (_LINES, False) if kind == "logs" else (dict.fromkeys(COLUMNS, TEXT), True)


def too_slow(seconds: float | None) -> SearchError:
    """A search that took longer than whoever asked wanted to wait."""
    return SearchError(
        "query", f"takes longer than {seconds or 0:g} s: choose a shorter time, or a narrower query"
    )


def words(text: str) -> str:
    """Letters and digits in runs, without case and accents: what full-text indexes make of a text."""
    plain = "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))
    return " ".join(WORD.findall(plain.casefold()))


def text_of(value: Any) -> str:
    """A text, number or truth as a text; whole numbers without a point."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return str(value)


def spellings(value: str) -> Iterator[str]:
    """The value as it is and, if it is a number, as JSON would have it."""
    yield value
    try:
        yield text_of(float(value))
    except (ValueError, OverflowError):
        return


def parse(query: str, kind: str) -> Query:
    """What a query asks for among records of that kind. QueryError says what is wrong, where, and what is right."""
    return _parse(query, *fields_of(kind))


def _parse(query: str, fields: Mapping[str, str], others: bool) -> Query:
    if "\0" in query:
        raise QueryError("holds a NUL character", query, query.index("\0"))
    if len(query) > LONGEST:
        raise QueryError(f"is longer than {LONGEST} characters", query, LONGEST)
    return _Parser(query, fields, others).whole()


class _Parser:
    """By descent: either, all, not, part. `_position` stands before what comes next."""

    def __init__(self, query: str, fields: Mapping[str, str], others: bool) -> None:
        self._query, self._fields, self._others = query, fields, others
        self._position, self._end, self._terms, self._depth = 0, len(query.rstrip()), 0, 0

    def whole(self) -> Query:
        self._skip()
        if self._position >= self._end:
            return All()
        found = self._either()
        if self._position < self._end:  # only a parenthesis stops it
            raise self._wrong('has a ")" with no "(" before it; put it in quotes to look for the text')
        return found

    def _either(self) -> Query:
        parts = [self._all()]
        while self._takes("OR"):
            parts.append(self._all())
        return parts[0] if len(parts) == 1 else Either(tuple(parts))

    def _all(self) -> Query:
        parts = [self._not()]
        while True:
            if self._takes("AND"):
                parts.append(self._not())
            elif self._position >= self._end or self._sees(")") or self._sees_word("OR"):
                return parts[0] if len(parts) == 1 else All(tuple(parts))
            else:
                parts.append(self._not())

    def _not(self) -> Query:
        negated = False
        while True:
            if self._takes("NOT"):
                negated = not negated
            elif self._query.startswith("-(", self._position):
                self._position += 1
                negated = not negated
            else:
                break
        found = self._group() if self._sees("(") else self._part()
        return Not(found) if negated else found

    def _group(self) -> Query:
        opened = self._position
        self._depth += 1
        if self._depth > _DEEPEST:
            raise self._wrong(f"has more than {_DEEPEST} parentheses within one another")
        self._position += 1
        self._skip()
        if self._sees(")"):
            raise self._wrong("has nothing between its parentheses", opened)
        found = self._either()
        if not self._sees(")"):
            raise self._wrong('has a "(" that is not closed; put it in quotes to look for the text', opened)
        self._position += 1
        self._depth -= 1
        self._skip()
        return found

    def _part(self) -> Query:
        at = self._position
        for word in ("AND", "OR"):
            if self._sees_word(word):
                raise self._wrong(f'has {word} with nothing before it; put it in quotes to look for "{word}"')
        if at >= self._end or self._sees(")"):
            raise self._wrong("ends where something should follow", max(0, at - 1))
        self._terms += 1
        if self._terms > _MOST_TERMS:
            raise self._wrong(f"has more than {_MOST_TERMS} terms")
        match = _PART.match(self._query, at)
        assert match is not None  # every part of the pattern may be empty
        self._position = match.end()
        if (
            self._query[match.end() : match.end() + 1] == '"'
            and match["phrase"] is None
            and match["word"] is None
        ):
            raise self._wrong('has a quote (") that is not closed')
        found = self._term(match)
        self._skip()
        return Not(found) if match["minus"] else found

    def _term(self, match: re.Match[str]) -> Query:
        field, at = match["field"], match.start()
        value = match["phrase"] if match["phrase"] is not None else match["word"]
        if field is None:
            if value is None:
                raise self._wrong('has a "-" with nothing behind it', at)
            return self._word(match, value)
        known = self._others or field in self._fields
        if not known and value is None and not match["compared"]:  # a word like "Error:"
            return Word(field)
        if not known:
            names = ", ".join(sorted(self._fields))
            raise self._wrong(
                f'knows no field "{field}" (there are {names}); put it in quotes to look for the text', at
            )
        if not value:
            more = "; write a:x OR a:y" if self._query.startswith("(", match.end()) else ""
            raise self._wrong(f'gives no value for "{field}:"{more}', match.end())
        if match["compared"]:
            return self._compare(match, value)
        return self._word(match, value) if self._fields.get(field) == WORDS else self._match(match, value)

    def _word(self, match: re.Match[str], value: str) -> Query:
        at = match.start("phrase" if match["phrase"] is not None else "word")
        prefix = match["phrase"] is None and value.endswith("*")
        text = value.rstrip("*") if prefix else value
        if not _SOMETHING.search(text):
            raise self._wrong(f"has {match[0].strip()}, which holds no letter and no digit to look for", at)
        if match["phrase"] is None and "*" in text:
            star = at + text.index("*")
            raise self._wrong("has a * within a word: in the text it stands at a word's end only", star)
        return Word(text, prefix)

    def _match(self, match: re.Match[str], value: str) -> Query:
        field, held = match["field"], self._fields.get(match["field"], ANYTHING)
        if match["phrase"] is not None and held != NUMBER:
            return Match(field, (value,))
        parts = tuple(re.split(r"\*+", value))
        if len(parts) > _MOST_STARS + 1:
            raise self._wrong(f"has more than {_MOST_STARS} stars in one value", match.start("word"))
        if held == NUMBER and any(parts) and not value.isdecimal():
            raise self._wrong(f'needs a whole number behind "{field}:", not {value!r}', match.start("word"))
        return Match(field, parts)

    def _compare(self, match: re.Match[str], value: str) -> Query:
        field, at = match["field"], match.start("compared")
        if self._fields.get(field, ANYTHING) in (TEXT, WORDS):
            raise self._wrong(f'compares "{field}", which holds no numbers', at)
        try:
            number = float(value)
        except ValueError:
            number = math.nan
        if not math.isfinite(number) or "_" in value:
            raise self._wrong(f'needs a number behind "{field}:{match["compared"]}", not {value!r}', at)
        return Compare(field, match["compared"], number)

    # --- what stands at the position

    def _skip(self) -> None:
        while self._position < self._end and self._query[self._position].isspace():
            self._position += 1

    def _sees(self, mark: str) -> bool:
        return self._position < self._end and self._query.startswith(mark, self._position)

    def _sees_word(self, word: str) -> bool:
        end = self._position + len(word)
        follows = self._query[end : end + 1]
        return self._sees(word) and (not follows or follows.isspace() or follows in "()")

    def _takes(self, word: str) -> bool:
        if not self._sees_word(word):
            return False
        self._position += len(word)
        self._skip()
        if self._position >= self._end:
            raise self._wrong(f"ends where something should follow {word}", self._position - 1)
        return True

    def _wrong(self, problem: str, at: int | None = None) -> QueryError:
        return QueryError(problem, self._query, self._position if at is None else at)
