"""Saved views: what a list, or the search, is filtered by, under a name."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q

from ferris_web.catalog.models import Project


class SavedView(models.Model):
    """The filters of one list under a name: of one person, or shared with the members of a project."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    listing = models.CharField(max_length=40, help_text="Of which list, or `search`.")
    name = models.CharField(max_length=100)
    query = models.CharField(max_length=4000, blank=True, help_text="The filters, as an address has them.")
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="saved_views")
    project = models.ForeignKey(
        Project, on_delete=models.CASCADE, null=True, blank=True, related_name="saved_views",
        help_text="Whose members see it too. Empty: its owner alone.",
    )  # fmt: skip
    saved_at = models.DateTimeField()

    class Meta:
        app_label = "executions"
        ordering = ["name", "id"]
        constraints = [
            models.UniqueConstraint(
                fields=["listing", "owner", "name"], condition=Q(project=None), name="own_view_name"
            ),
            models.UniqueConstraint(
                fields=["listing", "project", "name"],
                condition=Q(project__isnull=False),
                name="shared_view_name",
            ),
        ]

    def __str__(self) -> str:
        return self.name


class DefaultView(models.Model):
    """The view with which one person's list opens."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    listing = models.CharField(max_length=40)
    view = models.ForeignKey(SavedView, on_delete=models.CASCADE, related_name="+")

    class Meta:
        app_label = "executions"
        constraints = [models.UniqueConstraint(fields=["user", "listing"], name="default_view_of_list")]

    def __str__(self) -> str:
        return f"{self.user} {self.listing}"
