"""The files of services made without git: read and written one by one or several in one save, and their versions."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from django.db.models import QuerySet
from django.http import HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_view
from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.generics import ListAPIView
from rest_framework.parsers import BaseParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from ferris.errors import NotFound
from ferris_web.api import problems
from ferris_web.api.incoming import actor_of, body_of, query_of
from ferris_web.api.pagination import KeysetPagination, whole
from ferris_web.api.serializers.fields import Page, Text
from ferris_web.api.serializers.services import FilesByPath, ServiceMade, Version
from ferris_web.api.serializers.services import Service as ServiceShape
from ferris_web.api.views.services import mistakes
from ferris_web.catalog import selectors
from ferris_web.catalog.archive import SourceFile
from ferris_web.catalog.differences import versions_compared
from ferris_web.catalog.editing import Saved, service_edit, service_restore
from ferris_web.catalog.edits import NOTHING, Edit, Overtaken, fingerprint
from ferris_web.catalog.models import Service, ServiceVersion

ANY_FILE = "*"


class File(serializers.Serializer):
    """A file of the version that holds."""

    path = serializers.CharField()
    size = serializers.IntegerField(help_text="Bytes.")
    sha256 = serializers.CharField()


class FilePage(Page):
    """All of its files."""

    results = File(many=True)


class FileQuery(serializers.Serializer):
    """Which file."""

    path = serializers.CharField(max_length=2000, trim_whitespace=False)
    message = serializers.CharField(
        max_length=500, required=False, default="", help_text="What is said about the save."
    )


class EditIn(serializers.Serializer):
    """What one save changes."""

    put = FilesByPath(required=False, default=dict, help_text="New content of files by path.")
    remove = serializers.ListField(child=serializers.CharField(trim_whitespace=False), required=False)
    move = serializers.DictField(
        child=serializers.CharField(trim_whitespace=False), required=False, help_text="Old path to new."
    )
    scripts = serializers.ListField(
        child=serializers.CharField(), required=False, help_text="The scripts that run, in their order."
    )
    seen = serializers.DictField(
        child=serializers.CharField(allow_blank=True),
        required=False,
        help_text="SHA-256 of files as the author saw them; empty: not there. Others are changed whatever they hold.",
    )
    message = serializers.CharField(max_length=500, required=False, default="", allow_blank=True)


class RestoreIn(serializers.Serializer):
    """Which version."""

    version = serializers.IntegerField(min_value=1, max_value=2**31 - 1)
    message = serializers.CharField(max_length=500, required=False, default="", allow_blank=True)


class Bytes(BaseParser):
    """A body as it is, whatever its type."""

    media_type = "*/*"

    def parse(self, stream: Any, media_type: str | None = None, context: Any = None) -> bytes:
        return stream.read()  # type: ignore[no-any-return]


def _made(saved: Saved, name: str) -> Response:
    """The service after a save; ValidationError names what kept it from being one."""
    messages = [
        {"service": name, "level": said.level, "file": said.file, "key": said.key, "text": said.text}
        for said in saved.messages
    ]
    if saved.refused:
        raise ValidationError({"files": mistakes(messages)})
    return Response({**ServiceShape(selectors.service_get(name)).data, "messages": messages})


def _overtaken(error: Overtaken) -> HttpResponse:
    return problems.problem("precondition-failed", f"{str(error)[0].upper()}{str(error)[1:]}.")


class FileList(APIView):
    """All files of a service."""

    @extend_schema(summary="Its files, by path", responses=FilePage)
    def get(self, request: Request, name: str) -> Response:
        service = selectors.service_get(name)
        found = [
            {"path": path, "size": len(file.content), "sha256": fingerprint(file)}
            for path, file in _files(service).items()
        ]
        return whole(found)

    @extend_schema(
        summary="Change several of its files in one save",
        description="One new version, or none when nothing is different; a mistake is named by file and key, and then "
        "nothing is changed. 409 for a service that a repository holds, 412 when a file is not as `seen` says.",
        request=EditIn,
        responses={200: ServiceMade},
    )
    def patch(self, request: Request, name: str) -> Response | HttpResponse:
        given = body_of(request, EditIn)
        message = given.pop("message")
        service = selectors.service_get(name)
        author = actor_of(request).get_username()
        try:
            saved = service_edit(
                service, Edit(**given), author=author, message=message, now=datetime.now(UTC)
            )
        except Overtaken as error:
            return _overtaken(error)
        return _made(saved, name)


_PATH = [
    FileQuery,
    OpenApiParameter(
        "If-Match", location=OpenApiParameter.HEADER, description="The file's ETag; `*`: it is there."
    ),
    OpenApiParameter(
        "If-None-Match", location=OpenApiParameter.HEADER, description="`*`: only when it is not there yet."
    ),
]


class FileDetail(APIView):
    """One file of a service, as bytes."""

    parser_classes = (Bytes,)
    compares = True  # with the file, as it is saved

    @extend_schema(
        summary="One of its files",
        description="The answer has an ETag: give it back in `If-Match` when you change the file.",
        parameters=[FileQuery],
        responses={(200, "application/octet-stream"): OpenApiTypes.BINARY},
    )
    def get(self, request: Request, name: str) -> HttpResponse:
        path = query_of(request, FileQuery)["path"]
        service = selectors.service_get(name)
        file = _files(service).get(path)
        if file is None:
            raise NotFound(f"{name} has no file {path!r}")
        answer = HttpResponse(file.content, content_type="application/octet-stream")
        answer.headers["ETag"] = f'"{fingerprint(file)}"'
        answer.headers["X-Content-Type-Options"] = "nosniff"
        answer.headers["Content-Disposition"] = "attachment"
        return answer

    @extend_schema(
        summary="Write one of its files",
        description="The body is the file. A new version, or none when nothing is different; a mistake is named by "
        "file and key, and then nothing is changed. 409 for a service that a repository holds, 412 when the file "
        "is not as `If-Match` or `If-None-Match` say.",
        parameters=_PATH,
        request={"application/octet-stream": OpenApiTypes.BINARY},
        responses={200: ServiceMade},
    )
    def put(self, request: Request, name: str) -> Response | HttpResponse:
        query = query_of(request, FileQuery)
        content = request.data if isinstance(request.data, bytes) else b""
        return self._save(request, name, query, put={query["path"]: content})

    @extend_schema(
        summary="Delete one of its files", parameters=_PATH, request=None, responses={200: ServiceMade}
    )
    def delete(self, request: Request, name: str) -> Response | HttpResponse:
        query = query_of(request, FileQuery)
        return self._save(request, name, query, remove=[query["path"]])

    def _save(
        self, request: Request, name: str, query: dict[str, Any], **change: Any
    ) -> Response | HttpResponse:
        service = selectors.service_get(name)
        try:
            edit = Edit(**change, seen=_seen(request, service, query["path"]))
            saved = service_edit(
                service,
                edit,
                author=actor_of(request).get_username(),
                message=query["message"],
                now=datetime.now(UTC),
            )
        except Overtaken as error:
            return _overtaken(error)
        answer = _made(saved, name)
        content = edit.put.get(query["path"])
        if content is not None:
            answer.headers["ETag"] = f'"{fingerprint(SourceFile(content))}"'
        return answer


def _files(service: Service) -> dict[str, SourceFile]:
    return selectors.version_files(service.version) if service.version else {}


def _seen(request: Request, service: Service, path: str) -> dict[str, str]:
    """What the caller says the file is now; Overtaken when that is not so."""
    match, none = (
        request.headers.get("If-Match", "").strip(),
        request.headers.get("If-None-Match", "").strip(),
    )
    if none:
        if none != ANY_FILE:
            raise ValidationError({"If-None-Match": "expected *, for a file that is not there yet"})
        return {path: NOTHING}
    if not match:
        return {}
    now = fingerprint(_files(service).get(path))
    tags = [tag.strip().strip('"') for tag in match.split(",")]
    if now == NOTHING or (ANY_FILE not in tags and now not in tags):
        raise Overtaken([path])
    return {path: now}


class ByNumber(KeysetPagination):
    """Versions, newest first."""

    ordering = ("-number",)


@extend_schema_view(get=extend_schema(summary="Its versions, newest first"))
class VersionList(ListAPIView):
    """Versions of a service."""

    queryset = ServiceVersion.objects.none()
    serializer_class = Version
    pagination_class = ByNumber

    def get_queryset(self) -> QuerySet[ServiceVersion]:
        if getattr(self, "swagger_fake_view", False):
            return self.queryset
        long = ("manifest", "parameters", "files", "requirements", "readme")
        return selectors.service_get(self.kwargs["name"]).versions.defer(*long)


class ComparedQuery(serializers.Serializer):
    """With which version."""

    to = serializers.IntegerField(
        required=False,
        min_value=1,
        help_text="The version that it is compared with; the one before it if not given.",
    )


class ChangedFile(serializers.Serializer):
    """One file that differs."""

    path = serializers.CharField()
    kind = serializers.ChoiceField(["added", "removed", "changed"])
    lines = serializers.ListField(child=serializers.CharField(), help_text="A unified difference.")
    note = Text(help_text="Why its lines are not compared, or not all.")


class VersionCompared(serializers.Serializer):
    """A version, and what it changed. `to` is null for the first one: it changed nothing."""

    version = Version()
    to = Version(allow_null=True)
    manifest_differs = serializers.BooleanField()
    files = ChangedFile(many=True)


class VersionDetail(APIView):
    """One version of a service."""

    @extend_schema(
        summary="One version, and how its files differ from another's",
        parameters=[ComparedQuery],
        responses=VersionCompared,
    )
    def get(self, request: Request, name: str, number: int) -> Response:
        versions = selectors.service_get(name).versions.order_by("-number")
        asked = query_of(request, ComparedQuery).get("to")
        new = _version_get(versions, number)
        old = _version_get(versions, asked) if asked else versions.filter(number__lt=number).first()
        said = {
            "version": new,
            "to": old,
            "manifest_differs": old is not None and old.manifest != new.manifest,
            "files": versions_compared(old, new) if old is not None else [],
        }
        return Response(VersionCompared(said).data)


def _version_get(versions: QuerySet[ServiceVersion], number: int) -> ServiceVersion:
    found = versions.filter(number=number).first() if number < 2**31 else None
    if found is None:
        raise NotFound(f"the service has no version {number}")
    return found


class ServiceRestore(APIView):
    """Makes an old version the newest again."""

    @extend_schema(
        summary="Restore an earlier version",
        description="As a new version; a service that was removed is there again. 409 for a service that a repository "
        "holds.",
        request=RestoreIn,
        responses={200: ServiceMade},
    )
    def post(self, request: Request, name: str) -> Response:
        given = body_of(request, RestoreIn)
        saved = service_restore(
            selectors.service_get(name),
            given["version"],
            author=actor_of(request).get_username(),
            message=given["message"],
            now=datetime.now(UTC),
        )
        return _made(saved, name)
