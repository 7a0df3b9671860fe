"""Rules of notifications and what they sent, as the API shows and takes them."""

from __future__ import annotations

from rest_framework import serializers

from ferris import notifying
from ferris_web.api.serializers.fields import ExplainedChoice, Text, TextIn, Time
from ferris_web.catalog.models import NotificationRule as Row
from ferris_web.executions.models import Notification as MessageRow

NOTIFICATION_KINDS = list(notifying.KINDS)
NOTIFICATION_STATUSES = MessageRow.Status.choices


class NotificationRule(serializers.Serializer):
    """What of a project is told to whom. Its targets cannot be read."""

    name = serializers.CharField()
    project = serializers.CharField(source="project.name")
    active = serializers.BooleanField()
    kind = ExplainedChoice(NOTIFICATION_KINDS)
    service = Text(help_text="Only this service; null: all of the project.")
    times = serializers.IntegerField()
    within_minutes = serializers.IntegerField(help_text="0: in a row.")
    quiet_minutes = serializers.IntegerField()
    targets = serializers.SerializerMethodField(help_text="What kind of service each is.")
    quiet_until = Time(
        allow_null=True, help_text="Until then nothing is sent; what happens is told in one message then."
    )
    created_at = Time()
    updated_at = Time()

    def get_targets(self, row: Row) -> list[str]:
        return [target["shown"] for target in row.targets]


class NotificationQuery(serializers.Serializer):
    """Which rules."""

    project = serializers.CharField(required=False, default="")


class NotificationRuleIn(serializers.Serializer):
    """What to set of a rule; what is left out stays."""

    project = serializers.CharField(required=False)
    active = serializers.BooleanField(required=False)
    kind = ExplainedChoice(NOTIFICATION_KINDS, required=False)
    service = TextIn(max_length=255)
    times = serializers.IntegerField(required=False, min_value=1, max_value=100)
    within_minutes = serializers.IntegerField(required=False, min_value=0, max_value=10_080)
    quiet_minutes = serializers.IntegerField(required=False, min_value=0, max_value=1_440)
    targets = serializers.ListField(
        child=serializers.CharField(max_length=notifying.MAX_URL),
        required=False,
        write_only=True,
        help_text="Apprise URLs; those that are not named are removed. As it is shown, a target stays.",
    )


class NotificationRuleNew(NotificationRuleIn):
    """A new rule."""

    name = serializers.CharField(max_length=100)
    project = serializers.CharField()
    kind = ExplainedChoice(NOTIFICATION_KINDS)
    targets = serializers.ListField(
        child=serializers.CharField(max_length=notifying.MAX_URL), write_only=True, help_text="Apprise URLs."
    )


class Notification(serializers.Serializer):
    """One message to one target."""

    id = serializers.UUIDField()
    target = serializers.CharField(source="shown")
    notices = serializers.IntegerField(help_text="How many it tells of; 0: a test.")
    title = serializers.CharField()
    body = serializers.CharField()
    status = serializers.ChoiceField(NOTIFICATION_STATUSES)
    attempts = serializers.IntegerField()
    created_at = Time()
    finished_at = Time(allow_null=True)
    problem = Text()
