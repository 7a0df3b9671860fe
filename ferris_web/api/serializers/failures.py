"""Dead letters and failed executions in groups, and sending groups on their way again."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from rest_framework import serializers

from ferris_web.api.serializers.fields import OPTIONAL, JsonObject, Page, Text, Time
from ferris_web.keyset import packed, unpacked

MOST = 500


class LetterGroupQuery(serializers.Serializer):
    """Which dead letters."""

    reason = serializers.CharField(**OPTIONAL)
    topic = serializers.CharField(**OPTIONAL)
    event_type = serializers.CharField(
        required=False, default=None, allow_null=True, allow_blank=True, help_text="Empty: those without one."
    )
    since = Time(required=False, default=None, allow_null=True)
    until = Time(required=False, default=None, allow_null=True)


class LetterGroup(serializers.Serializer):
    """Dead letters of one reason, topic and event type."""

    reason = serializers.CharField()
    topic = serializers.CharField()
    event_type = serializers.CharField(help_text="Empty: no event could be read.")
    count = serializers.IntegerField()
    waiting = serializers.IntegerField(help_text="Those that were not sent on their way again.")
    first_at = Time()
    last_at = Time()
    example = serializers.IntegerField(help_text="The number of the latest one.")


class LetterGroupPage(Page):
    """All groups."""

    results = LetterGroup(many=True)


class FailureGroupQuery(serializers.Serializer):
    """Which failed executions."""

    service = serializers.CharField(help_text="A service's name.", **OPTIONAL)
    reason = serializers.CharField(**OPTIONAL)
    kind = serializers.CharField(help_text="The fingerprint of an error.", **OPTIONAL)
    since = Time(required=False, default=None, allow_null=True, help_text="Created then or later.")
    until = Time(required=False, default=None, allow_null=True)


class FailureGroup(serializers.Serializer):
    """Failed executions that were not retried, of one service, reason and kind of error."""

    service = serializers.CharField()
    reason = serializers.CharField()
    kind = serializers.CharField(
        help_text="The fingerprint of the error: numbers, ids and quoted texts aside."
    )
    error = serializers.CharField(help_text="What the errors have in common.")
    count = serializers.IntegerField()
    first_at = Time()
    last_at = Time()
    example = serializers.UUIDField(help_text="The latest one.")


class FailureGroupPage(Page):
    """All groups."""

    results = FailureGroup(many=True)


class _Walk(serializers.Serializer):
    limit = serializers.IntegerField(
        required=False, default=MOST, min_value=1, max_value=MOST, help_text="How many are looked at at most."
    )
    cursor = serializers.CharField(help_text="`next` of the answer before.", **OPTIONAL)

    def validate_cursor(self, text: str) -> tuple[datetime, str] | None:
        if not text:
            return None
        try:
            until, after = unpacked(text)
            return datetime.fromisoformat(until), self.place(str(after))
        except (ValueError, TypeError):
            raise serializers.ValidationError("is none of ours; take it from `next`") from None

    def place(self, after: str) -> str:
        """The place, checked; ValueError."""
        return str(int(after))


class LettersRedrive(_Walk, LetterGroupQuery):
    """Which dead letters to send again, and from where on."""

    def validate(self, said: dict[str, Any]) -> dict[str, Any]:
        if not (said["reason"] or said["topic"] or said["event_type"] is not None):
            raise serializers.ValidationError("name a group: give reason, topic or event_type")
        return said


class FailuresRetry(_Walk, FailureGroupQuery):
    """Which failed executions to retry, and from where on."""

    def place(self, after: str) -> str:
        moment, _, pk = after.partition(" ")
        if datetime.fromisoformat(moment).tzinfo is None:
            raise ValueError(after)
        UUID(pk)
        return after

    def validate(self, said: dict[str, Any]) -> dict[str, Any]:
        if not (said["service"] or said["reason"] or said["kind"]):
            raise serializers.ValidationError("name a group: give service, reason or kind")
        return said


class Piece(serializers.Serializer):
    """What this request did. Send the same with `cursor` set to `next` until that is null."""

    sent = serializers.IntegerField()
    refused = serializers.IntegerField(help_text="Those that cannot be sent.")
    next = Text()


class LetterEdit(serializers.Serializer):
    """An edited event; left out: as it is."""

    event = JsonObject(required=False, help_text="The whole CloudEvent, to be sent instead.")


def cursor(until: datetime, after: str | None) -> str | None:
    """The cursor of the next piece."""
    if after is None:
        return None
    return packed([until.isoformat(), after])
