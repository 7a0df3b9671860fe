"""Trying triggers on past events: of one service, or what a sync of a project would bring."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from ferris.backtest import Refused
from ferris.errors import FerrisError
from ferris_web.accounts.permissions import Action, reach
from ferris_web.catalog import candidate
from ferris_web.catalog.models import Project, Service
from ferris_web.console import backtests, filters
from ferris_web.executions.backtesting import Tested, backtest_run
from ferris_web.executions.visibility import allow, scoped

_PERIODS = (
    ("1h", _("the last hour")),
    ("24h", _("the last 24 hours")),
    ("7d", _("the last 7 days")),
    ("30d", _("the last 30 days")),
)

_LENGTHS = {
    "1h": timedelta(hours=1),
    "24h": timedelta(days=1),
    "7d": timedelta(days=7),
    "30d": timedelta(days=30),
}
_SECONDS = 8.0  # of one piece
_LONGEST_TEXT = 200_000
_EXAMPLE = [{"event_type": "quakes.quake.detected", "filter": {"data": {"mag": [{"numeric": [">=", 5]}]}}}]


def backtest(request: HttpRequest) -> HttpResponse:
    """The form, filled with a service's triggers of today (`?service=`), and what came of it: of the newest events
    first, and the page asks for more until it was all, or somebody stops it."""
    if request.method == "POST":
        return _answer(request)
    name = filters.text(request.GET, "service", 200)
    service = scoped(Service.objects.filter(name=name), request.user).first() if name else None
    triggers: list[Any] = _written(service) if service else _EXAMPLE
    context = {
        "service": name,
        "triggers": json.dumps(triggers, indent=2, ensure_ascii=False),
        "project": filters.text(request.GET, "project", 100),
        "since": "7d",
        **_known(request, "7d"),
    }
    return render(request, "console/backtest.html", context)


def _written(service: Service) -> list[Any]:
    """Its triggers as a manifest would have them."""
    found: list[Any] = []
    for trigger in service.triggers.all():
        said: dict[str, Any] = {"event_type": trigger.event_type}
        if trigger.filter is not None:
            said["filter"] = trigger.filter
        if trigger.cesql is not None:
            said["cesql"] = trigger.cesql
        found.append(said if len(said) > 1 else trigger.event_type)
    return found


def _known(request: HttpRequest, period: str) -> dict[str, Any]:
    return {
        "names": list(
            scoped(Service.objects.filter(vanished_at=None), request.user).values_list("name", flat=True)[
                :500
            ]
        ),
        "projects": list(
            scoped(Project.objects.filter(repositories__isnull=False), request.user)
            .distinct()
            .values_list("name", flat=True)
        ),
        "periods": [filters.Choice(value, label, value == period) for value, label in _PERIODS],
    }


def _answer(request: HttpRequest) -> HttpResponse:
    said = request.POST
    period = said.get("since", "") if said.get("since", "") in _LENGTHS else "7d"
    context: dict[str, Any] = {
        "service": filters.text(said, "service", 200),
        "triggers": said.get("triggers", "")[:_LONGEST_TEXT],
        "project": filters.text(said, "project", 100),
        **_known(request, period),
    }
    asked = {"service": context["service"], "triggers": context["triggers"], "project": context["project"]}
    problems: list[str] = []
    tested = None
    begun = backtests.opened(said["begun"], asked, request.user) if said.get("begun") else None
    try:
        if said.get("begun") and begun is None:
            raise Refused([gettext("it cannot be gone on with after so long: begin anew")])
        tested = _run(request, context, period, begun)
    except Refused as refused:
        problems = list(refused.problems)
    except FerrisError as error:
        problems = [str(error)]
    except ValueError as error:
        problems = [gettext("the triggers are no JSON: {error}").format(error=error)]
    context |= {
        "errors": {"project" if context["project"] else "triggers": problems} if problems else {},
        "tested": tested,
    }
    if tested is not None:
        following = backtests.begun_of(tested)
        if following is not None:
            kept = backtests.sealed(following, asked, request.user)
            context |= {
                "following": following,
                "fields": {**asked, "since": period, "begun": kept},
                "stopped": "stop" in said,
            }
        context["tallies"] = sorted(
            tested.backtest.tallies.values(),
            key=lambda tally: (not (tally.gained or tally.lost), tally.service),
        )
    return render(request, "console/backtest.html", context, status=422 if problems else 200)


def _run(request: HttpRequest, said: dict[str, Any], period: str, begun: backtests.Begun | None) -> Tested:
    if said["project"]:
        allow(request.user, Action.VIEW, "project", said["project"])
        sides = candidate.sides_of_project(said["project"], lambda line: None)
    else:
        name = said["service"] or gettext("(this trigger)")
        if Service.objects.filter(name=name).exists():
            allow(request.user, Action.VIEW, "service", name)
        sides = candidate.sides_of_manifests({name: {"trigger_events": json.loads(said["triggers"])}})
    now = timezone.now()
    return backtest_run(
        sides,
        since=begun.since if begun else now - _LENGTHS[period],
        until=begun.until if begun else now,
        after=begun.place if begun else None,
        past=begun.past if begun else None,
        most_seconds=0.0 if "stop" in request.POST else _SECONDS,
        projects=reach(request.user),
    )
