"""What each page of the console asks of who opens it, by the name of its route. A route that is not here is for
administrators of the platform only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from django.core.exceptions import PermissionDenied

from ferris.errors import NotFound
from ferris_web.accounts.permissions import Action, access_of
from ferris_web.executions.visibility import ADMINISTRATORS, ANYONE, ONESELF, Need, check

_VIEW, _RUN, _EDIT = Action.VIEW, Action.RUN, Action.EDIT
_CHANGED_BY_ADMINISTRATORS = Need("member", write=_VIEW)  # the view asks `administers`


def _of(kind: str, by: str, write: Action = _EDIT, read: Action = _VIEW) -> Need:
    return Need(kind, read, write, by)


def _value(name: str) -> tuple[str, ...]:
    """The pages of a value with a history."""
    return name, f"{name}-history", f"{name}-change"


NEEDS: Final[Mapping[str, Need]] = {
    # What everybody who is signed in may open: the lists show each person what is theirs.
    **dict.fromkeys(
        (
            *(
                "dashboard",
                "go",
                "help",
                "help-page",
                "api-docs",
                "api-operation",
                "services",
                "projects",
                "executions",
                "failures",
                "flows",
                "events",
            ),
            *("gatherings", "schedules", "replays", "dead-letters", "live", "subscriptions", "notifications"),
            *("list-histogram", "list-export", "values"),
            *("search", "search-histogram", "search-values", "search-export", "search-record"),
        ),
        ANYONE,
    ),
    **dict.fromkeys(("bulk-jobs", "bulk-job"), ANYONE),  # one's own
    **dict.fromkeys(("saved-views", "saved-view"), Need("anyone", write=_VIEW)),  # those that one sees
    "list-bulk": Need("member", _RUN, _RUN),  # of what one may do that with
    "bulk-stop": Need("member", write=_RUN),
    "service": _of("service", "name"),
    "service-run": _of("service", "name", _RUN, _RUN),
    "service-pause": _of("service", "name", _RUN),
    "service-resume": _of("service", "name", _RUN),
    "service-metrics": _of("service", "name"),
    "service-files": _of("service", "name"),
    "service-file": _of("service", "name"),
    "service-new": Need("member", _EDIT, _EDIT),  # the view asks for the project
    **dict.fromkeys(
        ("service-edit", "service-edit-files", "service-order", "service-restore", "service-remove"),
        _of("service", "name", _EDIT, _EDIT),
    ),
    "service-settings": _of("service", "name"),
    "service-secret": _of("service", "name"),
    **dict.fromkeys((*_value("service-config"), *_value("service-state")), _of("service", "name")),
    **dict.fromkeys(_value("project-config"), _of("project", "name")),
    # Every service gets it: whoever sees one sees that.
    **dict.fromkeys(_value("platform-config"), Need("member", write=Action.ADMINISTER)),
    **dict.fromkeys(_value("platform-env"), ADMINISTRATORS),
    "service-versions": _of("service", "name"),
    "service-diff": _of("service", "name"),
    "service-saved-run": _of("service", "name", _RUN),
    "system-map": ANYONE,
    "service-why": _of("service", "name"),
    "project-add": Need("platform", _EDIT, _EDIT),
    "project": _of("project", "name"),
    "project-dashboard": _of("project", "name"),
    "project-export": _of("project", "name"),
    "project-sync": _of("project", "name"),
    "secrets": Need("member"),  # of what one sees
    "platform-secret": ADMINISTRATORS,
    "project-secret": _of("project", "name"),
    "members": _of("project", "name", Action.OWN),
    "repository": _of("project", "name"),
    "sync": _of("project", "name"),
    **dict.fromkeys(
        (
            *("repository-add", "repository-key", "repository-remove", "repository-push"),
            *("repository-preview", "repository-rollback", "repository-follow"),
        ),
        _of("project", "name", _EDIT, _EDIT),
    ),
    **dict.fromkeys(("connections", "connection", "connection-add"), _CHANGED_BY_ADMINISTRATORS),
    **dict.fromkeys(("connection-test", "connection-remove"), _CHANGED_BY_ADMINISTRATORS),
    **dict.fromkeys(("webhooks", "webhook", "webhook-add"), _CHANGED_BY_ADMINISTRATORS),
    **dict.fromkeys(("webhook-test", "webhook-remove"), _CHANGED_BY_ADMINISTRATORS),
    "charts": Need("anyone", write=_EDIT),  # the view asks for the project that the address names
    "chart-add": Need("member", _EDIT, _EDIT),  # likewise
    **dict.fromkeys(("chart", "chart-remove"), _of("chart", "pk", _EDIT, _EDIT)),
    "notification-add": Need("member", _EDIT, _EDIT),
    **dict.fromkeys(
        ("notification", "notification-test", "notification-remove"),
        _of("notification rule", "name", _EDIT, _EDIT),
    ),
    "subscription-add": Need("member", _EDIT, _EDIT),
    **dict.fromkeys(
        (
            *("subscription", "subscription-test", "subscription-pause", "subscription-resume"),
            *("subscription-remove", "delivery", "delivery-again"),
        ),
        _of("subscription", "name", _EDIT, _EDIT),  # its page has its URL, which may be as good as a password
    ),
    **dict.fromkeys(("event-maps", "event-map-remove"), _CHANGED_BY_ADMINISTRATORS),
    "event-map-new": Need("platform", write=_VIEW),  # it shows past events
    **dict.fromkeys(("event-types", "event-type", "event-type-by-name"), _CHANGED_BY_ADMINISTRATORS),
    "execution": ANYONE,  # a run that was just asked for has no row yet: the view asks once there is one
    "execution-log": _of("execution", "pk"),
    "execution-log-file": _of("execution", "pk"),
    "artifact": _of("execution", "pk"),
    "artifact-file": _of("execution", "pk"),
    "execution-cancel": _of("execution", "pk", _RUN),
    "execution-priority": _of("execution", "pk", _RUN),
    "execution-retry": _of("execution", "pk", _RUN),
    "live-log": _of("execution", "pk"),
    "failures-retry": Need("member", write=_RUN),  # of those failures that one may retry
    "dead-letters-redrive": Need("member", write=_RUN),
    "dead-letter": _of("dead letter", "pk"),
    "dead-letter-redrive": _of("dead letter", "pk", _RUN),
    "dead-letter-delete": _of("dead letter", "pk"),
    "workers": Need("member"),
    "lane": Need("platform"),
    "worker": Need("platform"),
    **dict.fromkeys(("flow", "flow-by-name"), ANYONE),  # as well
    "event-send": Need("member", _RUN, _RUN),
    "event": _of("event", "key"),
    "event-why": _of("event", "key"),
    "backtest": Need("member", write=_VIEW),
    "gathering": _of("gathering", "pk"),
    **dict.fromkeys(("gathering-close", "gathering-discard"), _of("gathering", "pk", _RUN)),
    "schedule-switch": _of("schedule", "pk"),
    "schedule-gaps": _of("schedule", "pk", _RUN),
    "replay-new": Need("member", _RUN, _RUN),
    "replay": _of("replay", "pk"),
    "replay-stop": _of("replay", "pk", _RUN),
    "replay-resume": _of("replay", "pk", _RUN),
    **dict.fromkeys(("backends", "consumers"), Need("platform")),
    # The log and the objects as they are hold what belongs to all projects.
    **dict.fromkeys(("topics", "topic", "buckets", "bucket", "object"), Need("platform")),
    **dict.fromkeys(
        ("account", "account-sign-in", "account-app", "account-passkey", "account-confirm"), ONESELF
    ),
    **dict.fromkeys(("audit", "audit-export"), Need("member", Action.OWN, Action.OWN)),
}


def offers(user: Any, route: str, project: int | None = None, /, **named: Any) -> bool:
    """True when this person may do what that route does: for buttons, which are not shown in vain.

    Of what belongs to a project, with that `project`, without a query; or with what the address has, if it is not
    known to which ones it belongs. Without either: if it is allowed somewhere.
    """
    need = NEEDS.get(route) or ADMINISTRATORS
    if named:
        try:
            check(user, need, "POST", named)
        except (PermissionDenied, NotFound):
            return False
        return True
    access = access_of(user)
    if need.named and project is not None:
        return access.may(need.write, project)
    return access.may(need.write) if need.of == "platform" else access.may_somewhere(need.write)


def opens(user: Any, name: str) -> bool:
    """True when this person may open the page of that route, which names no record: for menus."""
    try:
        check(user, NEEDS.get(name), "GET", {})
    except PermissionDenied:
        return False
    return True
