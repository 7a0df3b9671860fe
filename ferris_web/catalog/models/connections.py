"""Databases that .sql scripts may use."""

from __future__ import annotations

from django.core.validators import RegexValidator
from django.db import models

from ferris_web.catalog.models.projects import Project


class Connection(models.Model):
    """A database that .sql scripts of some projects may use. Its URL is encrypted like a secret."""

    name = models.CharField(
        max_length=100,
        unique=True,
        validators=[
            RegexValidator(
                r"^[A-Za-z0-9_][A-Za-z0-9_.-]*\Z", "Letters, digits, dots, dashes and underscores only."
            )
        ],
        help_text="What scripts call it: -- connection: NAME",
    )
    description = models.CharField(max_length=300, blank=True)
    ciphertext = models.TextField(editable=False)
    shown = models.CharField(
        max_length=2000, editable=False, verbose_name="URL", help_text="Without the password."
    )
    read_only = models.BooleanField(
        default=False, help_text="Scripts may not change anything, whatever their manifest says."
    )
    every_project = models.BooleanField(default=False, help_text="Every project may use it.")
    projects = models.ManyToManyField(
        Project, blank=True, related_name="connections", help_text="These projects may use it."
    )
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["name"]
        verbose_name = "database connection"

    def __str__(self) -> str:
        return self.name
