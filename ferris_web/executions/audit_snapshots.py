"""What the audit log keeps of an object before and after a change: plain values, and nothing that may be secret."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from ferris import pushing
from ferris_web.accounts.models import ApiToken, Membership
from ferris_web.catalog.models import (
    Connection,
    EventMap,
    NotificationRule,
    Project,
    Schedule,
    Secret,
    Service,
    Subscription,
    ValueChange,
    Webhook,
)
from ferris_web.executions.models import OF_ALL, OF_SOURCE, Chart, Execution, Replay

Snapshot = Mapping[str, Any]
PROJECT: Final = "project"
"""Of a snapshot: the (key, name) of the project that the object belongs to."""


def named(
    path: str, arguments: Mapping[str, Any], said: Callable[[], Mapping[str, Any]]
) -> tuple[str, Any] | None:
    """The kind and key of what an address is about, or of what it makes under the name that was `said`; None when
    nothing is kept of that."""
    place = path.removeprefix("/api/v1").split("/")[1]
    take = _SNAPSHOTS.get(place)
    if take is None:
        return None
    _, by = take
    key = arguments.get(by) if by else ""
    if key is None and by == "name":
        key = said().get("name")
    return None if key is None or "\0" in str(key) else (place, key)


def project_of(said: Mapping[str, Any]) -> tuple[int, str] | None:
    """The (key, name) of the project that a request names, itself or by one of its services, where its address names
    nothing that a snapshot is kept of: a schedule, a chart or a view that is made."""
    name, service = said.get("project"), said.get("service")
    if isinstance(name, str) and name:
        return Project.objects.filter(name=name).values_list("pk", "name").first()
    if isinstance(service, str) and service:
        rows = Service.objects.filter(name=service)
        return rows.values_list("project_id", "project__name").first()
    return None


def snapshot(kind: str, key: Any) -> dict[str, Any]:
    """What is kept of it as it is now; {} when it is not there."""
    return dict(_SNAPSHOTS[kind][0](key))


def _project(name: str) -> Snapshot:
    row = Project.objects.filter(name=name).first()
    if row is None:
        return {}
    members = Membership.objects.filter(project=row).order_by("id")
    roles = members.values_list("user__username", "group__name", "role")
    repositories = row.repositories.order_by("id").values(
        "source", "branch", "folder", "every_minutes", "pinned", "public_key"
    )
    return {
        PROJECT: (row.pk, row.name),
        "description": row.description,
        "members": {person or f"group {group}": role for person, group, role in roles},
        "repositories": list(repositories),
        "secrets": sorted(row.secrets.values_list("name", flat=True)),
        **_values(project=row, service=None),
    }


def _service(name: str) -> Snapshot:
    row = Service.objects.select_related("project", "version").filter(name=name).first()
    if row is None:
        return {}
    return {
        PROJECT: (row.project_id, row.project.name),
        "version": row.version.number if row.version else None,
        "active": row.active,
        "priority": row.priority,
        "paused_by": row.paused_by if row.paused_at else "",
        "secrets": sorted(row.secrets.values_list("name", flat=True)),
        **_values(service=row),
    }


def _platform(_key: Any) -> Snapshot:
    names = Secret.objects.filter(scope=Secret.Scope.PLATFORM).values_list("name", flat=True)
    return {"secrets": sorted(names), **_values(project=None, service=None)}


def _values(**owner: Any) -> Snapshot:
    """Which change of its configuration and state is the newest: their history has the values."""
    newest = ValueChange.objects.filter(until=None, **owner).order_by("kind")
    return {f"{kind}_change": number for kind, number in newest.values_list("kind", "number")}


def _of_rows(model: Any, *fields: str) -> Callable[[Any], Snapshot]:
    def take(pk: Any) -> Snapshot:
        row = (
            model.objects.filter(pk=pk)
            .values("service__project_id", "service__project__name", *fields)
            .first()
        )
        if row is None:
            return {}
        project = (row.pop("service__project_id"), row.pop("service__project__name") or "")
        return {PROJECT: project, **row}

    return take


def _of_key(model: Any, *fields: str, key: str = "pk") -> Callable[[Any], Snapshot]:
    def take(wanted: Any) -> Snapshot:
        return model.objects.filter(**{key: wanted}).values(*fields).first() or {}

    return take


def _subscription(name: str) -> Snapshot:
    row = Subscription.objects.select_related("project").filter(name=name).first()
    if row is None:
        return {}
    fields = ("status", "event_type", "filter", "cesql", "description", "form", "timeout_seconds", "receiver")
    return {
        PROJECT: (row.project_id, row.project.name),
        **{field: getattr(row, field) for field in (*fields, "disable_after_days")},
    }


def _rule(name: str) -> Snapshot:
    row = NotificationRule.objects.select_related("project").filter(name=name).first()
    if row is None:
        return {}
    fields = ("active", "kind", "service", "times", "within_minutes", "quiet_minutes")
    return {
        PROJECT: (row.project_id, row.project.name),
        **{field: getattr(row, field) for field in fields},
        "targets": [target.get("shown", "") for target in row.targets],
    }


def _token(number: int) -> Snapshot:
    row = ApiToken.objects.select_related("user").filter(pk=number).first()
    if row is None:
        return {}
    expires = row.expires_at.isoformat() if row.expires_at else None
    return {"user": row.user.username, "name": row.name, "scopes": row.scopes, "expires_at": expires}


def _chart(pk: Any) -> Snapshot:
    """What it would be made with again. Of a URL only whose it is: some carry a password."""
    row = Chart.objects.select_related("project", "service").filter(pk=pk).first()
    if row is None:
        return {}
    fields = (*OF_ALL, *OF_SOURCE.get(row.source, ()))
    kept = {field: getattr(row, field) for field in fields if field not in ("service", "url")}
    if row.service is not None:
        kept["service"] = row.service.name
    if row.url:
        kept["url"] = pushing.target(row.url).shown
    return {**kept, **({PROJECT: (row.project_id, row.project.name)} if row.project else {})}


_MAP: Final = ("source", "target", "fields", "strategy", "constants", "templates")
_WEBHOOK: Final = ("active", "kind", "event_type", "type_from", "id_from", "window_seconds", "description")

_SNAPSHOTS: Final[Mapping[str, tuple[Callable[[Any], Snapshot], str]]] = {
    "projects": (_project, "name"),
    "services": (_service, "name"),
    "secrets": (_platform, ""),
    "platform": (_platform, ""),
    "executions": (_of_rows(Execution, "status", "priority", "lane"), "pk"),
    "schedules": (_of_rows(Schedule, "active", "cron", "timezone"), "pk"),
    "replays": (_of_rows(Replay, "status"), "pk"),
    "subscriptions": (_subscription, "name"),
    "notifications": (_rule, "name"),
    "notification-rules": (_rule, "name"),
    "webhooks": (_of_key(Webhook, *_WEBHOOK, key="name"), "name"),
    "connections": (
        _of_key(Connection, "description", "shown", "read_only", "every_project", key="name"),
        "name",
    ),
    "tokens": (_token, "number"),
    "charts": (_chart, "pk"),
    "event-maps": (_of_key(EventMap, *_MAP), "number"),
}
"""By the first part of an address: what is kept, and which argument of the address names the object."""
