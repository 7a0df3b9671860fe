"""The services dialect: `{SERVICES_API_URL}<service>/schedule` of scripts' libraries."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse

from ferris_web.api.answers import answer
from ferris_web.api.control.guard import Invalid, body_of, for_executions, text_of
from ferris_web.api.parsing import loads
from ferris_web.catalog.models import Schedule
from ferris_web.catalog.selectors import service_by_name_or_id
from ferris_web.catalog.services import schedule_add
from ferris_web.executions.models import Execution

_LONGEST = 255
# `minute hour day month *` with plain numbers: published clients write a single run so. As cron it would come
# again every year, which no script has ever meant.
_ONCE = re.compile(r"(\d+\s+\d+\s+\d+\s+\d+)\s+[*?]")


@for_executions("POST")
def schedule(request: HttpRequest, execution: Execution, service: str) -> HttpResponse:
    """{"name", "source", "schedule", "parameters"} -> {"scheduled_job_id"}. The runs stay in the caller's flow, as
    its children; those of the caller's own service count as retried."""
    said = body_of(request)
    expression = text_of(said, "schedule", longest=_LONGEST).strip()
    once = _ONCE.fullmatch(expression)
    target = service_by_name_or_id(service)
    try:
        row = schedule_add(
            target,
            origin=Schedule.Origin.SCRIPT,
            cron=once[1] if once else expression,
            name=text_of(said, "name", longest=512, default=""),
            parameters=_parameters(said.get("parameters")),
            trigger_type="retried" if target.pk == execution.service_id else "scheduled",
            flow_id=execution.flow_id,
            parent_execution=execution.pk,
            now=datetime.now(UTC),
        )
    except ValidationError as error:
        fields = getattr(error, "message_dict", {"schedule": error.messages})
        name, texts = next(iter(fields.items()))
        raise Invalid("schedule" if name == "cron" else name, texts[0]) from None
    return answer({"scheduled_job_id": str(row.pk)})


def _parameters(given: Any) -> dict[str, Any]:
    if isinstance(given, str) and given:
        try:
            given = loads(given.encode())
        except ValueError:
            raise Invalid("parameters", "is a text that is no JSON; expected an object") from None
    if given in (None, ""):
        return {}
    if not isinstance(given, dict):
        raise Invalid("parameters", "expected an object")
    return given
