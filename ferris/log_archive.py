"""The whole output of an attempt that wrote more than its log keeps: gzip parts in the object store."""

from __future__ import annotations

from typing import Final

BUCKET: Final = "ferris-logs"
CONTENT_TYPE: Final = "application/gzip"


def prefix_of(execution_id: str, attempt: int) -> str:
    """What the keys of an attempt's parts begin with; in the order of the keys they are one gzip file."""
    return f"{execution_id}/{attempt:06}/"


def part_key(execution_id: str, attempt: int, part: int) -> str:
    """The key of a part, from 1."""
    return f"{prefix_of(execution_id, attempt)}{part:08}.log.gz"


def attempt_of(key: str) -> int:
    """The attempt that a part belongs to. ValueError for what is no key of a part."""
    return int(key.split("/")[1])


def text_line(time: str, step: str | None, level: str, message: str) -> str:
    """A line of a log as a text: time, script, level, message."""
    return f"{time} {step or '-'} {level} {message}\n"
