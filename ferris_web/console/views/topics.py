"""The event log: topics with their offsets and readers, and what was appended last."""

from __future__ import annotations

import json
from dataclasses import dataclass

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext

from ferris.errors import NotFound
from ferris.ports import LogRecord, TopicInfo
from ferris_web import wiring
from ferris_web.console import presentation

SHOWN = 50
_PREVIEW = 160


def topic_list(request: HttpRequest) -> HttpResponse:
    """Every topic with its partitions, size and lag."""
    found = wiring.event_log().topics()
    rows = [
        (topic, sum(p.end - p.begin for p in topic.partitions), sum(topic.groups.values()), _kept(topic))
        for topic in found
    ]
    return render(request, "console/topics.html", {"rows": rows})


def _kept(topic: TopicInfo) -> str:
    kept = topic.retention
    parts = [presentation.duration(kept.max_age)] if kept.max_age else []
    parts += [presentation.size(kept.max_bytes)] if kept.max_bytes else []
    return gettext(" or ").join(parts) or gettext("for ever")


@dataclass(frozen=True)
class Message:
    """One record as the page shows it."""

    record: LogRecord
    preview: str
    whole: str
    headers: list[tuple[str, str]]


def topic(request: HttpRequest, name: str) -> HttpResponse:
    """One topic and the records from an offset on, newest first."""
    log = wiring.event_log()
    found = next((info for info in log.topics() if info.name == name), None)
    if found is None:
        raise NotFound(f"there is no topic {name!r}")
    numbers = {p.partition: p for p in found.partitions}
    partition = numbers.get(_number(request, "partition", 0)) or next(iter(numbers.values()), None)
    if partition is None:
        return render(request, "console/topic.html", {"topic": found, "kept": _kept(found)})
    offset = _number(request, "offset", max(partition.begin, partition.end - SHOWN))
    records = log.browse(name, partition=partition.partition, offset=offset, limit=SHOWN)
    context = {
        "topic": found,
        "kept": _kept(found),
        "partition": partition,
        "offset": offset,
        "messages_shown": [_message(record) for record in reversed(records)],
        "older": max(partition.begin, offset - SHOWN) if offset > partition.begin else None,
        "newer": offset + SHOWN if offset + SHOWN < partition.end else None,
    }
    return render(request, "console/topic.html", context)


def _number(request: HttpRequest, name: str, default: int) -> int:
    value = request.GET.get(name, "")
    return int(value) if value.isdecimal() and len(value) < 18 else default


def _message(record: LogRecord) -> Message:
    text = record.value.decode("utf-8", "replace")
    try:
        whole = presentation.json_text(json.loads(text))
    except (ValueError, RecursionError):
        whole = text
    headers = [(key, value.decode("utf-8", "replace")) for key, value in record.headers.items()]
    preview = text[: _PREVIEW - 1] + "…" if len(text) > _PREVIEW else text
    return Message(record, preview, whole[: presentation.TEXT_LIMIT], headers)
