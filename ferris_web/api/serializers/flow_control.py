"""Pauses, lanes, workers."""

from __future__ import annotations

from rest_framework import serializers

from ferris_web.api.serializers.fields import Text, Time


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


class Lane(serializers.Serializer):
    """A lane, and what waits and runs in it."""

    name = serializers.CharField()
    paused_at = Time(allow_null=True)
    paused_by = Text()
    waiting = serializers.IntegerField(help_text="Queued, with a doorbell that has rung or not.")
    unrung = serializers.IntegerField(
        help_text="Those of them that wait for room, or for the end of a pause."
    )
    running = serializers.IntegerField()


class Lanes(serializers.Serializer):
    """All lanes."""

    results = Lane(many=True)


class Running(serializers.Serializer):
    """What a worker runs."""

    id = serializers.UUIDField()
    service = serializers.CharField()
    correlation_id = serializers.CharField()
    since = Time(allow_null=True)


class Worker(serializers.Serializer):
    """A worker: a process with executors."""

    name = serializers.CharField()
    state = serializers.ChoiceField(["active", "draining", "drained", "stopping", "gone"])
    lanes = serializers.ListField(child=serializers.CharField())
    slots = serializers.IntegerField(help_text="How many executions it runs at once.")
    started_at = Time(allow_null=True)
    seen_at = Time(allow_null=True, help_text="It said something last.")
    drain_by = Text(help_text="Who had it drain.")
    running = Running(many=True)
    isolation = serializers.JSONField(
        help_text='How it confines scripts: {"level", "layers", "lacking": {layer: why}}, '
        '"builds" (its layers for builds of packages); empty while it is not known.'
    )


class Workers(serializers.Serializer):
    """All workers."""

    results = Worker(many=True)
