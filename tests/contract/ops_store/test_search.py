"""What is searched for: words, fields, times, in pages, and within limits."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta

import pytest

from ferris.errors import EventError
from ferris.highlighting import sought
from ferris.ports import OpsStore
from ferris.searching import parse
from tests.contract.ops_store.records import START, event, found, in_kibana, line, messages


@pytest.fixture
def written(store: OpsStore) -> OpsStore:
    store.write(
        "logs",
        [
            line(0, "Connection refused by host-a", level="ERROR"),
            line(1, "connection established", step="load.py"),
            line(2, "The host refused", level="warning", stream="stderr"),
            line(0, "résumé of quake_4711 http://x/y", execution="e2", service="quakes_alert", flow="FLOW2"),
            line(1, "last words", execution="e2", attempt=2, service="quakes_alert", flow="FLOW2"),
        ],
    )
    return store


FIRST, SECOND, THIRD, FOURTH, FIFTH = (
    "Connection refused by host-a", "connection established", "The host refused",
    "résumé of quake_4711 http://x/y", "last words",
)  # fmt: skip


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", [FIFTH, FOURTH, THIRD, SECOND, FIRST]),
        ("connection", [SECOND, FIRST]),
        ("CONNECTION", [SECOND, FIRST]),
        ("connection refused", [FIRST]),
        ('"connection refused"', [FIRST]),
        ('"refused connection"', []),
        ("conn*", [SECOND, FIRST]),
        ("conn", []),
        ("refused -connection", [THIRD]),
        ("-refused", [FIFTH, FOURTH, SECOND]),
        ('-"connection refused" refused', [THIRD]),
        ("host-a", [FIRST]),
        ("resume", [FOURTH]),
        ("quake_4711", [FOURTH]),
        ("http://x/y", [FOURTH]),
        ("level:error", [FIRST]),
        ("level:warn*", [THIRD]),
        ("-level:info", [THIRD, FIRST]),
        ("stream:stderr", [THIRD]),
        ("step:load.py", [SECOND]),
        ("execution:e2", [FIFTH, FOURTH]),
        ("service:quakes_a*", [FIFTH, FOURTH]),
        ("flow:FLOW1 refused", [THIRD, FIRST]),
        ("attempt:2", [FIFTH]),
        ("message:refused", [THIRD, FIRST]),
        ('message:"host refused"', [THIRD]),
        ('step:"load.py" level:info', [SECOND]),
        ("service:nothing", []),
        ("NEAR(a b)", []),
        ("established OR words", [FIFTH, SECOND]),
        ("refused AND connection", [FIRST]),
        ("refused NOT connection", [THIRD]),
        ("NOT refused", [FIFTH, FOURTH, SECOND]),
        ("NOT NOT refused", [THIRD, FIRST]),
        ("established OR refused host-a", [SECOND, FIRST]),
        ("(established OR refused) host-a", [FIRST]),
        ("host OR resume -service:quakes_alert", [THIRD, FIRST]),
        ("-(established OR refused)", [FIFTH, FOURTH]),
        ("NOT (level:error OR level:info)", [THIRD]),
        ('"OR"', []),
        ("service:*_alert", [FIFTH, FOURTH]),
        ("service:q*es_lo*", [THIRD, SECOND, FIRST]),
        ("step:*.py -step:main*", [SECOND]),
        ("step:*", [FIFTH, FOURTH, THIRD, SECOND, FIRST]),
        ("service:*load?", []),
        ("service:[q]*", []),
        ("attempt:>1", [FIFTH]),
        ("attempt:<=1 refused", [THIRD, FIRST]),
        ("attempt:*", [FIFTH, FOURTH, THIRD, SECOND, FIRST]),
        ("execution:e2 cursor:1099511627776", [FOURTH]),
    ],
)
def test_searching_lines(written, query, expected):
    assert messages(written, query) == expected
    assert sorted(in_kibana(written, "logs", query, expected)) == sorted(expected)


@pytest.mark.parametrize(
    "query", ["CONNECTION", '"connection refused"', "conn*", "host-a", "resume", "quake_4711", "http://x/y"]
)
def test_words_that_are_found_are_marked(written, query):
    wanted = sought(parse(query, "logs"))
    assert messages(written, query)
    for text in (FIRST, SECOND, THIRD, FOURTH, FIFTH):
        assert bool(wanted.spans(text)) is (text in messages(written, query))


@pytest.mark.parametrize(
    ("query", "problem"),
    [
        ('"open', "not closed"),
        ('level:"open', "not closed"),
        ("level:", "no value"),
        ("-", "nothing behind"),
        ("colour:red", 'no field "colour"'),
        ("***", "no letter"),
        ('""', "no letter"),
        ("attempt:two", "whole number"),
        ("a " * 41, "more than 40"),
        ("x" * 1001, "longer than"),
        ("a\0b", "NUL"),
        ("OR", "nothing before"),
        ("a OR", "follow OR"),
        ("a NOT", "follow NOT"),
        ("a AND OR b", "nothing before"),
        ("(a b", "not closed"),
        ("a) b", 'no "\\("'),
        ("()", "nothing between"),
        ("(" * 11 + "a", "more than 10"),
        ("level:>error", "holds no numbers"),
        ("attempt:>many", "needs a number"),
        ("attempt:>nan", "needs a number"),
        ("attempt:1*", "whole number"),
        ("mid*dle", "at a word's end"),
        ("step:a*b*c*d*e", "more than 3 stars"),
        ("level:(error OR info)", "a:x OR a:y"),
    ],
)
def test_a_bad_query_is_explained(written, query, problem):
    for call in (written.search, lambda kind, text: written.counts(kind, "level", text)):
        with pytest.raises(EventError, match=problem) as caught:
            call("logs", query)
        assert caught.value.attribute == "query"


@pytest.mark.parametrize(
    "text", ["'", "';--", "%", "a' OR '1'='1", '"(', "^x", "a + b", "{x y}", "col : x", "\\"]
)
def test_no_text_reaches_the_database_as_a_command(written, text):
    for query in (text, f"level:{text}", f"-{text}"):
        for kind in ("logs", "events"):
            with suppress(EventError):
                written.search(kind, query)
    assert len(messages(written)) == 5


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", ["c", "b", "a"]),
        ("coast", ["c", "a"]),
        ('"old coast"', ["c", "a"]),
        ("type:quake.seen", ["b", "a"]),
        ("type:quake.*", ["c", "b", "a"]),
        ("source:loader service:quakes_load", ["c", "b", "a"]),
        ("flow:FLOW2", ["c"]),
        ("key:b", ["b"]),
        ("data.mag:5.5", ["c", "a"]),
        ("data.mag:5.50", ["c", "a"]),
        ("data.mag:6", ["b"]),
        ("6", ["b"]),
        ("data.deep.er:yes", ["b"]),
        ("data.felt:true", ["b"]),
        ("-data.felt:true", ["c", "a"]),
        ("data.none:x", []),
        ("-data.mag:5.5", ["b"]),
        ("data.deep.er:y*", ["b"]),
        ("ferrishops:3", ["c"]),
        ("data.mag:>5.5", ["b"]),
        ("data.mag:>=5.5", ["c", "b", "a"]),
        ("data.mag:<6", ["c", "a"]),
        ("data.mag:>-1 data.mag:<1e3", ["c", "b", "a"]),
        ("-data.mag:>5.5", ["c", "a"]),
        ("data.place:>1", []),
        ("data.felt:>0", []),
        ("data.place:near*coast", []),
        ("data.place:*Old*", ["c", "a"]),
        ("data.felt:*", ["b"]),
        ("data.felt:1", []),
        ("data.deep:*", []),
        ("NOT data.felt:*", ["c", "a"]),
        ("data.none:* OR flow:FLOW2", ["c"]),
    ],
)
def test_searching_events(store, query, expected):
    store.write("events", [event("a"), event("b", data={"mag": 6, "deep": {"er": "yes"}, "felt": True})])
    store.write("events", [event("c", type="quake.alert", flow="FLOW2", ferrishops=3)])
    store.write("metrics", [event("m")])
    assert found(store, query) == expected
    assert sorted(in_kibana(store, "events", query, expected)) == sorted(expected)


def test_a_found_event_is_as_it_was_written(store):
    record = event("a", data={"list": [1, None, {"x": "ü"}], "empty": "", "big": 2**53})
    store.write("events", [record])
    assert store.search("events").records == (record,)


def test_time_limits(store):
    store.write("events", [event(str(minutes), minutes) for minutes in range(10)])
    since, until = START + timedelta(minutes=3), START + timedelta(minutes=6)
    assert found(store, since=since, until=until) == ["5", "4", "3"]
    assert found(store, "coast", since=until) == ["9", "8", "7", "6"]
    store.write("logs", [line(seq, str(seq)) for seq in range(10)])
    assert messages(store, since=since, until=until) == ["5", "4", "3"]


@pytest.mark.parametrize("query", ["", "coast", "type:quake.seen"])
def test_pages_meet_while_records_arrive(store, query):
    store.write("events", [event(f"k{number:02}") for number in range(25)])
    read: list[str] = []
    cursor = None
    for number in range(100, 200):
        page = store.search("events", query, limit=10, cursor=cursor)
        read += [record["key"] for record in page.records]
        store.write("events", [event(f"k{number}")])
        cursor = page.cursor
        if cursor is None:
            break
    assert read == [f"k{number:02}" for number in reversed(range(25))]
    with pytest.raises(EventError):
        store.search("events", cursor="nonsense")


def test_numbers_of_all_sizes_are_compared_as_numbers(store):
    numbers = [-1e300, -20, -3.5, 0, 0.001, 7, 19, 1e300]
    store.write("events", [event(str(number), data={"n": number}) for number in numbers])
    store.write("events", [event("text", data={"n": "8"}), event("huge", data={"n": 10**400})])
    for bound in (-30, -3.5, 0, 7, 1e12):
        below = [str(number) for number in numbers if number < bound]
        assert sorted(found(store, f"data.n:<{bound} -key:huge")) == sorted(below), bound
        above = [str(number) for number in numbers if number >= bound]
        assert sorted(found(store, f"data.n:>={bound} -key:huge")) == sorted(above), bound


def test_no_query_gets_around_what_it_is_limited_to(written):
    among = {"service": {"quakes_alert", "none"}}
    for query in (
        "",
        "words OR refused",
        "-refused",
        "service:quakes_load OR resume OR words",
        "NOT service:x",
    ):
        assert set(messages(written, query, among=among)) <= {FOURTH, FIFTH}
    assert messages(written, among=among) == [FIFTH, FOURTH]
    assert messages(written, among={"service": ()}) == []
    assert messages(written, among={"service": {"quakes_load' OR 1=1"}}) == []
    assert written.counts("logs", "service", "", among=among) == {"quakes_alert": 2}
    assert written.counts("logs", "hour", "", among={"service": ()}) == {}
    written.write("events", [event("a"), event("b", flow="FLOW2")])
    assert found(
        written, "a OR b OR coast", among={"flow": {f"F{n}" for n in range(20_000)} | {"FLOW2"}}
    ) == ["b"]


def test_who_asks_waits_only_so_long(store):
    store.write("logs", [line(seq, f"w{seq}") for seq in range(50)])
    assert messages(store, "w7", patience=10) == ["w7"]
    assert store.counts("logs", "level", patience=10) == {"info": 50}


def test_counts(written):
    assert written.counts("logs", "level") == {"info": 3, "ERROR": 1, "warning": 1}
    assert list(written.counts("logs", "level")) == ["info", "ERROR", "warning"]
    assert written.counts("logs", "service", "refused") == {"quakes_load": 2}
    assert written.counts("logs", "minute") == {
        "2026-11-24T03:00:00Z": 2, "2026-11-24T03:01:00Z": 2, "2026-11-24T03:02:00Z": 1,
    }  # fmt: skip
    assert written.counts("logs", "hour", "level:info") == {"2026-11-24T03:00:00Z": 3}
    written.write("events", [event("a"), event("b", 60 * 24, type="other", data={"mag": 1})])
    assert written.counts("events", "type") == {"other": 1, "quake.seen": 1}
    assert written.counts("events", "data.mag") == {"1": 1, "5.5": 1}
    assert written.counts("events", "day") == {"2026-11-24T00:00:00Z": 1, "2026-11-25T00:00:00Z": 1}
    assert written.counts("events", "nothing") == {}
    assert written.counts("events", "hour", since=START + timedelta(hours=1)) == {"2026-11-25T03:00:00Z": 1}
    for by in ("bad name", "x'y", "colour"):
        with pytest.raises(EventError):
            written.counts("logs", by)
