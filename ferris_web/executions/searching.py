"""Searches of the operational records by people and programs: what each may see is part of every query.

Log lines and reports on executions are of the project of their service. Events and metrics are of the projects
through which their flow runs: these flows are looked up for the time asked for.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

from django.core.cache import cache
from django.utils.translation import gettext_lazy as _
from django.utils.translation import gettext_noop

from ferris import searching
from ferris.errors import EventError, NotFound
from ferris.ports import OPS_KINDS, Page
from ferris_web import wiring
from ferris_web.accounts.permissions import reach
from ferris_web.catalog.models import Service
from ferris_web.executions.buckets import Bucket, span_for
from ferris_web.executions.listings import Asked, Field, Filters
from ferris_web.executions.listings.histogram import MOST, Histogram
from ferris_web.executions.listings.lists import times
from ferris_web.executions.models import Execution, Flow
from ferris_web.executions.visibility import within

PATIENCE: Final = 10.0  # seconds; the web server would not wait for ever either
MOST_FLOWS: Final = 20_000
_CLOCKS: Final = timedelta(hours=1)  # senders' clocks may differ from ours by so much
_DAY: Final = timedelta(days=1)
_AT_ONCE: Final = 1000

KINDS: Final = (
    ("logs", _("log lines")),
    ("events", _("events")),
    ("lifecycle", _("reports on executions")),
    ("metrics", _("metrics")),
)


@dataclass(frozen=True)
class _Form(Filters):
    name: str
    title: str
    fields: tuple[Field, ...]
    time: str = ""


def _unused(rows: Any, _wanted: Any) -> Any:
    return rows


SEARCH: Final = _Form(
    "search",
    _("Search"),
    (
        Field("query", _("Query"), _unused, 'Words, "phrases", field:value, field:>5, AND, OR, NOT, (…), wor*.',
              short="q", placeholder='timeout "connection refused" level:error'),
        Field("kind", _("Records"), _unused, "Which records.", kind="choice", options=KINDS),
        *times("time", gettext_noop("Recorded")),
    ),
    "time",
)  # fmt: skip


@dataclass(frozen=True)
class Search:
    """One search by one person. `among` limits it to what they may see; `narrowed`: to their newest flows only."""

    kind: str
    query: str = ""
    since: datetime | None = None
    until: datetime | None = None
    among: Mapping[str, Collection[str]] | None = field(default=None, repr=False)
    narrowed: bool = False

    def page(self, *, limit: int, cursor: str | None = None) -> Page:
        """The newest records, or those behind a cursor."""
        return wiring.ops_store().search(
            self.kind, self.query, since=self.since, until=self.until, limit=limit, cursor=cursor,
            among=self.among, patience=PATIENCE,
        )  # fmt: skip

    def counts(self, by: str) -> dict[str, int]:
        """How many there are by the value of a field, or by "minute", "hour", "day"."""
        return wiring.ops_store().counts(
            self.kind, by, self.query, since=self.since, until=self.until, among=self.among, patience=PATIENCE
        )

    def all(self, most: int) -> Iterator[Mapping[str, Any]]:
        """Records, newest first, read while they are taken."""
        cursor: str | None = None
        while most > 0:
            page = self.page(limit=min(most, _AT_ONCE), cursor=cursor)
            yield from page.records
            most, cursor = most - len(page.records), page.cursor
            if cursor is None:
                return


def search_for(user: Any, asked: Asked, kind: str = "") -> Search:
    """The search that a query string asks for, limited to what this person may see; EventError."""
    if asked.errors:
        name, problem = next(iter(asked.errors.items()))
        raise EventError(name, problem)
    values = asked.values
    kind = kind or values.get("kind", "logs")
    if kind not in OPS_KINDS:
        raise NotFound(f"there are no records of the kind {kind[:40]!r}: {', '.join(OPS_KINDS)}")
    query, since, until = values.get("query", ""), values.get("since"), values.get("until")
    searching.parse(query, kind)  # says what is wrong before anything is looked up
    projects = reach(user)
    if projects is None:
        return Search(kind, query, since, until)
    if kind in ("logs", "lifecycle"):
        return Search(kind, query, since, until, {"service": _services(projects)})
    flows = _flows(projects, since, until)
    return Search(kind, query, since, until, {"flow": flows}, narrowed=len(flows) >= MOST_FLOWS)


def _services(projects: frozenset[int]) -> list[str]:
    return list(Service.objects.filter(project__in=projects).order_by("pk").values_list("name", flat=True))


def _flows(projects: frozenset[int], since: datetime | None, until: datetime | None) -> list[str]:
    """The newest flows through these projects that went on within that time."""
    since, until = (moment and moment.replace(second=0, microsecond=0) for moment in (since, until))
    key = hashlib.sha256(repr((sorted(projects), since, until)).encode()).hexdigest()
    found: list[str] | None = cache.get(f"search:flows:{key}")
    if found is not None:
        return found
    rows = within(Flow.objects.all(), projects)
    if since is not None:
        rows = rows.filter(last_event_at__gte=_moved(since, -_CLOCKS))
    if until is not None:
        rows = rows.filter(started_at__lt=_moved(until, _CLOCKS))
    found = list(rows.order_by("-started_at", "-pk").values_list("pk", flat=True)[:MOST_FLOWS])
    cache.set(f"search:flows:{key}", found, 5)
    return found


def _moved(moment: datetime, by: timedelta) -> datetime:
    try:
        return moment + by
    except OverflowError:
        return moment


def over_time(search: Search, now: datetime, most: int = MOST) -> Histogram | None:
    """What fits, counted over the time asked for, or over that from the oldest record that fits; None: nothing does."""
    found = search.counts("day")
    if not found:
        return None
    oldest, newest = (datetime.fromisoformat(key) for key in (next(iter(found)), next(reversed(found))))
    until = search.until or (newest + _DAY if newest > now else now)
    since = search.since or oldest
    if until - since > 2 * _DAY:
        since = max(since, oldest)
    if since >= until:
        return None
    span = span_for(since, until, most)
    by = "minute" if span < timedelta(hours=1) else "hour" if span < _DAY else "day"
    span = max(span, timedelta(minutes=1))
    counted = found if by == "day" else search.counts(by)
    return Histogram(since, until, span, _summed(counted, since, until, span))


def _summed(counted: Mapping[str, int], since: datetime, until: datetime, span: timedelta) -> list[Bucket]:
    seconds = int(span.total_seconds())
    first = int(since.timestamp()) // seconds
    last = int((until - timedelta(microseconds=1)).timestamp()) // seconds
    found = {
        n: Bucket(datetime.fromtimestamp(n * seconds, UTC), datetime.fromtimestamp((n + 1) * seconds, UTC))
        for n in range(first, last + 1)
    }
    for key, amount in counted.items():
        bucket = found.get(int(datetime.fromisoformat(key).timestamp()) // seconds)
        if bucket is not None:
            bucket.counts["all"] = bucket.counts.get("all", 0) + amount
    return list(found.values())


# --- one record --------------------------------------------------------------------------------------


def record_key(kind: str, record: Mapping[str, Any]) -> str:
    """What a link to this record names it by."""
    return f"{record['execution']}:{record['cursor']}" if kind == "logs" else str(record["key"])


def record_get(user: Any, kind: str, key: str) -> dict[str, Any]:
    """One record that this person may see. NotFound."""
    missing = NotFound(f"there is no record {key[:200]!r} among the {dict(KINDS).get(kind, 'records')}")
    if kind not in OPS_KINDS or not key or len(key) > searching.LONGEST // 2 or set(key) & set('"\0'):
        raise missing
    query = f'key:"{key}"'
    if kind == "logs":
        execution, _, cursor = key.rpartition(":")
        if not execution or not (cursor.isascii() and cursor.isdecimal()):
            raise missing
        query = f'execution:"{execution}" cursor:{cursor}'
    found = wiring.ops_store().search(kind, query, limit=1).records
    if not found or not _visible(user, kind, found[0]):
        raise missing
    return dict(found[0])


def _visible(user: Any, kind: str, record: Mapping[str, Any]) -> bool:
    projects = reach(user)
    if projects is None:
        return True
    if kind in ("logs", "lifecycle"):
        services = Service.objects.filter(name=str(record.get("service") or ""), project__in=projects)
        return services.exists()
    return within(Flow.objects.filter(pk=str(record.get("flow") or "")), projects).exists()


def belongs(user: Any, record: Mapping[str, Any]) -> dict[str, str]:
    """Of the service, execution and flow that a record names, those that this person may open."""
    projects = reach(user)
    found = {}
    service, flow = (_name(record, name) for name in ("service", "flow"))
    if service and within(Service.objects.filter(name=service), projects).exists():
        found["service"] = service
    if flow and within(Flow.objects.filter(pk=flow), projects).exists():
        found["flow"] = flow
    try:
        pk = UUID(_name(record, "execution"))
    except ValueError:
        return found
    if within(Execution.objects.filter(pk=pk), projects).exists():
        found["execution"] = str(pk)
    return found


def _name(record: Mapping[str, Any], field: str) -> str:
    value = record.get(field)
    return value if isinstance(value, str) and "\0" not in value else ""


def leaves(record: Mapping[str, Any], most: int = 400) -> Iterator[tuple[str, Any]]:
    """The values inside a record with the paths by which they are searched; what lies in a list has none."""
    waiting: list[tuple[str, Any]] = [("", record)]
    while waiting and most > 0:
        path, value = waiting.pop()
        if isinstance(value, Mapping):
            waiting += [
                (f"{path}.{name}" if path else str(name), inner) for name, inner in reversed(value.items())
            ]
        elif path and value is not None and not isinstance(value, list):
            most -= 1
            yield path, value
