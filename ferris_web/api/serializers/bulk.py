"""Bulk jobs in the API."""

from __future__ import annotations

from rest_framework import serializers

from ferris_web.api.serializers.fields import JsonObject, Time
from ferris_web.executions.models import BulkJob as Row

BULK_STATUSES = Row.Status.choices
BULK_ACTIONS = Row.Action.choices
BULK_LISTS = [("executions", "executions"), ("dead-letters", "dead-letters")]


class BulkRequest(serializers.Serializer):
    """What is to be done, and with what."""

    list = serializers.ChoiceField(choices=BULK_LISTS)
    action = serializers.ChoiceField(
        choices=BULK_ACTIONS, help_text="Executions: cancel, retry. Dead letters: send, delete."
    )
    filter = JsonObject(required=False, default=dict, help_text="The parameters of that list, by name.")
    expected = serializers.IntegerField(
        required=False, default=None, allow_null=True, min_value=0, help_text="Refuse when more fit."
    )


class BulkCount(serializers.Serializer):
    """How many."""

    count = serializers.IntegerField()


class BulkJob(serializers.Serializer):
    """A bulk job."""

    id = serializers.UUIDField()
    list = serializers.CharField(source="listing")
    action = serializers.ChoiceField(choices=BULK_ACTIONS)
    filter = JsonObject()
    status = serializers.ChoiceField(choices=BULK_STATUSES)
    created_by = serializers.CharField(source="created_by.username")
    created_at = Time()
    finished_at = Time(allow_null=True)
    expected = serializers.IntegerField(help_text="As counted before it began.")
    done = serializers.IntegerField()
    refused = serializers.IntegerField(help_text="Could not be done, as things were by then.")
