"""The command `sync`: a project's repositories, or a folder of this machine, again and again."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

from remote.client import Client, Refused, part
from remote.folders import Unusable, files_of, fingerprint, services_of
from remote.showing import clean, colour, print_json

_WATCH = 0.5  # seconds between looks at a folder

Options = argparse.Namespace


def sync(client: Client, options: Options) -> int:
    """Sync a project's repositories; with --watch put a folder of this machine onto the platform, again and again."""
    if options.watch:
        return _watch(client, options)
    status = 0
    for one in client.post(f"projects/{part(options.name)}/sync/")["runs"]:
        if options.json:
            print_json(one)
        else:
            print(f"{one['source']}: {one['status']}")
            for line in _synced(one):
                print(f"  {line}")
        status |= int(one["status"] != "completed" or bool((one["result"] or {}).get("refused")))
    return status


def _synced(one: dict[str, Any]) -> list[str]:
    if one["error"]:
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


def _put(client: Client, options: Options, service: Path) -> None:
    try:
        body = {"project": options.name, "name": service.name, "files": files_of(service)}
        made = client.post("services/", body)
    except Refused as error:
        gone = error.status in (0, 401, 403) and not isinstance(error, Unusable)
        if options.once or gone:
            raise
        print(colour(f"{service.name}: {clean(str(error))}", "error"), flush=True)
        return
    print(f"{service.name}: version {made['version']['number']}", flush=True)
    for said in made["messages"]:
        if said["level"] != "info":
            print(f"  {_message(said)}", flush=True)
