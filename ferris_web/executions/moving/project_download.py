"""An exported project as an answer, of the console and of the API: noted in the audit log."""

from __future__ import annotations

from typing import Any

from django.http import StreamingHttpResponse
from django.utils import timezone

from ferris_web.catalog.models import Project
from ferris_web.executions.auditing import audit_taken
from ferris_web.executions.moving.project import archive_name, project_archive

CONTENT_TYPE = "application/zip"


def project_response(request: Any, project: Project) -> StreamingHttpResponse:
    """The archive, which is made while it is read."""
    now = timezone.now()
    audit_taken(request, project)
    answer = StreamingHttpResponse(project_archive(project, now), content_type=CONTENT_TYPE)
    answer.headers["Content-Disposition"] = f'attachment; filename="{archive_name(project, now)}"'
    answer.headers["X-Content-Type-Options"] = "nosniff"
    return answer
