"""Flows as graphs."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from drf_spectacular.utils import PolymorphicProxySerializer, extend_schema_field
from rest_framework import serializers

from ferris_web.api.serializers.events import EventHead
from ferris_web.api.serializers.executions import Execution
from ferris_web.api.serializers.fields import Text, Time
from ferris_web.api.serializers.promises import Promise


class FlowHead(serializers.Serializer):
    """All that grew out of one event."""

    id = serializers.CharField()
    root_type = serializers.CharField()
    started_at = Time()
    last_event_at = Time()
    executions = serializers.IntegerField(source="sequence", help_text="How many there are so far.")
    statuses = serializers.DictField(
        child=serializers.IntegerField(), help_text="How many of them have which status."
    )


class EventNode(EventHead):
    """A node of the flow's graph."""

    kind = serializers.SerializerMethodField()
    event_id = serializers.CharField()
    id = serializers.UUIDField(source="key")

    def get_kind(self, row: Any) -> str:
        return "event"


class ExecutionNode(Execution):
    """A node of the flow's graph."""

    kind = serializers.SerializerMethodField()

    def get_kind(self, row: Any) -> str:
        return "execution"


class FlowEdge(serializers.Serializer):
    """`triggered`: an event caused an execution. `sent`: an execution sent an event. `gathered`: an event was handed
    to an execution with others. `mapped`, `replayed`: an event was made into another one."""

    kind = serializers.ChoiceField(["triggered", "sent", "gathered", "mapped", "replayed"])
    source = serializers.CharField()
    target = serializers.CharField()
    flow = serializers.CharField(
        allow_null=True,
        help_text="The other flow that one of the two belongs to: it is no node of this graph.",
    )


class Seconds(serializers.FloatField):
    """A length of time."""

    def to_representation(self, value: timedelta) -> float:
        return value.total_seconds()


class CriticalPath(serializers.Serializer):
    """The chain of causes that ends with what ended last."""

    nodes = serializers.ListField(child=serializers.CharField(), source="keys")
    seconds = Seconds(source="length")
    running_seconds = Seconds(source="running", help_text="In scripts.")
    waiting_seconds = Seconds(source="waiting", help_text="In line, also between attempts.")
    open = serializers.BooleanField(help_text="Its end is still to come: so far.")


class Flow(serializers.Serializer):
    """One flow as a graph."""

    id = serializers.CharField(source="flow_id")
    root_type = Text(source="flow.root_type", default=None)
    started_at = Time(source="flow.started_at", allow_null=True, default=None)
    last_event_at = Time(source="flow.last_event_at", allow_null=True, default=None)
    settled = serializers.BooleanField(
        help_text="Nothing of it runs, and nothing it sent waits to be routed."
    )
    truncated = serializers.BooleanField(help_text="It has more nodes than are given here.")
    promises = Promise(many=True, help_text="Up to 100 of them, those that were not kept in time first.")
    nodes = serializers.SerializerMethodField()
    edges = FlowEdge(many=True)
    critical_path = CriticalPath(allow_null=True, help_text="Null while nothing has run.")

    @extend_schema_field(
        PolymorphicProxySerializer(
            component_name="FlowNode",
            serializers={"event": EventNode, "execution": ExecutionNode},
            resource_type_field_name="kind",
            many=True,
        )
    )
    def get_nodes(self, graph: Any) -> list[Any]:
        return [
            *EventNode(graph.events, many=True).data,
            *ExecutionNode(graph.executions, many=True).data,
        ]
