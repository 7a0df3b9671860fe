"""The whole log as a file, for the console and the API."""

from __future__ import annotations

from django.http import StreamingHttpResponse

from ferris_web.executions.log_whole import log_text


def log_response(execution_id: str) -> StreamingHttpResponse:
    """A text file, written while it is read."""
    answer = StreamingHttpResponse(log_text(execution_id), content_type="text/plain; charset=utf-8")
    answer.headers["Content-Disposition"] = f'attachment; filename="{execution_id}.log"'
    answer.headers["X-Content-Type-Options"] = "nosniff"
    answer.headers["Content-Security-Policy"] = "sandbox"
    return answer
