"""`manage.py flow ID`: what caused what in a flow, with times and its critical path, or as JSON."""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from ferris.causality import EVENT, EXECUTION, Node, critical_path
from ferris.events import flow_of, rfc3339
from ferris_web.executions.flow_tree import flow_tree
from ferris_web.executions.models import Flow


class Command(BaseCommand):
    help = (
        "Shows one flow: events and executions, each line before what it caused. * marks the critical path."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("flow", help="a flow's id, or the correlation id of one of its executions")
        parser.add_argument("--json", action="store_true", help="nodes with causes and times, for programs")

    def handle(self, *args: Any, **options: Any) -> None:
        name = options["flow"]
        flow = Flow.objects.filter(pk__in={name, flow_of(name)}).first()
        if flow is None:
            raise CommandError(
                f"there is no flow {name!r}; its id stands on the page of each of its events", returncode=2
            )
        grown = flow_tree(flow)
        path = critical_path(grown.tree, timezone.now())
        critical = path.keys if path else ()
        if options["json"]:
            nodes = [_json(depth, node, node.key in critical) for depth, node in grown.tree.walk()]
            told = {"flow": flow.pk, "complete": grown.complete, "nodes": nodes, "critical_path": None}
            if path:
                told["critical_path"] = {
                    "seconds": path.length.total_seconds(),
                    "running_seconds": path.running.total_seconds(),
                    "waiting_seconds": path.waiting.total_seconds(),
                    "open": path.open,
                }
            self.stdout.write(json.dumps(told, indent=2))
            return
        for depth, node in grown.tree.walk():
            mark = "*" if node.key in critical else " "
            after = (node.at - flow.started_at).total_seconds()
            self.stdout.write(f"{mark} {after:>9.3f} s  {'  ' * depth}{_said(node)}")
        if not grown.complete:
            self.stdout.write("It is larger than what is shown here.")
        if path:
            self.stdout.write(
                f"Critical path: {path.length.total_seconds():.3f} s{' so far' if path.open else ''}; "
                f"{path.running.total_seconds():.3f} s in scripts, {path.waiting.total_seconds():.3f} s in line."
            )


def _said(node: Node) -> str:
    where = f" in the flow {_plain(node.flow)}" if node.flow else ""
    name = _plain(node.name)
    if node.kind == EVENT:
        return f"event {name}{where}"
    words = [f"{name} {node.status}" if node.kind == EXECUTION else f"{name} waits for more events"]
    if node.waited is not None:
        words.append(f"waited {node.waited.total_seconds():.3f} s")
    if node.took is not None:
        words.append(f"took {node.took.total_seconds():.3f} s")
    return ", ".join(words) + where


def _plain(text: str) -> str:
    """Names come from senders: nothing of them moves the cursor of a terminal."""
    return "".join(c if c.isprintable() else "?" for c in text)


def _json(depth: int, node: Node, critical: bool) -> dict[str, Any]:
    return {
        "id": node.key,
        "kind": node.kind,
        "name": node.name,
        "depth": depth,
        "at": rfc3339(node.at),
        "status": node.status or None,
        "waited_seconds": None if node.waited is None else node.waited.total_seconds(),
        "took_seconds": None if node.took is None else node.took.total_seconds(),
        "causes": [{"id": cause.key, "kind": cause.kind} for cause in node.causes],
        "flow": node.flow or None,
        "critical": critical,
    }
