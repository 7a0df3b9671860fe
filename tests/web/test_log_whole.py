"""The whole log as a file: of attempts that were archived from the archive, of others from the lines."""

from __future__ import annotations

import gzip
from datetime import timedelta

import pytest
from django.test import Client

from ferris.log_archive import BUCKET, part_key
from ferris_web import wiring
from ferris_web.executions.log_whole import log_text
from ferris_web.executions.models import Execution
from ferris_web.executions.services import log_archives_prune
from tests.web.calling import Caller, problem_of
from tests.web.platform import dispatch, event, service

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("backends")]


@pytest.fixture
def row() -> Execution:
    service("one", "a.happened")
    (bell,) = dispatch(event())
    return Execution.objects.get(pk=bell.execution_id)


def lines(row: Execution, attempt: int, *messages: str) -> None:
    wiring.ops_store().write(
        "logs",
        [
            {
                "execution": str(row.pk), "attempt": attempt, "seq": n + 1, "time": "2026-03-01T12:00:00.120Z",
                "step": "run.py", "stream": "stdout", "level": "info", "message": message,
                "service": "one", "flow": row.flow_id,
            }
            for n, message in enumerate(messages)
        ],
    )  # fmt: skip


def part(row: Execution, attempt: int, number: int, content: bytes) -> None:
    wiring.object_store().put(BUCKET, part_key(str(row.pk), attempt, number), gzip.compress(content))


def test_archived_attempts_come_from_the_archive_and_others_from_the_lines(row: Execution) -> None:
    lines(row, 1, "one")
    lines(row, 2, "head", "tail")
    part(row, 2, 1, b"head\nmid")
    part(row, 2, 2, b"dle\ntail\n")
    lines(row, 3, "three")
    part(row, 4, 1, b"no line of it is left\n" * 100_000)
    text = b"".join(log_text(str(row.pk)))
    assert text.startswith(
        b"2026-03-01T12:00:00.120Z run.py info one\nhead\nmiddle\ntail\n2026-03-01T12:00:00.120Z run.py info three\n"
    )
    assert text.endswith(b"no line of it is left\n" * 100_000)


def test_the_file_of_api_and_console(api: Caller, administrator: Client, row: Execution) -> None:
    part(row, 1, 1, b"all of it\n")
    for answer in (
        api.get(f"/api/v1/executions/{row.pk}/logs/file/"),
        administrator.get(f"/executions/{row.pk}/log.txt"),
    ):
        assert b"".join(answer.streaming_content) == b"all of it\n"
        assert answer["Content-Disposition"] == f'attachment; filename="{row.pk}.log"'
        assert answer["X-Content-Type-Options"] == "nosniff"


def test_others_get_none(anonymous: Caller, api: Caller, row: Execution) -> None:
    problem_of(anonymous.get(f"/api/v1/executions/{row.pk}/logs/file/"), 401)
    problem_of(api.get(f"/api/v1/executions/{row.event_id}/logs/file/"), 404)


def test_old_archives_go(row: Execution) -> None:
    part(row, 1, 1, b"x")
    stored = wiring.object_store().list(BUCKET)[0].modified
    assert log_archives_prune(stored - timedelta(days=1)) == 0
    assert log_archives_prune(stored + timedelta(days=1)) == 1
    assert wiring.object_store().list(BUCKET) == []
