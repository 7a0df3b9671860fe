"""Administration of what subscriptions sent."""

from __future__ import annotations

from django.contrib import admin

from ferris_web.accounts.admin_records import RecordAdmin, linked
from ferris_web.executions.models import Delivery, DeliveryAttempt


@admin.register(Delivery)
class DeliveryAdmin(RecordAdmin):
    """Events on their way to subscribers."""

    list_display = (
        *("created_at", "its_subscription", "event_type", "event_id", "status", "attempts"),
        *("last_status", "last_problem"),
    )
    list_filter = ("status", "subscription")
    list_select_related = ("subscription",)
    search_fields = ("=event_id", "event_type", "subscription__name")
    exclude = ("subscription", "claim")
    readonly_fields = ("its_subscription",)
    its_subscription = linked("subscription")


@admin.register(DeliveryAttempt)
class DeliveryAttemptAdmin(RecordAdmin):
    """Each request."""

    list_display = ("at", "its_delivery", "number", "status", "problem", "seconds")
    list_filter = ("status",)
    list_select_related = ("delivery",)
    exclude = ("delivery",)
    readonly_fields = ("its_delivery",)
    its_delivery = linked("delivery")
