"""What the platform stands on: how each backend is, who reads the log, and what waits in the broker."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext_lazy as _

from ferris.errors import BackendError
from ferris.lanes import LANES
from ferris_web import wiring
from ferris_web.executions.checkup.readiness import NAMES, READINESS, State

_NEEDED_FOR: Final = {
    "database": _("everything"),
    "event_log": _("events in and out, progress of executions"),
    "object_store": _("packages of services, files, artifacts"),
    "config_store": _("configuration and state of services"),
    "ops_store": _("logs and search; what comes meanwhile is indexed later"),
    "broker": _("starting executions; they wait, and nothing is lost"),
    "disk": _("keeping anything new"),
    "engine": _("all that happens by itself: routing, recording, schedules"),
}
_READERS: Final = {
    "ferris.router": _("finds the services that an event triggers"),
    "ferris.recorder": _("writes what executors report into executions"),
    "ferris.indexer": _("copies records into the search"),
    "ferris.scheduler": _("hears that plans have changed"),
    "ferris.meter": _("adds up what scripts record"),
    "ferris.uploads": _("makes events of files that come into buckets"),
    "ferris.notifier": _("tells people"),
}


@dataclass(frozen=True)
class Backend:
    """One line of the page."""

    title: str
    kind: str
    needed_for: str
    state: State


def backends(request: HttpRequest) -> HttpResponse:
    """How each backend is, as of some seconds ago."""
    looked_at, states = READINESS.look()
    rows = [
        Backend(NAMES.get(name, name), _kind(name), _NEEDED_FOR.get(name, ""), state)
        for name, state in states.items()
    ]
    context = {"rows": rows, "looked_at": looked_at, "away": [row for row in rows if not row.state.ok]}
    return render(request, "console/backends.html", context)


def _kind(name: str) -> str:
    """What serves it, without its address: that may hold a password."""
    settings = wiring.config()
    urls = {
        "database": settings.database_url,
        "event_log": settings.event_log_url,
        "object_store": settings.object_store_url,
        "config_store": settings.config_store_url,
        "ops_store": settings.ops_store_url,
        "broker": settings.broker_url,
    }
    return urlsplit(urls[name]).scheme.partition("+")[0] if name in urls else ""


@dataclass(frozen=True)
class Group:
    """One group of consumers: how far it is behind, topic by topic; its members by client and host, each with what it
    reads."""

    name: str
    told: str
    lags: list[tuple[str, int]]
    members: list[tuple[str, str, list[tuple[str, str]]]]

    @property
    def lag(self) -> int:
        """Records that it has not taken up."""
        return sum(lag for _, lag in self.lags)


def consumers(request: HttpRequest) -> HttpResponse:
    """Who reads the event log and how far they are; what waits in the broker's queues."""
    lags: dict[str, list[tuple[str, int]]] = {}
    members: dict[str, dict[tuple[str, str], list[tuple[str, str]]]] = {}
    for topic in wiring.event_log().topics():
        for group, lag in topic.groups.items():
            lags.setdefault(group, []).append((topic.name, lag))
        for one in topic.members:
            reads = members.setdefault(one.group, {}).setdefault((one.client, one.host), [])
            reads.append((topic.name, ", ".join(map(str, one.partitions))))
    groups = [
        Group(
            name,
            _READERS.get(name, ""),
            sorted(lags.get(name, ())),
            [(*who, reads) for who, reads in sorted(members.get(name, {}).items())],
        )
        for name in sorted({*lags, *members})
    ]
    return render(request, "console/consumers.html", {"groups": groups, **_queues()})


def _queues() -> dict[str, Any]:
    try:
        broker = wiring.broker()
        waiting = broker.waiting() if broker is not None else None
    except BackendError as error:
        return {"broker_error": error}
    if waiting is None:
        return {"inside": True}
    return {"queues": [(lane, waiting.get(lane)) for lane in LANES]}
