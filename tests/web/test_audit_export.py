"""The audit log as a file: written while it is read, each piece by whichever thread of the web process is free."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connections

from ferris_web.accounts.models import AuditEntry
from ferris_web.executions.auditing import audit_written

pytestmark = pytest.mark.django_db(transaction=True)
NOW = datetime(2026, 3, 1, tzinfo=UTC)


def _piece(pieces: Iterator[bytes]) -> bytes:
    """The next one; the connections of this thread end with it, as after a request that it answered meanwhile."""
    try:
        return next(pieces, b"")
    finally:
        connections.close_all()


def test_it_is_read_piece_by_piece_in_any_thread() -> None:
    AuditEntry.objects.bulk_create(
        AuditEntry(at=NOW + timedelta(seconds=n // 7), actor="ann", action="api:secret", object=str(n))
        for n in range(2300)
    )
    pieces, whole = audit_written(AuditEntry.objects.all(), "jsonl"), b""
    while True:
        with ThreadPoolExecutor(1) as thread:
            piece = thread.submit(_piece, pieces).result()
        if not piece:
            break
        whole += piece
    assert [json.loads(line)["object"] for line in whole.splitlines()] == [str(n) for n in range(2300)]
