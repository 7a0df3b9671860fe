"""Prepared folders become rows: services, versions, triggers, schedules, secrets, configuration.

Called inside one transaction per repository. What people changed on the platform by hand is not undone by a
sync that brings nothing new: a manifest's value counts when it differs from what the current version said.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final, NamedTuple

from django.db.models import Max

from ferris import cron
from ferris.differences import service_difference
from ferris.moments import moment
from ferris_web.catalog.configs import config_sync
from ferris_web.catalog.connections import connections_missing
from ferris_web.catalog.models import (
    EventType,
    OutputEvent,
    Project,
    Repository,
    Schedule,
    Secret,
    Service,
    ServiceVersion,
    Trigger,
)
from ferris_web.catalog.outcome import Outcome
from ferris_web.catalog.prepare import Prepared
from ferris_web.catalog.secrets import secrets_sync, service_secrets

# Fields of a service that a manifest sets and that people may change on the platform.
SWITCHES: Final = ("active", "priority", "allow_manual_triggering")


def apply(
    project: Project,
    repository: Repository | None,
    items: Sequence[Prepared],
    outcome: Outcome,
    *,
    commit: str = "",
    author: str = "",
    message: str = "",
    now: datetime,
    dry: bool = False,
) -> None:
    """Bring the services of these names to what was prepared, and say in `outcome` what became of each.

    `author` and `message` are kept with each new version, as `commit` is. `dry`: the caller undoes the transaction;
    what lies outside of it is left alone.
    """
    names = [item.name for item in items]
    known = Service.objects.select_related("project", "repository", "version").filter(name__in=names)
    # Whoever changes one of them meanwhile waits: their versions are numbered one after the other.
    known = known.select_for_update(of=("self",)).order_by("name")
    services = {service.name: service for service in known}
    held = service_secrets(services.values())
    for item in items:
        service = services.get(item.name)
        clash = _clash(service, project, repository) if service else None
        if clash:
            outcome.refused.append(item.name)
            outcome.tell(item.name, clash, level="error")
        else:
            service = service or Service(name=item.name, project=project)
            change = _Change(service, repository, item, outcome, now, dry)
            change.make(Origin(commit, author[:255], message[:500]), held.get(service.pk, {}))


def vanish(repository: Repository, present: Iterable[str], outcome: Outcome, now: datetime) -> None:
    """Services of this repository whose folders are gone are kept, and triggered no more."""
    for service in (
        repository.services.filter(vanished_at=None)
        .exclude(name__in=list(present))
        .select_related("version")
        .order_by("name")
    ):
        if service.version is not None and service.active:
            outcome.services[service.name] = service_difference(service.version.manifest, None)
        service.vanished_at = now
        service.save(update_fields=["vanished_at", "updated_at"])
        outcome.removed.append(service.name)
        outcome.tell(service.name, "its folder is gone: kept with its history, and triggered no more")


def _clash(service: Service, project: Project, repository: Repository | None) -> str | None:
    """Why a folder may not become this existing service, or None."""
    if service.project_id != project.id:
        return (
            f"the name is taken by a service of project {service.project.name}, and names are unique on the "
            "platform: rename this folder"
        )
    other = service.repository
    if (
        other is not None
        and service.vanished_at is None
        and (repository is None or other.pk != repository.pk)
    ):
        return f"the service comes from another repository of the project ({other}): remove one of them"
    return None


class Origin(NamedTuple):
    """Where a version comes from."""

    commit: str
    author: str
    message: str


class _Change:
    """One service and what its folder asks of it."""

    def __init__(
        self,
        service: Service,
        repository: Repository | None,
        item: Prepared,
        outcome: Outcome,
        now: datetime,
        dry: bool,
    ) -> None:
        self.dry = dry
        self.service, self.repository, self.item = service, repository, item
        self.outcome, self.now = outcome, now
        self.ran = not service._state.adding and service.runs
        self.changed = False

    def make(self, origin: Origin, secrets: Mapping[str, Secret]) -> None:
        new, back = self.service._state.adding, self.service.vanished_at is not None
        before = self.service.version
        self._fields(before)
        if self._version(before, origin) or not self.ran:
            self._triggers()
            self._output_events()
            self._schedule()
        self._secrets(secrets)
        if self._config(origin.commit) or self.changed:
            self.service.save()
        self._connections()
        self._difference(None if back else before)
        if back:
            self._say("its folder is back: triggered again")
        kind = "added" if new or back else "changed" if self.changed else "unchanged"
        getattr(self.outcome, kind).append(self.service.name)

    def _difference(self, before: ServiceVersion | None) -> None:
        files = (before.files if before else (), self.item.files)
        self.outcome.services[self.service.name] = service_difference(
            before.manifest if before else None, self.item.manifest_json, *files
        )

    def _connections(self) -> None:
        names = self.item.manifest.connections
        if names:
            for name, why in connections_missing(self.service.project, names).items():
                self._say(
                    f"uses the database connection {name!r}: {why}; an administrator of the platform can mend that",
                    level="warning",
                    file="manifest.json",
                    key="connection",
                )

    def _say(self, text: str, level: str = "info", file: str = "", key: str = "") -> None:
        self.outcome.tell(self.service.name, text, level, file, key)

    def _set(self, field: str, value: object) -> None:
        if getattr(self.service, field) != value:
            setattr(self.service, field, value)
            self.changed = True

    def _fields(self, before: ServiceVersion | None) -> None:
        manifest = self.item.manifest
        if self.service.repository_id is None and self.repository is not None and before is not None:
            self._say("comes from this repository from now on")
        if self.repository is not None:
            self._set("repository", self.repository)
        self._set("vanished_at", None)
        if before is None and manifest.start_from:
            since = moment(manifest.start_from, self.now)
            self._set("start_from", since)
            self._say(f"is new and gets the events since {since:%Y-%m-%d %H:%M} UTC that match its triggers")
        self._set("description", manifest.description)
        self._set("tags", list(manifest.tags))
        self._set("limits", manifest.limits.to_json())
        self._set("intake", manifest.intake.to_json() or None)
        self._set("precedence", manifest.precedence.to_json())
        for name in SWITCHES:
            wanted, here = getattr(manifest, name), getattr(self.service, name)
            said = before.manifest.get(name, wanted) if before else None
            if before is None or wanted != said:
                self._set(name, wanted)
            elif here != wanted:
                self._say(
                    f"was set to {json.dumps(here)} on the platform and stays so",
                    "info",
                    "manifest.json",
                    name,
                )

    def _version(self, before: ServiceVersion | None, origin: Origin) -> bool:
        """True when there is a new version."""
        item, service = self.item, self.service
        if before and before.digest == item.digest and before.manifest == item.manifest_json:
            return False
        if service._state.adding:
            service.save()
        numbers = service.versions.aggregate(last=Max("number"))
        same = service.versions.filter(digest=item.digest).order_by("-number").first()
        version = ServiceVersion.objects.create(
            service=service,
            number=(numbers["last"] or 0) + 1,
            digest=item.digest,
            **origin._asdict(),
            manifest=item.manifest_json,
            parameters=item.parameters,
            files=list(item.files),
            requirements=item.requirements,
            readme=item.readme,
        )
        self._set("version", version)
        if before:
            again = f", with the content of version {same.number} again" if same else ""
            self._say(f"version {version.number}{again}")
        return True

    def _triggers(self) -> None:
        specs = self.item.manifest_json["triggers"]
        wanted = [(n, spec["event_type"], spec["filter"], spec["cesql"]) for n, spec in enumerate(specs)]
        rows = Trigger.objects.filter(service=self.service).order_by("position")
        if list(rows.values_list("position", "event_type", "filter", "cesql")) == wanted:
            return
        rows.delete()
        Trigger.objects.bulk_create(
            Trigger(service=self.service, position=n, event_type=event_type, filter=filter, cesql=cesql)
            for n, event_type, filter, cesql in wanted
        )
        _name_types(event_type for _, event_type, _, _ in wanted if "*" not in event_type)
        self.changed = True

    def _output_events(self) -> None:
        wanted = set(self.item.manifest.output_events)
        rows = OutputEvent.objects.filter(service=self.service)
        if set(rows.values_list("event_type", flat=True)) == wanted:
            return
        rows.exclude(event_type__in=wanted).delete()
        OutputEvent.objects.bulk_create(
            (OutputEvent(service=self.service, event_type=name) for name in sorted(wanted)),
            ignore_conflicts=True,
        )
        _name_types(sorted(wanted))
        self.changed = True

    def _schedule(self) -> None:
        """The one schedule that the manifest asks for. Unchanged, it keeps its due time and its pause."""
        wanted = self.item.manifest.schedule
        rows = Schedule.objects.filter(service=self.service, origin=Schedule.Origin.MANIFEST)
        if wanted is None:
            self.changed |= bool(rows.delete()[0])
            return
        row = rows.first() or Schedule(service=self.service, origin=Schedule.Origin.MANIFEST)
        if (row.cron, row.timezone) != (wanted.cron, wanted.timezone):
            row.cron, row.timezone, row.active = wanted.cron, wanted.timezone, True
            row.once = cron.is_once(wanted.cron)
            self.changed = True
        elif self.ran or not row.active:
            return
        # New, changed, or of a service that runs again: what was missed meanwhile is not made up for.
        row.next_due_at = cron.next_after(row.cron, row.timezone, self.now)
        row.save()

    def _secrets(self, held: Mapping[str, Secret]) -> None:
        if self.item.secrets is None:
            return
        for name, what in secrets_sync(self.service, self.item.secrets, held).items():
            if what == "kept":
                text = "was set on the platform, and that value is kept; delete it there to use the file's"
                self._say(text, "warning", "secrets.json", name)
            else:
                self._say(what, "info", "secrets.json", name)
                self.changed = True

    def _config(self, commit: str) -> bool:
        """True when the service has something to save after it."""
        digest = self.service.config_digest
        message = config_sync(self.service, self.item.config, now=self.now, commit=commit, dry=self.dry)
        if message:
            self.outcome.say(self.service.name, message)
        return digest != self.service.config_digest


def _name_types(names: Iterable[str]) -> None:
    """Event types that a manifest names exist from then on, seen or not."""
    EventType.objects.bulk_create((EventType(name=name) for name in names), ignore_conflicts=True)
