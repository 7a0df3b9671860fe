"""Who may do what: roles, actions, and the one table between them.

A person, or a group, is a member of a project with a role; a membership without a project counts in every project,
those to come included, and for what belongs to no project. Administrators of the platform may do everything.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import PermissionDenied
from django.db.models import Model, Q

from ferris_web.accounts.models import Membership, Role, User


class Action(StrEnum):
    """What one may want to do in a project, or on the platform."""

    VIEW = "view"
    RUN = "run"
    EDIT = "edit"
    OWN = "own"
    ADMINISTER = "administer"


LEAST: Final[Mapping[Action, Role | None]] = {
    Action.VIEW: Role.VIEWER,  # see services, executions, logs, files, events of its flows
    Action.RUN: Role.OPERATOR,  # run, cancel, retry, send events, replay, pause, move in the queue
    Action.EDIT: Role.MAINTAINER,  # services, configuration, state, secrets, schedules, syncs
    Action.OWN: Role.OWNER,  # members, service accounts, their tokens
    Action.ADMINISTER: None,  # administrators of the platform only
}
"""The least role for each action."""

_RANK: Final = {role: rank for rank, role in enumerate(Role)}
SCOPE_OF: Final[Mapping[Action, str]] = {
    Action.VIEW: "read",
    Action.RUN: "run",
    Action.EDIT: "write",
    Action.OWN: "admin",
    Action.ADMINISTER: "admin",
}


def allows(role: Role | str | None, action: Action) -> bool:
    """True when that role is enough for that action."""
    least = LEAST[action]
    return bool(role) and least is not None and _RANK[Role(role)] >= _RANK[least]


def highest(roles: Iterable[Role | str]) -> Role | None:
    """The highest of these roles; None without one."""
    return max((Role(role) for role in roles), key=lambda role: _RANK[role], default=None)


@dataclass(frozen=True)
class Access:
    """What one person, or one token of theirs, may do.

    `everywhere` is the role in every project; `projects` are roles by project. A token's `scopes` and
    `only` (its projects) narrow that; None: as its person.
    """

    administrator: bool = False
    everywhere: Role | None = None
    projects: Mapping[int, Role] = field(default_factory=dict)
    scopes: frozenset[str] | None = None
    only: frozenset[int] | None = None

    def role(self, project: int | None = None) -> Role | None:
        """The role in a project; without one, in what belongs to no project."""
        if self.only is not None and project not in self.only:
            return None
        if self.administrator:
            return Role.OWNER
        own = () if project is None else (self.projects.get(project),)
        return highest(role for role in (self.everywhere, *own) if role)

    def may(self, action: Action, project: int | None = None) -> bool:
        """True when this is allowed in that project; without one, in what belongs to no project."""
        if not self._scoped(action):
            return False
        if action is Action.ADMINISTER:
            return self.administrator and self.only is None
        return allows(self.role(project), action)

    def may_somewhere(self, action: Action) -> bool:
        """True when this is allowed in one project at least, or in all."""
        reach = self.reach(action)
        return reach is None or bool(reach)

    def reach(self, action: Action) -> frozenset[int] | None:
        """The projects in which this is allowed; None: in all, and in what belongs to none."""
        if self.may(action):
            return None
        if not self._scoped(action) or action is Action.ADMINISTER:
            return frozenset()
        known = self.only if self.only is not None else self.projects
        return frozenset(project for project in known if self.may(action, project))

    def _scoped(self, action: Action) -> bool:
        return self.scopes is None or SCOPE_OF[action] in self.scopes


NOTHING: Final = Access()


def access_of(user: User | AnonymousUser | Any) -> Access:
    """What this person may do, as their session or token lets them. One query per request, none for administrators."""
    known = getattr(user, "_access", None)
    if known is not None:
        return known  # type: ignore[no-any-return]
    if not isinstance(user, User) or not user.is_active:
        return NOTHING
    user._access = _read(user)  # type: ignore[attr-defined]
    return user._access  # type: ignore[attr-defined, no-any-return]


def _read(user: User) -> Access:
    if user.is_superuser or user.is_staff:
        return Access(administrator=True)
    groups = user.groups.order_by().values("pk")
    found = Membership.objects.filter(Q(user=user) | Q(group__in=groups)).values_list("project_id", "role")
    by_project: dict[int | None, list[str]] = {}
    for project, role in found:
        by_project.setdefault(project, []).append(role)
    everywhere = highest(by_project.pop(None, ()))
    return Access(
        everywhere=everywhere,
        projects={pk: role for pk, roles in by_project.items() if pk and (role := highest(roles))},
    )


def reach(user: User | Any, action: Action = Action.VIEW) -> frozenset[int] | None:
    """The projects in which this person may do that; None: in all, and in what belongs to none."""
    return access_of(user).reach(action)


def may_edit(user: User | Any, project: int | None = None) -> bool:
    """Who may make and change what belongs to a project (None: to some project)."""
    access = access_of(user)
    return access.may_somewhere(Action.EDIT) if project is None else access.may(Action.EDIT, project)


def may_change(user: User | Any, project: int | None) -> bool:
    """Who may change what is a project's: its maintainers; what is the platform's (None): its administrators."""
    access = access_of(user)
    return access.may(Action.ADMINISTER) if project is None else access.may(Action.EDIT, project)


def may_manage(user: User | Any, model: type[Model]) -> bool:
    """Who may change what belongs to no project: administrators, and whom one of them gave Django's permission to
    change that model."""
    access = access_of(user)
    if access.may(Action.ADMINISTER):
        return True
    limited = access.scopes is not None or access.only is not None
    permission = f"{model._meta.app_label}.change_{model._meta.model_name}"
    return isinstance(user, User) and not limited and bool(user.is_active and user.has_perm(permission))


def require(user: User | Any, action: Action, project: int | None = None, name: str = "") -> None:
    """PermissionDenied that names the role it needs, unless this person may do this in that project."""
    access = access_of(user)
    if not access.may(action, project):
        raise PermissionDenied(
            refusal(access, action, access.role(project), f"the project {name}" if name else "")
        )


def require_scopes(access: Access, scopes: Iterable[str], projects: Iterable[int] | None) -> None:
    """PermissionDenied for a token that would make another which may more than itself."""
    if access.scopes is not None and not {"admin", *scopes} <= access.scopes:
        raise PermissionDenied(
            "A token makes no token that may more than itself, and only with the scope admin"
        )
    if access.only is not None and (projects is None or not set(projects) <= access.only):
        raise PermissionDenied("A token for some projects makes none for others")


def refusal(access: Access, action: Action, role: Role | None, where: str = "") -> str:
    """Why not, and what it would take."""
    if access.scopes is not None and SCOPE_OF[action] not in access.scopes:
        return f"The token is not made for this: it needs the scope {SCOPE_OF[action]}"
    least = LEAST[action]
    if least is None:
        return "This is for administrators of the platform"
    yours = f"yours is {role}" if role else "you have none"
    return f"This needs the role {least} in {where or 'all projects'}; {yours}"
