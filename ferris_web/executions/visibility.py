"""What a person sees, and what an address asks for: the rules of `accounts.permissions` on the platform's records.

A record belongs to the project of its service. An event, a flow or a dead letter belongs to every project through
which its flow runs; one whose flow ran nothing, to none: it is for those who are members everywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar
from uuid import UUID

from django.core.exceptions import PermissionDenied
from django.db.models import Exists, F, Model, OuterRef, QuerySet, Subquery
from django.db.models.lookups import IsNull

from ferris import events
from ferris.errors import NotFound
from ferris_web.accounts.permissions import Access, Action, access_of, highest, reach, refusal
from ferris_web.catalog.models import (
    NotificationRule,
    OutputEvent,
    Project,
    PromiseRule,
    Schedule,
    Service,
    Subscription,
    Trigger,
    ValueChange,
)
from ferris_web.executions.models import (
    Binding,
    Chart,
    DeadLetter,
    Event,
    Execution,
    FailureKind,
    Flow,
    GatheredEvent,
    Gathering,
    Promise,
    Replay,
)
from ferris_web.keyset import Apart
from ferris_web.planning import looked_at

M = TypeVar("M", bound=Model)
Projects = frozenset[int]

# Conditions and no joins: a database would begin with the project and sort all that it ever ran.
_BY_SERVICE: Final = {
    Execution: "service_id",
    Schedule: "service_id",
    Gathering: "service_id",
    Replay: "service_id",
}
_BY_FLOW: Final = {Event: "flow_id", Flow: "pk", DeadLetter: "flow_id"}


def scoped(found: QuerySet[M], user: Any, action: Action = Action.VIEW) -> QuerySet[M]:
    """Those of these records that this person sees, or may do that with; all of them without a further condition
    for who may so everywhere."""
    return within(found, reach(user, action))


def within(found: QuerySet[M], projects: Projects | None, *, many: bool = False) -> QuerySet[M]:
    """Those of these records that belong to these projects; None: all. `many`: any number may fit what was asked for so
    far, such as a source."""
    if projects is None:
        return found
    if not projects:
        return found.none()
    model = found.model
    if model is Project:
        return found.filter(pk__in=projects)
    if model is Execution and executions_owned():
        return found.filter(project__in=projects)
    if model in _BY_SERVICE:
        services = Service.objects.filter(pk=OuterRef(_BY_SERVICE[model]), project__in=projects)
        return found.filter(Exists(services))
    if model in _BY_FLOW:
        return _by_flow(found, _BY_FLOW[model], projects, many)
    if model is Promise:
        return found.filter(Exists(PromiseRule.objects.filter(pk=OuterRef("rule_id"), project__in=projects)))
    return found.filter(**{f"{_OWNERS[model]}__in": projects})


_OWNERS: Final[Mapping[type[Model], str]] = {
    Service: "project",
    PromiseRule: "project",
    Subscription: "project",
    NotificationRule: "project",
    ValueChange: "project",
    Chart: "project",
    FailureKind: "project",
    Trigger: "service__project",
    OutputEvent: "service__project",
    Binding: "service__project",
    GatheredEvent: "service__project",
}


_FEW: Final = 3000
"""Executions whose flows are looked up. Projects that ran more are found soon by who walks along the list."""
_MERGED: Final = 50
"""Projects whose executions are read each for itself. Who sees more sees so much that a walk finds it."""
_NARROW: Final = frozenset(("project", "service", "correlation_id"))
_owned = False


def executions_owned() -> bool:
    """Whether each execution's row says whose it is: from before there were shares, rows that had ended did not. The
    roller sees to it; nothing takes it back."""
    global _owned
    _owned = _owned or not Execution.objects.filter(project=None).exists()
    return _owned


def executions_apart(projects: Projects | None, asked: Collection[str] = ()) -> Apart | None:
    """How the executions of these projects are read in the order of time; None: as they are, since they are all, of
    one project, or few by what else is asked for."""
    if projects is None or not 1 < len(projects) <= _MERGED or not executions_owned():
        return None
    if not _NARROW.isdisjoint(asked):
        return None
    return Apart("project", sorted(projects))


def among(found: QuerySet[Execution], projects: Projects | None) -> QuerySet[Execution]:
    """As `within`, of executions of which there are few: no index has those of a project sooner."""
    if not projects or not executions_owned():
        return within(found, projects)
    return found.alias(whose=F("project_id") + 0).filter(whose__in=projects)


def flows_few(projects: Projects) -> bool:
    """Whether what flows through these projects is so little that it is looked up by its flows."""
    theirs = Execution.objects.filter(project__in=projects).order_by()
    return executions_owned() and not theirs.values("pk")[_FEW : _FEW + 1].exists()


def _by_flow(found: QuerySet[M], column: str, projects: Projects, many: bool) -> QuerySet[M]:
    if not executions_owned():
        runs = Execution.objects.filter(flow_id=OuterRef(column), service__project__in=projects)
        return found.filter(Exists(runs))
    if not flows_few(projects):
        # Of each row's flow, whether it runs through theirs: no EXISTS, of which PostgreSQL makes a join with all that
        # they ran. An index has flow and project, and nothing else is read.
        of_flow = Execution.objects.filter(flow_id=OuterRef(column), project__in=projects).order_by()
        return found.filter(IsNull(Subquery(of_flow.values("project")[:1]), False))
    if many and found.model is not DeadLetter:  # which has no index of flows
        found = looked_at(found)
    theirs = Execution.objects.filter(project__in=projects).order_by()
    return found.filter(**{f"{column}__in": theirs.values("flow_id")})


def visible_projects(user: Any) -> QuerySet[Project]:
    """The projects that this person sees, by name."""
    return scoped(Project.objects.all(), user)


# --- what an address names ---------------------------------------------------------------------------


def _service(name: str) -> Iterable[int]:
    return Service.objects.filter(name=name).values_list("project_id", flat=True)


def _project(name: str) -> Iterable[int]:
    return Project.objects.filter(name=name).values_list("pk", flat=True)


def _subscription(name: str) -> Iterable[int]:
    return Subscription.objects.filter(name=name).values_list("project_id", flat=True)


def _rule(name: str) -> Iterable[int]:
    return NotificationRule.objects.filter(name=name).values_list("project_id", flat=True)


def _chart(pk: UUID) -> Iterable[int]:
    found = Chart.objects.filter(pk=pk, project__isnull=False)
    return found.values_list("project_id", flat=True)


def _execution(pk: UUID) -> Iterable[int]:
    return Execution.objects.filter(pk=pk).values_list("service__project_id", flat=True)


def _flow(wanted: str) -> Iterable[int]:
    wanted = wanted.replace("\0", "")
    named = [wanted, events.flow_of(wanted)]
    own = Execution.objects.filter(correlation_id=wanted).order_by().values_list("flow_id", flat=True)[:1]
    runs = Execution.objects.filter(flow_id__in=[*named, *own]).order_by()
    return runs.values_list("service__project_id", flat=True).distinct()


def _event(wanted: str | UUID) -> Iterable[int]:
    try:
        found = Event.objects.filter(pk=UUID(str(wanted)))
    except ValueError:
        found = Event.objects.filter(event_id=str(wanted).replace("\0", ""))
    flow = found.order_by("-received_at", "-key").values_list("flow_id", flat=True).first()
    return _flow(flow) if flow else ()


def _letter(number: int) -> Iterable[int]:
    flow = DeadLetter.objects.filter(pk=number).values_list("flow_id", flat=True).first()
    return _flow(flow) if flow else ()


def _of_service(model: type[Model]) -> Callable[[UUID], Iterable[int]]:
    def find(pk: UUID) -> Iterable[int]:
        found = model._default_manager.filter(pk=pk, service__isnull=False)
        return found.values_list("service__project_id", flat=True)

    return find


_FINDERS: Final[Mapping[str, Callable[[Any], Iterable[int]]]] = {
    "project": _project,
    "service": _service,
    "subscription": _subscription,
    "notification rule": _rule,
    "chart": _chart,
    "execution": _execution,
    "flow": _flow,
    "event": _event,
    "dead letter": _letter,
    "schedule": _of_service(Schedule),
    "gathering": _of_service(Gathering),
    "replay": _of_service(Replay),
}


@dataclass(frozen=True)
class Need:
    """What a route asks of who comes: `read` for looking, `write` for all other methods.

    `of`: what the address names by its argument `by`; or `member` (the action is allowed in one project at least),
    `anyone` (the same, but whoever is signed in may look: the view shows each what is theirs), `platform` (the
    action is allowed in what belongs to no project), `self` (what is one's own: tokens change it with the scope admin).
    """

    of: str
    read: Action = Action.VIEW
    write: Action = Action.EDIT
    by: str = "name"

    @property
    def named(self) -> bool:
        """True when the address names something that belongs to projects."""
        return self.of in _FINDERS


ANYONE: Final = Need("anyone")
ONESELF: Final = Need("self")
ADMINISTRATORS: Final = Need("platform", read=Action.ADMINISTER, write=Action.ADMINISTER)
"""For administrators only; also what holds for a route without a need of its own."""

_SAFE = frozenset(("GET", "HEAD", "OPTIONS"))


def check(user: Any, need: Need | None, method: str | None, arguments: Mapping[str, Any]) -> None:
    """NotFound for what this person does not see, PermissionDenied for what they may not do."""
    need = need or ADMINISTRATORS
    action = need.read if method in _SAFE else need.write
    if need.of == "anyone" and method in _SAFE:
        return
    access = access_of(user)
    if need.of == "self":
        if method not in _SAFE and access.scopes is not None and "admin" not in access.scopes:
            raise PermissionDenied(refusal(access, Action.ADMINISTER, None))
        return
    if access.may(action):
        return
    if need.named:
        allow(user, action, need.of, arguments[need.by])
        return
    if need.of != "platform" and access.may_somewhere(action):
        return
    if need.of != "platform":
        role, where = highest(access.projects.values()), "a project"
    else:
        role, where = access.role(), ""
    raise PermissionDenied(refusal(access, action, role, where))


def allow(user: Any, action: Action, kind: str, wanted: Any) -> None:
    """NotFound unless this person sees what is so named; PermissionDenied unless they may do that with it."""
    access = access_of(user)
    if access.may(action):
        return
    # No text of ours holds a NUL, and PostgreSQL would not even look for it.
    projects = frozenset(_FINDERS[kind](wanted) if "\0" not in str(wanted) else ())
    if any(access.may(action, project) for project in projects):
        return
    if not any(access.may(Action.VIEW, project) for project in projects):
        _unseen(access, action, kind, wanted)
    role = highest(role for project in projects if (role := access.role(project)))
    raise PermissionDenied(
        refusal(access, action, role, "it" if kind == "project" else f"the {kind}'s project")
    )


def _unseen(access: Access, action: Action, kind: str, wanted: Any) -> None:
    if access.may(Action.VIEW):  # sees it as a member everywhere, and may not do this
        raise PermissionDenied(refusal(access, action, access.role()))
    if access.scopes is not None and "read" not in access.scopes:
        raise PermissionDenied(refusal(access, Action.VIEW, None))
    raise NotFound(f"there is no {kind} {str(wanted)[:200]!r}")
