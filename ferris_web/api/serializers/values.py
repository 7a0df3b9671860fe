"""The history of configuration and state."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from ferris_web.api.serializers.fields import AnyJson, Text, Time
from ferris_web.catalog.models import ValueChange


class AtQuery(serializers.Serializer):
    """When."""

    at = Time(required=False, help_text="What it was at this time.")


class WithQuery(serializers.Serializer):
    """Compared with what."""

    def get_fields(self) -> dict[str, Any]:
        return {
            "with": serializers.IntegerField(
                required=False, min_value=1, max_value=2**31 - 1, help_text="The number of another change."
            )
        }


class GivenValue(serializers.Serializer):
    """A value of a configuration, and where it comes from."""

    name = serializers.CharField()
    value = AnyJson(allow_null=True)
    scope = serializers.CharField(help_text="`service`, `project` or `platform`.")
    hides = serializers.ListField(
        child=serializers.CharField(), help_text="Farther scopes that have the name too."
    )


class ConfigGiven(serializers.Serializer):
    """What a service's executions get."""

    config = serializers.DictField(help_text="As scripts see it.")
    values = GivenValue(many=True)


class Change(serializers.Serializer):
    """One change of a value."""

    number = serializers.IntegerField()
    at = Time(help_text="When; of several writes the last.")
    since = Time(help_text="The first of the writes that are this change.")
    writes = serializers.IntegerField()
    by = serializers.ChoiceField(
        ValueChange.By.choices, help_text="`outside`: found in the store, whoever wrote it."
    )
    actor = Text(help_text="The person, the service, the commit.")
    execution = serializers.UUIDField(allow_null=True)
    removed = serializers.BooleanField()
    masked = serializers.BooleanField(help_text="A secret stood in it: the value was not kept.")
    size = serializers.IntegerField(help_text="Bytes.")


class ValuesQuery(serializers.Serializer):
    """Which values."""

    q = serializers.CharField(required=False, max_length=200, help_text="A part of the key.")
    kind = serializers.CharField(required=False, max_length=10, help_text="`state`, `config` or `env`.")
    project = serializers.CharField(
        required=False, max_length=100, help_text="What belongs to it or its services."
    )


class NewestChange(Change):
    """A value's newest change, and whose value it is."""

    key = serializers.CharField(help_text="In the configuration store.")
    kind = serializers.CharField(help_text="`state`, `config`, or `env` (ferris.env).")
    project = serializers.CharField(source="project.name", default=None, allow_null=True)
    service = serializers.CharField(source="service.name", default=None, allow_null=True)


class WholeChange(Change):
    """A change with its value."""

    value = AnyJson(allow_null=True, read_only=True, required=False)
    difference = serializers.ListField(child=serializers.CharField(), read_only=True, required=False)
    note = Text(read_only=True, required=False, help_text="Why not all of the difference is shown.")

    def get_fields(self) -> dict[str, Any]:
        other = serializers.IntegerField(
            allow_null=True, read_only=True, required=False, help_text="Compared with this change."
        )
        return {**super().get_fields(), "with": other}
