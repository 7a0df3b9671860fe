"""Administration of the history of configuration and state: who changed what; the values are in the console."""

from __future__ import annotations

from django.contrib import admin

from ferris_web.accounts.admin_records import RecordAdmin, linked
from ferris_web.catalog.models import ValueChange


@admin.register(ValueChange)
class ValueChangeAdmin(RecordAdmin):
    """Changes of values."""

    list_display = ("at", "key", "number", "kind", "by", "actor", "size", "writes")
    list_filter = ("kind", "by")
    search_fields = ("key", "actor")
    exclude = ("value", "mark", "project", "service")
    readonly_fields = ("its_project", "its_service")
    its_project = linked("project")
    its_service = linked("service")
