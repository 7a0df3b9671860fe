"""A project made of rows: a service with every kind of field, one that is inactive, one that is gone."""

from __future__ import annotations

import json
from datetime import datetime, timedelta

FIELDS = [
    {"type": "text", "name": "title", "label": "Title", "required": True, "placeholder": "of the report"},
    {"type": "textarea", "name": "note", "label": "Note", "description": "Stands under the title."},
    {"type": "int", "name": "rows", "label": "Rows", "min": 1, "max": 100, "default": 10},
    {"type": "float", "name": "least", "label": "Least magnitude", "min": 0, "step": 0.1, "default": "4.5"},
    {
        "type": "select",
        "name": "format",
        "label": "Format",
        "default": "html",
        "choices": [{"title": "Web page", "value": "html"}, {"title": "Table", "value": "csv"}],
    },
    {
        "type": "radio",
        "name": "speed",
        "label": "Speed",
        "required": True,
        "choices": [{"title": "Fast", "value": 1}, {"title": "Thorough", "value": 2}],
    },
    {
        "type": "multiselect",
        "name": "regions",
        "label": "Regions",
        "default": ["asia"],
        "choices": [{"title": "Asia", "value": "asia"}, {"title": "Europe", "value": "europe"}],
    },
    {"type": "file", "name": "source", "label": "Source file", "data": {"bucket": "incoming"}},
]


def own_project(now: datetime, hostile: str) -> None:
    """A project made of rows: a service with every kind of field, one that is inactive, one that is gone."""
    from ferris_web.catalog import services as catalog
    from ferris_web.catalog.models import Project, Service
    from ferris_web.catalog.saved_runs import saved_run_set

    project = Project.objects.create(name="reports", description="Weekly reports." + hostile)
    folder = {
        "manifest.json": json.dumps(
            {
                "description": "Makes a report." + hostile,
                "tags": ["weekly", "report" + hostile],
                "trigger_events": [
                    {
                        "event_type": "quakes.report.*",
                        "filter": {"data": {"kind" + hostile: ["weekly" + hostile]}},
                    }
                ],
                "output_events": ["reports.made"],
                "schedule": "0 6 * * mon",
                "timeout": "10m",
                "retry": {"attempts": 3},
            }
        ),
        "parameters.json": json.dumps({"fields": FIELDS}),
        "report.py": f"# {hostile}\nfrom ferris_ef import context\n\nprint(context.params.get('title'))\n",
        "finish.sql": "select 1\n",
        "README.md": "# Report\n\nMakes *the* report.\n\n| a |\n|---|\n| 1 |\n\n```python\nprint(1)\n```\n\n"
        f"{hostile}\n\n[link](javascript:alert(1)) ![x](https://example.org/x.png)\n",
    }
    catalog.service_upload(project, "make_report", {k: v.encode() for k, v in folder.items()}, now=now)
    for name, manifest in (("old_report", {"active": False}), ("lost_report", {"trigger_events": ["lost"]})):
        files = {"manifest.json": json.dumps(manifest).encode(), "run.py": b"print(1)\n"}
        catalog.service_upload(project, name, files, now=now)
    Service.objects.filter(name="lost_report").update(vanished_at=now - timedelta(days=2))
    made = Service.objects.get(name="make_report")
    saved = {"title": "Quakes" + hostile, "rows": 5, "speed": 2}
    for row in (made, Service.objects.get(name="quakes_alert")):
        saved_run_set(row, "weekly" + hostile[:80], saved, actor="ana" + hostile, now=now)
    catalog.schedule_add(made, origin="person", cron="*/20 * * * *", timezone="Europe/Berlin", now=now)
