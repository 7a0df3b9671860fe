"""Which charts send a secret as a header to their URL: told beside the services that get it."""

from __future__ import annotations

from collections.abc import Iterable

from django.db.models import Exists, F, OuterRef, Q, QuerySet

from ferris_web.catalog import secret_list
from ferris_web.catalog.models import Secret
from ferris_web.executions.models import Chart
from ferris_web.executions.visibility import Projects, within

_SENDING = Chart.objects.filter(source=Chart.Source.URL).exclude(header_secret="").order_by()


def with_charts(secrets: Iterable[Secret], projects: Projects | None) -> list[Secret]:
    """These secrets, each with `sent_by`: the charts of these projects (None: of all, and of the platform) that send
    it, the one that asked last in front. One query, or none."""
    found = list(secrets)
    names = {one.name for one in found if one.scope != Secret.Scope.SERVICE}
    sending: dict[tuple[int | None, str], list[Chart]] = {}
    if names:
        rows = within(_SENDING.filter(header_secret__in=names).select_related("feed", "project"), projects)
        for row in rows.order_by(F("feed__asked_at").desc(nulls_last=True), "title", "pk"):
            sending.setdefault((row.project_id, row.header_secret), []).append(row)
    for one in found:
        mine = None if one.scope == Secret.Scope.SERVICE else sending.get((one.project_id, one.name))
        one.sent_by = mine or []  # type: ignore[attr-defined]
    return found


def secrets_known(projects: Projects, *, unused: bool = False, **asked: str) -> QuerySet[Secret]:
    """As `secret_list.secrets_known`; `unused` are those that no chart sends either."""
    found = secret_list.secrets_known(projects, unused=unused, **asked)
    return _unsent(found) if unused else found


def _unsent(secrets: QuerySet[Secret]) -> QuerySet[Secret]:
    named = _SENDING.filter(header_secret=OuterRef("name"))
    return secrets.exclude(Exists(named.filter(project=OuterRef("project")))).exclude(
        Q(scope=Secret.Scope.PLATFORM) & Exists(named.filter(project=None))
    )
