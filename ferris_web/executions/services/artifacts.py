"""Artifacts come with the report of their step, and go when they are old, with their content. So do archived logs."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from ferris import artifacts, log_archive
from ferris_web import wiring
from ferris_web.executions.models import Artifact, Step

_AT_ONCE = 500


def artifacts_of(step: Step, said: Mapping[str, Any]) -> list[Artifact]:
    """The rows for what a step's report says of artifacts; not those that no executor would have kept."""
    found = said.get("artifacts")
    if not isinstance(found, list):
        return []
    return [
        Artifact(
            execution_id=step.execution_id,
            attempt=step.attempt,
            step=step.index,
            script=step.script,
            name=one["name"],
            content_type=artifacts.content_type_of(one["name"], one.get("content_type")),
            size=int(one["size"]),
            day=str(said["artifacts_day"])[:10],
            created_at=step.finished_at,
        )
        for one in found
        if not artifacts.name_problem(one["name"])
    ]


def artifacts_prune(before: datetime) -> int:
    """Remove artifacts stored before that day, and contents that no report ever told of; how many contents.

    Contents first: whoever is interrupted here finds the rest the next time.
    """
    store, day = wiring.object_store(), artifacts.day_of(before)
    removed = 0
    while page := [
        info for info in store.list(artifacts.BUCKET, limit=_AT_ONCE) if info.key.partition("/")[0] < day
    ]:
        for info in page:
            store.delete(artifacts.BUCKET, info.key)
        removed += len(page)
    Artifact.objects.filter(day__lt=day).delete()
    return removed


def log_archives_prune(before: datetime) -> int:
    """Remove parts of archived logs that are older; how many."""
    store, after, removed = wiring.object_store(), None, 0
    while page := store.list(log_archive.BUCKET, after=after, limit=_AT_ONCE):
        after = page[-1].key
        for info in page:
            if info.modified < before:
                store.delete(log_archive.BUCKET, info.key)
                removed += 1
    return removed
