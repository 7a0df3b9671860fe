"""What one attempt of an execution says: its lifecycle reports, its log lines, the events its scripts send."""

from __future__ import annotations

import json
import logging
import time
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from ferris import events, lifecycle
from ferris.config import EVENTS, LIFECYCLE, LOGS, METRICS, NOTIFICATIONS
from ferris.databases import passwords
from ferris.errors import EventError
from ferris.execution import ExecutionOrder, content_digest, sent_event_id
from ferris.ports import Record
from tasks.log_archive import LogArchive
from tasks.mask import MASK, Masker
from tasks.output import CONTINUED, LONGEST_LINE, Budget
from tasks.report import Reporter

log = logging.getLogger(__name__)

TOPICS: Final = {
    EVENTS: EVENTS, NOTIFICATIONS: NOTIFICATIONS, METRICS: METRICS,
}  # fmt: skip
LEVELS: Final = ("debug", "info", "warning", "error", "critical")
_LINE_OVERHEAD: Final = 200
_LONGEST_ERROR: Final = 2000
_LONGEST_PROGRESS: Final = 200
LONGEST_ID: Final = 512


class Journal:
    """Speaks for one attempt. Used by the execution's thread only, but for `send`, which calls of scripts use as well.
    Everything that leaves here is masked.
    """

    def __init__(
        self,
        order: ExecutionOrder,
        reporter: Reporter,
        worker: str,
        log_limit: int,
        archive: LogArchive | None = None,
    ) -> None:
        self.order = order
        self.masker = Masker([order.secrets, order.token, passwords(order.connections)])
        self._reporter = reporter
        self._source = f"ferris/executor/{worker}"
        self._limit = log_limit
        self._archive = archive
        self._budget = Budget(log_limit, self._append_line)
        self._sequence = 0
        self._progress = 0
        self._second, self._stamp = -1, ""
        self._sent: Counter[str] = Counter()
        self._warned = False
        self.step: str | None = None
        self.finished = False

    def report(self, kind: str, **said: Any) -> None:
        """A lifecycle report. Its id is made of what it says, so that it may be written twice."""
        order = self.order
        event = events.new(
            kind,
            self._source,
            {"execution": order.execution_id, "attempt": order.attempt, "service": order.service, **said},
            now=datetime.now(UTC),
            id=f"{order.execution_id}.{order.attempt}.{kind.removeprefix('ferris.')}"
            f".{said.get('mark', said.get('step', ''))}".rstrip("."),
            subject=order.execution_id,
            correlation_id=order.flow_id,
        )
        # Where a report must be durable, a flush follows: it goes with what comes before that.
        self._reporter.add(LIFECYCLE, Record(events.encode(event), key=order.execution_id), urgent=False)

    def progress(self, done: float, total: float | None, message: str) -> None:
        """How far a script is."""
        self._progress += 1
        text = " ".join(self.masker.text(message).split())[:_LONGEST_PROGRESS]
        self.report(
            lifecycle.PROGRESS,
            mark=self._progress,
            script=self.step,
            done=done,
            total=total,
            message=text.replace("\0", "\ufffd").encode("utf-8", "replace").decode(),
        )

    def line(self, stream: str, level: str, message: str) -> None:
        """A line whose message is masked already."""
        now = self._now()
        if self._archive is not None:
            self._archive.add(now, self.step, level, message.replace("\0", "\ufffd"))
        if len(message) + _LINE_OVERHEAD > self._limit:
            message = message[: self._limit // 2]
        line = (now, self.step, stream, level, message)
        if not self._budget.add(len(message) + _LINE_OVERHEAD, line):
            if self._archive is not None:
                self._archive.keep()
            self._append_line(
                (
                    line[0],
                    None,
                    "platform",
                    "warning",
                    "The log's limit is reached; its last lines follow at the end.",
                )
            )

    def note(self, level: str, message: str) -> None:
        """A line by the platform itself."""
        self.line("platform", level, self.masker.text(message))

    def record(self, level: str, message: str) -> None:
        """A record of `context.logging`: one line however many lines its text has, unless that is very long."""
        text, level = self.masker.text(message), level if level in LEVELS else "info"
        while len(text) > LONGEST_LINE:
            self.line("log", level, text[:LONGEST_LINE] + CONTINUED)
            text = text[LONGEST_LINE:]
        self.line("log", level, text)

    def error(self, text: str) -> str:
        """An error's text as it may be reported: masked, one line, not too long."""
        return " ".join(self.masker.text(text).split())[:_LONGEST_ERROR]

    def finish_lines(self) -> None:
        """Let out what was kept back of a log that is too long; nothing may follow."""
        self.finished = True
        budget = self._budget
        problem = self._archive.close() if self._archive is not None else ""
        if budget.dropped_lines:
            left_out = f"{budget.dropped_lines} lines ({budget.dropped_bytes} bytes) are left out here"
            where = ""
            if self._archive is not None:
                where = (
                    f" Not all of them could be archived: {problem}"
                    if problem
                    else " The download of the log has all of them."
                )
            said = f"{left_out}: the limit is {self._limit} bytes.{where}"
            self._append_line((self._now(), None, "platform", "warning", said))
        for line in budget.tail():
            self._append_line(line)

    def send(self, message: Mapping[str, Any]) -> None:
        """An event from a script, as it came through the channel. EventError for what must not be sent."""
        order = self.order
        topic = message.get("topic") or EVENTS
        if not isinstance(topic, str) or topic not in TOPICS:
            raise EventError("topic", f"is {topic!r}; scripts may send to {', '.join(TOPICS)}")
        kind = message.get("type")
        if not isinstance(kind, str) or events.is_reserved(kind):
            raise EventError(
                "type", f"is {kind!r}; expected a text that the platform does not keep for itself"
            )
        source, subject = message.get("source") or order.service, message.get("subject")
        said = {"type": kind, "source": source, "subject": subject, "data": message.get("data")}
        said, masked = self.masker.value(said)
        kind, source, subject, data = said["type"], said["source"], said["subject"], said["data"]
        if masked:
            self.note("warning", f"the event {kind} held a secret; it was sent with {MASK} in its place")
        chosen = message.get("id")
        if chosen is not None and not (isinstance(chosen, str) and 0 < len(chosen) <= LONGEST_ID):
            raise EventError("event_id", f"is {chosen!r}; expected a text of at most {LONGEST_ID} characters")
        if chosen is not None and self.masker.text(chosen) != chosen:
            raise EventError("event_id", "holds a secret")
        digest = content_digest(kind, str(source), subject, data, topic)
        event = events.new(
            kind,
            source,
            data,
            now=datetime.now(UTC),
            id=chosen or sent_event_id(order.execution_id, digest, self._sent[digest]),
            subject=subject,
            correlation_id=order.flow_id,
            causation_id=order.execution_id,
            hops=order.hops + 1,
        )
        value = events.encode(event)
        self._sent[digest] += 1
        self._reporter.add(TOPICS[topic], Record(value, key=order.flow_id))

    def _append_line(self, line: Any) -> None:
        at, step, stream, level, message = line
        self._sequence += 1
        order = self.order
        value = json.dumps(
            {
                "execution": order.execution_id,
                "attempt": order.attempt,
                "seq": self._sequence,
                "time": at,
                "step": step,
                "stream": stream,
                "level": level,
                "message": message.replace("\0", "\ufffd"),
                "service": order.service,
                "flow": order.flow_id,
            },
            ensure_ascii=False,
        ).encode("utf-8", "replace")
        self._reporter.add(LOGS, Record(value, key=order.execution_id), urgent=False)

    def _now(self) -> str:
        """RFC 3339 with milliseconds; what stays the same within a second is written once."""
        now = time.time()
        second = int(now)
        if second != self._second:
            self._second, self._stamp = second, f"{datetime.fromtimestamp(second, UTC):%Y-%m-%dT%H:%M:%S}"
        return f"{self._stamp}.{int((now - second) * 1000):03}Z"
