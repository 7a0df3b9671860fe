"""What went wrong, in groups, and sending a group on its way again piece by piece."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from ferris_web.accounts.permissions import Action, reach
from ferris_web.api.incoming import actor_of, body_of, query_of
from ferris_web.api.pagination import whole
from ferris_web.api.serializers import failures as shapes
from ferris_web.executions import failures
from ferris_web.executions.services import Piece, dead_letters_redrive, failures_retry

_PIECES = (
    "Works through at most `limit` of them, the oldest first, and answers where to go on: repeat it with `cursor` "
    "until `next` is null. What comes back to the group meanwhile is not taken again. Repeating a request, or "
    "several at once, runs nothing twice."
)


class LetterGroups(APIView):
    """Dead letters, grouped."""

    @extend_schema(
        operation_id="dead_letters_groups",
        summary="Dead letters by reason, topic and event type, the latest first",
        parameters=[shapes.LetterGroupQuery],
        responses=shapes.LetterGroupPage,
    )
    def get(self, request: Request) -> Response:
        wanted = failures.LetterGroup(**query_of(request, shapes.LetterGroupQuery))
        return whole(
            [
                shapes.LetterGroup(asdict(g)).data
                for g in failures.letter_groups(wanted, projects=_reach(request))
            ]
        )


class LettersRedrive(APIView):
    """Sends a group of dead letters on its way again."""

    @extend_schema(
        operation_id="dead_letters_redrive_group",
        summary="Send a group of dead letters on its way again",
        description=f"Those that were not sent yet. {_PIECES}",
        request=shapes.LettersRedrive,
        responses=shapes.Piece,
    )
    def post(self, request: Request) -> Response:
        said = body_of(request, shapes.LettersRedrive)
        now = datetime.now(UTC)
        until, after = said.pop("cursor") or (said["until"] or now, "")
        limit = said.pop("limit")
        group = failures.LetterGroup(**{**said, "until": until})
        return _answer(
            dead_letters_redrive(
                group, now=now, after=after, most=limit, projects=_reach(request, Action.RUN)
            ),
            until,
        )


class FailureGroups(APIView):
    """Failed executions, grouped."""

    @extend_schema(
        operation_id="failures_list",
        summary="Failed executions by service, reason and kind of error, the latest first",
        description="Of those that were not retried, the 50,000 newest are looked at; the 200 groups "
        "are given that failed last.",
        parameters=[shapes.FailureGroupQuery],
        responses=shapes.FailureGroupPage,
    )
    def get(self, request: Request) -> Response:
        wanted = failures.FailureGroup(**query_of(request, shapes.FailureGroupQuery))
        found = failures.failure_groups(wanted, most=failures.MOST_SHOWN, projects=_reach(request))
        return whole([shapes.FailureGroup(vars(g)).data for g in found.groups])


class FailuresRetry(APIView):
    """Retries a group of failed executions."""

    @extend_schema(
        operation_id="failures_retry_group",
        summary="Retry a group of failed executions",
        description=f"Those that were not retried yet, each once. {_PIECES}",
        request=shapes.FailuresRetry,
        responses=shapes.Piece,
    )
    def post(self, request: Request) -> Response:
        said = body_of(request, shapes.FailuresRetry)
        now = datetime.now(UTC)
        until, after = said.pop("cursor") or (said["until"] or now, "")
        limit = said.pop("limit")
        group = failures.FailureGroup(**{**said, "until": until})
        actor = actor_of(request).get_username()
        projects = _reach(request, Action.RUN)
        piece = failures_retry(group, actor=actor, now=now, after=after, most=limit, projects=projects)
        return _answer(piece, until)


def _reach(request: Request, action: Action = Action.VIEW) -> frozenset[int] | None:
    return reach(request.user, action)


def _answer(piece: Piece, until: datetime) -> Response:
    following = shapes.cursor(until, piece.following)
    return Response({"sent": piece.sent, "refused": piece.refused, "next": following})
