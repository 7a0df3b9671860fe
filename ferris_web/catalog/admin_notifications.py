"""Administration of notification rules: to look at; they are made and changed in the console, which seals targets."""

from __future__ import annotations

from django.contrib import admin

from ferris_web.accounts.admin_records import RecordAdmin
from ferris_web.catalog.models import NotificationRule


@admin.register(NotificationRule)
class NotificationRuleAdmin(RecordAdmin):
    """What is told to whom."""

    list_display = ("name", "project", "kind", "service", "active", "quiet_until", "updated_at")
    list_filter = ("kind", "active", "project")
    list_select_related = ("project",)
    search_fields = ("name", "service")
    exclude = ("ciphertext",)
