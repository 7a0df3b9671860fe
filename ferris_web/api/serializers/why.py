"""Why an event made a service run, or not."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from ferris.verdicts import MEANING
from ferris_web.api.serializers.executions import WaitingField, waiting_json
from ferris_web.api.serializers.fields import OPTIONAL, AnyJson, ExplainedChoice, Page, Text
from ferris_web.executions.models import STATUSES

KINDS = [(kind.value, text) for kind, text in MEANING.items()]


class WhyQuery(serializers.Serializer):
    """Which services."""

    service = serializers.CharField(help_text="A service's name or id: its verdict alone.", **OPTIONAL)
    q = serializers.CharField(
        help_text="Services with this in their name, whatever they listen for.", **OPTIONAL
    )
    all = serializers.BooleanField(
        required=False,
        default=False,
        help_text="Also the services that do not listen for the type, after the others.",
    )
    cursor = serializers.CharField(help_text="Where a page begins: taken from `next`.", **OPTIONAL)


class Reason(serializers.Serializer):
    """A verdict. The clause, what it asks for and what the event holds are there for `filtered` and its like."""

    verdict = ExplainedChoice(KINDS, source="kind.value")
    why = serializers.CharField(help_text="In words.")
    trigger = Text(help_text="The trigger that is closest: its event type or pattern.")
    clause = Text(help_text="What failed: the path in the filter, `cesql`, `type` or `ferrisservice`.")
    expected = AnyJson(allow_null=True)
    seen = AnyJson(allow_null=True, help_text="What the event holds there; null for nothing.")


class Run(serializers.Serializer):
    """The execution, and what it waits for when it has not begun."""

    id = serializers.UUIDField()
    status = serializers.ChoiceField(STATUSES)
    correlation_id = serializers.CharField()
    reason = Text()


class Verdict(serializers.Serializer):
    """What became of an event at one service."""

    service = serializers.CharField(source="service.name")
    project = serializers.CharField(source="service.project.name")
    verdict = ExplainedChoice(KINDS, source="reason.kind.value")
    why = serializers.CharField(source="reason.why")
    trigger = Text(source="reason.trigger")
    clause = Text(source="reason.clause")
    expected = AnyJson(source="reason.expected", allow_null=True)
    seen = AnyJson(source="reason.seen", allow_null=True)
    execution = Run(allow_null=True)
    waiting = WaitingField(help_text="Why the execution has not begun, as executions tell it.")
    exact = serializers.BooleanField(
        help_text="False: the catalog of that time is not kept, and the oldest that is has answered."
    )
    changed = serializers.BooleanField(help_text="The service's triggers are others today than they were.")
    today = serializers.SerializerMethodField(help_text="What its triggers say of the event now.")

    def get_waiting(self, verdict: Any) -> dict[str, Any] | None:
        return None if verdict.waiting is None else waiting_json(verdict.waiting)

    @extend_schema_field(Reason(allow_null=True))
    def get_today(self, verdict: Any) -> Any:
        if verdict.today is None:
            return None
        return {**Reason(verdict.today).data, "matches": verdict.matches_today}


class VerdictPage(Page):
    """Verdicts: services that ran, then those that listen for the type, then (asked for) all others."""

    results = Verdict(many=True)
