"""The audit log: every change that came by an address, and every use of secrets by an execution."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final

import orjson
from django.core.exceptions import SuspiciousOperation
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponseBase
from django.utils import timezone

from ferris_web.accounts.models import AuditEntry, User
from ferris_web.accounts.permissions import Action, reach
from ferris_web.catalog.models import Project
from ferris_web.executions.audit_snapshots import PROJECT, named, project_of, snapshot
from ferris_web.executions.listings.export import lines, values

SECRETS_USED: Final = "secrets.used"
_SAFE = frozenset(("GET", "HEAD", "OPTIONS", "TRACE"))
# What changes nothing of the platform: events are in the journal, trials keep nothing.
_NO_CHANGE = frozenset(
    f"{space}:{name}"
    for space in ("api", "console")
    for name in ("events", "event-send", "backtest", "backtests", "replay-preview", "event-map-try", "hook")
)
# Fields whose values tell what was asked for and can hold nothing secret; of all others only the names are kept.
_PLAIN = frozenset(
    (
        *(
            "active",
            "branch",
            "days",
            "decision",
            "do",
            "kind",
            "label",
            "name",
            "priority",
            "project",
            "role",
        ),
        *(
            "schedule",
            "scope",
            "scopes",
            "service",
            "strict",
            "timezone",
            "from",
            "from_failed_step",
            "path",
            "to",
            "version",
            "waiting",
            "what",
            "projects",
            "username",
        ),
    )
)
_LONGEST = 200
_LARGEST_BODY = 64 * 1024


class AuditMiddleware:
    """Notes requests that change something, once they were answered: those that succeeded, and those refused."""

    sync_capable = True
    async_capable = False

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if request.method in _SAFE or request.path.startswith(("/control/", "/hooks/")):
            return self._get_response(request)
        answer = self._get_response(request)
        match = request.resolver_match
        if match is not None and (answer.status_code < 400 or answer.status_code == 403):
            kept = getattr(request, "audited", None)
            self._note(request, answer.status_code, kept)
        return answer

    def process_view(
        self, request: HttpRequest, view: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> None:
        """What the address names, as it is before the view changes it."""
        if request.method not in _SAFE and not request.path.startswith(("/control/", "/hooks/")):
            if request.content_type == "application/json" and _length(request) <= _LARGEST_BODY:
                request.body  # noqa: B018 - kept now: the view reads it as a stream
            request.audited = _kept(request, kwargs)  # type: ignore[attr-defined]

    def _note(self, request: HttpRequest, status: int, kept: tuple[str, Any, dict[str, Any]] | None) -> None:
        match = request.resolver_match
        assert match is not None
        action = match.view_name or match.route
        user = request.user
        if action in _NO_CHANGE or not isinstance(user, User):
            return
        kind, key, before = kept or ("", None, {})
        after = snapshot(kind, key) if kept and status < 400 else before
        said = _said(request)
        project = before.get(PROJECT) or after.get(PROJECT) or project_of(said) or (None, "")
        changed = [
            name for name in {**before, **after} if name != PROJECT and before.get(name) != after.get(name)
        ]
        _entry(
            request,
            user,
            action,
            status,
            project,
            said,
            before={name: before[name] for name in changed if name in before},
            after={name: after[name] for name in changed if name in after},
        )


def audit_taken(request: Any, project: Project) -> None:
    """Note that somebody takes away what is a project's, which changes nothing and is no request that is noted by
    itself."""
    asked: HttpRequest = getattr(request, "_request", request)
    match = asked.resolver_match
    assert match is not None
    _entry(asked, request.user, match.view_name, 200, (project.pk, project.name), _said(asked))


def _entry(
    request: HttpRequest,
    user: User,
    action: str,
    status: int,
    project: tuple[int | None, str],
    said: dict[str, Any],
    **differences: dict[str, Any],
) -> None:
    token = getattr(user, "token", None)
    AuditEntry.objects.create(
        at=timezone.now(),
        actor=user.get_username(),
        via=token.prefix if token is not None else "",
        address=(request.META.get("REMOTE_ADDR") or "")[:60],
        action=action[:100],
        method=request.method or "",
        status=status,
        project_id=project[0],
        project=project[1],
        object=_plain(request.path)[:600],
        said=said,
        **differences,
    )


def audit_made(request: Any, kind: str, key: Any) -> None:
    """A view tells what it made, where its address and what was sent don't name that: it is kept as it is now."""
    getattr(request, "_request", request).audited = (kind, key, {})


def _kept(request: HttpRequest, arguments: Mapping[str, Any]) -> tuple[str, Any, dict[str, Any]] | None:
    about = named(request.path, arguments, lambda: _said(request) if _short_form(request) else {})
    return (*about, snapshot(*about)) if about else None


def _short_form(request: HttpRequest) -> bool:
    """True when what was sent may be looked at before the view does: no upload, nothing long."""
    plain = request.content_type in ("application/json", "application/x-www-form-urlencoded")
    return plain and _length(request) <= _LARGEST_BODY


def _said(request: HttpRequest) -> dict[str, Any]:
    try:
        return _fields(request)
    except (SuspiciousOperation, OSError):  # more than is read, or the sender has gone
        return {}


def _fields(request: HttpRequest) -> dict[str, Any]:
    fields: Mapping[str, Any] = {}
    if request.POST:
        fields = {name: request.POST.getlist(name) for name in request.POST if name != "csrfmiddlewaretoken"}
        fields = {name: values[0] if len(values) == 1 else values for name, values in fields.items()}
    elif request.content_type == "application/json":
        fields = _json(request)
    elif request.GET:
        fields = request.GET.dict()
    return {
        _plain(name)[:100]: _short(value) if name in _PLAIN else "…"
        for name, value in list(fields.items())[:40]
    }


def _length(request: HttpRequest) -> int:
    text = request.META.get("CONTENT_LENGTH") or "0"
    return int(text) if text.isdecimal() and len(text) < 12 else _LARGEST_BODY + 1


def _json(request: HttpRequest) -> Mapping[str, Any]:
    from django.http import RawPostDataException

    try:
        said = orjson.loads(request.body)
    except (ValueError, RawPostDataException):
        return {}
    return said if isinstance(said, dict) else {}


def _plain(text: str) -> str:
    """What every database holds: no NUL, no half of a character."""
    return text.replace("\0", "").encode("utf-8", "replace").decode()


def _short(value: Any) -> Any:
    if isinstance(value, list):
        return [_short(one) for one in value[:20]]
    return (
        _plain(value)[:_LONGEST]
        if isinstance(value, str)
        else value
        if isinstance(value, (int, float, bool))
        else "…"
    )


# --- executions --------------------------------------------------------------------------------------


def secrets_used(orders: Iterable[Any], projects: Mapping[str, int], worker: str, now: datetime) -> None:
    """Note which secrets these executions were handed, with their projects by name. One query, or none."""
    used = [order for order in orders if order.secrets]
    if not used:
        return
    AuditEntry.objects.bulk_create(
        AuditEntry(
            at=now,
            actor=f"execution {order.execution_id}",
            action=SECRETS_USED,
            project_id=projects.get(order.project),
            project=order.project,
            object=order.service,
            said={"secrets": sorted(order.secrets), "attempt": order.attempt, "worker": worker},
        )
        for order in used
    )


# --- reading -----------------------------------------------------------------------------------------


def audit_list(
    user: Any,
    *,
    query: str = "",
    project: str = "",
    since: datetime | None = None,
    until: datetime | None = None,
) -> QuerySet[AuditEntry]:
    """The entries that this person may read: administrators all, owners those of their projects.

    `query` is looked for in who, what and to what.
    """
    found = AuditEntry.objects.all()
    projects = reach(user, Action.OWN)
    if projects is not None:
        found = found.filter(project_id__in=projects)
    if query:
        found = found.filter(
            Q(actor__icontains=query) | Q(action__icontains=query) | Q(object__icontains=query)
        )
    if project:
        found = found.filter(project=project)
    if since is not None:
        found = found.filter(at__gte=since)
    return found if until is None else found.filter(at__lt=until)


COLUMNS: Final = (
    *("at", "actor", "via", "address", "action", "method", "status", "project", "object"),
    *("said", "before", "after"),
)


def audit_rows(found: QuerySet[AuditEntry]) -> Iterator[dict[str, Any]]:
    """Entries as plain values, oldest first, a few at a time."""
    for at, *others in values(found, ("at", "id"), COLUMNS):
        yield dict(zip(COLUMNS, (at.astimezone(UTC).isoformat(), *others), strict=True))


def audit_written(found: QuerySet[AuditEntry], form: str) -> Iterator[bytes]:
    """Entries as a file, oldest first: `form` is csv or jsonl."""
    return lines(COLUMNS, audit_rows(found), form)
