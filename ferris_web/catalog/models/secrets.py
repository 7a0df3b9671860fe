"""Secrets."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from ferris_web.catalog.models.projects import Project
from ferris_web.catalog.models.services import Service


class Secret(models.Model):
    """A secret value, encrypted at rest. A service sees its own, then its project's, then the platform's."""

    class Scope(models.TextChoices):
        PLATFORM = "platform"
        PROJECT = "project"
        SERVICE = "service"

    scope = models.CharField(max_length=10, choices=Scope)
    project = models.ForeignKey(
        Project, null=True, blank=True, on_delete=models.CASCADE, related_name="secrets"
    )
    service = models.ForeignKey(
        Service, null=True, blank=True, on_delete=models.CASCADE, related_name="secrets"
    )
    name = models.CharField(max_length=255)
    ciphertext = models.TextField(editable=False)
    synced = models.BooleanField(
        default=False, help_text="From a secrets.json; a sync may change or remove it."
    )
    set_by = models.CharField(max_length=200, blank=True, default="", help_text="Who, or which service.")
    set_execution = models.UUIDField(null=True, blank=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["scope", "name"]
        constraints = [
            models.UniqueConstraint(
                fields=["name"], condition=Q(scope="platform"), name="platform_secret_once"
            ),
            models.UniqueConstraint(
                fields=["project", "name"], condition=Q(scope="project"), name="project_secret_once"
            ),
            models.UniqueConstraint(
                fields=["service", "name"], condition=Q(scope="service"), name="service_secret_once"
            ),
            models.CheckConstraint(
                condition=Q(scope="platform", project=None, service=None)
                | Q(scope="project", project__isnull=False, service=None)
                | Q(scope="service", project=None, service__isnull=False),
                name="secret_scope",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.scope})"


class SecretUse(models.Model):
    """A secret went to an execution of a service, the last time at `at`, to the minute."""

    # No constraints: a claim must not fail because a secret is removed at that moment.
    secret = models.ForeignKey(
        "catalog.Secret", on_delete=models.CASCADE, db_constraint=False, related_name="uses"
    )
    service = models.ForeignKey(
        "catalog.Service", on_delete=models.CASCADE, db_constraint=False, related_name="+"
    )
    at = models.DateTimeField()
    execution = models.UUIDField()

    class Meta:
        ordering = ["-at", "id"]
        constraints = [models.UniqueConstraint(fields=["secret", "service"], name="secret_use_once")]

    def __str__(self) -> str:
        return f"{self.secret_id} in {self.service_id}"
