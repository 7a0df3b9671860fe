"""What a sync would make of services' triggers, without a sync: nothing is stored, packed or written.

Mistakes come as `Refused`, all of them at once, in the words of a sync.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from ferris.backtest import Refused, Side
from ferris.errors import Conflict, NotFound
from ferris.manifest import Manifest, Message, parse_service
from ferris.routing import Trigger
from ferris.service_files import MANIFEST
from ferris_web import wiring
from ferris_web.catalog.history import services_now
from ferris_web.catalog.models import Project, Service
from ferris_web.catalog.outcome import Outcome
from ferris_web.catalog.project_file import project_file_read
from ferris_web.catalog.source import Folder, folders, read_folder
from ferris_web.catalog.sync import bring, repositories_locked

Sides = dict[str, Side]
Tell = Callable[[str], None]


def sides_of_folder(root: Path, project: str, tell: Tell) -> tuple[Sides, Sides]:
    """Before and after a sync of a project's folder, or of one service's folder (it holds a manifest.json).

    With `project`, services of that project that are not in the folder would be gone; without it, only the
    services in the folder are looked at. `tell` is given warnings.
    """
    if not root.is_dir():
        raise NotFound(f"there is no folder {root} on this machine")
    one = (root / MANIFEST).is_file()
    said: list[str] = []
    found = [read_folder(root)] if one else list(folders(root, lambda name, m: _say(said, name, m)))
    for line in said:
        tell(line)
    if not found:
        raise Refused([f"{root} holds no service: a service is a folder in it"])
    wrong = [] if one else _project_file(root, tell)
    return _sides(_read(found, tell, wrong), _owner(project), whole=bool(project) and not one)


def sides_of_project(name: str, tell: Tell) -> tuple[Sides, Sides]:
    """Before and after a sync of this project, from its repositories as they are now."""
    project = _owner(name)
    if project is None:
        raise NotFound("name a project")
    repositories = list(project.repositories.order_by("pk"))
    if not repositories:
        raise Conflict(f"project {name} has no repository")
    manifests: dict[str, Manifest] = {}
    with repositories_locked(repositories):
        for repository in repositories:
            root, _ = bring(repository, tell)
            wrong = _project_file(root, tell)
            manifests |= _read(folders(root, lambda name, message: None), tell, wrong)
    uploaded = set(project.services.filter(repository=None).values_list("name", flat=True))
    before, after = _sides(manifests, project, whole=True)
    return before, {**{name: side for name, side in before.items() if name in uploaded}, **after}


def sides_of_manifests(manifests: Mapping[str, Any], project: str = "") -> tuple[Sides, Sides]:
    """Before and after these manifests (service -> content of its manifest.json) of some services.

    With `project` they are all of it: its other services would be gone.
    """
    read: dict[str, Manifest] = {}
    problems: list[str] = []
    for name, document in manifests.items():
        # Without its scripts a manifest that names them would be refused; triggers are all that counts here.
        document = {k: v for k, v in document.items() if k not in ("entrypoint", "execution_order")}
        parsed = parse_service({MANIFEST: json.dumps(document).encode()}, wiring.config().ceiling)
        problems += [_line(name, message) for message in parsed.messages if message.level == "error"]
        if parsed.manifest is not None:
            read[name] = parsed.manifest
    if problems:
        raise Refused(problems)
    return _sides(read, _owner(project), whole=bool(project))


def _owner(name: str) -> Project | None:
    if not name:
        return None
    found = Project.objects.filter(name=name).first()
    if found is None:
        raise NotFound(f"there is no project {name!r}")
    return found


def _project_file(root: Path, tell: Tell) -> list[str]:
    """The mistakes of the folder's ferris.json, each as one line; warnings are told."""
    outcome = Outcome()
    project_file_read(root, outcome)
    wrong = []
    for said in outcome.messages:
        line = _line("", Message(said["level"], said["file"], said["key"], said["text"]))  # type: ignore[arg-type]
        if said["level"] == "error":
            wrong.append(line)
        elif said["level"] == "warning":
            tell(line)
    return wrong


def _read(found: Iterable[Folder], tell: Tell, wrong: Iterable[str] = ()) -> dict[str, Manifest]:
    manifests: dict[str, Manifest] = {}
    problems = list(wrong)
    for folder in found:
        parsed = parse_service(
            {path: file.content for path, file in folder.files.items()}, wiring.config().ceiling
        )
        for message in (*folder.messages, *parsed.messages):
            if message.level == "error":
                problems.append(_line(folder.name, message))
            elif message.level == "warning":
                tell(_line(folder.name, message))
        if parsed.manifest is not None:
            manifests[folder.name] = parsed.manifest
        folder.files.clear()
    if problems:
        raise Refused(problems)
    return manifests


def _sides(manifests: Mapping[str, Manifest], project: Project | None, *, whole: bool) -> tuple[Sides, Sides]:
    rows = Service.objects.select_related("version", "project")
    known = {row.name: row for row in rows.filter(name__in=list(manifests))}
    if project is not None:
        _refuse_clashes(known.values(), project)
    if whole:
        known |= {row.name: row for row in rows.filter(project=project, vanished_at=None)}
    now = services_now(known.values())
    before = {
        name: Side(name, str(row.pk), now[row.pk].triggers, now[row.pk].active, now[row.pk].vanished)
        for name, row in known.items()
        if row.pk in now
    }
    return before, {name: _after(name, manifest, known.get(name)) for name, manifest in manifests.items()}


def _refuse_clashes(rows: Iterable[Service], project: Project) -> None:
    taken = [row for row in rows if row.project_id != project.pk]
    if taken:
        raise Refused(
            [f"{row.name}: the name is taken by a service of project {row.project.name}" for row in taken]
        )


def _after(name: str, manifest: Manifest, row: Service | None) -> Side:
    identity = str(row.pk) if row is not None else name
    triggers = tuple(
        Trigger(identity, name, spec.event_type, spec.filter, cesql=spec.cesql) for spec in manifest.triggers
    )
    active = manifest.active
    if row is not None and row.version is not None and row.version.manifest.get("active", active) == active:
        active = (
            row.active
        )  # as a sync: what people switched on the platform stays, unless the manifest changes
    return Side(name, identity, triggers, active)


def _say(lines: list[str], name: str, message: Message) -> None:
    if message.level != "info":
        lines.append(_line(name, message))


def _line(name: str, message: Message) -> str:
    place = " ".join(filter(None, (message.file, message.key)))
    head = ": ".join(filter(None, (name, place)))
    return f"{head}: {message.text}" if head else message.text
