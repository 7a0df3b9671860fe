"""The README of an exported project: what it is, how it becomes a project again, and what has to be set by hand."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

Said = Mapping[str, Any]


def readme(found: Said, platform: str) -> str:
    """The text. `found` is what the file `platform` holds."""
    return "\n".join(_lines(found, platform))


def _lines(found: Said, platform: str) -> Iterator[str]:
    name = found["project"]
    held = {service: said for service, said in found["services"].items() if "version" in said}
    yield f"# {name}"
    yield ""
    yield (
        f"The project `{name}` of {found['exported_from']}, exported {found['exported_at']} with the files that its "
        f"{len(held)} services had then. Each folder is a service: put this folder into git, or give it to a platform "
        "as it is."
    )
    yield ""
    yield from _block(
        f"manage.py project add {_word(name)} FOLDER_OR_GIT_URL    # on the platform's machine, or",
        f"manage.py sync {_word(name)} --watch FOLDER --once       # from anywhere, into a project that is there",
    )
    yield ""
    yield (
        "Names of services are unique on a platform: where these are services of a repository, change that one. "
        "`manifest.json` and `config.json` are as they hold on the platform: what was changed there stands in them. "
        f"`{platform}` has what no file of a service says. No secret is in any of it."
    )
    yield from _edited(held)
    yield from _by_hand(name, found, held, platform)
    yield from _left_out(found)
    yield ""
    yield "## Never in it"
    yield ""
    yield (
        "Values of secrets, state (what services remember), versions before these, executions, events, objects in "
        "buckets, members, tokens, deploy keys, and secrets of the platform, which services may use as well: its "
        "administrators see their names. `manage.py export FILE` on the platform's machine carries all of a platform."
    )


def _edited(held: Said) -> Iterator[str]:
    lines = [
        f"- {_code(service)}: {', '.join(what)}"
        for service, said in held.items()
        if (what := [*said["changed"], *(["configuration"] if said["config_edited"] else [])])
    ]
    yield from _section("Changed on the platform, and so here", lines)


def _by_hand(name: str, found: Said, held: Said, platform: str) -> Iterator[str]:
    project = _word(name)
    secrets = [_secret(secret, f"--project {project}") for secret in found["secrets"]]
    for service, said in held.items():
        secrets += [_secret(secret, f"--service {_word(service)}") for secret in said.get("secrets", ())]
    parts = (
        ("Secrets, each asked for its value", secrets),
        (
            "Configuration of the project",
            [f"manage.py config set --project {project} --data @FILE    # `configuration` of {platform}"]
            if found["configuration"] is not None
            else [],
        ),
        (
            "Subscriptions; their URLs are not here",
            [
                f"manage.py subscription add {_word(one['name'])} {_word(one['event_type'])} URL --project {project}"
                f"    # {_line(one['receiver'])}"
                for one in found["subscriptions"]
            ],
        ),
        (
            "Notifications; whom they tell is not here",
            [
                f"manage.py notification add {_word(one['name'])} --project {project} --kind {one['kind']}"
                for one in found["notifications"]
            ],
        ),
        (
            "Databases of .sql scripts, by an administrator",
            [
                f"manage.py connection add {_word(one['name'])} - --project {project}    # {_line(one['shown'])}"
                for one in found["connections"]
            ],
        ),
        (
            "Webhooks whose events its services take, by an administrator",
            [
                f"manage.py webhook new {_word(one['name'])} --kind {one['kind']} --type {_word(one['event_type'])}"
                for one in found["webhooks"]
            ],
        ),
    )
    told = [part for part in parts if part[1]]
    in_console = list(_in_console(found, held))
    if told or in_console:
        yield ""
        yield "## To be set by hand"
        yield ""
        yield f"The other fields of each are in `{platform}`."
    for title, commands in told:
        yield ""
        yield f"{title}:"
        yield ""
        yield from _block(*commands)
    if in_console:
        yield ""
        yield "In the console, or through the API:"
        yield ""
        yield from in_console


def _in_console(found: Said, held: Said) -> Iterator[str]:
    kinds = {
        "schedules": "schedules that people or scripts made",
        "saved_runs": "saved runs",
        "paused": "is paused",
        "schedule_off": "its manifest's schedule is switched off",
    }
    for service, said in held.items():
        if what := [text for kind, text in kinds.items() if said.get(kind)]:
            yield f"- {_code(service)}: {', '.join(what)}"
    for kind, text in (
        ("charts", "charts of its dashboard"),
        ("event_maps", "event maps to types that it takes"),
    ):
        if found[kind]:
            yield f"- {len(found[kind])} {text}"


def _left_out(found: Said) -> Iterator[str]:
    lines = [f"- {_code(one['what'])}: {one['why']}" for one in found["left_out"]]
    for service, said in found["services"].items():
        lines += [f"- {_code(service)}, {_code(one['what'])}: {one['why']}" for one in said["left_out"]]
    yield from _section("Left out", lines)


def _section(title: str, lines: list[str]) -> Iterator[str]:
    if lines:
        yield from ("", f"## {title}", "", *lines)


def _block(*lines: str) -> Iterable[str]:
    return ("```", *lines, "```")


def _secret(name: str, where: str) -> str:
    return f"manage.py secret set {_word(name)} {where}"


def _word(text: str) -> str:
    """As a shell takes it; what cannot be shown in a line is told to be elsewhere."""
    return shlex.quote(text) if text.isprintable() and "```" not in text else "NAME"


def _code(text: str) -> str:
    """As Markdown shows a text of somebody else's, without taking any of it for its own."""
    return f"`{_line(text)}`"


def _line(text: str) -> str:
    return "".join(letter if letter.isprintable() else "?" for letter in text).replace("`", "'")
