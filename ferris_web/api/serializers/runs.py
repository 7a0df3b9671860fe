"""What is asked for when something is to run, again, or sooner, and the answer."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from ferris_web.api.serializers.fields import JsonObject


class Requested(serializers.Serializer):
    """What was asked for. The execution is found at `url` at once, or some milliseconds later."""

    id = serializers.UUIDField(help_text="The new execution's id.")
    event_id = serializers.CharField()
    correlation_id = serializers.CharField(help_text="The flow's id: finds all executions of the flow.")
    flow_id = serializers.CharField()
    url = serializers.URLField()


class Parameters(serializers.Serializer):
    """Values of the service's parameters, and any others."""

    parameters = JsonObject(required=False, default=dict)

    def validate_parameters(self, value: Any) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise serializers.ValidationError("expected an object")
        return value


class RunParameters(Parameters):
    """Values of the service's parameters, and perhaps a priority for this run alone."""

    saved = serializers.CharField(
        required=False, default="", help_text="The name of a saved run to begin with."
    )
    priority = serializers.IntegerField(
        required=False,
        allow_null=True,
        default=None,
        min_value=1,
        max_value=10,
        help_text="1 to 10, 1 first.",
    )


class Priority(serializers.Serializer):
    """Another priority."""

    priority = serializers.IntegerField(min_value=1, max_value=10, help_text="1 to 10, 1 first.")


class RetryParameters(Parameters):
    """Other parameters for the repetition; those of the first run if left out."""

    parameters = JsonObject(required=False)


class RetryIn(RetryParameters):
    """How it is repeated."""

    from_failed_step = serializers.BooleanField(
        required=False,
        default=False,
        help_text="Go on at the step that failed, with the files that the steps before had left; not with other "
        "parameters.",
    )
