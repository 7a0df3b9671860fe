"""What other triggers would have made of past events."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from rest_framework import serializers

from ferris_web.api.serializers.fields import OPTIONAL, JsonObject, Text, Time
from ferris_web.executions.backtesting import Place, Tested
from ferris_web.keyset import packed, unpacked

MOST_EVENTS = 200_000
Cursor = tuple[datetime, datetime, Place]
"""Since, until, and the place between the two."""


def cursor(tested: Tested) -> str | None:
    """What goes on with it; None when there is no more."""
    if tested.following is None:
        return None
    moment, key = tested.following
    return packed([*(time.isoformat() for time in (tested.since, tested.until, moment)), str(key)])


class BacktestRequest(serializers.Serializer):
    """Which triggers, and over which time: `services`, a `project`, or services that are all of a project."""

    services = JsonObject(
        required=False,
        help_text="By service: the content of its manifest.json, of which `trigger_events` and `active` count.",
    )
    project = serializers.CharField(
        help_text="What a sync of this project would bring now, from its repositories. With `services` those are all "
        "of it: what is not among them would be gone.",
        **OPTIONAL,
    )
    since = Time(required=False, help_text="Taken in then or later; a week ago if left out.")
    until = Time(required=False, help_text="Taken in before; now if left out.")
    limit = serializers.IntegerField(
        required=False,
        default=MOST_EVENTS,
        min_value=1,
        max_value=MOST_EVENTS,
        help_text="About how many events are looked at, the newest first.",
    )
    samples = serializers.IntegerField(required=False, default=5, min_value=0, max_value=50)
    cursor = serializers.CharField(help_text="`next` of the answer before: go on from there.", **OPTIONAL)

    def validate_cursor(self, text: str) -> Cursor | None:
        if not text:
            return None
        try:
            since, until, moment, key = unpacked(text)
            times = [datetime.fromisoformat(one) for one in (since, until, moment)]
            if not all(one.tzinfo for one in times):
                raise ValueError(text)
            return times[0], times[1], (times[2], UUID(key))
        except (ValueError, TypeError, AttributeError):
            raise serializers.ValidationError("is none of ours; take it from `next`") from None

    def validate(self, said: dict[str, Any]) -> dict[str, Any]:
        if not said.get("services") and not said["project"]:
            raise serializers.ValidationError("give services, or a project")
        for name, manifest in (said.get("services") or {}).items():
            if not isinstance(manifest, dict):
                raise serializers.ValidationError({"services": f"{name}: expected an object, its manifest"})
        return said

    def validate_services(self, value: Any) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise serializers.ValidationError("expected an object of manifests by service")
        return value


class Sample(serializers.Serializer):
    """An event that tells the two sides apart, and why the other side is silent about it."""

    key = serializers.UUIDField()
    id = serializers.CharField()
    type = serializers.CharField()
    source = serializers.CharField()
    time = Time()
    why = serializers.CharField()


class Tally(serializers.Serializer):
    """How one service fares."""

    service = serializers.CharField()
    state = serializers.ChoiceField(["added", "changed", "removed", "unchanged"])
    before = serializers.IntegerField(help_text="Events that its triggers of today match.")
    after = serializers.IntegerField(help_text="Events that the new ones match.")
    gained = serializers.IntegerField()
    lost = serializers.IntegerField()
    gained_samples = Sample(many=True)
    lost_samples = Sample(many=True)


class Backtest(serializers.Serializer):
    """What came of it."""

    since = Time()
    until = Time()
    reached = Time(help_text="The oldest moment that was looked at.")
    complete = serializers.BooleanField(help_text="False: events before `reached` were not looked at.")
    next = Text(
        help_text="Send the same with this as `cursor` for the rest of the time, and add the figures up; null: "
        "that was all."
    )
    events = serializers.IntegerField(help_text="How many were looked at: those of the types triggers name.")
    seconds = serializers.FloatField()
    gained = serializers.IntegerField()
    lost = serializers.IntegerField()
    services = Tally(many=True)
