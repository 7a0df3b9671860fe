"""One reader of `ferris.control` for all roles of a process."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from ferris.adapters.sqlite_log import SqliteEventLog
from ferris.config import CONTROL
from ferris.errors import BackendError
from ferris.ports import Record
from gateway.notices import NOTICES, PUSHES, Ear, Notices

LONG = 20.0


@pytest.fixture
def log(tmp_path: Path) -> Iterator[SqliteEventLog]:
    made = SqliteEventLog(f"sqlite:///{tmp_path}/log.db")
    yield made
    made.close()


def heard(ear: Ear) -> bool:
    """Was anything heard since the last look?"""
    heard = ear._heard.is_set()
    ear.listen(0)
    return heard


def test_what_is_addressed_is_heard_by_that_role_only(log: SqliteEventLog) -> None:
    log.append(CONTROL, [Record(b'{"changed":"of before"}')])
    notices = Notices(log)
    courier, other = notices.ear(PUSHES), notices.ear()
    log.append(CONTROL, [Record(PUSHES), Record(NOTICES)])
    notices.turn()
    assert (heard(courier), heard(other)) == (True, False)
    log.append(CONTROL, [Record(b'{"changed": "services"}')])
    notices.turn()
    assert (heard(courier), heard(other)) == (True, True)
    assert (heard(courier), heard(other)) == (False, False)
    notices.close()


def test_what_comes_during_a_turn_ends_the_next_rest_at_once(log: SqliteEventLog) -> None:
    ear = Notices(log).ear()
    ear.tell({b"{}"})
    ear.listen(LONG)
    timer = threading.Timer(0.05, ear.tell, [{b"{}"}])
    timer.start()
    ear.listen(LONG)
    timer.join()


def test_while_the_log_is_away_nobody_sleeps_on_what_may_have_been_said(
    log: SqliteEventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    notices = Notices(log)
    ear = notices.ear()

    def away(*_: object) -> None:
        raise BackendError("the log", "is away", "wait")

    with monkeypatch.context() as broken:
        broken.setattr(notices._tail, "poll", away)
        with pytest.raises(BackendError):
            notices.turn()
    assert heard(ear)
    notices.close()
