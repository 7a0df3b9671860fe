"""What all long lists have: how many there are over time, themselves as a file, and the view they open with."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.http import StreamingHttpResponse
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from ferris.errors import NotFound
from ferris_web.accounts.permissions import reach
from ferris_web.api.answers import attachment, form_of
from ferris_web.api.incoming import actor_of, body_of
from ferris_web.api.listed import asked_of, found
from ferris_web.api.serializers.fields import Time
from ferris_web.api.views.saved_views import SavedView
from ferris_web.executions.listings import LISTINGS, Listing
from ferris_web.executions.listings.export import FORMS, written
from ferris_web.executions.listings.histogram import histogram
from ferris_web.executions.services import saved_views

_TIMED = [name for name, listing in LISTINGS.items() if listing.time]
_SAME = "Of those that fit the same filters as in the list itself (`/api/v1/{list}/`), as parameters of the query."


def _named(lists: list[str]) -> OpenApiParameter:
    return OpenApiParameter("listing", str, OpenApiParameter.PATH, enum=lists, description="Which list.")


def _listing(name: str, *, timed: bool = False) -> Listing:
    known = _TIMED if timed else list(LISTINGS)
    if name not in known:
        raise NotFound(f"there is no list {name[:40]!r}: {', '.join(known)}")
    return LISTINGS[name]


class HistogramSpan(serializers.Serializer):
    """What lies in one span of time."""

    start = Time()
    end = Time()
    total = serializers.IntegerField()
    counts = serializers.DictField(
        child=serializers.IntegerField(),
        help_text="By outcome: of executions by status, of events whether they triggered `something` or `nothing`.",
    )


class Histogram(serializers.Serializer):
    """Counts over time, oldest first. All is null, and there are no spans, where nothing fits."""

    since = Time(allow_null=True)
    until = Time(allow_null=True)
    span_seconds = serializers.FloatField(allow_null=True)
    total = serializers.IntegerField()
    cut = serializers.BooleanField(
        help_text="It begins later than was asked for: there are too many before to be counted."
    )
    spans = HistogramSpan(many=True)


class ListHistogram(APIView):
    """How many rows of a list there are over time."""

    @extend_schema(
        summary="How many there are over time",
        description=f"{_SAME} Without `since` and `until`: over the last day in which there are any. At most 60 "
        "spans; the first and the last may reach beyond the time asked for. Some seconds old.",
        parameters=[
            _named(_TIMED),
            OpenApiParameter("since", str, description="A time, or 15m, 24h, 7d ago."),
            OpenApiParameter("until", str),
        ],
        responses=Histogram,
    )
    def get(self, request: Request, listing: str) -> Response:
        of = _listing(listing, timed=True)
        made = histogram(of, asked_of(request, of), timezone.now(), whose=reach(request.user))
        said: dict[str, Any] = {
            "since": None,
            "until": None,
            "span_seconds": None,
            "total": 0,
            "cut": False,
            "spans": [],
        }
        if made is not None:
            said = {
                "since": made.since,
                "until": made.until,
                "span_seconds": made.span.total_seconds(),
                "total": made.total,
                "cut": made.cut,
                "spans": made.buckets,
            }
        return Response(Histogram(said).data)


class ListFile(APIView):
    """A list as a file."""

    @extend_schema(
        summary="The whole list as a file",
        description=f"{_SAME} Written while it is read, however long it is; events without their data.",
        parameters=[_named(list(LISTINGS)), OpenApiParameter("form", str, enum=list(FORMS))],
        responses={(200, FORMS["jsonl"]): OpenApiTypes.BINARY, (200, FORMS["csv"]): OpenApiTypes.BINARY},
    )
    def get(self, request: Request, listing: str) -> StreamingHttpResponse:
        of, form = _listing(listing), form_of(request)
        return attachment(written(of, found(request, of), form), listing, form)


class DefaultIn(serializers.Serializer):
    """Which view."""

    view = serializers.UUIDField(required=False, help_text="The id of a saved view of this list.")
    id = serializers.UUIDField(required=False, help_text="Likewise, as GET gives it.")

    def validate(self, given: dict[str, UUID]) -> dict[str, UUID]:
        if not given:
            raise serializers.ValidationError({"view": "is missing"})
        return given


class ListDefault(APIView):
    """The saved view with which a list opens in the console."""

    @extend_schema(
        summary="The view that it opens with",
        parameters=[_named(sorted(saved_views.VIEWED))],
        responses=SavedView,
    )
    def get(self, request: Request, listing: str) -> Response:
        saved_views.view_listing(listing)
        row = saved_views.view_default(request.user, listing)
        if row is None:
            raise NotFound(f"you have no view that the list {listing} opens with")
        return Response(SavedView(row).data)

    @extend_schema(
        summary="Let it open with a view",
        description="For the caller alone.",
        parameters=[_named(sorted(saved_views.VIEWED))],
        request=DefaultIn,
        responses=SavedView,
    )
    def put(self, request: Request, listing: str) -> Response:
        saved_views.view_listing(listing)
        given = body_of(request, DefaultIn, SavedView)
        row = saved_views.view_get(request.user, given.get("view") or given["id"])
        if row.listing != listing:
            raise NotFound(f"the list {listing} has no saved view {row.pk}: it is of {row.listing}")
        saved_views.view_default_set(actor_of(request), listing, row.pk)
        return Response(SavedView(row).data)

    @extend_schema(
        summary="Let it open with all",
        parameters=[_named(sorted(saved_views.VIEWED))],
        request=None,
        responses={204: None},
    )
    def delete(self, request: Request, listing: str) -> Response:
        saved_views.view_listing(listing)
        saved_views.view_default_set(actor_of(request), listing, None)
        return Response(status=204)
