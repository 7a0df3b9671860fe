"""Saved views: filters under a name, one's own or shared with a project, and the one a list opens with."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final
from uuid import UUID

from django.core.exceptions import PermissionDenied
from django.db.models import Q, QuerySet
from django.http import QueryDict

from ferris.errors import Conflict, NotFound
from ferris_web.accounts.models import User
from ferris_web.accounts.permissions import Action, access_of, reach, require
from ferris_web.catalog.models import Project
from ferris_web.executions.listings import LISTINGS, Filters
from ferris_web.executions.models import DefaultView, SavedView
from ferris_web.executions.searching import SEARCH
from ferris_web.names import once

VIEWED: Final[dict[str, Filters]] = {**LISTINGS, SEARCH.name: SEARCH}
"""What has views, by name."""
MOST: Final = 100
"""Of one person in one list."""
LONGEST_NAME: Final = 100
LONGEST_QUERY: Final = 4000
_NO_FILTERS: Final = ("cursor", "page", "format", "action", "all")


def view_listing(name: str) -> Filters:
    """The list of that name; NotFound."""
    if name not in VIEWED:
        raise NotFound(f"there is no list {name[:40]!r}: {', '.join(VIEWED)}")
    return VIEWED[name]


def view_list(user: Any, listing: str = "") -> QuerySet[SavedView]:
    """One's own and those that are shared with one's projects, by name."""
    projects = reach(user)
    shared = Q(project__isnull=False) if projects is None else Q(project__in=projects)
    found = SavedView.objects.select_related("owner", "project").filter(Q(owner=user, project=None) | shared)
    return (found.filter(listing=listing) if listing else found).order_by("name", "id")


def view_get(user: Any, pk: UUID) -> SavedView:
    """The view of that id that this person sees; NotFound."""
    row = view_list(user).filter(pk=pk).first()
    if row is None:
        raise NotFound(f"there is no saved view {pk}")
    return row


def view_save(
    user: User, listing: str, name: str, query: str, *, project: Project | None = None, now: datetime
) -> SavedView:
    """Keep these filters under that name, in place of what was kept under it. Sharing takes the right to run there,
    taking another's place the right to edit. Conflict, PermissionDenied or NotFound say why not."""
    filters = view_listing(listing)
    name = name.strip()
    if not name or len(name) > LONGEST_NAME or not name.isprintable():
        raise Conflict(f"the name of a view: expected 1 to {LONGEST_NAME} printable characters")
    kept = _plain(filters, query)
    if project is not None:
        require(user, Action.RUN, project.pk, project.name)
        known = SavedView.objects.filter(listing=listing, project=project, name=name).first()
        if known is not None and known.owner_id != user.pk:
            require(user, Action.EDIT, project.pk, project.name)
    elif SavedView.objects.filter(owner=user, listing=listing).exclude(name=name).count() >= MOST:
        raise Conflict(f"you have {MOST} views of this list; remove one first")
    place = {"listing": listing, "name": name, "project": project}
    if project is None:
        place["owner"] = user
    with once("somebody else saved a view of that name just now; look at it first"):
        row, _ = SavedView.objects.update_or_create(
            **place, defaults={"query": kept, "owner": user, "saved_at": now}
        )
    return row


def _plain(filters: Filters, query: str) -> str:
    """The filters of an address alone; Conflict for what the list does not take."""
    if len(query) > LONGEST_QUERY:
        raise Conflict(f"the filters are longer than {LONGEST_QUERY} characters")
    asked = QueryDict(query, mutable=True)
    for name in [name for name, value in asked.items() if name in _NO_FILTERS or not value]:
        del asked[name]
    known = {part for one in filters.fields for part in (one.name, one.short)}
    strange = [name for name in asked if name not in known and name not in ("since", "until")]
    if strange:
        raise Conflict(f"the list has no filter {strange[0][:40]!r}")
    return asked.urlencode()


def view_may_change(user: Any, row: SavedView) -> bool:
    """True for its owner, and for who may edit in the project it is shared with."""
    if row.owner_id == user.pk:
        return True
    return row.project_id is not None and access_of(user).may(Action.EDIT, row.project_id)


def view_remove(user: Any, pk: UUID) -> SavedView:
    """It is no longer kept. NotFound; PermissionDenied for one that another shared."""
    row = view_get(user, pk)
    if not view_may_change(user, row):
        raise PermissionDenied(
            "This view is another's: its owner, or a maintainer of its project, removes it"
        )
    row.delete()
    return row


def view_default_set(user: User, listing: str, pk: UUID | None) -> None:
    """The list opens with that view, or with all; NotFound."""
    if pk is None:
        DefaultView.objects.filter(user=user, listing=listing).delete()
        return
    row = view_get(user, pk)
    DefaultView.objects.update_or_create(user=user, listing=row.listing, defaults={"view": row})


def view_default(user: Any, listing: str) -> SavedView | None:
    """The view with which this person's list opens, as long as they see it."""
    row = DefaultView.objects.filter(user=user, listing=listing).select_related("view").first()
    if row is None:
        return None
    seen = row.view.project_id is None or access_of(user).may(Action.VIEW, row.view.project_id)
    return row.view if seen else None
