"""Administration of saved views of lists: made, changed and removed in the console."""

from __future__ import annotations

from django.contrib import admin

from ferris_web.accounts.admin_records import RecordAdmin, linked
from ferris_web.executions.models import DefaultView, SavedView


@admin.register(SavedView)
class SavedViewAdmin(RecordAdmin):
    """Filters under a name."""

    list_display = ("name", "listing", "owner", "its_project", "saved_at")
    list_filter = ("listing",)
    list_select_related = ("owner", "project")
    search_fields = ("name", "owner__username")
    exclude = ("project",)
    readonly_fields = ("its_project",)
    its_project = linked("project")


@admin.register(DefaultView)
class DefaultViewAdmin(RecordAdmin):
    """With which view a list opens."""

    list_display = ("user", "listing", "view")
    list_filter = ("listing",)
    list_select_related = ("user", "view")
    search_fields = ("user__username",)
