"""Tells the router and the scheduler that something they hold has changed."""

from __future__ import annotations

import json
import logging

from django.db import transaction
from django.db.models import F

from ferris.config import CONTROL
from ferris.ports import Record
from ferris_web import wiring
from ferris_web.catalog.history import history_record
from ferris_web.catalog.models import Revision

log = logging.getLogger(__name__)


def revision_bump() -> None:
    """Count a change of what the router needs to know, in the transaction that makes the change.

    What each service was up to then is kept: see `history`.

    Once it is committed, a notice goes to `ferris.control`. A notice may get lost: the router reads the
    revision itself, and the scheduler looks at its tables every few minutes.
    """
    with transaction.atomic():
        Revision.objects.get_or_create(pk=1)
        Revision.objects.filter(pk=1).update(number=F("number") + 1)
        history_record(Revision.objects.values_list("number", flat=True).get(pk=1))
    notify("catalog")


def notify(changed: str) -> None:
    """Append `{"changed": changed}` to `ferris.control` once the transaction under way is committed."""
    record = Record(json.dumps({"changed": changed}).encode())
    transaction.on_commit(lambda: _append(record))


def _append(record: Record) -> None:
    try:
        wiring.event_log().append(CONTROL, [record])
    except Exception:  # the change itself is made: failing here would deny that
        log.warning("the notice of a change could not be appended to %s", CONTROL, exc_info=True)
