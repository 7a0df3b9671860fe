"""What configuration the attempts of an execution were given."""

from __future__ import annotations

from rest_framework import serializers

from ferris_web.api.serializers.fields import AnyJson
from ferris_web.api.serializers.values import GivenValue


class ValueThen(serializers.Serializer):
    """A value of the configuration store as an attempt got it."""

    known = serializers.BooleanField(help_text="What it was is certain; that there was none, too.")
    masked = serializers.BooleanField(help_text="A secret stood in it: it was not kept.")
    change = serializers.IntegerField(
        allow_null=True, help_text="Its number in the history. Null: there was none, or it is not kept."
    )
    newest = serializers.IntegerField(allow_null=True, help_text="The number of the newest change.")
    changed_since = serializers.BooleanField(allow_null=True, help_text="Null: its store is away.")
    replaced_meanwhile = serializers.BooleanField(
        help_text="Before the attempt had ended: what reads the store itself may have got either."
    )


class ConfigThen(ValueThen):
    """One of the configurations."""

    scope = serializers.CharField(help_text="`service`, `project` or `platform`.")


class EnvThen(ValueThen):
    """`ferris.env`."""

    value = AnyJson(
        allow_null=True, help_text="What administrators had put there; null when it is not known."
    )


class AttemptConfig(serializers.Serializer):
    """What one attempt was given."""

    attempt = serializers.IntegerField()
    recorded = serializers.BooleanField(
        help_text="False: its executor or the platform was too old to note it."
    )
    config = serializers.DictField(
        allow_null=True, help_text="As scripts saw it; null when not all of it is certain."
    )
    values = GivenValue(many=True, help_text="What is certain of it.")
    sources = ConfigThen(many=True, help_text="The nearest first.")
    env = EnvThen(allow_null=True, help_text="For administrators.")


class ExecutionConfig(serializers.Serializer):
    """What an execution was given."""

    attempts = AttemptConfig(many=True, help_text="Of which a script began; the last one first.")
