"""The API described: a page that shows it to people who are signed in and lets them try it; the OpenAPI document."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, cast

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import translation
from django.views.decorators.csrf import ensure_csrf_cookie
from drf_spectacular.utils import extend_schema
from drf_spectacular.views import SpectacularAPIView
from rest_framework.request import Request

from ferris_web.api.needs import RoutePermission


@login_required
@ensure_csrf_cookie
def docs(request: HttpRequest) -> HttpResponse:
    """What is tried from it is done as the person who looks at it."""
    return render(request, "api/docs.html")


class Schema(SpectacularAPIView):
    """The OpenAPI document, as YAML or JSON."""

    permission_classes = [RoutePermission]

    @extend_schema(exclude=True)
    def get(self, request: Request, *args: Any, **kwargs: Any) -> HttpResponse:
        renderer = request.accepted_renderer
        answer = HttpResponse(_document(renderer.media_type), content_type=renderer.media_type)
        answer.headers["Content-Disposition"] = f'inline; filename="Ferris.{renderer.format}"'
        return answer


@lru_cache
def _document(media_type: str) -> bytes:
    """Made once in a process, which takes a second of CPU: it is the same for everybody."""
    renderer = next(one for one in SpectacularAPIView.renderer_classes if one.media_type == media_type)
    with translation.override("en"):
        schema = SpectacularAPIView.generator_class().get_schema(public=True)  # type: ignore[no-untyped-call]
        return cast(bytes, renderer().render(schema))
