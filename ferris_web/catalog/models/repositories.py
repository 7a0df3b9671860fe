"""Where projects come from, how the platform gets at it, and each time it was read."""

from __future__ import annotations

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator
from django.db import models
from django.db.models import Q

from ferris.repositories import branch_problem, folder_problem


def is_branch(text: str) -> None:
    """ValidationError for what git has no branch or tag of."""
    if problem := branch_problem(text):
        raise ValidationError(problem)


def is_folder(text: str) -> None:
    """ValidationError for what is no folder inside a repository."""
    if problem := folder_problem(text):
        raise ValidationError(problem)


class Repository(models.Model):
    """Where a project's folders come from: a folder on this machine or a git URL."""

    project = models.ForeignKey("Project", on_delete=models.CASCADE, related_name="repositories")
    source = models.CharField(max_length=1000, help_text="A folder, or a git URL (https, ssh or file).")
    branch = models.CharField(
        max_length=255,
        blank=True,
        validators=[is_branch],
        help_text="Empty: the repository's default branch.",
    )
    folder = models.CharField(
        max_length=500,
        blank=True,
        validators=[is_folder],
        help_text="The folder inside it that holds the services. Empty: its root.",
    )
    public_key = models.CharField(
        max_length=500,
        blank=True,
        editable=False,
        help_text="The deploy key, to be given to the repository's host.",
    )
    known_hosts = models.TextField(blank=True, editable=False, help_text="Host keys pinned at the first use.")
    offered_hosts = models.TextField(
        blank=True,
        editable=False,
        help_text="Another key that the host showed; nothing is fetched until it is accepted.",
    )
    every_minutes = models.PositiveIntegerField(
        null=True,
        blank=True,
        validators=[MaxValueValidator(60 * 24 * 31)],
        help_text="Synced so often; empty: when somebody asks for it.",
    )
    next_sync_at = models.DateTimeField(null=True, blank=True, editable=False)
    pinned = models.CharField(
        max_length=64,
        blank=True,
        editable=False,
        help_text="It stays at this commit until it follows its branch again.",
    )
    pinned_by = models.CharField(max_length=150, blank=True, editable=False)
    pinned_at = models.DateTimeField(null=True, blank=True, editable=False)
    commit = models.CharField(max_length=64, blank=True, editable=False)
    synced_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        verbose_name_plural = "repositories"
        constraints = [
            models.UniqueConstraint(
                fields=["project", "source", "branch", "folder"], name="repository_folder_once"
            )
        ]
        indexes = [
            models.Index(
                fields=["next_sync_at"], condition=Q(next_sync_at__isnull=False), name="repository_due"
            )
        ]

    def __str__(self) -> str:
        return self.source


class RepositorySecret(models.Model):
    """What opens a repository, or proves who pushed to it. Encrypted like any other secret."""

    class Kind(models.TextChoices):
        DEPLOY_KEY = "deploy_key"
        TOKEN = "token"  # noqa: S105 - a kind
        PUSH = "push"

    repository = models.ForeignKey(Repository, on_delete=models.CASCADE, related_name="secrets")
    kind = models.CharField(max_length=10, choices=Kind)
    ciphertext = models.TextField(editable=False)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["repository", "kind"], name="repository_secret_once")]

    def __str__(self) -> str:
        return self.name

    @property
    def name(self) -> str:
        """What errors call it."""
        return f"{self.kind} of repository {self.repository_id}"


class SyncRun(models.Model):
    """One synchronisation of a repository, and what it found."""

    class Status(models.TextChoices):
        QUEUED = "queued"
        RUNNING = "running"
        COMPLETED = "completed"
        FAILED = "failed"

    class Cause(models.TextChoices):
        PERSON = "person"
        PUSH = "push"
        INTERVAL = "interval"
        ROLLBACK = "rollback"

    repository = models.ForeignKey(Repository, on_delete=models.CASCADE, related_name="sync_runs")
    actor = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL)
    cause = models.CharField(max_length=10, choices=Cause, default=Cause.PERSON)
    status = models.CharField(max_length=10, choices=Status, default=Status.RUNNING)
    started_at = models.DateTimeField(help_text="When it was asked for, until it begins.")
    finished_at = models.DateTimeField(null=True, blank=True)
    # {"phase", "done", "total"} while it runs
    progress = models.JSONField(default=dict, blank=True)
    runner = models.CharField(max_length=255, blank=True, help_text="The machine that runs it.")
    seen_at = models.DateTimeField(null=True, blank=True, help_text="A sign of life of who runs it.")
    commit = models.CharField(max_length=64, blank=True)
    author = models.CharField(max_length=255, blank=True)
    subject = models.CharField(max_length=500, blank=True)
    error = models.TextField(blank=True)
    # {"added": [names], "changed": [...], "removed": [...], "unchanged": [...], "refused": [...],
    #  "messages": [{"service", "level", "file", "key", "text"}], "services": see ferris_web.catalog.differences}
    result = models.JSONField(default=dict)

    class Meta:
        ordering = ["-started_at", "-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["repository"], condition=Q(status="queued"), name="sync_queued_once"
            )
        ]
        indexes = [models.Index(fields=["id"], condition=Q(status="queued"), name="sync_queued")]

    def __str__(self) -> str:
        return f"{self.repository} at {self.started_at:%Y-%m-%d %H:%M:%S}"
