"""`backtest`: what the manifests of this machine, or one trigger, would have made of a platform's past events."""

from __future__ import annotations

import argparse
import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from remote.client import Client, Refused
from remote.folders import services_of
from remote.showing import clean, moment, print_json, progress
from remote.words import json_option, time_of

FAIL_ON = ("lost", "gained", "any")
TRIAL = "(this trigger)"


def add_backtest(parser: argparse.ArgumentParser) -> None:
    """Its arguments, with the sides as a platform elsewhere takes them."""
    parser.add_argument("folder", metavar="FOLDER", nargs="?", help="a folder of services, or one service's")
    parser.add_argument(
        "--project",
        help="the folder is the whole of this project: what is not in it would be gone; without a folder: what a sync "
        "of the project would bring now",
    )
    parser.add_argument("--type", help="instead: one trigger for this event type or pattern")
    add_window(parser)


def add_window(parser: argparse.ArgumentParser) -> None:
    """The rest of a trigger, and which events are looked at and shown: here and on the platform's machine."""
    parser.add_argument(
        "--filter", help="with --type: a filter, as JSON; @FILE reads it from a file, - from standard input"
    )
    parser.add_argument("--cesql", help="with --type: an expression of CloudEvents SQL")
    parser.add_argument("--service", help="with --type: compare with all triggers of this service")
    parser.add_argument(
        "--since", default="7d", help="from then on: 30m, 12h, 7d ago, or a time (default: %(default)s)"
    )
    parser.add_argument("--until", help="up to then; as --since (default: now)")
    parser.add_argument("--samples", type=int, default=5, help="events shown of each (default: %(default)s)")
    parser.add_argument("--fail-on", choices=FAIL_ON, help="exit with 1 when runs are lost, gained, either")


def backtest(client: Client, options: argparse.Namespace) -> int:
    """Ask the platform, which looks at the newest events first, some 20 seconds at a time; show what came of all."""
    now = datetime.now(UTC)
    asked: dict[str, Any] = {
        "since": time_of(options.since, now),
        "samples": options.samples,
        **_sides(options),
    }
    if options.until:
        asked["until"] = time_of(options.until, now)
    found = _all(client, asked)
    if options.json:
        print_json(found)
    else:
        _show(found)
    if not found["complete"]:
        print(
            f"Events before {moment(found['reached'])} UTC were not looked at: give a later --since, or run it on the "
            "platform's machine.",
            file=sys.stderr,
        )
    counted = {"lost": ("lost",), "gained": ("gained",), "any": ("lost", "gained")}.get(options.fail_on, ())
    return int(any(found[name] for name in counted))


def _all(client: Client, asked: dict[str, Any]) -> dict[str, Any]:
    """Piece by piece until the whole time was looked at; the figures of all."""
    found: dict[str, Any] = client.post("backtests/", asked)
    while (following := found.pop("next", None)) is not None:
        progress(f"{found['events']:,} events, back to {moment(found['reached'])} UTC")
        found = _sum(found, client.post("backtests/", {**asked, "cursor": following}), asked["samples"])
    progress()
    return found


def _sum(found: dict[str, Any], more: dict[str, Any], samples: int) -> dict[str, Any]:
    """Both pieces as one. A sync in between may bring a service, or take one away."""
    before = {one["service"]: one for one in found["services"]}
    services = []
    for one in more["services"]:
        past = before.pop(one["service"], None)
        services.append(one if past is None else _tally(past, one, samples))
    return {
        **more,
        **{name: found[name] + more[name] for name in ("events", "seconds", "gained", "lost")},
        "services": sorted([*services, *before.values()], key=lambda one: one["service"]),
    }


def _tally(past: dict[str, Any], one: dict[str, Any], samples: int) -> dict[str, Any]:
    counts = {name: past[name] + one[name] for name in ("before", "after", "gained", "lost")}
    kept = {name: (past[name] + one[name])[:samples] for name in ("gained_samples", "lost_samples")}
    return {**one, **counts, **kept}


def _sides(options: argparse.Namespace) -> dict[str, Any]:
    if bool(options.type) == bool(options.folder or options.project):
        raise Refused("give one of a FOLDER, --project, and a trigger by --type (and --filter or --cesql)")
    if not options.type and (options.filter or options.cesql or options.service):
        raise Refused("--filter, --cesql and --service go with --type")
    if options.folder:
        folder = Path(options.folder).expanduser().resolve()
        alone = (folder / "manifest.json").is_file()  # one service is not the whole of a project
        whole = {"project": options.project} if options.project and not alone else {}
        return {"services": _manifests(folder), **whole}
    if options.project:
        return {"project": options.project}
    trigger: dict[str, Any] = {"event_type": options.type}
    if options.filter:
        trigger["filter"] = json_option(options, "filter")
    if options.cesql:
        trigger["cesql"] = options.cesql
    return {"services": {options.service or TRIAL: {"trigger_events": [trigger]}}}


def _manifests(folder: Path) -> dict[str, Any]:
    """By service its manifest; of one without, that of a service with defaults."""
    alone = (folder / "manifest.json").is_file()
    found = {}
    for service in [folder] if alone else services_of(folder):
        try:
            text = (service / "manifest.json").read_text()
        except FileNotFoundError:
            text = "{}"
        except (OSError, ValueError) as error:
            raise Refused(f"{service.name}: manifest.json cannot be read: {error}") from None
        found[service.name] = _json(text, f"{service.name}: manifest.json")
    if not found:
        raise Refused(f"{folder} holds no service")
    return found


def _json(text: str, what: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise Refused(f"{what} is no JSON: {error}") from None


def _show(found: dict[str, Any]) -> None:
    window = f"{moment(found['since'])[:16]} to {moment(found['until'])[:16]} UTC"
    print(f"{found['events']:,} events of the types that triggers name, {window}")
    for one in found["services"]:
        word = "" if one["state"] == "unchanged" else f" ({one['state']})"
        print(
            f"  {clean(one['service'])}{word}: {one['before']:,} before, {one['after']:,} after, "
            f"{one['gained']:,} gained, {one['lost']:,} lost"
        )
        for sign, side, samples in (("+", "today", "gained_samples"), ("-", "then", "lost_samples")):
            for sample in one[samples]:
                print(clean(f"    {sign} {sample['type']} {sample['id']}: {side}, {sample['why']}"))
    print(f"In all {found['gained']:,} runs gained, {found['lost']:,} lost.")
