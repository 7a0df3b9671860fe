"""Events of the journal, and those that are taken in."""

from __future__ import annotations

from drf_spectacular.utils import PolymorphicProxySerializer
from rest_framework import serializers

from ferris_web.api.serializers.executions import Execution
from ferris_web.api.serializers.fields import AnyJson, JsonObject, Text, Time


class EventHead(serializers.Serializer):
    """An event of the journal without its data."""

    key = serializers.UUIDField(help_text="Identifies the event: made of source and id.")
    id = serializers.CharField(source="event_id")
    source = serializers.CharField()
    type = serializers.CharField()
    subject = Text()
    time = Time()
    received_at = Time()
    flow_id = serializers.CharField()
    parent_execution_id = Text(source="causation_id", help_text="The execution that sent it.")
    hops = serializers.IntegerField()
    matched = serializers.IntegerField(help_text="How many services it triggered.")
    copies = serializers.IntegerField(help_text="How often it came again.")


class Event(EventHead):
    """An event of the journal."""

    datacontenttype = Text()
    data = AnyJson(allow_null=True)
    extensions = JsonObject()


class EventDetail(Event):
    """An event, where it stands on the log, and the first 500 executions that it caused."""

    topic = serializers.CharField()
    partition = serializers.IntegerField()
    offset = serializers.IntegerField()
    revision = serializers.IntegerField(help_text="Of the catalog, when it was matched.")
    executions = Execution(many=True, source="caused")


class Accepted(serializers.Serializer):
    """An event that is on the log."""

    id = serializers.CharField(help_text="The event's own id.")
    correlation_id = serializers.CharField(help_text="The id of the flow it belongs to.")


class AcceptedBatch(serializers.Serializer):
    """A batch, in its order."""

    events = Accepted(many=True)


ACCEPTED = PolymorphicProxySerializer(
    component_name="AcceptedAny", serializers=[Accepted, AcceptedBatch], resource_type_field_name=None
)
