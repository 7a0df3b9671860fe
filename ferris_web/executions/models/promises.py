"""Promises as events have given them."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from ferris import promises
from ferris_web.catalog.models import PromiseRule
from ferris_web.executions.models.events import Event

PROMISE_STATES = [(state, state) for state in promises.STATES]


class Promise(models.Model):
    """What one event has promised: that another one follows in time. One for each event that a promise begins with."""

    id = models.UUIDField(primary_key=True, help_text="uuid5 of its rule and the event that it began with.")
    rule = models.ForeignKey(PromiseRule, on_delete=models.CASCADE, related_name="given")
    slot = models.UUIDField(help_text="uuid5 of its rule and key: where its answer is looked for.")
    key = models.CharField(max_length=255, help_text="What both events share.")
    flow_id = models.CharField(max_length=512, db_index=True)
    event = models.ForeignKey(Event, on_delete=models.CASCADE, related_name="promises")
    state = models.CharField(max_length=9, choices=PROMISE_STATES)
    given_at = models.DateTimeField(help_text="When that event came onto the log.")
    due_at = models.DateTimeField()
    wakes_at = models.DateTimeField(
        null=True,
        blank=True,
        help_text="When the clock looks at it; empty once it is kept, or told to be late.",
    )
    answer_id = models.UUIDField(null=True, blank=True, help_text="The key of the event that kept it.")
    answered_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-given_at", "-id"]
        indexes = [
            models.Index(fields=["-given_at", "-id"]),
            models.Index(fields=["slot"], condition=Q(answered_at=None), name="promise_unanswered"),
            models.Index(fields=["wakes_at"], condition=Q(wakes_at__isnull=False), name="promise_wakes"),
            models.Index(fields=["due_at"], condition=Q(state="overdue"), name="promise_overdue"),
        ]

    def __str__(self) -> str:
        return f"{self.rule} {self.key}"
