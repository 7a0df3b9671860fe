"""Changes of the catalog: projects and their repositories, configuration, schedules, uploaded services."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from django.core.exceptions import ValidationError
from django.db import transaction

from ferris import cron
from ferris.errors import Conflict
from ferris_web import wiring
from ferris_web.catalog.changes import notify, revision_bump
from ferris_web.catalog.event_types import event_types_seen
from ferris_web.catalog.models import Project, Schedule, Service
from ferris_web.catalog.sync import checkout_remove, project_sync, repositories_locked
from ferris_web.catalog.upload import service_upload
from ferris_web.catalog.values import project_key

__all__ = [
    "event_types_seen",
    "project_named",
    "project_remove",
    "project_sync",
    "revision_bump",
    "schedule_add",
    "schedule_advance",
    "schedule_remove",
    "schedule_switch",
    "service_upload",
]


def project_named(name: str) -> Project:
    """The project of that name, made without a repository when there is none: for services that are uploaded.

    Django's ValidationError says what is wrong with a new name.
    """
    project = Project.objects.filter(name=name).first() or Project(name=name)
    if project._state.adding:
        try:
            project.full_clean()
        except ValidationError as error:
            raise ValidationError({"project": error.message_dict["name"]}) from None
        project, _ = Project.objects.get_or_create(name=name)
    return project


def project_remove(project: Project, *, now: datetime) -> list[str]:
    """Forget a project's repositories; its services stay, with their history, but are triggered no more.

    Names the services that were deactivated. A project that never had a service is deleted altogether.
    Conflict while it is being synced.
    """
    repositories = list(project.repositories.all())
    with repositories_locked(repositories), transaction.atomic():
        gone = list(project.services.filter(vanished_at=None).order_by("name"))
        Service.objects.filter(pk__in=[service.pk for service in gone]).update(vanished_at=now)
        project.promises.filter(vanished_at=None).update(vanished_at=now)
        for repository in repositories:
            checkout_remove(repository)
            repository.delete()
        if not project.services.exists():
            wiring.config_store().delete(project_key(project.name))  # whoever takes the name next begins anew
            project.delete()
        revision_bump()
    return [service.name for service in gone]


def schedule_add(
    service: Service,
    *,
    origin: str,
    cron: str,
    name: str = "",
    timezone: str = "UTC",
    parameters: Mapping[str, Any] | None = None,
    trigger_type: str = "scheduled",
    flow_id: str = "",
    parent_execution: UUID | None = None,
    now: datetime,
) -> Schedule:
    """Let the clock run a service: by cron, or once for the absolute form `minute hour day month`.

    Django's ValidationError says what is wrong with the expression or the time zone.
    """
    schedule = Schedule(
        service=service,
        origin=origin,
        name=name,
        cron=cron.strip(),
        timezone=timezone,
        parameters=dict(parameters or {}),
        trigger_type=trigger_type,
        flow_id=flow_id,
        parent_execution=parent_execution,
    )
    _plan(schedule, now)
    schedule.full_clean(exclude=["service"])
    with transaction.atomic():
        schedule.save()
        notify("schedule")
    return schedule


def _plan(schedule: Schedule, now: datetime) -> None:
    try:
        cron.validate(schedule.cron, schedule.timezone)
        schedule.once = cron.is_once(schedule.cron)
        schedule.next_due_at = cron.next_after(schedule.cron, schedule.timezone, now)
    except ValueError as error:
        raise ValidationError({"cron": str(error)}) from None


def schedule_advance(schedule: Schedule, *, fired: datetime, following: datetime | None) -> bool:
    """Move a schedule on after the due time `fired`; without a following one it is done.

    A compare-and-set: False when another scheduler was first, or somebody changed the schedule meanwhile.
    """
    moved = Schedule.objects.filter(pk=schedule.pk, next_due_at=fired).update(
        last_due_at=fired, next_due_at=following, active=following is not None
    )
    return bool(moved)


def schedule_switch(schedule: Schedule, active: bool, *, now: datetime) -> None:
    """Pause a schedule or let it go on; it goes on from now: what was missed is not made up for."""
    with transaction.atomic():
        schedule.active = active
        if active:
            _plan(schedule, now)
        schedule.save(update_fields=["active", "once", "next_due_at"])
        notify("schedule")


def schedule_remove(schedule: Schedule) -> None:
    """Delete a schedule that a script or a person made; Conflict for one that a manifest asks for."""
    if schedule.origin == Schedule.Origin.MANIFEST:
        raise Conflict(
            f"it stands in the manifest of {schedule.service}: pause it here, or remove it there and sync"
        )
    schedule.delete()
