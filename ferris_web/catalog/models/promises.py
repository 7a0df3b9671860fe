"""Promises as projects make them."""

from __future__ import annotations

from django.db import models

from ferris_web.catalog.models.projects import Project
from ferris_web.catalog.models.repositories import Repository


class PromiseRule(models.Model):
    """A promise as a project's ferris.json makes it. One that is changed there is another: the old one has vanished."""

    id = models.UUIDField(primary_key=True, help_text="uuid5 of its repository and all it says.")
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="promises")
    repository = models.ForeignKey(
        Repository, null=True, blank=True, on_delete=models.SET_NULL, related_name="promises"
    )
    name = models.CharField(max_length=200)
    rule = models.JSONField(help_text="As ferris.promises has it: after, expect, within (seconds), by.")
    vanished_at = models.DateTimeField(
        null=True, blank=True, help_text="Set when the project no longer makes it."
    )

    class Meta:
        ordering = ["project", "name", "id"]

    def __str__(self) -> str:
        return f"{self.name} of {self.project}"
