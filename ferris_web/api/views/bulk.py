"""Bulk work: one action on all rows of a list that fit a filter."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from django.http import QueryDict
from django.urls import reverse
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework.exceptions import ValidationError
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from ferris_web.api.incoming import actor_of, body_of
from ferris_web.api.pagination import KeysetPagination
from ferris_web.api.serializers import bulk as shapes
from ferris_web.executions.listings import LISTINGS, Asked, Listing
from ferris_web.executions.models import BulkJob
from ferris_web.executions.services import bulk


def _asked(said: dict[str, Any], now: datetime) -> tuple[Listing, Asked]:
    """The list and the filter of a body; ValidationError names what is wrong."""
    listing = LISTINGS[said["list"]]
    if said["action"] not in bulk.ACTIONS[listing.name]:
        allowed = " or ".join(bulk.ACTIONS[listing.name])
        raise ValidationError({"action": f"is {said['action']!r}; of {listing.name} expected {allowed}"})
    query = QueryDict(mutable=True)
    known = {one.name for one in listing.fields}
    for name, value in said["filter"].items():
        if name not in known:
            raise ValidationError({f"filter.{name}": f"is none of {', '.join(sorted(known))}"})
        query[name] = ",".join(map(str, value)) if isinstance(value, list) else str(value)
    asked = listing.read(query, now)
    if asked.errors:
        raise ValidationError({f"filter.{name}": text for name, text in asked.errors.items()})
    return listing, asked


@extend_schema_view(
    get=extend_schema(summary="Bulk jobs, newest first: one's own, an administrator's are all")
)
class BulkList(ListAPIView):
    """Bulk jobs."""

    queryset = BulkJob.objects.none()
    serializer_class = shapes.BulkJob
    pagination_class = KeysetPagination

    def get_queryset(self) -> QuerySet[BulkJob]:
        if getattr(self, "swagger_fake_view", False):
            return self.queryset
        return bulk.bulk_list(actor_of(self.request))  # type: ignore[no-any-return]

    @extend_schema(
        summary="Do something with all that fits",
        description="In the background: cancel or retry executions, send dead letters again or delete them. Only what "
        "the caller may do that with, is there when the job begins, and is in the state for it. Each once, also when "
        "the platform is killed in between. 409 when nothing fits, or more than `expected`.",
        request=shapes.BulkRequest,
        responses={202: shapes.BulkJob},
    )
    def post(self, request: Request) -> Response:
        now = datetime.now(UTC)
        said = body_of(request, shapes.BulkRequest)
        listing, asked = _asked(said, now)
        user = actor_of(request)
        job = bulk.bulk_begin(listing, said["action"], asked, user, now, expected=said["expected"])
        url = request.build_absolute_uri(reverse("api:bulk-job", args=[job.pk]))
        return Response(shapes.BulkJob(job).data, status=202, headers={"Location": url})


class BulkPreview(APIView):
    """How many would be done."""

    @extend_schema(
        summary="Count what a bulk job would be done with",
        request=shapes.BulkRequest,
        responses=shapes.BulkCount,
    )
    def post(self, request: Request) -> Response:
        now = datetime.now(UTC)
        said = body_of(request, shapes.BulkRequest)
        listing, asked = _asked(said, now)
        return Response(
            {"count": bulk.bulk_rows(listing, said["action"], asked, actor_of(request), now).count()}
        )


class BulkDetail(APIView):
    """One bulk job."""

    @extend_schema(summary="One bulk job and how far it has come", responses=shapes.BulkJob)
    def get(self, request: Request, pk: UUID) -> Response:
        return Response(shapes.BulkJob(bulk.bulk_get(pk, actor_of(request))).data)


class BulkStop(APIView):
    """Stops it."""

    @extend_schema(
        summary="Stop it",
        description="What is done stays done. 409 when it is not running.",
        request=None,
        responses=shapes.BulkJob,
    )
    def post(self, request: Request, pk: UUID) -> Response:
        job = bulk.bulk_get(pk, actor_of(request))
        return Response(shapes.BulkJob(bulk.bulk_stop(job, datetime.now(UTC))).data)
