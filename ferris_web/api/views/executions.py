"""Executions: lists, one, its steps and log, cancel, retry."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from django.http import HttpResponseBase
from django.urls import reverse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_view
from rest_framework.exceptions import ValidationError
from rest_framework.generics import ListAPIView
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from ferris_web import sse
from ferris_web.accounts.permissions import Action, access_of, reach
from ferris_web.api import streams
from ferris_web.api.following import EventStreamRenderer, follows
from ferris_web.api.incoming import actor_of, body_of, parameters_of
from ferris_web.api.listed import asked_of, filters_of, found
from ferris_web.api.log_stream import log_stream
from ferris_web.api.pagination import KeysetPagination, limit_of, next_link
from ferris_web.api.serializers import configured as configured_shapes
from ferris_web.api.serializers import executions as shapes
from ferris_web.api.serializers import runs as run_shapes
from ferris_web.catalog.config_history import Then
from ferris_web.executions import selectors
from ferris_web.executions.configured import AttemptGiven, attempts_given
from ferris_web.executions.continuing import continuation_of, taken_of
from ferris_web.executions.listings import EXECUTIONS
from ferris_web.executions.log_download import log_response
from ferris_web.executions.log_reading import cursor_of_last, log_read
from ferris_web.executions.models import Execution, Step
from ferris_web.executions.services import Requested, execution_cancel, retry_request, wait_visible
from ferris_web.executions.services.urgency import execution_prioritise
from ferris_web.keyset import Way

_LARGEST_SEQ = 2**63 - 1
_LONGEST_TAIL = 100_000  # lines


@extend_schema_view(
    get=extend_schema(
        parameters=[*filters_of(EXECUTIONS), *streams.PARAMETERS],
        summary="Executions, newest first",
        description=streams.TOLD.format(
            "Each execution that fits the filters, when it is new and whenever it has changed."
        ),
        responses=streams.and_stream(shapes.Execution(many=True)),
    ),
)
class ExecutionList(ListAPIView):
    """Executions."""

    queryset = Execution.objects.none()
    serializer_class = shapes.Execution
    pagination_class = KeysetPagination
    renderer_classes = [JSONRenderer, EventStreamRenderer]

    def get(self, request: Request) -> HttpResponseBase:
        if follows(request):
            return streams.list_stream(request, EXECUTIONS, shapes.Execution, selectors.with_names)
        return super().get(request)

    def get_queryset(self) -> QuerySet[Execution]:
        return selectors.with_names(found(self.request, EXECUTIONS))

    @property
    def way(self) -> Way | None:
        """How a page of them is read."""
        return EXECUTIONS.way(reach(self.request.user), asked_of(self.request, EXECUTIONS))


class ExecutionDetail(APIView):
    """One execution."""

    renderer_classes = [JSONRenderer, EventStreamRenderer]

    @extend_schema(
        summary="One execution",
        description=streams.TOLD.format(
            "It as it is, and again whenever it has changed; at the end the event `end` with its status."
        ),
        parameters=streams.PARAMETERS,
        responses=streams.and_stream(shapes.ExecutionWhole),
    )
    def get(self, request: Request, pk: UUID) -> HttpResponseBase:
        if follows(request):
            selectors.execution_get(pk)
            return streams.execution_stream(request, pk, lambda: self._shown(pk))
        return Response(self._shown(pk))

    def _shown(self, pk: UUID) -> dict[str, Any]:
        row = selectors.execution_get(pk)
        row.continues = taken_of(row)  # type: ignore[attr-defined]
        place = continuation_of(row, datetime.now(UTC)) if row.status == "failed" else ""
        row.from_failed_step = place if isinstance(place, str) else ""  # type: ignore[attr-defined]
        return dict(shapes.ExecutionWhole(row).data)


class ByIndex(KeysetPagination):
    """Steps in the order they ran."""

    ordering = ("attempt", "index")


@extend_schema_view(get=extend_schema(summary="Its steps, by attempt and index"))
class StepList(ListAPIView):
    """Steps of one execution."""

    queryset = Step.objects.none()
    serializer_class = shapes.Step
    pagination_class = ByIndex

    def get_queryset(self) -> QuerySet[Step]:
        if getattr(self, "swagger_fake_view", False):
            return self.queryset
        return selectors.execution_steps(selectors.execution_get(self.kwargs["pk"]))


class ExecutionConfig(APIView):
    """What it was given."""

    @extend_schema(
        summary="The configuration that each of its attempts was given",
        description="The attempts of which a script began, the last one first. What was given is noted at the claim, "
        "and found again in the history of values: what that no longer has, or never had because a secret stood in "
        "it, is said to be unknown. `env` (ferris.env) is for administrators.",
        responses=configured_shapes.ExecutionConfig,
    )
    def get(self, request: Request, pk: UUID) -> Response:
        row = selectors.execution_get(pk)
        env = access_of(request.user).may(Action.ADMINISTER)
        attempts = attempts_given(row, selectors.execution_steps(row))
        return Response({"attempts": [_attempt(one, env=env) for one in attempts]})


def _attempt(of: AttemptGiven, *, env: bool) -> dict[str, Any]:
    said = {"attempt": of.attempt, "recorded": of.given is not None}
    if of.given is None:
        return {**said, "config": None, "values": [], "sources": [], "env": None}
    then = of.given.env
    return {
        **said,
        "config": of.given.config,
        "values": [vars(one) for one in of.given.values],
        "sources": [{"scope": one.place.scope, **_source(of, one)} for one in of.given.sources],
        "env": {**_source(of, then), "value": then.object if then.known else None} if env else None,
    }


def _source(of: AttemptGiven, one: Then) -> dict[str, Any]:
    return {
        "known": one.known,
        "masked": one.masked,
        "change": one.change,
        "newest": one.newest,
        "changed_since": one.changed,
        "replaced_meanwhile": of.replaced(one),
    }


class ExecutionLog(APIView):
    """The log of one execution."""

    renderer_classes = [JSONRenderer, EventStreamRenderer]

    @extend_schema(
        summary="Its log lines, in order",
        description="With `follow=1` (or `Accept: text/event-stream`) they are sent as they come: messages whose "
        "`id` is the line's `seq`, comments while there is nothing new, and at the end the event `end` with the "
        "execution's status. A client that comes back with `Last-Event-ID` misses and repeats nothing. "
        "Without it, pages: once the execution has ended they hold its whole log. A page that is empty and has a "
        "`next` says that more comes; ask again after `Retry-After`.",
        parameters=[
            OpenApiParameter("after", OpenApiTypes.INT64, description="Lines behind this `seq`."),
            OpenApiParameter("limit", OpenApiTypes.INT, description="Lines per page, at most 500."),
            OpenApiParameter(
                "tail",
                {"type": "integer", "minimum": 0, "maximum": _LONGEST_TAIL},
                description="Begin with the last so many lines, unless `after` or `Last-Event-ID` says where.",
            ),
            OpenApiParameter("follow", OpenApiTypes.BOOL, description="Send lines as they come."),
            OpenApiParameter("Last-Event-ID", OpenApiTypes.INT64, location=OpenApiParameter.HEADER),
        ],
        responses={
            (200, "application/json"): shapes.LogPage,
            (200, "text/event-stream"): sse.SCHEMA,
        },
    )
    def get(self, request: Request, pk: UUID) -> HttpResponseBase:
        row = selectors.execution_get(pk)
        after = _whole(request.query_params.get("after", ""), "after")
        if follows(request):
            after = max(after, _whole(request.headers.get("Last-Event-ID", ""), "Last-Event-ID"))
        tail = _tail(request.query_params.get("tail", ""))
        if tail is not None and not after:
            after = cursor_of_last(str(row.pk), tail)
        if follows(request):
            return log_stream(request, row, after)
        limit = limit_of(request)
        piece = log_read(str(row.pk), after=after, limit=limit)
        last = piece.lines[-1].seq if piece.lines else after
        return Response(
            {
                "results": shapes.LogLine(piece.lines, many=True).data,
                "next": next_link(request, after=last) if piece.more else None,
                "previous": None,
            },
            headers={} if piece.lines or not piece.more else {"Retry-After": "1"},
        )


class ExecutionLogFile(APIView):
    """The whole log of one execution as a text file."""

    @extend_schema(
        summary="Its whole log as a text file",
        description="One line per line: time, script, level, message. Where the log was cut (`FERRIS_LOG_LIMIT`) and "
        "the platform archives (`FERRIS_LOG_ARCHIVE`), the lines that the log leaves out are in it.",
        responses={(200, "text/plain"): OpenApiTypes.STR},
    )
    def get(self, request: Request, pk: UUID) -> HttpResponseBase:
        return log_response(str(selectors.execution_get(pk).pk))


def _whole(text: str, name: str) -> int:
    if not text:
        return 0
    if not (text.isascii() and text.isdecimal() and len(text) < 20 and int(text) <= _LARGEST_SEQ):
        raise ValidationError({name: f"is {text[:40]!r}; expected the `seq` of a line"})
    return int(text)


def _tail(text: str) -> int | None:
    if not text:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) < 9 and int(text) <= _LONGEST_TAIL):
        raise ValidationError(
            {"tail": f"is {text[:40]!r}; expected a whole number from 0 to {_LONGEST_TAIL}"}
        )
    return int(text)


class ExecutionCancel(APIView):
    """Stops an execution."""

    @extend_schema(
        summary="Cancel it",
        description="200: nobody ran it yet, it is cancelled. 202: its executor stops it within 2 seconds. "
        "409: it has ended already. With `force`, after a cancel that its executor did not answer: it counts as "
        "cancelled all the same (202, within a moment).",
        request=shapes.Cancel,
        responses={200: shapes.Execution, 202: shapes.Execution},
    )
    def post(self, request: Request, pk: UUID) -> Response:
        force = body_of(request, shapes.Cancel)["force"]
        execution_cancel(pk, actor=actor_of(request).get_username(), now=datetime.now(UTC), force=force)
        row = selectors.execution_get(pk)
        return Response(shapes.Execution(row).data, status=202 if row.finished_at is None else 200)


class ExecutionRetry(APIView):
    """Runs it once more."""

    @extend_schema(
        summary="Run it again",
        description="A new execution in the same flow, of the service's current version, with the same "
        "parameters unless others are given. 409 while it has not ended, and with `from_failed_step` when nothing is "
        "kept of what its steps left: `detail` says why.",
        request=run_shapes.RetryIn,
        responses={202: run_shapes.Requested},
    )
    def post(self, request: Request, pk: UUID) -> Response:
        row = selectors.execution_get(pk)
        body = body_of(request, run_shapes.RetryIn)
        given, from_failed = body.get("parameters"), body["from_failed_step"]
        if from_failed and given is not None:
            raise ValidationError({"parameters": "leave them out: it goes on with those that it had"})
        parameters = None if given is None else parameters_of(row.service, given)
        asked = retry_request(
            row,
            actor=actor_of(request).get_username(),
            now=datetime.now(UTC),
            parameters=parameters,
            from_failed_step=from_failed,
        )
        return requested(request, asked)


class ExecutionPriority(APIView):
    """Moves one that waits."""

    @extend_schema(
        summary="Give it another priority",
        description="While it waits: it may change its lane. 409 when it runs or has ended.",
        request=run_shapes.Priority,
        responses=shapes.Execution,
    )
    def post(self, request: Request, pk: UUID) -> Response:
        execution_prioritise(pk, body_of(request, run_shapes.Priority)["priority"], now=datetime.now(UTC))
        return Response(shapes.Execution(selectors.execution_get(pk)).data)


def requested(request: Request, done: Requested) -> Response:
    """202 for a run that was asked for, once its execution can be read (or 2 s later)."""
    wait_visible(done.execution_id)
    url = request.build_absolute_uri(reverse("api:execution", args=[done.execution_id]))
    answer = {
        "id": str(done.execution_id),
        "event_id": done.event_id,
        "correlation_id": done.flow_id,
        "flow_id": done.flow_id,
        "url": url,
    }
    return Response(answer, status=202, headers={"Location": url})
