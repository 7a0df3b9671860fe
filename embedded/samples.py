"""Loads the sample projects into a new home and fires their pipeline once, as a first look."""

from __future__ import annotations

import json

from django.core.management import CommandError, call_command
from django.core.management.base import OutputWrapper

from ferris import events
from ferris.config import ROOT, Settings
from ferris_web.catalog.models import Project
from ferris_web.executions.models import Event

PROJECTS = ("hello", "quakes")
FIRST_EVENT, LAST_EVENT = "quakes.load.requested", "quakes.report.written"
ROWS = 200


def load(settings: Settings, stdout: OutputWrapper) -> None:
    """Add and sync the samples that are missing; fire the pipeline when they were new."""
    new = [name for name in PROJECTS if not Project.objects.filter(name=name).exists()]
    for name in new:
        call_command("project", "add", name, str(ROOT / "examples" / name), stdout=stdout)
    if "quakes" in new:
        stdout.write(f"Firing the sample pipeline with {ROWS} of its 1,707 rows …")
        _fire(settings, stdout)
    stdout.flush()


def _fire(settings: Settings, stdout: OutputWrapper) -> None:
    flow = events.new_flow_id()
    data = json.dumps({"limit": ROWS})
    try:
        call_command("emit", FIRST_EVENT, data=data, correlation_id=flow, wait=True, stdout=stdout)
    except (SystemExit, CommandError) as ended:
        if not isinstance(ended, SystemExit) or ended.code:
            stdout.write(
                f"The sample pipeline did not end well; {settings.public_url}/flows/{flow}/ shows why."
            )
    written = Event.objects.filter(flow_id=flow, type=LAST_EVENT).first()
    stdout.write(f"Flow:   {settings.public_url}/flows/{flow}/")
    if written:
        stdout.write(f"Report: {settings.public_url}{written.data['html']}")
