"""The log's topics and records, dead letters, problems, health."""

from __future__ import annotations

import base64
from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from ferris_web.api.serializers.fields import Page, Text, Time


class Partition(serializers.Serializer):
    """Offsets from `begin` up to, not including, `end`."""

    partition = serializers.IntegerField()
    begin = serializers.IntegerField()
    end = serializers.IntegerField()


class GroupMember(serializers.Serializer):
    """Who is connected as one of a group, and which partitions it reads; without any it stands by."""

    client = serializers.CharField()
    host = serializers.CharField()
    partitions = serializers.ListField(child=serializers.IntegerField())


class Group(serializers.Serializer):
    """A consumer group, how many records it has not yet taken, and who reads for it now."""

    group = serializers.CharField()
    lag = serializers.IntegerField()
    members = GroupMember(many=True)


class Topic(serializers.Serializer):
    """A topic of the event log."""

    name = serializers.CharField()
    partitions = Partition(many=True)
    groups = serializers.SerializerMethodField()
    records = serializers.SerializerMethodField(help_text="How many there are.")
    retention_seconds = serializers.SerializerMethodField(help_text="Null: no limit of age.")
    retention_bytes = serializers.IntegerField(source="retention.max_bytes", allow_null=True)

    @extend_schema_field(Group(many=True))
    def get_groups(self, topic: Any) -> list[dict[str, Any]]:
        records = self.get_records(topic)  # a group that has not committed has all of them before it
        members: dict[str, list[Any]] = {name: [] for name in topic.groups}
        for member in topic.members:
            members.setdefault(member.group, []).append(member)
        return [
            {
                "group": name,
                "lag": topic.groups.get(name, records),
                "members": GroupMember(found, many=True).data,
            }
            for name, found in sorted(members.items())
        ]

    def get_records(self, topic: Any) -> int:
        return sum(partition.end - partition.begin for partition in topic.partitions)

    def get_retention_seconds(self, topic: Any) -> float | None:
        age = topic.retention.max_age
        return age.total_seconds() if age is not None else None


class TopicPage(Page):
    """All topics."""

    results = Topic(many=True)


class RecordQuery(serializers.Serializer):
    """Which records of a topic."""

    partition = serializers.IntegerField(required=False, default=0, min_value=0, max_value=100_000)
    offset = serializers.IntegerField(
        required=False, min_value=0, max_value=2**43, help_text="From here on; the last ones if left out."
    )


class Record(serializers.Serializer):
    """A record of the log. A value that is no text stands in `value_base64`."""

    partition = serializers.IntegerField()
    offset = serializers.IntegerField()
    key = serializers.CharField(allow_null=True)
    timestamp = Time()
    headers = serializers.SerializerMethodField()
    value = serializers.SerializerMethodField()
    value_base64 = serializers.SerializerMethodField()

    def get_headers(self, record: Any) -> dict[str, str]:
        return {name: raw.decode(errors="replace") for name, raw in record.headers.items()}

    def get_value(self, record: Any) -> str | None:
        return text_of(record.value)

    def get_value_base64(self, record: Any) -> str | None:
        return base64_of(record.value)


class RecordPage(Page):
    """Records of a topic."""

    results = Record(many=True)


class DeadLetterHead(serializers.Serializer):
    """A record that could not be handled: where it came from, and why."""

    id = serializers.IntegerField()
    topic = serializers.CharField()
    partition = serializers.IntegerField()
    offset = serializers.IntegerField()
    reason = serializers.CharField()
    detail = serializers.CharField()
    event_type = Text()
    event_id = Text()
    flow_id = Text()
    created_at = Time()
    redriven_at = Time(allow_null=True, help_text="Sent on its way again.")


class DeadLetter(DeadLetterHead):
    """With its bytes: `value`, or `value_base64` when they are no text."""

    value = serializers.SerializerMethodField()
    value_base64 = serializers.SerializerMethodField()

    def get_value(self, letter: Any) -> str | None:
        return text_of(bytes(letter.value))

    def get_value_base64(self, letter: Any) -> str | None:
        return base64_of(bytes(letter.value))


def text_of(value: bytes) -> str | None:
    """The bytes as text, or None when they are none."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return None


def base64_of(value: bytes) -> str | None:
    """The bytes in base64 when they are no text."""
    return base64.b64encode(value).decode() if text_of(value) is None else None
