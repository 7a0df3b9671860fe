"""What the platform has of a project beside the folders of its services, as plain values and without secrets.

Whoever may see the project may have all of it. So what only its maintainers see is left out: URLs of subscriptions
and charts and the values of headers, which may be as good as a password; and whatever a secret stands in.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Final

from django.db.models import Q

from ferris import event_keys, pushing
from ferris.moments import stamp
from ferris.routing import type_matches
from ferris_web import wiring
from ferris_web.catalog.connections import connection_list
from ferris_web.catalog.models import (
    EventMap,
    NotificationRule,
    Project,
    PromiseRule,
    SavedRun,
    Schedule,
    Secret,
    Service,
    Subscription,
    Trigger,
    Webhook,
)
from ferris_web.catalog.secret_texts import hides
from ferris_web.catalog.secrets import SealedSecret, secrets_sealed
from ferris_web.catalog.values import project_key
from ferris_web.executions.models import OF_ALL, OF_SOURCE, Chart
from ferris_web.executions.moving.project_tree import HIDES

FORMAT: Final = 1
_SUBSCRIPTION: Final = (
    *("name", "description", "status", "event_type", "filter", "cesql", "receiver", "form", "secret_headers"),
    *("timeout_seconds", "disable_after_days"),
)
_RULE: Final = ("name", "active", "kind", "service", "times", "within_minutes", "quiet_minutes")
_WEBHOOK: Final = (
    "name",
    "kind",
    "event_type",
    "type_from",
    "id_from",
    "headers",
    "window_seconds",
    "description",
)
_MAP: Final = ("source", "target", "fields", "strategy", "constants", "templates")
_REPOSITORY: Final = ("source", "branch", "folder", "commit", "every_minutes")


def rest(project: Project, services: Mapping[str, Mapping[str, Any]], now: datetime) -> dict[str, Any]:
    """All of it. `services` is what is told of each already, by name."""
    hidden: list[dict[str, Any]] = []

    def told(what: str, values: Any) -> list[Any]:
        """The values in a list of one, unless a secret stands in them."""
        if values is None or not hides(project, json.dumps(values, default=str).encode()):
            return [values]
        hidden.append({"what": what, "why": HIDES})
        return []

    found: dict[str, Any] = {
        "format": FORMAT,
        "project": project.name,
        "description": project.description,
        "exported_at": stamp(now),
        "exported_from": wiring.config().public_url,
        "repositories": [_of(row, _REPOSITORY) for row in project.repositories.order_by("pk")],
        "secrets": list(_secrets(Secret.objects.filter(project=project))),
        "configuration": next(iter(told("configuration of the project", _configuration(project))), None),
        "services": _services(project, services),
        "subscriptions": [
            one
            for row in project.subscriptions.all()
            for one in told(f"subscription {row.name}", _subscription(row))
        ],
        "notifications": [_rule(row) for row in project.notification_rules.all()],
        "charts": [
            one
            for row in Chart.objects.select_related("service").filter(project=project)
            for one in told(f"chart {row.title}", _chart(row))
        ],
        "connections": [
            _of(row, ("name", "shown", "read_only", "description"))
            for row in connection_list(project=project)
        ],
    }
    listened = _listened(project)
    found["webhooks"] = [
        one
        for row in Webhook.objects.all()
        if _reaches(row, listened)
        for one in told(f"webhook {row.name}", _of(row, _WEBHOOK))
    ]
    found["event_maps"] = [
        one
        for row in EventMap.objects.all()
        if _takes(listened, row.target)
        for one in told(f"event map {row}", _of(row, _MAP))
    ]
    return {**found, "left_out": hidden}


def promise_file(project: Project) -> dict[str, Any]:
    """What its repositories' ferris.json promise, as one; {} for nothing."""
    promised: dict[str, Any] = {}
    for row in PromiseRule.objects.filter(project=project, vanished_at=None).order_by("name", "pk"):
        name, number = row.name, 2
        while name in promised:
            name, number = f"{row.name} ({number})", number + 1
        by = row.rule["by"]
        promised[name] = {
            "name": name,
            **{end: _trigger(row.rule[end]) for end in ("after", "expect")},
            "within": row.rule["within"],
            "by": "flow" if by == event_keys.CORRELATION else by,
        }
    return {"promises": list(promised.values())} if promised else {}


def _trigger(rule: Mapping[str, Any]) -> Any:
    said = {name: value for name, value in rule.items() if value is not None}
    return said if len(said) > 1 else rule["event_type"]


def _of(row: Any, fields: Iterable[str]) -> dict[str, Any]:
    return {field: getattr(row, field) for field in fields}


def _configuration(project: Project) -> Any:
    entry = wiring.config_store().get(project_key(project.name))
    try:
        return json.loads(entry.value) if entry else None
    except ValueError:
        return None  # an outsider's writing, which no service gets either


def _secrets(rows: Any) -> Iterable[str]:
    return rows.order_by("name").values_list("name", flat=True)  # type: ignore[no-any-return]


def _services(project: Project, known: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    found = {name: {**values, "left_out": [*values["left_out"]]} for name, values in known.items()}
    for row in Service.objects.filter(project=project, paused_at__isnull=False).only("name"):
        if row.name in found:
            found[row.name]["paused"] = True
    theirs = (
        Secret.objects.filter(service__project=project).order_by("name").values_list("service__name", "name")
    )
    for service, name in theirs:
        if service in found:
            found[service].setdefault("secrets", []).append(name)
    _runs(project, found)
    return found


def _runs(project: Project, found: dict[str, Any]) -> None:
    """Schedules that no manifest makes, those of manifests that are switched off, and saved runs."""
    # What a script asked for once, and its own retries, belong to what runs there now.
    lasting = Q(origin="manifest", active=False) | (
        ~Q(origin="manifest") & Q(once=False, trigger_type="scheduled")
    )
    schedules = Schedule.objects.select_related("service").filter(lasting, service__project=project)
    rows = list(schedules.order_by("service__name", "created_at", "pk"))
    runs = list(SavedRun.objects.select_related("service").filter(service__project=project))
    sealed = secrets_sealed((row.service_id, project.pk) for row in (*rows, *runs))
    for row in rows:
        if row.service.name in found and row.origin == Schedule.Origin.MANIFEST:
            found[row.service.name]["schedule_off"] = True
        elif row.service.name in found:
            said = _of(row, ("name", "cron", "timezone", "parameters", "active", "origin"))
            _keep(found[row.service.name], "schedules", f"schedule {row.cron}", row.service, said, sealed)
    for run in runs:
        if run.service.name in found:
            _keep(
                *(found[run.service.name], "saved_runs", f"saved run {run.name}", run.service),
                *(_of(run, ("name", "values")), sealed),
            )


def _keep(
    place: dict[str, Any],
    kind: str,
    what: str,
    service: Service,
    said: dict[str, Any],
    sealed: list[SealedSecret],
) -> None:
    if hides(service, json.dumps(said).encode(), sealed):
        place["left_out"].append({"what": what, "why": HIDES})
    else:
        place.setdefault(kind, []).append(said)


def _subscription(row: Subscription) -> dict[str, Any]:
    return {**_of(row, _SUBSCRIPTION), "headers": sorted(row.headers)}


def _rule(row: NotificationRule) -> dict[str, Any]:
    return {**_of(row, _RULE), "targets": [target["shown"] for target in row.targets]}


def _chart(row: Chart) -> dict[str, Any]:
    fields = (*OF_ALL, *OF_SOURCE.get(row.source, ()))
    said = _of(row, (field for field in fields if field not in ("service", "url")))
    if row.service is not None:
        said["service"] = row.service.name
    if row.url:
        said["url"] = pushing.target(row.url).shown
    return said


def _listened(project: Project) -> list[str]:
    """What its services listen to: event types and patterns."""
    rows = Trigger.objects.filter(service__project=project).order_by("event_type")
    return list(rows.values_list("event_type", flat=True).distinct())


def _takes(patterns: Iterable[str], event_type: str) -> bool:
    return any(type_matches(pattern, event_type) for pattern in patterns)


def _reaches(row: Webhook, patterns: Iterable[str]) -> bool:
    """True when one of them takes its events, whose type may go on behind a dot."""
    return _takes(patterns, row.event_type) or bool(
        row.type_from and any(f"{pattern}.".startswith(f"{row.event_type}.") for pattern in patterns)
    )
