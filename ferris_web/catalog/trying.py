"""Tries a service's `tests/*.json` on this machine, without a platform: each case in a run of its own."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from ferris import events, routing
from ferris.errors import EventError
from ferris.manifest import Message, parse_service
from ferris.service_tests import Came, Case, CaseError, case_of, differences
from ferris_web.catalog.local import Refused, Trial, run_local
from ferris_web.catalog.source import read_folder

FOLDER = "tests"


@dataclass(frozen=True)
class Tried:
    """One case: what is wrong with it (nothing when it passed), and what the scripts printed."""

    name: str
    wrong: tuple[str, ...]
    output: str = ""


def tried(folder: Path) -> Iterator[Tried]:
    """Every case of the folder, tried in the order of their names; `Refused` when it is no service."""
    read = read_folder(folder)
    parsed = parse_service({path: file.content for path, file in read.files.items()})
    if read.refused or parsed.manifest is None:
        mistakes = [str(said) for said in (*read.messages, *parsed.messages) if said.level == "error"]
        raise Refused("; ".join(mistakes))
    triggers = [
        routing.Trigger(read.name, read.name, one.event_type, one.filter, cesql=one.cesql)
        for one in parsed.manifest.triggers
    ]
    for path in sorted((folder / FOLDER).glob("*.json")):
        try:
            case = case_of(path.read_text())
            refusal = _refusal(case, triggers)
        except (CaseError, EventError, OSError, UnicodeDecodeError) as error:
            yield Tried(path.stem, (str(error),))
            continue
        if (refusal is None) != case.runs:
            yield Tried(path.stem, (refusal or "the event triggers the service; expected that it does not",))
        elif not case.runs:
            yield Tried(path.stem, ())
        else:
            yield _run(folder, path.stem, case)


def _refusal(case: Case, triggers: list[routing.Trigger]) -> str | None:
    """Why no trigger matches the case's event; None when one does, or the case names no type."""
    if case.event_type is None:
        return None
    event = events.new(
        case.event_type,
        str(case.event.get("source", "test")),
        case.event.get("data"),
        now=datetime.now(UTC),
        subject=case.event.get("subject"),
    )
    said = [routing.explain(event, trigger) for trigger in triggers]
    if any(one.matched for one in said):
        return None
    near = [
        one
        for one, trigger in zip(said, triggers, strict=True)
        if routing.type_matches(trigger.event_type, event.type)
    ]
    return "the event does not trigger the service: " + "; ".join(
        map(str, near or [f"it listens to {', '.join(t.event_type for t in triggers) or 'nothing'}"])
    )


def _run(folder: Path, name: str, case: Case) -> Tried:
    def ignore(_: Message | str) -> None:
        pass

    with tempfile.TemporaryFile() as output:
        trial = Trial(output, case.config, case.secrets, case.state)
        status = run_local(folder, case.event.get("data", {}), ignore, ignore, trial)
        output.seek(0)
        text = output.read().decode("utf-8", "replace")
    came = Came(status, text, trial.state_after, trial.artifacts)
    return Tried(name, tuple(differences(case, came)), text)
