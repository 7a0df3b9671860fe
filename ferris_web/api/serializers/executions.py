"""Executions, their steps and log lines."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from ferris.lanes import WHY
from ferris.moments import stamp
from ferris.precedence import PRIORITY_FROM
from ferris_web.api.serializers.fields import Number, Page, Text, Time
from ferris_web.executions.models import STATUSES, TRIGGER_TYPES
from ferris_web.executions.models import Step as StepRow
from ferris_web.executions.waiting import REASONS, Waiting, execution_waiting, executions_waiting

STEP_STATUSES = StepRow.Status.choices


class Progress(serializers.Serializer):
    """How far the script said it is (`context.progress`)."""

    done = Number()
    total = Number(allow_null=True, help_text="Null: nobody knows.")
    message = Text()
    at = serializers.SerializerMethodField(help_text="When it said so.")

    def get_at(self, said: dict[str, Any]) -> str:
        return f"{said['at'][:23]}Z"


class _Executions(serializers.ListSerializer):
    """Asks for all of them at once why they wait."""

    def to_representation(self, data: Any) -> list[Any]:
        rows = list(data)
        waits = executions_waiting(rows)
        for row in rows:
            row.waits = waits.get(row.pk)
        return super().to_representation(rows)


@extend_schema_field(
    {
        "type": "object",
        "nullable": True,
        "properties": {
            "reason": {"type": "string", "enum": list(REASONS)},
            "text": {"type": "string"},
            "until": {"type": "string", "format": "date-time"},
            "since": {"type": "string", "format": "date-time"},
            "by": {"type": "string"},
            "key": {"type": "string"},
            "limit": {"type": "integer"},
            "per": {"type": "number"},
            "lane": {"type": "string"},
            "share": {"type": "string"},
            "turns_before": {"type": "integer"},
            "behind": {"type": "array", "items": {"type": "string", "format": "uuid"}},
        },
        "required": ["reason", "text"],
    }
)
class WaitingField(serializers.SerializerMethodField):
    """Why an execution that has not begun waits: a code, the end of a sentence, and what belongs to it."""


class Execution(serializers.Serializer):
    """One run of one service for one event."""

    class Meta:
        list_serializer_class = _Executions

    id = serializers.UUIDField()
    service = serializers.CharField(source="service_name", help_text="The service's name.")
    project = serializers.CharField(source="project_name")
    version = serializers.IntegerField(source="version_number", help_text="Of the service: what runs.")
    status = serializers.ChoiceField(STATUSES)
    trigger_type = serializers.ChoiceField(TRIGGER_TYPES)
    correlation_id = serializers.CharField(help_text="`<flow id>_<sequence>`")
    flow_id = serializers.CharField()
    event_id = serializers.CharField(source="event_ident", help_text="The triggering event's id.")
    event_key = serializers.UUIDField(source="event_id", help_text="Identifies that event on the platform.")
    event_type = serializers.CharField()
    gathering_id = serializers.UUIDField(
        allow_null=True, help_text="Set when it runs for several events: they are in `/gatherings/{id}/`."
    )
    parent_execution_id = serializers.UUIDField(
        source="parent_id", allow_null=True, help_text="The execution that sent the triggering event."
    )
    attempt = serializers.IntegerField()
    lane = serializers.CharField()
    lane_reason = Text(
        help_text="Why this lane: " + ", ".join(f"`{code}`: {text}" for code, text in WHY.items())
    )
    priority = serializers.IntegerField()
    priority_from = Text(
        help_text="Where it comes from: "
        + ", ".join(f"`{code}`: {text}" for code, text in PRIORITY_FROM.items() if code)
        + "; empty: its service's."
    )
    created_at = Time()
    not_before = Time(allow_null=True, help_text="A pending execution waits until then.")
    started_at = Time(allow_null=True)
    finished_at = Time(allow_null=True)
    cancel_requested_at = Time(allow_null=True)
    reason = Text(help_text="Why it failed, was cancelled or skipped.")
    error = Text(help_text="One line for people.")
    worker = Text(help_text="The executor that claimed it last.")
    progress = Progress(allow_null=True, help_text="Of this attempt; null: it has said nothing.")
    waiting = WaitingField(
        help_text='Why it has not begun; null when it has. `reason` is a code, `text` completes "it waits …", '
        "`behind` names executions that have to end first."
    )

    def get_waiting(self, row: Any) -> dict[str, Any] | None:
        found = row.waits if hasattr(row, "waits") else execution_waiting(row)
        return None if found is None else waiting_json(found)


def waiting_json(found: Waiting) -> dict[str, Any]:
    """Why an execution waits, its times as the API writes them."""
    said: dict[str, Any] = found.to_json()
    return {name: stamp(value) if isinstance(value, datetime) else value for name, value in said.items()}


class Table(serializers.Serializer):
    """The first rows of one query of a .sql script. Values are texts, or null."""

    columns = serializers.ListField(child=serializers.CharField())
    rows = serializers.ListField(
        child=serializers.ListField(child=serializers.CharField(allow_null=True, trim_whitespace=False))
    )
    count = serializers.IntegerField(help_text="How many rows were taken; `rows` holds the first of them.")
    truncated = serializers.BooleanField(help_text="There were more: the limit of rows was reached.")
    file = serializers.CharField(allow_null=True, help_text="The artifact with every row.")
    line = serializers.IntegerField(allow_null=True, help_text="The line of the script.")


class Continued(serializers.Serializer):
    """The earlier execution that one takes up."""

    execution = serializers.UUIDField()
    scripts = serializers.ListField(child=serializers.CharField(), help_text="Those that it had done.")


class ExecutionWhole(Execution):
    """One execution, with how it stands to earlier ones."""

    continues = Continued(allow_null=True, help_text="It began at a later step; null: at the first.")
    from_failed_step = Text(
        help_text="Why it cannot be run again from the step that failed; null: it can (`/retry/`), or has not failed."
    )


class Step(serializers.Serializer):
    """One script of one attempt."""

    attempt = serializers.IntegerField()
    index = serializers.IntegerField()
    script = serializers.CharField()
    status = serializers.ChoiceField(STEP_STATUSES)
    started_at = Time(allow_null=True)
    finished_at = Time(allow_null=True)
    exit_code = serializers.IntegerField(allow_null=True)
    signal = Text()
    error = Text()
    tables = Table(many=True, allow_null=True, help_text="What its queries gave.")
    exit_reason = Text(help_text="How it ended, in plain words; names the limit that ended it.")
    wall_ms = serializers.IntegerField(allow_null=True)
    cpu_ms = serializers.IntegerField(allow_null=True)
    memory_bytes = serializers.IntegerField(allow_null=True, help_text="Most that was in use at once.")
    memory_of = Text(help_text="What that counts: the largest process, or all of the execution.")
    output_bytes = serializers.IntegerField(allow_null=True)
    isolation = serializers.DictField(help_text="Its level, its layers, and those its executor lacks.")


class LogLine(serializers.Serializer):
    """One line of an execution's log. `seq` is the cursor for `after`."""

    seq = serializers.IntegerField()
    attempt = serializers.IntegerField()
    time = Time()
    step = serializers.CharField(allow_null=True)
    stream = serializers.ChoiceField(["stdout", "stderr", "log", "platform"])
    level = serializers.CharField()
    message = serializers.CharField(trim_whitespace=False)


class LogPage(Page):
    """Lines of a log."""

    results = LogLine(many=True)


class Cancel(serializers.Serializer):
    """How to cancel."""

    force = serializers.BooleanField(
        default=False, help_text="Without the word of an executor that keeps silent."
    )
