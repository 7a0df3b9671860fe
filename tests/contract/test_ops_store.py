"""What every store of operational records keeps. To add a backend: one parameter of `store`."""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ferris.adapters import open_ops_store
from ferris.adapters.kibana import lucene
from ferris.errors import BackendError, ConfigError, EventError
from ferris.highlighting import sought
from ferris.ports import OpsStore
from ferris.searching import parse

START = datetime(2026, 11, 24, 3, 0, tzinfo=UTC)


def sqlite(tmp_path: Path) -> OpsStore:
    return open_ops_store(f"sqlite:///{tmp_path}/ops.db")


@pytest.fixture(
    params=[
        pytest.param(sqlite, id="sqlite"),
        pytest.param(None, id="elasticsearch", marks=pytest.mark.real),
    ]
)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[OpsStore]:
    make: Callable[[Path], OpsStore] | None = request.param
    if make is not None:
        yield make(tmp_path)
        return
    prefix = f"test{uuid.uuid4().hex}"
    store = open_ops_store(f"{request.getfixturevalue('real')('FERRIS_OPS_STORE')}/{prefix}")
    yield store
    for index in store._client.indices.get(index=f"{prefix}-*").body:
        store._client.indices.delete(index=index)
    store._client.options(ignore_status=404).indices.delete_index_template(name=f"{prefix}-*")


def moment(minutes: float = 0) -> str:
    return (START + timedelta(minutes=minutes)).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def line(seq: int, message: str = "hello", *, execution: str = "e1", attempt: int = 1, **more: Any) -> dict:
    return {
        "execution": execution, "attempt": attempt, "seq": seq, "time": moment(seq), "step": "main.py",
        "stream": "stdout", "level": "info", "message": message, "service": "quakes_load", "flow": "FLOW1",
    } | more  # fmt: skip


def event(key: str, minutes: float = 0, **more: Any) -> dict:
    return {
        "key": key, "id": key, "time": moment(minutes), "type": "quake.seen", "source": "loader",
        "service": "quakes_load", "flow": "FLOW1", "data": {"mag": 5.5, "place": "near the Old Coast"},
    } | more  # fmt: skip


def messages(store: OpsStore, query: str = "", **arguments: Any) -> list[str]:
    return [record["message"] for record in store.search("logs", query, **arguments).records]


def found(store: OpsStore, query: str = "", **arguments: Any) -> list[str]:
    return [record["key"] for record in store.search("events", query, **arguments).records]


def in_kibana(store: OpsStore, kind: str, query: str, expected: list[str]) -> list[str]:
    """What Kibana's Discover finds by the query that our link carries; there it is Elasticsearch's `query_string`."""
    client = getattr(store, "_client", None)
    said = lucene(kind, query)
    if client is None or not said:
        return expected
    asked = {"query_string": {"query": said, "analyze_wildcard": True}}
    hits = client.search(index=f"{store._prefix}-{kind}-*", query=asked, size=50)["hits"]["hits"]
    return [hit["_source"]["body"]["message" if kind == "logs" else "key"] for hit in hits]


# ------------------------------------------------------------------------------------------------ lines


def test_lines_of_an_execution_come_in_order(store):
    lines = [line(seq, f"line {seq}", attempt=attempt) for attempt in (1, 2) for seq in range(20)]
    random.Random(1).shuffle(lines)
    for start in range(0, 40, 7):
        store.write("logs", lines[start : start + 7])
    store.write("logs", [line(0, "of another", execution="e2")])
    read = store.logs("e1")
    assert [(one.attempt, one.message) for one in read] == [
        (attempt, f"line {seq}") for attempt in (1, 2) for seq in range(20)
    ]
    assert [one.seq for one in read] == sorted(one.seq for one in read)
    assert store.logs("unknown") == []


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_lines_are_read_on_from_a_cursor(store, size):
    store.write("logs", [line(seq, str(seq), attempt=attempt) for attempt in (1, 2) for seq in range(5)])
    read, cursor = [], 0
    while page := store.logs("e1", after=cursor, limit=size):
        assert len(page) <= size
        read += page
        cursor = page[-1].seq
    assert read == store.logs("e1")
    store.write("logs", [line(5, "new", attempt=2)])
    assert [one.message for one in store.logs("e1", after=cursor)] == ["new"]


def test_a_line_keeps_what_it_was_given(store):
    text = 'tab\t "quotes" \x1b[31mred\x1b[0m ünï ​日本\x00end'
    store.write("logs", [line(3, text, stream="stderr", level="error", step=None)])
    (read,) = store.logs("e1")
    assert (read.message, read.stream, read.level, read.step) == (text, "stderr", "error", None)
    assert read.time == START + timedelta(minutes=3)
    (record,) = store.search("logs").records
    assert record["message"] == text
    assert record["time"] == "2026-11-24T03:03:00.000Z"
    assert (record["execution"], record["attempt"], record["seq"]) == ("e1", 1, 3)
    assert (record["service"], record["flow"]) == ("quakes_load", "FLOW1")
    assert record["cursor"] == read.seq


def test_a_long_line_and_half_surrogates(store):
    store.write("logs", [line(0, "x" * 1_000_000), line(1, "half \ud800 a character")])
    read = store.logs("e1")
    assert len(read[0].message) == 1_000_000
    assert read[1].message == "half ? a character"


def test_replays_change_nothing(store):
    lines = [line(seq, f"text {seq}") for seq in range(10)]
    assert store.write("logs", lines) == 10
    before = store.logs("e1")
    assert store.write("logs", lines) == 0
    assert store.write("logs", [*lines, line(3, "other text"), line(10, "text 10")]) == 1
    assert store.logs("e1")[:10] == before
    assert len(messages(store, "text")) == 11
    assert messages(store, "other") == []

    assert store.write("events", [event("a"), event("a"), event("b")]) == 2
    assert store.write("events", [event("b", type="changed"), event("a")]) == 0
    assert store.write("lifecycle", [event("a")]) == 1  # kinds are apart
    assert found(store, "type:changed") == []
    assert len(found(store, "coast")) == 2


def test_a_batch_is_stored_whole_or_not_at_all(store):
    with pytest.raises(EventError) as caught:
        store.write("logs", [line(0), line(1) | {"seq": "two"}])
    assert caught.value.attribute == "seq"
    assert store.logs("e1") == []


@pytest.mark.parametrize(
    ("kind", "change", "attribute"),
    [
        ("logs", {"execution": None}, "execution"),
        ("logs", {"attempt": -1}, "attempt"),
        ("logs", {"message": b"bytes"}, "message"),
        ("logs", {"time": "yesterday"}, "time"),
        ("logs", {"time": "2026-11-24T03:00:00"}, "time"),
        ("logs", {"level": 5}, "level"),
        ("events", {"key": ""}, "key"),
        ("events", {"time": None}, "time"),
        ("events", {"data": {1, 2}}, "record"),
        ("events", {"data": float("nan")}, "record"),
    ],
)
def test_a_bad_record_is_named(store, kind, change, attribute):
    record = line(0) if kind == "logs" else event("a")
    with pytest.raises(EventError) as caught:
        store.write(kind, [record | change])
    assert caught.value.attribute == attribute


def test_unknown_kinds_are_refused(store):
    for call in (lambda: store.write("gossip", [event("a")]), lambda: store.search("gossip")):
        with pytest.raises(BackendError, match="gossip"):
            call()
    assert store.write("metrics", []) == 0


# ----------------------------------------------------------------------------------------------- search


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


def test_pruning_removes_what_is_older_and_its_text(store):
    store.write("logs", [line(seq, f"word{seq}") for seq in range(10)])
    store.write("logs", [line(0, "word", execution="old")])
    store.write("events", [event(str(minutes), minutes) for minutes in range(10)])
    assert store.prune(START + timedelta(minutes=4)) == 9
    assert [one.message for one in store.logs("e1")] == [f"word{seq}" for seq in range(4, 10)]
    assert messages(store, "word3") == []
    assert messages(store, "word4") == ["word4"]
    assert store.logs("old") == []
    assert found(store, "coast") == [str(minutes) for minutes in reversed(range(4, 10))]
    assert store.prune(START) == 0
    assert store.write("logs", [line(0, "again", execution="old")]) == 1
    assert messages(store, "execution:old") == ["again"]


# --------------------------------------------------------------------------------------- the file alone


def test_sqlite_many_batches_prune_and_the_index_stays_sound(tmp_path):
    store = sqlite(tmp_path)
    store.write("logs", [line(seq, f"common word{seq}") for seq in range(3000)])
    store.write("events", [event(str(seq), seq) for seq in range(1500)])
    assert store.prune(START + timedelta(minutes=2500)) == 2500 + 1500
    assert len(messages(store, "common", limit=5000)) == 500
    with store._file.reading() as connection:
        for table in ("lines_text", "documents_text"):
            connection.execute(f"INSERT INTO {table} ({table}) VALUES ('integrity-check')")
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("SELECT count(*) FROM executions").fetchone() == (1,)


def test_sqlite_a_search_that_takes_too_long_ends_and_harms_nothing(tmp_path):
    store = sqlite(tmp_path)
    store.write("logs", [line(seq, f"common word{seq}") for seq in range(3000)])
    for call in (
        lambda: store.search("logs", "step:*.sql", patience=-1),
        lambda: store.counts("logs", "level", "step:m*", patience=-1),
    ):
        with pytest.raises(EventError, match="takes longer") as caught:
            call()
        assert caught.value.attribute == "query"
    assert len(messages(store, "word7", patience=60)) == 1


def test_sqlite_a_file_of_another_program_is_left_alone(tmp_path):
    import sqlite3

    connection = sqlite3.connect(tmp_path / "ops.db")
    connection.execute("CREATE TABLE theirs (x)")
    connection.close()
    before = (tmp_path / "ops.db").read_bytes()
    with pytest.raises(BackendError, match="another program") as caught:
        sqlite(tmp_path).search("logs")
    assert caught.value.remedy
    assert (tmp_path / "ops.db").read_bytes() == before


def test_an_unknown_scheme_is_a_config_error():
    with pytest.raises(ConfigError, match="FERRIS_OPS_STORE"):
        open_ops_store("solr://host")
