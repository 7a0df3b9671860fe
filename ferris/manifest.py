"""A service's folder, understood: manifest.json, parameters.json, config.json, secrets.json and the rest.

Pure: file contents in, a Parsed out. Nothing raises; every mistake becomes a message with file, key and
what was expected. A service with an error has no manifest and is not synced; warnings do not hold it up.
A folder without manifest.json is a service with defaults.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, Self

from ferris import flow_control, intake_keys, lfs, scripts, sql_steps
from ferris.attributes import shown
from ferris.documents import Message, Notes, Section, read_object, whole_of
from ferris.intake import Intake
from ferris.isolation import BASIC, BEST, EGRESS, NETWORKS, Ceiling, ResourceLimits, above, size_text
from ferris.limits import Concurrency, Limits, Rate
from ferris.moments import moment
from ferris.parameters import Choice, Parameter, parse_parameters
from ferris.precedence import Precedence
from ferris.retry import Retry
from ferris.service_files import (
    CONFIG,
    MANIFEST,
    READ,
    misspelt_told,
    parameters_of,
    readme_of,
    requirements_of,
    secrets_of,
)
from ferris.sql_steps import SqlOptions
from ferris.triggers import TriggerSpec, is_event_type, triggers_of

__all__ = [
    "Choice", "Manifest", "Message", "Parameter", "Parsed", "Retry", "Schedule", "TriggerSpec",
    "parse_parameters", "parse_service",
]  # fmt: skip

DEFAULT_PRIORITY: Final = 5
LEAST_MEMORY: Final = 32 * 1024 * 1024

_KEYS = (
    "description", "entrypoint", "execution_order", "tags", "trigger_events", "output_events", "schedule",
    "priority", "allow_manual_triggering", "active", "timeout", "retry", "python",
    "concurrency", "singleton", "rate", "fair_share",
    "limits", "network", "isolation",
    "start_from",
)  # fmt: skip
_PYTHON = re.compile(r"3\.\d{1,2}")


@dataclass(frozen=True, slots=True)
class Schedule:
    cron: str
    timezone: str = "UTC"


@dataclass(frozen=True, slots=True)
class Manifest:
    """What manifest.json says, with every default filled in. `scripts` are in the order they run."""

    description: str = ""
    scripts: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    triggers: tuple[TriggerSpec, ...] = ()
    output_events: tuple[str, ...] = ()
    schedule: Schedule | None = None
    priority: int = DEFAULT_PRIORITY
    allow_manual_triggering: bool = True
    active: bool = True
    timeout: float | None = None
    retry: Retry = field(default_factory=Retry)
    python: str | None = None
    sql: SqlOptions = field(default_factory=SqlOptions)
    connections: tuple[str, ...] | None = ()
    concurrency: Concurrency | None = None
    rate: Rate | None = None
    resources: ResourceLimits = field(default_factory=ResourceLimits)
    network: str = EGRESS
    isolation: str | None = None
    intake: Intake = field(default_factory=Intake)
    start_from: str = ""
    precedence: Precedence = field(default_factory=Precedence)

    @property
    def limits(self) -> Limits:
        """What keeps its executions waiting."""
        return Limits(self.concurrency, self.rate)

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """The manifest from its plain values, as `dataclasses.asdict` gives them."""
        known = {name: document[name] for name in cls.__slots__ if name in document}
        for name in ("scripts", "tags", "output_events"):
            known[name] = tuple(known.get(name, ()))
        known["triggers"] = tuple(TriggerSpec(**trigger) for trigger in known.get("triggers", ()))
        known["schedule"] = Schedule(**known["schedule"]) if known.get("schedule") else None
        known["retry"] = Retry.from_json(known.get("retry", {}))
        known["sql"] = SqlOptions.of(known.get("sql") or {})
        if known.get("connections", ()) is not None:
            known["connections"] = tuple(known.get("connections", ()))
        limits = Limits.from_json(known)
        known |= {"concurrency": limits.concurrency, "rate": limits.rate}
        known["resources"] = ResourceLimits(**known.get("resources", {}))
        known["intake"] = Intake.from_json(known.get("intake") or {})
        known["precedence"] = Precedence.from_json(known.get("precedence"))
        return cls(**known)


@dataclass(frozen=True, slots=True)
class Parsed:
    """A service's folder. `manifest` is None when a message is an error."""

    manifest: Manifest | None
    parameters: tuple[Parameter, ...] = ()
    config: Any = None
    secrets: Mapping[str, Any] | None = field(default=None, repr=False)
    requirements: str | None = None
    readme: str | None = None
    messages: tuple[Message, ...] = ()


def parse_service(files: Mapping[str, bytes], ceiling: Ceiling | None = None) -> Parsed:
    """One service's folder, given as relative path -> content. Only files at its top have a meaning here.

    `ceiling`: what it may ask for at most.
    """
    notes = Notes()
    misspelt_told(files, notes)
    manifest = _manifest(files, notes)
    _check_ceiling(manifest, ceiling or Ceiling(), notes)
    parameters = parameters_of(files, notes)
    config = read_object(CONFIG, files[CONFIG], notes) if CONFIG in files else None
    secrets = secrets_of(files, notes)
    requirements = requirements_of(files, notes)
    readme = readme_of(files, notes)
    _tell_of_pointers(files, notes)
    return Parsed(
        manifest=None if notes.failed else manifest,
        parameters=parameters,
        config=config,
        secrets=secrets,
        requirements=requirements,
        readme=readme,
        messages=tuple(notes.messages),
    )


def _tell_of_pointers(files: Mapping[str, bytes], notes: Notes) -> None:
    """That a pointer is no JSON and no Python is not said beside."""
    found = lfs.pointers(files)
    notes.messages = lfs.told(found, READ) + [one for one in notes.messages if one.file not in found]


def _manifest(files: Mapping[str, bytes], notes: Notes) -> Manifest:
    if MANIFEST in files:
        document = read_object(MANIFEST, files[MANIFEST], notes)
        if document is None:
            return Manifest()
    else:
        notes.info(MANIFEST, "", "is not there; the service has the defaults")
        document = {}
    section = Section(document, MANIFEST, "", notes)
    section.known((*_KEYS, *intake_keys.KEYS, *sql_steps.KEYS))
    order, sql = scripts.resolve(section, files), sql_steps.parse(section)
    _check_sql(section, sql, order)
    triggers = triggers_of(section)
    intake = intake_keys.intake_of(section, triggers)
    outputs = _output_events(section, sql)
    if intake.join is not None:
        triggers = tuple(e for n, e in enumerate(intake.join.entries) if e not in intake.join.entries[:n])
        if intake.join.event:
            outputs = tuple(dict.fromkeys((*outputs, intake.join.event)))
    limits = Limits(flow_control.concurrency(section), flow_control.rate(section))
    priority, priority_from = flow_control.priority(section, DEFAULT_PRIORITY)
    return Manifest(
        description=section.text("description"),
        scripts=order,
        tags=tuple(dict.fromkeys(section.texts("tags"))),
        triggers=triggers,
        output_events=outputs,
        schedule=_schedule(section),
        priority=priority,
        allow_manual_triggering=section.flag("allow_manual_triggering", True),
        active=section.flag("active", True),
        timeout=section.duration("timeout", None, 0.1, flow_control.MAX_TIMEOUT),
        retry=flow_control.retry(section),
        python=_python(section),
        sql=sql,
        connections=sql_steps.connections(sql, order, files),
        concurrency=limits.concurrency,
        rate=limits.rate,
        resources=_resources(section),
        network=_one_of(section, "network", NETWORKS) or EGRESS,
        isolation=_one_of(section, "isolation", (BASIC, BEST)),
        intake=intake,
        start_from=_start_from(section),
        precedence=flow_control.precedence(section, priority_from, limits),
    )


def _start_from(section: Section) -> str:
    """Which past events a new service wants: since a time, or since so long before it came."""
    text = section.text("start_from")
    try:
        if text:
            moment(text, datetime(2026, 1, 1, tzinfo=UTC))
    except ValueError as error:
        section.notes.error(section.file, "start_from", str(error))
        return ""
    return text


def _check_sql(section: Section, sql: SqlOptions, order: Iterable[str]) -> None:
    if sql.result_event is not None:
        is_event_type(section, "sql.result_event", sql.result_event, pattern=False)
    if sql != SqlOptions() and not any(script.endswith(".sql") for script in order):
        name = "connection" if sql.connection else "sql"
        section.notes.warning(section.file, name, "has no effect: no .sql script is run")


def _output_events(section: Section, sql: SqlOptions) -> tuple[str, ...]:
    types = section.texts("output_events")
    good = [
        name
        for index, name in enumerate(types)
        if is_event_type(section, f"output_events[{index}]", name, pattern=False)
    ]
    if sql.result_event is not None:
        good.append(sql.result_event)
    return tuple(dict.fromkeys(good))


def _schedule(section: Section) -> Schedule | None:
    given = section.get("schedule")
    if given in (None, ""):
        return None
    path, zone = "schedule", "UTC"
    if isinstance(given, dict):
        inner = Section(given, section.file, "schedule", section.notes)
        inner.known(("cron", "timezone"))
        path, zone, given = "schedule.cron", inner.text("timezone", "UTC", limit=64), given.get("cron")
    if not isinstance(given, str):
        section.notes.error(
            section.file, path, f'is {shown(given)}; expected a cron expression such as "0 6 * * mon-fri"'
        )
        return None
    from ferris import cron

    try:
        cron.validate(given, zone)
    except cron.CronError as error:
        section.notes.error(section.file, path, str(error))
        return None
    return Schedule(" ".join(given.split()), zone)


def _python(section: Section) -> str | None:
    value = section.get("python")
    if value is None:
        return None
    if not isinstance(value, str) or not _PYTHON.fullmatch(value.strip()):
        # 3.10 as a number is 3.1
        section.wrong("python", 'a text such as "3.12"')
        return None
    return value.strip()


def _resources(section: Section) -> ResourceLimits:
    given = section.get("limits")
    if given is None:
        return ResourceLimits()
    if not isinstance(given, dict):
        section.wrong("limits", 'an object such as {"memory": "512MB", "cpu": "10m"}')
        return ResourceLimits()
    inner = Section(given, section.file, "limits", section.notes)
    inner.known(ResourceLimits.__slots__)

    def whole(name: str, low: int) -> int | None:
        if inner.get(name) is None or whole_of(inner.get(name)) == 0:
            return whole_of(inner.get(name))
        return inner.whole(name, low, low, 1_000_000)

    return ResourceLimits(
        memory=inner.size("memory", LEAST_MEMORY),
        cpu=inner.duration("cpu", None, 0, flow_control.MAX_TIMEOUT),
        files=whole("files", 16),
        processes=whole("processes", 1),
        file_size=inner.size("file_size", 1),
    )


def _check_ceiling(manifest: Manifest, ceiling: Ceiling, notes: Notes) -> None:
    """Whoever asks for more than the platform allows is told so, instead of getting less."""
    asked = [
        ("timeout", manifest.timeout, ceiling.timeout),
        *(
            (f"limits.{name}", getattr(manifest.resources, name), getattr(ceiling.limits, name))
            for name in ResourceLimits.__slots__
        ),
    ]
    for key, value, most in asked:
        if value is not None and above(value, most):
            setting = f"FERRIS_CEILING_{key.removeprefix('limits.').upper()}"
            said = _amount(key, value) if value else "no limit"
            notes.error(
                MANIFEST, key, f"is {said}; this platform allows at most {_amount(key, most)} ({setting})"
            )


def _amount(key: str, value: float) -> str:
    if key in ("limits.memory", "limits.file_size"):
        return size_text(value)
    return f"{value:g} s" if key in ("timeout", "limits.cpu") else str(value)


def _one_of(section: Section, name: str, allowed: tuple[str, ...]) -> str | None:
    value = section.get(name)
    if value is None:
        return None
    if not isinstance(value, str) or value.strip().lower() not in allowed:
        section.wrong(name, " or ".join(f'"{one}"' for one in allowed))
        return None
    return value.strip().lower()
