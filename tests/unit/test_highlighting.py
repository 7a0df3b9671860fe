"""What of a found record is marked: that which the query looks for, wherever its words stand."""

from __future__ import annotations

import pytest

from ferris.highlighting import MOST_READ, Span, pieces, sought
from ferris.searching import LONGEST, parse


def marked(query: str, text: str, kind: str = "logs") -> str:
    """The text with brackets around what is marked."""
    found = pieces(text, sought(parse(query, kind)).spans(text), len(text))
    return "".join(f"[{piece}]" if fits else piece for piece, fits in found)


@pytest.mark.parametrize(
    ("query", "text", "expected"),
    [
        ("", "all", "all"),
        ("refused", "Connection refused, REFUSED", "Connection [refused], [REFUSED]"),
        ("ref", "refused", "refused"),
        ("ref*", "refused ref", "[refused] [ref]"),
        ('"connection refused"', "a connection: refused", "a [connection: refused]"),
        ('"connection refused"', "refused connection", "refused connection"),
        ('"host ref"', "host refused", "host refused"),
        ("host-a", "of host_a.", "of [host_a]."),
        ("host-a*", "host about", "[host about]"),
        ("resume", "my résumé, my re\u0301sume\u0301.", "my [résumé], my [re\u0301sume\u0301]."),
        ("straße", "STRASSE", "[STRASSE]"),
        ("2", "1½ m²", "1[½] m²"),
        ("refused -host", "host refused", "host [refused]"),
        ("NOT NOT host", "host refused", "[host] refused"),
        ("-(host OR refused) other", "host refused other", "host refused [other]"),
        ("host OR refused", "host, refused", "[host], [refused]"),
        ('host "host a" "a b"', "host a b", "[host a b]"),
        ("a", "a a a", "[a] [a] [a]"),
        ('"a a"', "a a a a", "[a a a a]"),
        ("level:error", "level error", "level error"),
        ("message:error", "error", "[error]"),
        ('"OR"', "this or that", "this [or] that"),
        ("x", "<x>\0x\ud800", "<[x]>\0[x]\ud800"),
    ],
)
def test_words_in_a_text(query: str, text: str, expected: str) -> None:
    assert marked(query, text) == expected


@pytest.mark.parametrize(
    ("query", "field", "value", "fits"),
    [
        ("data.mag:5.50", "data.mag", 5.5, True),
        ("data.mag:5", "data.mag", 5.0, True),
        ("data.mag:5.50", "data.mag", "5.5", False),
        ("data.mag:5.5", "data.depth", 5.5, False),
        ("data.mag:>5", "data.mag", 5.5, True),
        ("data.mag:>5", "data.mag", "9", False),
        ("data.mag:>0", "data.mag", True, False),
        ("data.mag:<=5", "data.mag", 5.5, False),
        ("data.felt:true", "data.felt", True, True),
        ("data.felt:1", "data.felt", True, False),
        ("type:order.*", "type", "order.paid", True),
        ("type:order.*paid", "type", "order.paid", True),
        ("type:*a*b*", "type", "xaxbx", True),
        ("type:*b*a*", "type", "xaxbx", False),
        ("type:ab*ba", "type", "aba", False),
        ("type:*", "type", "order.paid", False),
        ("-type:order.paid", "type", "order.paid", False),
        ("type:ORDER", "type", "order", False),
        ("data.of:nothing", "data.of", None, False),
    ],
)
def test_values_of_fields(query: str, field: str, value: object, fits: bool) -> None:
    assert bool(sought(parse(query, "events")).value(field, value)) is fits


def test_levels_and_streams_take_any_case() -> None:
    assert sought(parse("level:ERROR", "logs")).value("level", "error") == [(0, 5)]
    assert not sought(parse("step:ERROR", "logs")).value("step", "error")


@pytest.mark.parametrize(
    ("spans", "expected"),
    [
        ([], "abcdefghij…"),
        ([(2, 4)], "ab[cd]efghij…"),
        ([(2, 4), (50, 60)], "ab[cd]efghij…"),
        ([(8, 60)], "…gh[ijabcdef]…"),
        ([(50, 52)], "…ij[ab]cdefgh…"),
        ([(98, 100)], "…abcdefgh[ij]"),
        ([(0, 100)], "[abcdefghij]…"),
    ],
)
def test_a_long_text_is_cut_around_its_first_mark(spans: list[Span], expected: str) -> None:
    found = pieces("abcdefghij" * 10, spans, 10)
    assert "".join(f"[{piece}]" if fits else piece for piece, fits in found) == expected


def test_of_a_huge_text_the_beginning_is_looked_at() -> None:
    wanted = sought(parse("end a", "logs"))
    assert wanted.spans("a " * 1_000_000 + "end")[-1][1] < MOST_READ
    assert wanted.spans("x" * 1_000_000) == []
    hostile = '"' + "a " * ((LONGEST - 4) // 2) + 'b"'
    assert sought(parse(hostile, "logs")).spans("a " * MOST_READ) == []
    assert len(sought(parse("ﷺ* é", "logs")).spans("ﷺ é " * MOST_READ)) <= 100
