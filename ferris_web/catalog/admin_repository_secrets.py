"""What opens repositories, for administrators to see that it is there: never its value."""

from __future__ import annotations

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from ferris_web.accounts.admin_records import RecordAdmin, linked
from ferris_web.catalog.models import RepositorySecret


@admin.register(RepositorySecret)
class RepositorySecretAdmin(RecordAdmin):
    """Keys and tokens of repositories: set on the project's page."""

    list_display = ("kind", "its_repository", "updated_at")
    list_filter = ("kind",)
    list_select_related = ("repository",)
    fields = ("kind", "its_repository", "updated_at")
    readonly_fields = fields
    its_repository = linked("repository")

    def get_queryset(self, request: HttpRequest) -> QuerySet[RepositorySecret]:
        """Without even the encrypted value."""
        return super().get_queryset(request).defer("ciphertext")
