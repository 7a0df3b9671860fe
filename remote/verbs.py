"""What each command does: `run(client, options)` prints and gives the exit status."""

from __future__ import annotations

import argparse
import json
import sys
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from remote.client import Client, Refused, part
from remote.following import flow_changes
from remote.showing import clean, colour, log_line, moment, print_json, table

BAD_INPUT = 2
TIMED_OUT = 3
_ROUTED_IN = 60.0  # seconds until one who asked for a run is told that none came

Options = argparse.Namespace


def emit(client: Client, options: Options) -> int:
    """Send an event; with --wait follow its flow."""
    event = {
        "specversion": "1.0",
        "id": str(uuid.uuid4()),
        "source": options.source,
        "type": options.type,
        "datacontenttype": "application/json",
        "data": json_of(options.data),
    }
    if options.subject:
        event["subject"] = options.subject
    if options.correlation_id:
        event["correlationid"] = options.correlation_id
    sent = client.post("events/", event, content_type="application/cloudevents+json")
    flow_id = sent["correlation_id"]
    if not options.json:
        print(f"Sent {options.type} ({event['id']}), flow {flow_id}", flush=True)
    outcome = _follow(client, flow_id, options) if options.wait else None
    if options.json:
        print_json({"id": event["id"], "correlation_id": flow_id, **(outcome or {})})
    if outcome is None:
        return 0
    if not outcome["settled"]:
        print(f"The flow had not settled after {options.timeout:g} s; it goes on.", file=sys.stderr)
        return TIMED_OUT
    return int(any(row["status"] in ("failed", "cancelled") for row in outcome["executions"]))


def _follow(client: Client, flow_id: str, options: Options) -> dict[str, Any]:
    """Follow the flow until it has settled or the time is up; tells of what ended meanwhile."""
    settled, told = False, set[str]()
    for run in flow_changes(client, flow_id, time.monotonic() + options.timeout):
        if run is None:
            settled = True
        elif run.get("finished_at") and run["id"] not in told and not options.json:
            told.add(run["id"])
            print(_run_line(run), flush=True)
    rows = [{name: run.get(name) for name in _ROW} for run in _runs(client, flow_id)]
    if not options.json:
        print(*_counts(rows), sep="\n")
    return {"settled": settled, "executions": rows}


def _runs(client: Client, flow_id: str) -> list[dict[str, Any]]:
    try:
        found = client.get(f"flows/{part(flow_id)}/")
    except Refused as error:
        if error.status != 404:  # nothing of it that one may see
            raise
        return []
    return [node for node in found["nodes"] if node["kind"] == "execution"]


_ROW = ("id", "service", "correlation_id", "status", "reason", "error")


def _run_line(run: dict[str, Any]) -> str:
    why = ": ".join(filter(None, (run.get("reason"), run.get("error"))))
    ended = colour(run["status"], run["status"])
    return f"{moment(run['finished_at'])[11:]}  {run['service']}  {ended}" + (
        f" ({clean(why)})" if why else ""
    )


def _counts(rows: Iterable[dict[str, Any]]) -> list[str]:
    counts: dict[str, Counter[str]] = {}
    for row in rows:
        counts.setdefault(row["service"], Counter())[row["status"]] += 1
    if not counts:
        return ["No execution."]
    return list(
        table(
            ["service", "executions"],
            [
                [name, ", ".join(f"{amount} {status}" for status, amount in sorted(count.items()))]
                for name, count in sorted(counts.items())
            ],
        )
    )


def flow(client: Client, options: Options) -> int:
    """One flow as a tree, or the newest ones."""
    if options.flow is None:
        rows = list(client.all("flows/", options.limit, root_type=options.type))
        if options.json:
            _print_rows(rows)
            return 0
        shown = [
            [
                r["id"],
                moment(r["started_at"]),
                r["root_type"],
                ", ".join(f"{n} {s}" for s, n in r["statuses"].items()),
            ]
            for r in rows
        ]
        print(*table(["flow", "began", "first event", "executions"], shown), sep="\n")
        return 0
    found = client.get(f"flows/{part(options.flow)}/")
    if options.json:
        print_json(found)
    else:
        state = "settled" if found["settled"] else "goes on"
        print(f"{found['id']}  {found['root_type']}  {moment(found['started_at'])}  {state}")
        for line in _tree(found["nodes"]):
            print(line)
    return int(any(node.get("status") in ("failed", "cancelled") for node in found["nodes"]))


def _tree(nodes: list[dict[str, Any]]) -> list[str]:
    """Events and what they made run, each below its cause; many of one name as one line with their number."""
    below: dict[str | None, list[dict[str, Any]]] = {}
    known = {node["id"] for node in nodes} | {node["key"] for node in nodes if "key" in node}
    for node in nodes:
        cause = node.get("parent_execution_id") if node["kind"] == "event" else node.get("event_key")
        below.setdefault(cause if cause in known else None, []).append(node)
    lines: list[str] = []

    def write(causes: list[str | None], depth: int) -> None:
        groups: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
        for cause in causes:
            for node in below.get(cause, ()):
                name = node["type"] if node["kind"] == "event" else node["service"]
                groups.setdefault((node["kind"], name, node.get("status") or ""), []).append(node)
        for (kind, name, status), members in groups.items():
            many = f" × {len(members)}" if len(members) > 1 else ""
            said = f"({clean(name)})" if kind == "event" else f"[{clean(name)}] {colour(status, status)}"
            only = members[0]
            why = ""
            if kind == "execution" and len(members) == 1:
                why = f"  {only['id']}" + (f"  {clean(only['error'])}" if only.get("error") else "")
            lines.append("  " * depth + said + many + why)
            write([one.get("key") or one["id"] for one in members], depth + 1)

    write([None], 1)
    return lines


def executions(client: Client, options: Options) -> int:
    """The newest executions."""
    rows = list(client.all("executions/", options.limit, service=options.service, status=options.status))
    if options.json:
        _print_rows(rows)
        return 0
    shown = [[r["id"], r["service"], r["status"], moment(r["created_at"]), r["error"] or ""] for r in rows]
    print(*table(["execution", "service", "status", "created (UTC)", "error"], shown, kinds=2), sep="\n")
    return 0


def services(client: Client, options: Options) -> int:
    """Services and what triggers them."""
    rows = list(client.all("services/", options.limit, query=options.query))
    if options.json:
        _print_rows(rows)
        return 0
    shown = [
        [
            r["name"],
            r["project"],
            _state(r),
            ", ".join(t["event_type"] for t in r["trigger_events"]),
        ]
        for r in rows
    ]
    print(*table(["service", "project", "state", "triggers"], shown), sep="\n")
    return 0


def _state(service: Mapping[str, Any]) -> str:
    if service["vanished_at"]:
        return "gone"
    if service["paused_at"]:
        return "paused"
    return "active" if service["active"] else "inactive"


def logs(client: Client, options: Options) -> int:
    """The log of an execution, or of the newest one of a service; with --follow as it is written."""
    execution = _execution(client, options.what)
    place = f"executions/{part(execution)}/logs/"
    last = {} if options.tail is None else {"tail": options.tail}
    if not options.follow:
        for line in client.all(place, sys.maxsize, **last):
            _print_line(line, options)
        return 0
    for event, data in client.stream(place, follow=1, **last):
        said = json.loads(data)
        if event == "end":
            if not options.json:
                print(
                    colour(f"The execution {execution} is {said['status']}.", said["status"]), file=sys.stderr
                )
            return int(said["status"] in ("failed", "cancelled"))
        if event == "":
            _print_line(said, options)
    return 0


def _print_line(line: dict[str, Any], options: Options) -> None:
    print(json.dumps(line, ensure_ascii=False) if options.json else log_line(line), flush=True)


def _execution(client: Client, what: str) -> str:
    """The id of an execution, by itself or by the service whose newest it is."""
    try:
        return str(uuid.UUID(what))
    except ValueError:
        pass
    for row in client.all("executions/", 1, service=what):
        return str(row["id"])
    raise Refused(f"{what!r} is no execution's id, and no service of that name has run")


def run(client: Client, options: Options) -> int:
    """Run a service by hand; with --follow its log."""
    asked = client.post(f"services/{part(options.service)}/run/", {"parameters": json_of(options.data) or {}})
    if options.json and not options.follow:
        print_json(asked)
    elif not options.json:
        print(f"Asked for {asked['id']}, flow {asked['flow_id']}", file=sys.stderr, flush=True)
    if not options.follow:
        return 0
    options.what, options.tail = _until_there(client, asked), None
    return logs(client, options)


def _until_there(client: Client, asked: dict[str, Any]) -> str:
    """Wait until the router has made the execution."""
    for run in flow_changes(client, asked["flow_id"], time.monotonic() + _ROUTED_IN):
        if run is None or run["id"] == asked["id"]:
            return str(asked["id"])
    raise Refused("the platform took the request, but no execution came of it in a minute: `doctor` says why")


def cancel(client: Client, options: Options) -> int:
    """Stop executions."""

    def say(execution: str, row: dict[str, Any]) -> None:
        if options.json:
            print_json(row)
        else:
            print(f"{execution} is {row['status']}")

    return each(client, options, "cancel", say)


def each(
    client: Client, options: Options, verb: str, say: Callable[[str, dict[str, Any]], None], body: Any = None
) -> int:
    """Ask this of each of the executions, and have said what came of it; the exit status."""
    done = refused = 0
    for execution in options.execution:
        try:
            row = client.post(f"executions/{_id(execution)}/{verb}/", body)
        except Refused as error:
            print(f"{execution}: {error}", file=sys.stderr)
            refused += 1
            continue
        done += 1
        say(execution, row)
    return int(bool(refused)) if done else BAD_INPUT


def _id(text: str) -> str:
    try:
        return str(uuid.UUID(text))
    except ValueError:
        raise Refused("is no execution's id: `executions` lists them") from None


def why(client: Client, options: Options) -> int:
    """Why services ran for an event, or not."""
    place = f"events/{part(options.event)}/why/"
    if options.service:
        rows = [client.get(place, service=options.service)]
    else:
        rows = list(client.all(place, 1000, all="true" if options.all else None))
    if options.json:
        _print_rows(rows)
        return 0
    for row in rows:
        run_ = row["execution"]
        tail = f", execution {run_['id']} is {run_['status']}" if run_ else ""
        print(f"{row['service']}: {row['verdict'].replace('_', ' ')}: {clean(row['why'])}{tail}")
    if not rows:
        print("No service listens to its type.")
    return 0


def doctor(client: Client, options: Options) -> int:
    """Whether the platform is well: each backend, and whether the token is taken."""
    status, said = client.health()
    if options.json:
        print_json(said)
    else:
        rows = [
            [name, str(one.get("state", "")), clean(str(one.get("error") or one.get("lag") or ""))]
            for name, one in said.get("backends", {}).items()
        ]
        print(*table(["part", "state", ""], rows), sep="\n")
    client.get("services/", limit=1)
    if not options.json:
        print(f"{client.url} takes the token.")
    return int(status != 200)


def token(client: Client, options: Options) -> int:
    """Make a token of one's own, with at most the rights of FERRIS_TOKEN; print it and nothing else."""
    asked = {"name": options.name, "scopes": options.scope, "projects": options.project, "days": options.days}
    made = client.post("tokens/", {name: value for name, value in asked.items() if value is not None})
    if options.json:
        print_json(made)
    else:
        print(made["token"])
    return 0


def json_of(text: str | None, option: str = "--data") -> Any:
    """What `--data` (or another option) says: JSON, @FILE, or - for standard input."""
    if text is None:
        return None
    try:
        if text == "-":
            text = sys.stdin.read()
        elif text.startswith("@"):
            text = Path(text[1:]).expanduser().read_text()
        return json.loads(text)
    except ValueError as error:
        raise Refused(
            f"{option} is no JSON ({error}): write it like '{{\"total\": 120}}', quotes included"
        ) from None
    except OSError as error:
        raise Refused(f"{option}: {error}") from None


def _print_rows(rows: Iterable[dict[str, Any]]) -> None:
    for row in rows:
        print(json.dumps(row, ensure_ascii=False))


Verb = Callable[[Client, Options], int]
