"""Saved runs of services: parameters under a name. A name is taken anew; what is saved was valid then."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from django.db.models import QuerySet

from ferris.errors import Conflict, NotFound
from ferris_web.catalog.models import SavedRun, Service

MOST: Final = 100
"""Of one service."""
MOST_BYTES: Final = 200_000
LONGEST_NAME: Final = 100


def saved_run_set(
    service: Service, name: str, values: Mapping[str, Any], *, actor: str, now: datetime
) -> SavedRun:
    """Keep these parameters under that name, in place of what was kept under it; Conflict says why not."""
    name = name.strip()
    if not name or len(name) > LONGEST_NAME or not name.isprintable():
        raise Conflict(f"the name of a saved run: expected 1 to {LONGEST_NAME} printable characters")
    text = json.dumps(values)
    if len(text) > MOST_BYTES:
        raise Conflict(
            f"the parameters are too large to be saved: {len(text):,} bytes, at most {MOST_BYTES:,}"
        )
    if "\\u0000" in text:
        raise Conflict("the parameters hold a NUL, which cannot be saved")
    if service.saved_runs.exclude(name=name).count() >= MOST:
        raise Conflict(f"{service.name} has {MOST} saved runs; remove one first")
    row, _ = SavedRun.objects.update_or_create(
        service=service, name=name, defaults={"values": dict(values), "saved_by": actor, "saved_at": now}
    )
    return row


def saved_run_get(service: Service, name: str) -> SavedRun:
    """The saved run of that name; NotFound."""
    row = service.saved_runs.filter(name=name.strip()).first() if "\0" not in name else None
    if row is None:
        raise NotFound(f"{service.name} has no saved run {name[:100]!r}")
    return row


def saved_run_remove(service: Service, name: str) -> None:
    """It is no longer kept; NotFound."""
    saved_run_get(service, name).delete()


def saved_run_list(service: Service) -> QuerySet[SavedRun]:
    """Those of a service, by name."""
    return service.saved_runs.order_by("name")
