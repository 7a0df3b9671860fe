"""The whole log of an execution as a text: what was archived of attempts that wrote more than the log keeps, else
its lines."""

from __future__ import annotations

import zlib
from collections.abc import Generator, Iterator
from itertools import groupby
from typing import BinaryIO

from ferris import log_archive
from ferris.ports import LogLine, ObjectInfo
from ferris_web import wiring
from ferris_web.executions.log_reading import log_read

_LINES = 2000
_READ = 256 * 1024


def log_lines(execution_id: str, after: int = 0) -> Iterator[LogLine]:
    """Every line behind a cursor, in order, read in pieces."""
    while True:
        piece = log_read(execution_id, after=after, limit=_LINES)
        yield from piece.lines
        if not piece.more or not piece.lines:
            return
        after = piece.lines[-1].seq


def log_text(execution_id: str) -> Generator[bytes, None, None]:
    """The log, one line of text per line: time, script, level, message. An attempt that was archived comes from
    its archive, which has all of its lines; of one that is under way, what is there."""
    archived = {
        attempt: list(parts)
        for attempt, parts in groupby(_parts(execution_id), lambda p: log_archive.attempt_of(p.key))
    }
    given: set[int] = set()
    for attempt, lines in groupby(log_lines(execution_id), lambda line: line.attempt):
        if attempt in archived:
            given.add(attempt)
            yield from _unpacked(archived[attempt])
            for _ in lines:
                pass
        else:
            for line in lines:
                stamp = f"{line.time:%Y-%m-%dT%H:%M:%S}.{line.time.microsecond // 1000:03d}Z"
                yield log_archive.text_line(stamp, line.step, line.level, line.message).encode()
    for attempt in sorted(archived.keys() - given):  # its lines are older than what is kept
        yield from _unpacked(archived[attempt])


def _parts(execution_id: str) -> Iterator[ObjectInfo]:
    after = None
    while page := wiring.object_store().list(log_archive.BUCKET, f"{execution_id}/", after):
        yield from page
        after = page[-1].key


def _unpacked(parts: list[ObjectInfo]) -> Iterator[bytes]:
    for part in parts:
        with wiring.object_store().open(part.bucket, part.key) as source:
            yield from _gunzip(source)


def _gunzip(source: BinaryIO) -> Iterator[bytes]:
    unpacker = zlib.decompressobj(wbits=31)
    while content := source.read(_READ):
        while content:
            yield unpacker.decompress(content, _READ)
            content = unpacker.unconsumed_tail
    yield unpacker.flush()
