"""Administration of what was done to configuration, state and secrets, and by whom; no value is shown here."""

from __future__ import annotations

from django.contrib import admin

from ferris_web.accounts.admin_records import RecordAdmin, linked
from ferris_web.catalog.models import SecretUse, ValueChange


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


@admin.register(SecretUse)
class SecretUseAdmin(RecordAdmin):
    """Which service was given which secret last."""

    list_display = ("secret", "its_service", "at", "execution")
    list_select_related = ("secret", "service")
    search_fields = ("secret__name", "service__name")
    exclude = ("service",)
    readonly_fields = ("its_service",)
    its_service = linked("service")
