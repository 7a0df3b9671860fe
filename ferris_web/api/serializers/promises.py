"""Promises, and what became of them."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from ferris_web.api.serializers.fields import OPTIONAL, Text, Time
from ferris_web.executions import promised
from ferris_web.executions.models import PROMISE_STATES


class PromiseQuery(serializers.Serializer):
    """Which promises."""

    project = serializers.CharField(help_text="A project's name.", **OPTIONAL)
    name = serializers.CharField(help_text="The promise's name in ferris.json.", **OPTIONAL)
    state = serializers.ChoiceField(PROMISE_STATES, required=False, default="")
    flow_id = serializers.CharField(help_text="A flow's id.", **OPTIONAL)


class PromiseStart(serializers.Serializer):
    """The event that a promise began with."""

    key = serializers.UUIDField()
    id = serializers.CharField(source="event_id")
    source = serializers.CharField()
    type = serializers.CharField()
    subject = Text()
    time = Time()


class Promise(serializers.Serializer):
    """What one event has promised: that another one follows in time."""

    id = serializers.UUIDField(help_text="Also the id of the event `ferris.flow.overdue`, should it be late.")
    name = serializers.CharField(source="rule.name")
    project = serializers.CharField(source="rule.project.name")
    state = serializers.ChoiceField(
        PROMISE_STATES,
        help_text="`kept`: in time; `overdue`: its time is over and nothing came; `late`: kept after its time; "
        "`withdrawn`: the project no longer made it when its time came.",
    )
    flow_id = serializers.CharField(help_text="The flow of the event that it began with.")
    after = serializers.CharField(source="rule.rule.after.event_type")
    expect = serializers.CharField(source="rule.rule.expect.event_type")
    within = serializers.FloatField(source="rule.rule.within", help_text="Seconds.")
    by = serializers.SerializerMethodField(help_text="What both events share: `flow`, or a path.")
    key = serializers.CharField(help_text="The value there.")
    started_by = PromiseStart(source="event")
    given_at = Time(help_text="When that event came onto the log.")
    due_at = Time()
    answered_by = serializers.UUIDField(source="answer_id", allow_null=True, help_text="The key of an event.")
    answered_at = Time(allow_null=True, help_text="When that event came onto the log.")
    took = serializers.SerializerMethodField(help_text="Seconds until the answer.")

    def get_by(self, row: Any) -> str:
        return promised.by_of(row)

    def get_took(self, row: Any) -> float | None:
        length = promised.took(row)
        return None if length is None else length.total_seconds()
