"""Lines of executions: in order, whole, once."""

from __future__ import annotations

import random
from datetime import timedelta

import pytest

from ferris.errors import BackendError, EventError
from tests.contract.ops_store.records import START, event, found, in_kibana, line, messages


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


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_lines_are_read_back_from_the_end(store, size):
    store.write("logs", [line(seq, str(seq), attempt=attempt) for attempt in (1, 2) for seq in range(5)])
    store.write("logs", [line(9, "of another", execution="e2")])
    read, cursor = [], None
    while page := store.last_logs("e1", before=cursor, limit=size):
        assert len(page) <= size
        read = page + read
        cursor = page[0].seq
    assert read == store.logs("e1")
    assert [one.message for one in store.last_logs("e1", limit=2)] == ["3", "4"]
    assert store.last_logs("unknown") == []


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


def test_colours_are_kept_and_not_searched(store):
    coloured = (
        "\x1b[1;31mfailed\x1b[0m to \x1b[01;32m\x1b[Kmat\x1b[mch\x1b]8;;http://hidden/\x07it\x1b]8;;\x07"
    )
    store.write("logs", [line(1, coloured), line(2, "a plain line")])
    assert [one.message for one in store.logs("e1")] == [coloured, "a plain line"]
    for query in ("failed", "matchit", '"failed to"', "fail*"):
        assert messages(store, query) == [coloured], query
        assert in_kibana(store, "logs", query, [coloured]) == [coloured], query
    for query in ("31mfailed", "32m", "0m", "hidden"):
        assert messages(store, query) == [], query
    assert store.prune(START + timedelta(hours=1)) == 2
    store.write("logs", [line(1, "another", execution="e2")])
    assert messages(store, "failed") == []


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
