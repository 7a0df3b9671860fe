"""Small services that work, to start from."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final


@dataclass(frozen=True)
class Starter:
    """`title` and `about` are for people; `make` gives the files of a service of that name, by path."""

    title: str
    about: str
    make: Callable[[str], dict[str, str]]


def starter_files(starter: str, name: str) -> dict[str, str]:
    """The files of a new service of that name. KeyError for a starter that there is not."""
    return STARTERS[starter].make(name)


def _kind(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_") or "service"


def _json(value: Any) -> str:
    return json.dumps(value, indent=2) + "\n"


def _manifest(description: str, **more: Any) -> str:
    return _json({"description": description, **more, "tags": ["new"]})


def _python(name: str) -> dict[str, str]:
    kind = _kind(name)
    field = {
        "type": "text",
        "name": "who",
        "label": "Who",
        "description": "Whom to greet",
        "default": "world",
        "required": False,
    }
    return {
        "manifest.json": _manifest(
            f"Says hello when {kind}.requested arrives",
            entrypoint="run.py",
            trigger_events=[f"{kind}.requested"],
            output_events=[f"{kind}.done"],
        ),
        "parameters.json": _json({"fields": [field]}),
        "run.py": _GREET.format(kind=kind),
        "README.md": f"# {name}\n\nRuns when an event `{kind}.requested` arrives, greets whom its data names, and "
        f"sends `{kind}.done`.\n\n- `manifest.json` says when it runs and what it sends.\n- `parameters.json` "
        "describes the form with which people run it by hand.\n- `run.py` is what runs: its parameters are the "
        "event's data.\n",
    }


def _sql(name: str) -> dict[str, str]:
    kind = _kind(name)
    field = {
        "type": "int",
        "name": "least",
        "label": "At least",
        "description": "The smallest amount to list",
        "default": 10,
        "required": True,
    }
    return {
        "manifest.json": _manifest(
            f"Lists rows of a database when {kind}.requested arrives",
            entrypoint="list.sql",
            trigger_events=[f"{kind}.requested"],
        ),
        "parameters.json": _json({"fields": [field]}),
        "list.sql": _LIST,
        "README.md": f"# {name}\n\nRuns `list.sql` when an event `{kind}.requested` arrives. The values of the event's "
        "data are bound, never pasted into the text.\n\nIt needs a database connection, which an administrator adds. "
        'Where the project has several, say `"connection": "NAME"` in `manifest.json`.\n',
    }


def _scheduled(name: str) -> dict[str, str]:
    kind = _kind(name)
    return {
        "manifest.json": _manifest(
            "Runs every day at half past six, and counts its runs",
            entrypoint="run.py",
            schedule="30 6 * * *",
            output_events=[f"{kind}.counted"],
        ),
        "run.py": _COUNT.format(kind=kind),
        "README.md": f"# {name}\n\nThe clock runs it: `schedule` in `manifest.json` is a cron expression, in UTC. Its "
        "state keeps a number from run to run.\n",
    }


def _webhook(name: str) -> dict[str, str]:
    kind = _kind(name)
    return {
        "manifest.json": _manifest(
            "Takes what a webhook brings, and passes on what it names",
            entrypoint="take.py",
            trigger_events=["ferris.events.webhook.incoming"],
            output_events=[f"{kind}.received"],
        ),
        "take.py": _TAKE.format(kind=kind),
        "README.md": f"# {name}\n\nRuns for what webhooks bring (`ferris.events.webhook.incoming`) and sends "
        f"`{kind}.received`. A webhook of yours may bring a type of its own: name that in `trigger_events` instead.\n",
    }


_GREET = """\
from ferris_ef import context

who = context.params.get("who", "world")
context.logging.info(f"Hello, {{who}}!")
context.events.send("{kind}.done", data={{"greeted": who}})
"""

_LIST = """\
-- Runs on the project's database connection; where it has several, README.md says how to name one.
WITH amounts (name, amount) AS (VALUES ('one', 5), ('two', 15), ('three', 25))
SELECT name, amount FROM amounts WHERE amount >= {{ least }} ORDER BY amount
"""

_COUNT = """\
from ferris_ef import context

runs = context.state.get("runs", 0) + 1
context.state.put("runs", runs)
context.logging.info(f"This is run {{runs}}")
context.events.send("{kind}.counted", data={{"runs": runs}})
"""

_TAKE = """\
from ferris_ef import context

data = context.params.all()
context.logging.info(f"It brought {{len(data)}} fields")
context.events.send("{kind}.received", data={{"fields": sorted(data)}})
"""

STARTERS: Final[Mapping[str, Starter]] = {
    "python": Starter(
        "Python", "Runs a Python script when an event arrives or somebody fills a form.", _python
    ),
    "sql": Starter("SQL", "Runs a query on a database, with the event's values bound.", _sql),
    "scheduled": Starter("Scheduled", "The clock runs a Python script every day.", _scheduled),
    "webhook": Starter("Webhook", "Runs for what other systems send to a webhook.", _webhook),
}
