"""Chart JSON is fetched in the background: from a service's artifact when it has run, from a URL now and then.

What was good is kept until there is something better; why there is nothing better is kept beside it.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from django.db.models import F, OuterRef, Subquery
from django.db.models.functions import Coalesce

from ferris import chart_json, pushing
from ferris.adapters import http_push
from ferris.artifacts import BUCKET
from ferris.chart_json import ChartProblem, Drawn
from ferris.errors import NotFound
from ferris.public_addresses import Network
from ferris.pushing import Target
from ferris.signatures import hidden
from ferris_web import wiring
from ferris_web.catalog.secrets import SecretUnreadable, decrypted
from ferris_web.executions.models import Chart, ChartFeed, Execution
from ferris_web.executions.selectors import artifact_get
from ferris_web.executions.services.charts import header_secrets

SECONDS: Final = 10.0
"""So long a URL may take to answer."""
LEASE: Final = timedelta(seconds=60)
_LONGEST: Final = 500


@dataclass(frozen=True)
class Answer:
    """Chart JSON, or why there is none."""

    drawn: Drawn | None
    problem: str = ""


# --- artifacts ---------------------------------------------------------------------------------------


def artifacts_look(now: datetime) -> int:
    """Read what services have left since the last look; how many charts have something new."""
    waiting = (
        ChartFeed.objects.filter(chart__source=Chart.Source.ARTIFACT)
        .annotate(latest=Subquery(completed_last(OuterRef("chart__service_id")).values("pk")[:1]))
        .filter(latest__isnull=False)
        .exclude(execution__isnull=False, execution=F("latest"))
        .select_related("chart")
        .order_by("chart_id")
    )
    found = 0
    for feed in waiting:
        answer = artifact_read(feed.latest, feed.chart.artifact)
        # Not if the chart was changed meanwhile: then another artifact may be meant.
        mine = ChartFeed.objects.filter(
            pk=feed.pk, chart__artifact=feed.chart.artifact, chart__service=feed.chart.service_id
        )
        found += mine.update(execution=feed.latest, **_noted(answer, now))
    return found


def completed_last(service: Any) -> Any:
    """The executions of a service that completed, the latest first."""
    return Execution.objects.filter(service=service, status="completed").order_by("-created_at", "-id")


def artifact_read(execution: UUID, name: str) -> Answer:
    """The chart that an execution left under that name."""
    try:
        row = artifact_get(execution, name)
        if row.size > chart_json.MAX_BYTES:
            raise ChartProblem("", f"is longer than {chart_json.MAX_BYTES // 1024} KiB")
        with wiring.object_store().open(BUCKET, row.key) as stream:
            return Answer(chart_json.read(stream.read(chart_json.MAX_BYTES + 1)))
    except ChartProblem as error:
        return Answer(None, f"{name} of the execution {execution}: {error}"[:_LONGEST])
    except NotFound:
        return Answer(None, f"the execution {execution} left no {name}"[:_LONGEST])


# --- URLs --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Question:
    """One URL to ask. `problem`: it cannot be asked, and why."""

    chart: UUID
    claim: str
    every: timedelta
    target: Target | None
    headers: Mapping[str, str]
    private: Sequence[str]
    problem: str = ""


def questions_claim(now: datetime, at_most: int) -> tuple[list[Question], datetime | None]:
    """Claim what is due, and when to look again; None: when somebody says so."""
    if at_most <= 0:
        return [], None  # whoever is done says so
    due = ChartFeed.objects.filter(due_at__isnull=False).order_by("due_at", "pk")
    found = []
    for feed in due.filter(due_at__lte=now).select_related("chart__project")[:at_most]:
        claim = uuid.uuid4().hex
        mine = ChartFeed.objects.filter(pk=feed.pk, due_at=feed.due_at, claim=feed.claim)
        if mine.update(due_at=now + LEASE, claim=claim):
            found.append(question_of(feed.chart, claim))
    return found, due.values_list("due_at", flat=True).first()


def questions_release(now: datetime) -> None:
    """What a gateway that died was asking is asked again."""
    ChartFeed.objects.exclude(claim="").update(due_at=now, claim="")


def question_of(chart: Chart, claim: str = "") -> Question:
    """What a chart's URL is asked with its secret."""
    every = timedelta(minutes=chart.every_minutes)
    headers, private, problem = {}, [], ""
    target = None
    try:
        target = pushing.target(chart.url)
        if chart.header:
            secret = _secret(chart)
            private = [secret]
            headers = pushing.check_headers("header", {chart.header: secret})
    except (pushing.SubscriptionError, SecretUnreadable, NotFound) as error:
        target, problem = None, hidden(str(error), private)
    return Question(chart.pk, claim, every, target, headers, private, problem)


def _secret(chart: Chart) -> str:
    row = header_secrets(chart).first()
    if row is None:
        raise NotFound(f"there is no secret {chart.header_secret!r} any more")
    value = decrypted(row.ciphertext, f"the secret {chart.header_secret!r}")
    if not isinstance(value, str):
        raise NotFound(f"the secret {chart.header_secret!r} is no text")
    return value


def ask(question: Question, allowed: Sequence[Network]) -> Answer:
    """Ask it now, and read what it answers; never raises. Nothing secret stands in what comes of it."""
    if question.target is None:
        return Answer(None, question.problem[:_LONGEST])
    headers = {"Accept": "application/json", "User-Agent": "Ferris", **question.headers}
    answer = http_push.get(
        question.target, headers, seconds=SECONDS, allowed=allowed, most=chart_json.MAX_BYTES
    )
    problem = answer.problem
    if 300 <= answer.status < 400:
        problem = "a redirect, which is not followed: give the chart the address that it leads to"
    elif answer.status and answer.status != 200:
        problem = f"HTTP {answer.status}"
    if problem:
        return Answer(None, hidden(problem, question.private)[:_LONGEST])
    try:
        content = answer.body
        if question.private:
            content = hidden(content.decode("utf-8", "replace"), question.private).encode()
        return Answer(chart_json.read(content))
    except ChartProblem as error:
        return Answer(None, hidden(f"the answer: {error}", question.private)[:_LONGEST])


def answers_note(answers: Sequence[tuple[Question, Answer]], now: datetime) -> int:
    """Keep what came of these; how many are still wanted."""
    kept = 0
    for question, answer in answers:
        mine = ChartFeed.objects.filter(pk=question.chart, claim=question.claim)
        asked = {"asked_at": now} if question.target is not None else {}
        kept += mine.update(claim="", due_at=now + question.every, **asked, **_noted(answer, now))
    return kept


def _noted(answer: Answer, now: datetime) -> dict[str, Any]:
    if answer.drawn is None:
        return {
            "problem": answer.problem or "there is no answer",
            "failing_since": Coalesce(F("failing_since"), now),
        }
    return {
        "answer": answer.drawn.as_json(),
        "answered_at": now,
        "problem": "",
        "failing_since": None,
    }
