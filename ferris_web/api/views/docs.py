"""The API described for programs: the OpenAPI document. For people the console shows it, at /api/docs/."""

from __future__ import annotations

import gzip
from functools import cache
from typing import Any, cast

from django.http import HttpResponse
from django.utils.cache import patch_vary_headers
from drf_spectacular.utils import extend_schema
from drf_spectacular.views import SpectacularAPIView
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request

from ferris_web.api.needs import RoutePermission
from ferris_web.openapi import document


class Schema(SpectacularAPIView):
    """The OpenAPI document, as YAML or JSON; packed for who takes that."""

    permission_classes = [RoutePermission]

    @extend_schema(exclude=True)
    def get(self, request: Request, *args: Any, **kwargs: Any) -> HttpResponse:
        renderer = self._asked(request)
        packed = "gzip" in request.headers.get("Accept-Encoding", "")
        rendered = _packed if packed else _rendered
        answer = HttpResponse(rendered(renderer.media_type), content_type=renderer.media_type)
        answer.headers["Content-Disposition"] = f'inline; filename="Ferris.{renderer.format}"'
        if packed:
            answer.headers["Content-Encoding"] = "gzip"
        patch_vary_headers(answer, ("Accept-Encoding",))
        return answer

    def _asked(self, request: Request) -> Any:
        """As `format` says, or else the header `Accept`."""
        wanted = request.query_params.get("format")
        if not wanted:
            return request.accepted_renderer
        for renderer in self.renderer_classes:
            if renderer.format == wanted:
                return renderer
        raise ValidationError({"format": f"is {wanted[:40]!r}; expected json or yaml"})


@cache
def _rendered(media_type: str) -> bytes:
    renderer = next(one for one in SpectacularAPIView.renderer_classes if one.media_type == media_type)
    return cast(bytes, renderer().render(document()))


@cache
def _packed(media_type: str) -> bytes:
    return gzip.compress(_rendered(media_type))
