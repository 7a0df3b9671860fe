"""Copies log lines, events, metrics and lifecycle reports into the operational store, where people search them; on
the way, samples of events tell the catalog what each type looks like."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from ferris import events, lifecycle
from ferris.config import EVENTS, LIFECYCLE, LOGS, METRICS
from ferris.errors import EventError
from ferris.foreign_lines import foreign_line
from ferris.ports import EventLog, LogRecord, OpsStore
from gateway.deadletter import Letter, put_aside
from gateway.event_samples import Samples
from gateway.role import Reader

KINDS = {LOGS: "logs", EVENTS: "events", LIFECYCLE: "lifecycle", METRICS: "metrics"}


class Indexer(Reader):
    """Store first, then the offset; the store ignores what it has already."""

    group = "ferris.indexer"
    topics = tuple(KINDS)
    at_once = 2000
    commit_within = 0.25
    company = 0.2  # the fewer its turns, the less they cost; who searches looks no sooner

    def __init__(self, event_log: EventLog, ops_store: OpsStore) -> None:
        super().__init__(event_log)
        self._store = ops_store
        self._samples = Samples(event_log)

    def handle(self, records: list[LogRecord]) -> None:
        now = datetime.now(UTC)
        letters: list[Letter] = []
        for topic, kind in KINDS.items():
            found = [
                (record, document)
                for record in records
                if record.topic == topic and (document := self._document(record, now)) is not None
            ]
            self._write(kind, found, letters)
        self._samples.learn(now)
        put_aside(self.log, letters)

    def _write(self, kind: str, found: list[tuple[LogRecord, dict[str, Any]]], letters: list[Letter]) -> None:
        if not found:
            return
        try:
            self._store.write(kind, [document for _, document in found])
        except EventError as error:
            if len(found) == 1:
                letters.append(Letter(found[0][0], "not_indexed", str(error)))
                return
            for pair in found:  # one of them is the culprit: each alone
                self._write(kind, [pair], letters)

    def _document(self, record: LogRecord, now: datetime) -> dict[str, Any] | None:
        """The record as the store wants it; None for what is not searched for, or put aside as a dead letter."""
        if record.topic == LOGS:
            return _line(record)
        try:
            event = events.from_record(record.value, record.headers, now=now)
        except EventError:
            return None
        if record.topic == EVENTS:
            self._samples.look(event, len(record.value))
        if event.type == lifecycle.PROGRESS:
            return None  # of use for a moment only; the row has the latest
        said = event.data if isinstance(event.data, dict) else {}
        of_execution = record.topic == LIFECYCLE
        return {
            **events.as_dict(event),
            "key": str(event.key),
            "flow": event.flow_id,
            "execution": str(said.get("execution", "")) if of_execution else event.causation_id,
            "service": str(said.get("service", "")) if of_execution else "",
        }


def _line(record: LogRecord) -> dict[str, Any]:
    """A log line; what the store refuses becomes a dead letter, with the store's own words."""
    try:
        line = json.loads(record.value)
        if isinstance(line, dict) and "execution" not in line:
            return foreign_line(line, record.topic, record.partition, record.offset, record.timestamp)
    except (ValueError, EventError):
        return {}
    return line if isinstance(line, dict) else {}
