"""The platform that runs: web, engine, the work that waits."""

from __future__ import annotations

import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import datetime, timedelta
from urllib.parse import urljoin

from django.db.models import Q

from ferris.config import CONTROL
from ferris.errors import BackendError
from ferris.findings import Finding
from ferris.ports import Record
from ferris.signatures import NONE
from ferris_web import wiring
from ferris_web.catalog.models import Webhook
from ferris_web.catalog.selectors import schedules_due
from ferris_web.executions.models import DeadLetter, Execution

ANSWER_SECONDS = 5.0
_FAR_BEHIND = 1000  # records
_LATE = timedelta(minutes=1)
_START = "start it: make run, or manage.py ferris (on the real stack: manage.py web and manage.py gateway)"


def web(part: str, now: datetime) -> Iterator[Finding]:
    """Does the web process answer that it is ready?"""
    address = urljoin(wiring.config().control_url, "/health/ready")
    try:
        with urllib.request.urlopen(address, timeout=ANSWER_SECONDS) as answer:  # noqa: S310 - from the settings
            yield Finding("ok", part, f"{address} answers {answer.status}")
    except urllib.error.HTTPError as error:
        is_json = "json" in error.headers.get("Content-Type", "")
        said = " ".join(error.read(1000).decode(errors="replace").split()) if is_json else ""
        text = f"{address} answers {error.code}" + (f": {said}" if said else "")
        yield Finding(
            "failure", part, text, "mend what it names as not ready; the web process's log says more"
        )
    except OSError as error:
        reason = getattr(error, "reason", error)
        yield Finding("failure", part, f"{address} does not answer ({reason})", _START)


def engine(part: str, now: datetime) -> Iterator[Finding]:
    """A record on `ferris.control` wakes the scheduler: its offset shows that the gateway is alive."""
    log = wiring.event_log()
    tail = log.tail([CONTROL])
    log.append(CONTROL, [Record(b'{"changed":"doctor"}')])
    deadline = time.monotonic() + ANSWER_SECONDS
    while (lags := _lags()).get("ferris.scheduler", 1) and time.monotonic() < deadline:
        tail.poll(timeout=0.05)
    tail.close()
    if lags.get("ferris.scheduler", 1):
        yield Finding(
            "failure",
            part,
            f"the gateway took no notice within {ANSWER_SECONDS:.0f} s: it is not running",
            _START,
        )
        return
    behind = ", ".join(f"{group} is {lag:,} records behind" for group, lag in lags.items() if lag)
    if any(lag > _FAR_BEHIND for lag in lags.values()):
        yield Finding("warning", part, behind, "if the numbers do not fall, look at the engine's log")
    else:
        yield Finding("ok", part, f"the gateway answers, {behind or 'nothing waits on the log'}")


def _lags() -> dict[str, int]:
    lags: dict[str, int] = {}
    for topic in wiring.event_log().topics():
        for group, lag in topic.groups.items():
            lags[group] = lags.get(group, 0) + lag
    return lags


def work(part: str, now: datetime) -> Iterator[Finding]:
    """Does anything wait longer than it should, was anything put aside?"""
    late = schedules_due(now - _LATE)
    unanswered = Q(rung_at=None) | Q(rung_at__lt=now - _LATE)
    waiting = Execution.objects.filter(unanswered, status="queued", created_at__lt=now - _LATE).count()
    letters = DeadLetter.objects.filter(created_at__gte=now - timedelta(days=1)).count()
    if late:
        text = f"{len(late)} schedules are overdue, the first since {late[0].next_due_at:%Y-%m-%d %H:%M} UTC"
        yield Finding("warning", part, text, "if the engine is running, look at its log for the scheduler")
    if waiting:
        text = f"{waiting} executions have waited for an executor for more than a minute"
        yield Finding("warning", part, text, "more executors, or a higher FERRIS_CONCURRENCY")
    if letters:
        yield Finding(
            "warning",
            part,
            f"{letters} dead letters in the last 24 hours",
            "the console shows each with its reason",
        )
    if not (late or waiting or letters):
        yield Finding("ok", part, "no schedule is late, no execution waits, no new dead letter")


def webhooks(part: str, now: datetime) -> Iterator[Finding]:
    """Can anybody send who knows an address?"""
    found = list(Webhook.objects.filter(active=True).order_by("name").values_list("name", "kind"))
    naked = [name for name, kind in found if kind == NONE]
    if naked:
        yield Finding(
            "warning",
            part,
            f"{', '.join(naked[:10])}{' …' * (len(naked) > 10)}: kind none, whoever knows the address may send",
            "give it a kind that proves the sender (console, Webhooks), or switch it off",
        )
    elif found:
        yield Finding("ok", part, f"the senders of {len(found)} webhooks prove themselves")


def sign_in(part: str, now: datetime) -> Iterator[Finding]:
    """Do the providers of sign-ins, if there are some, say of themselves what the settings say of them? And is it known
    where people come from?"""
    known = wiring.config()
    providers = known.providers
    if known.public_url.startswith("https:") and not known.proxies:  # no web process of ours speaks TLS
        yield Finding(
            "warning",
            part,
            "all people come from one address, the proxy's: wrong passwords of some end the sign-ins of all",
            "name the proxy's network in FERRIS_PROXIES",
        )
    if not providers:
        yield Finding("ok", part, "by password; no provider is set up (FERRIS_OIDC_ISSUER)")
        return
    from ferris_web.accounts.oidc import described  # the HTTP client that comes with it takes its time

    for provider in providers:
        try:
            said = described(provider)
        except BackendError as error:
            yield Finding("failure", part, f"{provider.name}: {error.backend} {error.problem}", error.remedy)
            continue
        yield Finding("ok", part, f"by password and {provider.name}: {provider.issuer} answers")
        if provider.signs_out and not said.get("end_session_endpoint"):
            yield Finding(
                "warning", part, f"{provider.name} names no address for signing out there (end_session_endpoint)",
                "take its …_SIGN_OUT out of the settings",
            )  # fmt: skip
