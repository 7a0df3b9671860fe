"""Pauses."""

from __future__ import annotations

from rest_framework import serializers


class Resume(serializers.Serializer):
    """What becomes of the executions that have waited."""

    waiting = serializers.ChoiceField(
        ["run", "skip"], default="run", help_text="`run`: in their order. `skip`: they end as `skipped`."
    )


class Paused(serializers.Serializer):
    """A pause that was begun or ended."""

    paused = serializers.BooleanField()
    executions = serializers.IntegerField(
        help_text="On a pause: how many that were queued wait from now on. On going on: how many had waited."
    )
