"""Administration of what was told."""

from __future__ import annotations

from django.contrib import admin

from ferris_web.accounts.admin_records import RecordAdmin, linked
from ferris_web.executions.models import Notice, Notification


@admin.register(Notification)
class NotificationAdmin(RecordAdmin):
    """Messages."""

    list_display = ("created_at", "its_rule", "title", "shown", "notices", "status", "attempts", "problem")
    list_filter = ("status", "rule")
    list_select_related = ("rule",)
    search_fields = ("title", "rule__name")
    exclude = ("rule", "claim", "target")
    readonly_fields = ("its_rule",)
    its_rule = linked("rule")


@admin.register(Notice)
class NoticeAdmin(RecordAdmin):
    """What rules tell of."""

    list_display = ("at", "its_rule", "text", "told")
    list_filter = ("told", "rule")
    list_select_related = ("rule",)
    search_fields = ("text", "rule__name")
    exclude = ("rule",)
    readonly_fields = ("its_rule",)
    its_rule = linked("rule")
