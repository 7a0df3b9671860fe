"""How an S3 is: its clock, the buckets, the right to make them. S3 tells neither version nor free space."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from urllib3.exceptions import HTTPError

from ferris.findings import Finding, clock


def examine(backend: str, pool: Any, address: str, buckets: list[str]) -> Iterator[Finding]:
    """What is known beyond the port: who answers, and what time it has there."""
    asked = datetime.now(UTC)
    try:
        answer = pool.request("HEAD", address, retries=False)
    except HTTPError as error:
        yield Finding(
            "failure", backend, f"{address} does not answer ({error})", "correct FERRIS_OBJECT_STORE"
        )
        return
    said = answer.headers
    yield Finding("ok", backend, f"{said.get('Server', 'an S3')} at {address}, {len(buckets)} buckets")
    if date := said.get("Date"):
        yield from clock(
            backend, parsedate_to_datetime(date), asked.replace(microsecond=0), datetime.now(UTC)
        )


def told(backend: str, target: str, silent: list[str]) -> Finding:
    """Whether uploads make events."""
    if not silent:
        return Finding("ok", backend, f"tells {target} about uploads")
    return Finding(
        "warning",
        backend,
        f"uploads to {', '.join(silent[:5])} make no events: the store does not take {target}",
        "give the store that notification target (docs/operations.md), or leave notify out of FERRIS_OBJECT_STORE",
    )
