"""Members of a project: who they are, made, changed and removed."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from django.contrib.auth.models import Group
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Q, QuerySet

from ferris.errors import Conflict, NotFound
from ferris_web.accounts.models import Membership, Role, User

PERSON, GROUP = "user", "group"
KINDS = (PERSON, GROUP)


@dataclass(frozen=True)
class Changed:
    """What became of a member: roles before and after; empty for none."""

    before: str
    after: str


def member_list(project: int) -> QuerySet[Membership]:
    """The people and groups of a project, as they were added; service accounts are not among them."""
    found = Membership.objects.filter(project=project).exclude(user__service_of__isnull=False)
    return found.select_related("user", "group").order_by("id")


def member_get(project: int, kind: str, name: str) -> Membership:
    """What that person or group is in the project; NotFound, whether or not there is one of that name elsewhere."""
    by = {PERSON: "user__username", GROUP: "group__name"}.get(kind)
    found = member_list(project).filter(**{by: name.replace("\0", "")}).first() if by else None
    if found is None:
        raise NotFound(f"{name} is no member")
    return found


def member_set(project: int, kind: str, name: str, role: str) -> Changed:
    """Give that person or group that role. ValidationError names the field; Conflict for the last owner."""
    if role not in Role.values:
        raise ValidationError({"role": f"expected one of {', '.join(Role.values)}"})
    who = _named(kind, name)
    with transaction.atomic():
        before = _locked(project, who)
        if before == role:
            return Changed(before, role)
        if before == Role.OWNER:
            _not_the_last(project, who)
        Membership.objects.update_or_create(project_id=project, **who, defaults={"role": role})
    return Changed(before, role)


def member_remove(project: int, kind: str, name: str) -> Changed:
    """Take somebody's role away. NotFound; Conflict for the last owner."""
    who = _named(kind, name)
    with transaction.atomic():
        before = _locked(project, who)
        if not before:
            raise NotFound(f"{name} is no member")
        if before == Role.OWNER:
            _not_the_last(project, who)
        Membership.objects.filter(project=project, **who).delete()
    return Changed(before, "")


def _named(kind: str, name: str) -> dict[str, User | Group]:
    name = name.replace("\0", "")
    found: User | Group | None
    if kind == PERSON:
        found = User.objects.filter(username=name, service_of=None).first()
    elif kind == GROUP:
        found = Group.objects.filter(name=name).first()
    else:
        raise ValidationError({"kind": f"expected one of {', '.join(KINDS)}"})
    if found is None:
        raise ValidationError({"name": f"there is no {'person' if kind == PERSON else 'group'} {name!r}"})
    return {kind: found}


def _locked(project: int, who: dict[str, User | Group]) -> str:
    """The role until now. All of a project's owners are locked: of two who leave at once one stays."""
    owners = Membership.objects.select_for_update().filter(project=project, role=Role.OWNER).order_by("pk")
    list(owners.values_list("pk", flat=True))
    return Membership.objects.filter(project=project, **who).values_list("role", flat=True).first() or ""


def _not_the_last(project: int, who: dict[str, User | Group]) -> None:
    """Conflict, unless another owner can sign in: neither a disabled person nor a group of none but such."""
    others = Membership.objects.filter(project=project, role=Role.OWNER).exclude(**who)
    people = User.objects.filter(is_active=True, service_of=None)
    if not others.filter(Q(user__in=people) | Q(group__user__in=people)).exists():
        raise Conflict(
            "a project keeps its last owner who can sign in; make somebody else owner first (people who are disabled "
            "and groups without members do not count)"
        )


def left_without_owner(memberships: Collection[int] = (), people: Collection[User] = ()) -> list[str]:
    """The projects, by name, that have an owner who can sign in, and would have none without these memberships and
    people."""
    owners = Membership.objects.filter(role=Role.OWNER, project__isnull=False)
    able = User.objects.filter(is_active=True, service_of=None)
    then = _owned(owners.exclude(pk__in=memberships), able.exclude(pk__in=[person.pk for person in people]))
    return sorted(_owned(owners, able) - then)


def _owned(owners: QuerySet[Membership], able: QuerySet[User]) -> set[str]:
    found = owners.filter(Q(user__in=able) | Q(group__user__in=able))
    return set(found.values_list("project__name", flat=True))


def roles_begin() -> None:
    """Who has an account keeps doing what everybody could do before there were roles, as migration 0003 says it."""
    people = User.objects.filter(is_staff=False, is_superuser=False, service_of=None, memberships=None)
    Membership.objects.bulk_create(
        Membership(user=one, role=Role.MAINTAINER) for one in people.order_by("pk")
    )
