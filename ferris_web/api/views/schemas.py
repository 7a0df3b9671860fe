"""JSON schemas of what services leave behind, for editors and checks of one's own. Open to everybody: they hold
nothing but forms."""

from __future__ import annotations

from django.http import HttpRequest, JsonResponse
from django.views.decorators.http import require_safe

from ferris import chart_json


@require_safe
def chart(request: HttpRequest) -> JsonResponse:
    """Of chart JSON."""
    said = {**chart_json.SCHEMA, "$id": request.build_absolute_uri(request.path)}
    answer = JsonResponse(said, content_type="application/schema+json", json_dumps_params={"indent": 1})
    answer.headers["Cache-Control"] = "public, max-age=3600"
    answer.headers["Access-Control-Allow-Origin"] = "*"  # editors in a browser read it as well
    return answer
