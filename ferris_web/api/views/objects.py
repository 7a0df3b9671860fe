"""The object store as it is: buckets, what they hold, and the content."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from django.http import HttpResponseBase
from django.urls import reverse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.exceptions import ValidationError
from rest_framework.parsers import BaseParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from ferris.errors import Conflict, NotFound
from ferris.ports import ObjectInfo
from ferris.upload_checks import BEGINNING, checked
from ferris.uploads import announced
from ferris_web import wiring
from ferris_web.api import problems
from ferris_web.api.pagination import limit_of, next_link, whole
from ferris_web.api.preconditions import changed, met
from ferris_web.api.serializers import objects as shapes
from ferris_web.executions.services.uploads import file_upload
from ferris_web.files import file_response, object_named, object_possible

MOST = 16 << 20  # bytes of a body, which is held in memory
_KEY = OpenApiParameter("key", OpenApiTypes.STR, location=OpenApiParameter.PATH)


class BucketList(APIView):
    """Buckets."""

    @extend_schema(operation_id="buckets_list", summary="Buckets by name", responses=shapes.BucketPage)
    def get(self, request: Request) -> Response:
        return whole([{"name": name} for name in wiring.object_store().buckets()])


class ObjectList(APIView):
    """Objects of one bucket."""

    @extend_schema(
        operation_id="buckets_objects_list",
        summary="What a bucket holds, by key",
        parameters=[
            OpenApiParameter("prefix", OpenApiTypes.STR, description="Only keys that begin so."),
            OpenApiParameter("after", OpenApiTypes.STR, description="Only keys behind this one."),
            OpenApiParameter("limit", OpenApiTypes.INT, description="Objects per page, at most 500."),
        ],
        responses=shapes.ObjectPage,
    )
    def get(self, request: Request, bucket: str) -> Response:
        store, limit = wiring.object_store(), limit_of(request)
        if bucket not in store.buckets():  # before anything else looks at the name
            raise NotFound(f"there is no bucket {bucket!r}")
        asked = request.query_params
        found = store.list(bucket, asked.get("prefix", ""), asked.get("after") or None, limit=limit)
        more = next_link(request, after=found[-1].key) if len(found) == limit else None
        rows = [_told(request, info) for info in found]
        return Response({"results": rows, "next": more, "previous": None})


def _told(request: Request, info: ObjectInfo) -> Any:
    place = reverse("api:bucket-object", args=[info.bucket, "k"])[:-1] + quote(info.key, safe="/")
    row = {name: getattr(info, name) for name in ("key", "size", "content_type", "modified")}
    return shapes.StoredObject({**row, "url": request.build_absolute_uri(place)}).data


class Content(BaseParser):
    """A body as it is, up to a little more than what is taken."""

    media_type = "*/*"

    def parse(self, stream: Any, media_type: str | None = None, context: Any = None) -> bytes:
        return bytes(stream.read(MOST + 1))


class ObjectContent(APIView):
    """One object."""

    parser_classes = (Content,)
    compares = True  # with what the store has, without its content

    @extend_schema(
        summary="An object's content, as a download",
        parameters=[_KEY],
        responses={(200, "application/octet-stream"): OpenApiTypes.BINARY},
    )
    def get(self, request: Request, bucket: str, key: str) -> HttpResponseBase:
        info = object_named(bucket, key)
        content = wiring.object_store().open(bucket, key)
        answer = file_response(content, key, "application/octet-stream", info.size, download=True)
        answer.headers["ETag"] = _tag(info)
        return answer

    @extend_schema(
        summary="Put an object there",
        description="In the place of what was there; its event follows, as after an upload in the console. At most 16 "
        "MiB, and what `FERRIS_UPLOAD_LIMIT` and `FERRIS_UPLOAD_TYPES` take. 409 in the platform's own buckets.",
        parameters=[_KEY],
        request={"application/octet-stream": OpenApiTypes.BINARY},
        responses={200: shapes.StoredObject, 201: shapes.StoredObject},
    )
    def put(self, request: Request, bucket: str, key: str) -> HttpResponseBase:
        known = _people_s(bucket, key)
        if not met(request, known and _tag(known)):
            return changed()
        body: bytes = request.data or b""
        settings = wiring.config()
        if len(body) > MOST:
            return problems.too_large(MOST)
        _, kind = checked(
            key, len(body), body[:BEGINNING], limit=settings.upload_limit, types=settings.upload_types
        )
        info = file_upload(bucket, key, body, now=datetime.now(UTC), content_type=kind)
        return Response(_told(request, info), status=200 if known else 201, headers={"ETag": _tag(info)})

    @extend_schema(
        summary="Remove it",
        description="409 in the platform's own buckets.",
        parameters=[_KEY],
        responses={204: None},
    )
    def delete(self, request: Request, bucket: str, key: str) -> HttpResponseBase:
        known = _people_s(bucket, key)
        if known is None:
            raise NotFound(f"there is no object {key!r} in the bucket {bucket!r}")
        if not met(request, _tag(known)):
            return changed()
        wiring.object_store().delete(bucket, key)
        return Response(status=204)


def _people_s(bucket: str, key: str) -> ObjectInfo | None:
    """What is there, in a bucket of people and scripts: Conflict for others, ValidationError for no key."""
    if not object_possible(bucket, key):
        raise ValidationError({"key": "is no name of a bucket and an object"})
    if not announced(bucket):
        raise Conflict(f"the bucket {bucket!r} is the platform's own: nothing is changed there by hand")
    return wiring.object_store().stat(bucket, key)


def _tag(info: ObjectInfo) -> str:
    return f'"{info.etag.strip(chr(34))}"'
