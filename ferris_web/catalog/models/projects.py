"""Projects: teams and what is theirs."""

from __future__ import annotations

from django.db import models


class Project(models.Model):
    """A team's set of services, kept in one or more repositories."""

    name = models.SlugField(max_length=100, unique=True)
    description = models.TextField(blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name
