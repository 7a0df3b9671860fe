"""What each route of the REST API asks of who calls, by its name. A route that is not here is for administrators of
the platform only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from rest_framework.exceptions import NotAuthenticated
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from ferris_web.accounts.permissions import Action
from ferris_web.executions.visibility import ADMINISTRATORS, ANYONE, ONESELF, Need, check

_VIEW, _RUN, _EDIT, _OWN = Action.VIEW, Action.RUN, Action.EDIT, Action.OWN
_CHANGED_BY_ADMINISTRATORS = Need("member", write=_VIEW)  # the view asks `administers`


def _of(kind: str, by: str, write: Action = _EDIT) -> Need:
    return Need(kind, _VIEW, write, by)


def _value(name: str) -> tuple[str, ...]:
    """The routes of a value with a history."""
    return name, f"{name}-history", f"{name}-change", f"{name}-restore"


NEEDS: Final[Mapping[str, Need]] = {
    "schema": ANYONE,
    "events": Need("anyone", write=_RUN),  # an event may run services of every project
    "event": _of("event", "event"),
    "event-why": _of("event", "event"),
    "dashboard": ANYONE,
    "project-dashboard": _of("project", "name"),
    "service-metrics": _of("service", "name"),
    "backtests": Need("member", write=_VIEW),
    # Lists show each caller what is theirs.
    **dict.fromkeys(("executions", "failures", "flows", "gatherings", "services", "promises"), ANYONE),
    **dict.fromkeys(("list-histogram", "list-file"), ANYONE),
    **dict.fromkeys(("projects", "schedules", "dead-letters", "dead-letter-groups"), ANYONE),
    **dict.fromkeys(
        ("saved-views", "saved-view", "list-default-view"), Need("anyone", write=_VIEW)
    ),  # one's own, and what one sees
    **dict.fromkeys(
        ("search", "search-counts", "search-file", "search-record"), ANYONE
    ),  # the query is limited
    "replays": Need("anyone", write=_RUN),
    "bulk": Need("anyone", write=_RUN),  # of what one may do that with
    **dict.fromkeys(("bulk-preview", "bulk-stop"), Need("member", write=_RUN)),
    "bulk-job": ANYONE,  # one's own
    "execution": _of("execution", "pk"),
    "execution-config": _of("execution", "pk"),
    "execution-steps": _of("execution", "pk"),
    "execution-artifacts": _of("execution", "pk"),
    "execution-artifact": _of("execution", "pk"),
    "execution-logs": _of("execution", "pk"),
    "execution-log-file": _of("execution", "pk"),
    "execution-cancel": _of("execution", "pk", _RUN),
    "execution-priority": _of("execution", "pk", _RUN),
    "execution-retry": _of("execution", "pk", _RUN),
    "failures-retry": Need("member", write=_RUN),
    "flow": _of("flow", "flow_id"),
    "gathering": _of("gathering", "pk"),
    **dict.fromkeys(("gathering-close", "gathering-discard"), _of("gathering", "pk", _RUN)),
    "service": _of("service", "name"),
    "service-run": _of("service", "name", _RUN),
    "service-saved-runs": _of("service", "name"),
    "service-saved-run": _of("service", "name", _RUN),
    "service-pause": _of("service", "name", _RUN),
    "service-resume": _of("service", "name", _RUN),
    **dict.fromkeys(
        ("service-config-effective", *_value("service-config"), *_value("service-state")),
        _of("service", "name"),
    ),
    **dict.fromkeys(_value("project-config"), _of("project", "name")),
    # Every service gets it: whoever sees one sees that.
    **dict.fromkeys(_value("platform-config"), Need("member", write=Action.ADMINISTER)),
    **dict.fromkeys(_value("platform-env"), ADMINISTRATORS),
    **dict.fromkeys(
        ("service-files", "service-file", "service-versions", "service-version", "service-restore"),
        _of("service", "name"),
    ),
    "service-secrets": _of("service", "name"),
    "service-secret": _of("service", "name"),
    "lanes": Need("member"),
    "lane-pause": Need("platform"),
    "lane-resume": Need("platform"),
    "workers": Need("member"),
    "worker-drain": Need("platform"),
    "worker-resume": Need("platform"),
    "project": _of("project", "name"),
    "project-export": _of("project", "name"),
    "project-sync": _of("project", "name"),
    "project-syncs": _of("project", "name"),
    "project-sync-one": _of("project", "name"),
    "project-preview": _of("project", "name"),
    **dict.fromkeys(("repository-rollback", "repository-follow", "repository-push"), _of("project", "name")),
    **dict.fromkeys(("repositories", "repository"), _of("project", "name")),
    **dict.fromkeys(("repository-deploy-key", "repository-host-key"), _of("project", "name")),
    **dict.fromkeys(("members", "member"), _of("project", "name", _OWN)),
    **dict.fromkeys(
        ("service-accounts", "service-account", "service-account-tokens", "service-account-token"),
        _of("project", "name", _OWN),
    ),
    **dict.fromkeys(("audit", "audit-file"), Need("member", _OWN, _OWN)),
    **dict.fromkeys(("tokens", "token", "sessions", "session"), ONESELF),
    "project-secrets": _of("project", "name"),
    "project-secret": _of("project", "name"),
    "values": ANYONE,
    "known-secrets": Need("member"),  # of what one sees
    "secrets": Need("platform"),
    "secret": Need("platform", write=Action.ADMINISTER),
    **dict.fromkeys(("connections", "connection", "connection-test"), _CHANGED_BY_ADMINISTRATORS),
    **dict.fromkeys(("webhooks", "webhook", "webhook-test"), _CHANGED_BY_ADMINISTRATORS),
    "webhook-deliveries": _CHANGED_BY_ADMINISTRATORS,
    **dict.fromkeys(("charts", "charts-order", "chart-preview"), Need("anyone", write=_EDIT)),  # likewise
    **dict.fromkeys(("chart", "chart-data"), _of("chart", "pk")),
    "notification-rules": Need("anyone", write=_EDIT),  # likewise
    "notification-rule": _of("notification rule", "name"),
    **dict.fromkeys(
        ("notification-rule-test", "notification-messages"), Need("notification rule", _EDIT, _EDIT, "name")
    ),
    "subscriptions": Need("anyone", write=_EDIT),  # the view asks for the project that the body names
    "subscription": _of("subscription", "name"),
    **dict.fromkeys(
        (
            *("subscription-test", "subscription-pause", "subscription-resume", "subscription-redeliver"),
            *("deliveries", "delivery", "delivery-again"),
        ),
        Need("subscription", _EDIT, _EDIT, "name"),
    ),
    **dict.fromkeys(("event-maps", "event-map"), _CHANGED_BY_ADMINISTRATORS),
    "event-map-try": Need("platform", write=_VIEW),  # it shows past events
    **dict.fromkeys(("event-types", "event-type"), _CHANGED_BY_ADMINISTRATORS),
    "schedule": _of("schedule", "pk"),
    "schedule-gaps": _of("schedule", "pk"),
    "schedule-backfill": _of("schedule", "pk", _RUN),
    "replay-preview": Need("member", write=_RUN),
    "replay": _of("replay", "pk"),
    "replay-stop": _of("replay", "pk", _RUN),
    "replay-resume": _of("replay", "pk", _RUN),
    # The log as it is holds what belongs to all projects.
    **dict.fromkeys(("buckets", "bucket-objects", "bucket-object"), Need("platform")),
    "map": ANYONE,  # each sees what is theirs
    "topics": Need("platform"),
    "topic-records": Need("platform"),
    "dead-letters-redrive": Need("member", write=_RUN),
    "dead-letter": _of("dead letter", "number"),
    "dead-letter-redrive": _of("dead letter", "number", _RUN),
}


class RoutePermission(BasePermission):
    """For known users who may do what the route asks for."""

    def has_permission(self, request: Request, view: Any) -> bool:
        """NotFound, PermissionDenied or NotAuthenticated say what is lacking."""
        if not request.user or not request.user.is_authenticated:
            raise NotAuthenticated
        match = request.resolver_match
        need = getattr(match.func, "need", None) or NEEDS.get(match.url_name or "")
        check(request.user, need, request.method, match.kwargs)
        return True
