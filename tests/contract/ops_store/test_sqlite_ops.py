"""What the file of SQLite promises beyond the port."""

from __future__ import annotations

from datetime import timedelta

import pytest

from ferris.adapters import open_ops_store, sqlite_ops_rows
from ferris.errors import BackendError, ConfigError, EventError
from tests.contract.ops_store.records import START, event, line, messages, sqlite


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


def test_sqlite_lines_of_an_older_file_are_found_without_their_colours(tmp_path, monkeypatch):
    with monkeypatch.context() as before:
        before.setattr(sqlite_ops_rows, "SCHEMA", sqlite_ops_rows.SCHEMA[:1])
        old = sqlite(tmp_path)
        old.write("logs", [line(1, "\x1b[31mred\x1b[0m"), line(2, "plain")])
        assert messages(old, "31mred") == ["\x1b[31mred\x1b[0m"]
        old._file.close()
    store = sqlite(tmp_path)
    assert messages(store, "red") == ["\x1b[31mred\x1b[0m"]
    assert (messages(store, "31mred"), messages(store, "plain")) == ([], ["plain"])
    assert store.prune(START + timedelta(hours=1)) == 2
    with store._file.reading() as connection:
        connection.execute("INSERT INTO lines_text (lines_text) VALUES ('integrity-check')")


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
