"""When a secret was last used, and by whom: noted at each claim, which hands a service's secrets out.

Noted to the minute: a secret of the platform that every run gets would else be one row that all of them write.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from django.db.models import Count, Prefetch, QuerySet

from ferris_web.catalog.models import Secret, SecretUse, Service

EACH: Final = timedelta(minutes=1)
MOST_SHOWN: Final = 20
_MOST_KNOWN: Final = 50_000
_noted: dict[tuple[int, UUID], datetime] = {}
"""What this process has noted, and when."""


def uses_note(uses: Iterable[tuple[int, UUID, UUID]], now: datetime) -> None:
    """Note (secret, service, execution): one query, or none when all of it was noted within the last minute."""
    fresh = {}
    for secret, service, execution in uses:
        known = _noted.get((secret, service))
        if known is None or abs(now - known) >= EACH:
            fresh[secret, service] = execution
    if not fresh:
        return
    SecretUse.objects.bulk_create(
        # in one order, so that two who write the same rows wait for each other in one direction
        [
            SecretUse(secret_id=secret, service_id=service, execution=execution, at=now)
            for (secret, service), execution in sorted(fresh.items())
        ],
        update_conflicts=True,
        unique_fields=["secret", "service"],
        update_fields=["at", "execution"],
    )
    if len(_noted) > _MOST_KNOWN:
        _noted.clear()
    _noted.update(dict.fromkeys(fresh, now))


def with_uses(rows: QuerySet[Secret], service: Service | None = None) -> QuerySet[Secret]:
    """Secrets with `used_by`, their latest uses, and `services`, how many use them; or only the use by one service,
    for who may not know of others."""
    uses = SecretUse.objects.select_related("service").order_by("-at", "id")
    if service is not None:
        return rows.prefetch_related(Prefetch("uses", uses.filter(service=service), to_attr="used_by"))
    return rows.annotate(services=Count("uses")).prefetch_related(
        Prefetch("uses", uses[:MOST_SHOWN], to_attr="used_by")
    )
