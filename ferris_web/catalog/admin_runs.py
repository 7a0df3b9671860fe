"""Saved runs, for administrators to look at: made, changed and removed in the console."""

from __future__ import annotations

from django.contrib import admin

from ferris_web.accounts.admin_records import RecordAdmin, linked
from ferris_web.catalog.models import SavedRun


@admin.register(SavedRun)
class SavedRunAdmin(RecordAdmin):
    """Parameters of runs under a name."""

    list_display = ("name", "service_link", "saved_by", "saved_at")
    list_select_related = ("service",)
    search_fields = ("name", "service__name")
    service_link = linked("service", "service")
