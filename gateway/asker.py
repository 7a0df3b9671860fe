"""Asks the URLs of charts, each when it is due, and keeps what was good."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from ferris.config import CHANGES
from ferris.ports import EventLog, Record
from ferris.public_addresses import Network
from ferris_web.executions.services.chart_answers import (
    Answer,
    Question,
    answers_note,
    ask,
    questions_claim,
    questions_release,
)
from gateway.notices import Notices
from gateway.roller import ROLLED
from gateway.sender import Sender

Asked = tuple[Question, Answer]


class Asker(Sender[Question, Asked]):
    """Fetches chart JSON."""

    at_once = 8

    def __init__(
        self, event_log: EventLog, notices: Notices, allowed: Sequence[Network], *, alone: bool = False
    ) -> None:
        super().__init__(notices, allowed, alone=alone)
        self._log = event_log

    def release(self, now: datetime) -> None:
        questions_release(now)

    def claim(self, now: datetime, room: int) -> tuple[Sequence[Question], datetime | None]:
        questions, again = questions_claim(now, room)
        return questions, again

    def send(self, job: Question) -> Asked:
        return job, ask(job, self._allowed)

    def failed(self, job: Question, problem: str) -> Asked:
        return job, Answer(None, problem)

    def called(self, job: Question) -> str:
        return f"the question for chart {job.chart}"

    def settle(self, outcomes: list[Asked], now: datetime) -> None:
        if answers_note(outcomes, now):
            self._log.append(CHANGES, [Record(ROLLED)])
