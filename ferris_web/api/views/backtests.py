"""Backtests: other triggers over past events."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from ferris.backtest import Refused
from ferris_web.accounts.permissions import Action, reach
from ferris_web.api.incoming import body_of
from ferris_web.api.serializers import backtests as shapes
from ferris_web.catalog import candidate
from ferris_web.catalog.models import Service
from ferris_web.executions.backtesting import backtest_run
from ferris_web.executions.visibility import allow

_SECONDS = 20.0  # within the patience of clients and proxies


class BacktestList(APIView):
    """Runs a backtest; nothing is kept of it."""

    @extend_schema(
        summary="Run other triggers over past events",
        description="How often each service would have fired with these manifests, and with today's: gained, lost, "
        "and events that tell the difference. It reads the newest events first and stops after `limit` events or "
        "about 20 seconds; `next` goes on from there. 400 lists every mistake of the manifests.",
        request=shapes.BacktestRequest,
        responses=shapes.Backtest,
    )
    def post(self, request: Request) -> Response:
        said = body_of(request, shapes.BacktestRequest)
        now = datetime.now(UTC)
        since, until, place = said["cursor"] or (
            said.get("since") or now - timedelta(days=7),
            said.get("until") or now,
            None,
        )
        try:
            if said["project"]:
                allow(request.user, Action.VIEW, "project", said["project"])
            services = said.get("services")
            if services:
                for name in Service.objects.filter(name__in=services).values_list("name", flat=True):
                    allow(request.user, Action.VIEW, "service", name)
                sides = candidate.sides_of_manifests(services, said["project"])
            else:
                sides = candidate.sides_of_project(said["project"], lambda line: None)
        except Refused as refused:
            raise ValidationError({"services": list(refused.problems)}) from None
        tested = backtest_run(
            sides,
            since=since,
            projects=reach(request.user),
            until=until,
            after=place,
            samples=said["samples"],
            most_events=said["limit"],
            most_seconds=_SECONDS,
        )
        return Response(shapes.Backtest({**tested.to_json(), "next": shapes.cursor(tested)}).data)
