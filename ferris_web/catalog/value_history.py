"""What configuration and state were: their changes, what held at a time, what is different between two."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from datetime import datetime
from typing import Final

from django.db.models import QuerySet

from ferris.errors import NotFound
from ferris.text_differences import Difference, json_shown, text_difference
from ferris_web import wiring
from ferris_web.catalog.models import Project, Service, ValueChange
from ferris_web.catalog.values import PROJECTS, Kind, Place, mark_of, value_now

MOST: Final = 10_000
"""Changes of one value that are kept."""
_AT_ONCE: Final = 500


def changes_of(place: Place) -> QuerySet[ValueChange]:
    """The changes of a value without their contents, the newest first."""
    return ValueChange.objects.filter(key=place.key).order_by("-number").defer("value")


def values_known(*, query: str = "", kind: str = "", project: str = "", env: bool) -> QuerySet[ValueChange]:
    """The newest change of every value whose history is known, with whose it is. `env`: ferris.env, too."""
    found = ValueChange.objects.filter(until=None).defer("value").select_related("project", "service")
    if not env:
        found = found.exclude(kind=Kind.ENV)
    if query:
        found = found.filter(key__icontains=query)
    if kind:
        found = found.filter(kind=kind)
    return found.filter(project__name=project) if project else found


def change_get(place: Place, number: int) -> ValueChange:
    """One of them, with its content. NotFound."""
    found = ValueChange.objects.filter(key=place.key, number=number).first() if number < 2**31 else None
    if found is None:
        raise NotFound(f"the history of the {place} has no change {number}")
    return found


def change_at(place: Place, moment: datetime) -> ValueChange:
    """The change that held at that moment. NotFound when the history begins later."""
    found = ValueChange.objects.filter(key=place.key, at__lte=moment).order_by("-at", "-number").first()
    if found is None:
        raise NotFound(f"what the {place} was then is not known: its history begins later")
    return found


def change_other(place: Place, number: int, other: int | None) -> ValueChange | None:
    """What one of them is compared with: another one if it is named (NotFound), else the one before it, if that is
    still kept."""
    if other:
        return change_get(place, other)
    return ValueChange.objects.filter(key=place.key, number__lt=number).order_by("-number").first()


def content_of(change: ValueChange) -> bytes | None:
    """What a change made of the value; None when it removed it, or when it is not kept."""
    return None if change.value is None else bytes(change.value)


def changes_compared(old: ValueChange | None, new: ValueChange) -> Difference:
    """What is different between two; None is nothing at all."""
    for change in (old, new):
        if change is not None and change.masked:
            return Difference(
                note=f"not compared: a secret stands in change {change.number}, it was not kept"
            )
    return contents_compared(None if old is None else content_of(old), content_of(new))


def contents_compared(old: bytes | None, new: bytes | None) -> Difference:
    """What is different between two contents of a value; None is nothing at all."""
    return text_difference(json_shown(old), json_shown(new))


def values_look(now: datetime, hides: Callable[[Place, bytes], bool]) -> int:
    """Look at every value, so that what changed elsewhere is noted; how many had."""
    entries = {entry.key: mark_of(entry.value) for entry in wiring.config_store().list("")}
    newest = ValueChange.objects.filter(until=None, removed=False).order_by()
    known = dict(newest.values_list("key", "mark"))
    differing = {key for key in entries.keys() | known.keys() if entries.get(key) != known.get(key)}
    noted = 0
    for place in _places(differing):
        if place.key in differing:
            value_now(place, now, lambda value, place=place: hides(place, value))
            noted += 1
    return noted


def _places(keys: Collection[str]) -> Iterator[Place]:
    """Those that these keys may mean."""
    names = {key.removesuffix(".state") for key in keys} | set(keys)
    for service in Service.objects.filter(name__in=names).select_related("project"):
        yield Place(Kind.STATE, service)
        yield Place(Kind.CONFIG, service)
    projects = [key.removeprefix(PROJECTS) for key in keys if key.startswith(PROJECTS)]
    for project in Project.objects.filter(name__in=projects):
        yield Place(Kind.CONFIG, project)
    yield Place(Kind.CONFIG)
    yield Place(Kind.ENV)


def changes_prune(before: datetime, *, stopped: Callable[[], bool] = lambda: False) -> int:
    """Remove changes that were replaced before this moment, and those of a value beyond its newest `MOST`; how many.

    What held at that moment stays, however old it is.
    """
    removed = 0
    while not stopped():
        old = ValueChange.objects.filter(until__lt=before).order_by("until").values_list("pk", flat=True)
        keys = list(old[:_AT_ONCE])
        if not keys:
            break
        removed += ValueChange.objects.filter(pk__in=keys).delete()[0]
    newest = ValueChange.objects.filter(until=None, number__gt=MOST).order_by()
    for key, number in newest.values_list("key", "number"):
        while not stopped():
            many = ValueChange.objects.filter(key=key, number__lte=number - MOST).order_by("number")
            found = list(many.values_list("pk", flat=True)[:_AT_ONCE])
            if not found:
                break
            removed += ValueChange.objects.filter(pk__in=found).delete()[0]
    return removed
