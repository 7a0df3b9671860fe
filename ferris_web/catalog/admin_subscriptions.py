"""Administration of subscriptions: to look at; they are made and changed in the console, which seals their secrets."""

from __future__ import annotations

from django.contrib import admin

from ferris_web.accounts.admin_records import RecordAdmin
from ferris_web.catalog.models import Subscription


@admin.register(Subscription)
class SubscriptionAdmin(RecordAdmin):
    """Where events are pushed to."""

    list_display = ("name", "project", "status", "event_type", "receiver", "failing_since", "updated_at")
    list_filter = ("status", "project")
    list_select_related = ("project",)
    search_fields = ("name", "description", "event_type")
    exclude = ("ciphertext", "url", "headers")
    readonly_fields = ("receiver",)
