"""Executions from before there were shares get the project of their service, some at a time: lists of a project are
then read along an index. Those that are made now have it from the start."""

from __future__ import annotations

from typing import Final

from django.db import connection, transaction
from django.db.models import OuterRef, Subquery

from ferris_web.catalog.models import Service
from ferris_web.executions.models import Execution

AT_ONCE: Final = 500
"""A transaction is to be short: on SQLite nobody else writes meanwhile."""


def owners_piece(most: int = AT_ONCE) -> int:
    """Give some executions their project, the latest first; how many. 0: all have one."""
    skips = bool(connection.features.has_select_for_update_skip_locked)
    unowned = Execution.objects.filter(project=None).order_by("-created_at")
    if not unowned.exists():
        return 0
    with transaction.atomic():
        rows = unowned.select_for_update(of=("self",), skip_locked=skips)
        found = list(rows.values_list("pk", flat=True)[:most])
        owner = Service.objects.filter(pk=OuterRef("service_id")).values("project_id")
        Execution.objects.filter(pk__in=found).update(project_id=Subquery(owner[:1]))
    return len(found)
