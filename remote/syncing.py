"""The command `sync`: a project's repositories, or a folder of this machine, again and again."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

from remote.client import Client, Refused, part
from remote.folders import Unusable, files_of, fingerprint, services_of
from remote.showing import clean, colour
from remote.words import picked, told

PREVIEW = ("source", "branch", "commit", "result")
RUN = ("source", "status", "commit", "error", "result")
_WATCH = 0.5  # seconds between looks at a folder

BRANCH_ALONE = "--branch goes with --preview: a sync reads the branch that the repository follows"

Options = argparse.Namespace


def add_sync(parser: argparse.ArgumentParser) -> None:
    """The arguments of `sync`."""
    parser.add_argument("name", metavar="NAME", help="the project")
    parser.add_argument("--preview", action="store_true", help="only say what would change")
    parser.add_argument("--branch", help="with --preview: of this branch or tag, where there is one")
    parser.add_argument(
        "--watch",
        metavar="FOLDER",
        help="put the services of this folder onto the running platform, and again when they change",
    )
    parser.add_argument("--once", action="store_true", help="with --watch: put them there once and end")


def sync(client: Client, options: Options) -> int:
    """Sync a project's repositories; with --watch put a folder of this machine onto the platform, again and again."""
    if options.watch:
        return _watch(client, options)
    if options.preview:
        return _preview(client, options)
    if options.branch is not None:
        raise Refused(BRANCH_ALONE)
    return synced(client, options)


def synced(client: Client, options: Options) -> int:
    """Sync the project's repositories; exit status 1 when a folder was refused or a repository could not be read."""
    status = 0
    for one in client.post(f"projects/{part(options.name)}/sync/")["runs"]:
        lines = [f"{one['source']}: {one['status']}", *(f"  {line}" for line in _synced(one))]
        told(options, "\n".join(lines), picked(one, RUN))
        status |= int(one["status"] != "completed" or bool((one["result"] or {}).get("refused")))
    return status


def _preview(client: Client, options: Options) -> int:
    place = f"projects/{part(options.name)}/preview/"
    found = client.post(place, {"branch": options.branch})["previews"]
    for one in found:
        branch = f" branch {one['branch']}" if one["branch"] else ""
        head = f"{one['source']}{branch} at {one['commit'][:12]}: nothing is changed yet"
        lines = [clean(head), *(f"  {line}" for line in _synced(one))]
        told(options, "\n".join(lines), picked(one, PREVIEW))
    return int(not all(one["clean"] for one in found))


def _synced(one: dict[str, Any]) -> list[str]:
    if one.get("error"):
        return [clean(one["error"])]
    result = one["result"] or {}
    kinds = ("added", "changed", "removed", "refused")
    lines = [f"{kind:<9} {name}" for kind in kinds for name in result.get(kind, ())]
    lines += [_message(said) for said in result.get("messages", ())]
    return [*lines, ", ".join(f"{len(result.get(kind, ()))} {kind}" for kind in (*kinds, "unchanged"))]


def _message(said: dict[str, Any]) -> str:
    place = " ".join(filter(None, (said.get("service", ""), said["file"], said["key"])))
    return clean(f"{said['level']}: {place}: {said['text']}")


def _watch(client: Client, options: Options) -> int:
    folder = Path(options.watch).expanduser().resolve()
    seen: dict[str, str] = {}
    print(f"Watching {folder} for project {options.name}; Ctrl-C ends it.", file=sys.stderr, flush=True)
    if _is_new(client, options.name):
        print(
            f"There is no project {options.name} yet: its first service makes it.",
            file=sys.stderr,
            flush=True,
        )
    while True:
        for service in services_of(folder):
            now = fingerprint(service)
            if seen.get(service.name) == now:
                continue
            if seen.get(service.name, now) != now:
                time.sleep(_WATCH / 5)  # editors write a file in several steps
                now = fingerprint(service)
            seen[service.name] = now
            _put(client, options, service)
        for name in sorted(set(seen) - {path.name for path in services_of(folder)}):
            del seen[name]
            print(f"{name}: its folder is gone; the service stays as it is on the platform", flush=True)
        if options.once:
            return 0
        time.sleep(_WATCH)


def _is_new(client: Client, project: str) -> bool:
    """Whether there is no such project that this token shows: its name may be mistyped."""
    try:
        client.get(f"projects/{part(project)}/")
    except Refused as error:
        return error.status == 404
    return False


def _put(client: Client, options: Options, service: Path) -> None:
    try:
        body = {"project": options.name, "name": service.name, "files": files_of(service)}
        made = client.post("services/", body)
    except Refused as error:
        if error.status in (0, 401, 403) and not isinstance(error, Unusable):
            raise
        if options.once:
            raise Refused(f"{service.name}: {error}", error.status) from None
        print(colour(f"{service.name}: {clean(str(error))}", "error"), flush=True)
        return
    print(f"{service.name}: version {made['version']['number']}", flush=True)
    for said in made["messages"]:
        if said["level"] != "info":
            print(f"  {_message(said)}", flush=True)
