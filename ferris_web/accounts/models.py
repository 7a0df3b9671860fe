"""People, and the tokens with which programs speak for them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.conf import settings
from django.contrib.auth.models import AbstractUser
from django.contrib.sessions.models import Session
from django.db import models, transaction
from django.db.models import Q
from django.utils import timezone


class Role(models.TextChoices):
    """What a member of a project is there, the least first. What each may do: `permissions.LEAST`."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    MAINTAINER = "maintainer"
    OWNER = "owner"


class User(AbstractUser):
    """Somebody who may sign in, or a service account: a program of one project, which has tokens and no password."""

    service_of = models.ForeignKey(
        "catalog.Project",
        null=True,
        blank=True,
        editable=False,
        on_delete=models.CASCADE,
        related_name="service_accounts",
        help_text="Set: a service account of that project.",
    )
    administrator_by_provider = models.BooleanField(
        default=False, editable=False, help_text="Made administrator by FERRIS_OIDC_ADMIN_GROUP, not by hand."
    )

    sessions_since = models.DateTimeField(
        null=True, editable=False, help_text="Sessions that began before have ended."
    )

    def save(self, *args: Any, **kwargs: Any) -> None:
        """A new person gets the role that FERRIS_DEFAULT_ROLE gives, in every project. Who is disabled is signed out,
        and stays so when enabled again."""
        new = self._state.adding
        with transaction.atomic():
            super().save(*args, **kwargs)
            if not new and not self.is_active:
                self.end_sessions()
        role = settings.FERRIS.default_role
        if new and role and self.service_of_id is None and not (self.is_staff or self.is_superuser):
            Membership.objects.get_or_create(user=self, project=None, defaults={"role": role})

    def end_sessions(self) -> None:
        """Sign this person out everywhere: in browsers that are listed and, by the hash below, in any other."""
        listed = self.browser_sessions.all()
        Session.objects.filter(session_key__in=list(listed.values_list("session_key", flat=True))).delete()
        listed.delete()
        self.sessions_since = timezone.now()
        super().save(update_fields=["sessions_since"])

    def get_session_auth_hash(self) -> str:
        """What a session must hold to count."""
        return super().get_session_auth_hash() + self._begun

    def get_session_auth_fallback_hash(self) -> Iterator[str]:
        """Likewise under keys of before."""
        for one in super().get_session_auth_fallback_hash():
            yield one + self._begun

    @property
    def _begun(self) -> str:
        return "" if self.sessions_since is None else f" {self.sessions_since.isoformat()}"


class Membership(models.Model):
    """A person's, or a group's, role in a project; without a project in every one, those to come included."""

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.CASCADE, related_name="memberships"
    )
    group = models.ForeignKey(
        "auth.Group", null=True, blank=True, on_delete=models.CASCADE, related_name="memberships"
    )
    project = models.ForeignKey(
        "catalog.Project",
        null=True,
        blank=True,
        on_delete=models.CASCADE,
        related_name="memberships",
        help_text="Empty: every project, and what belongs to none.",
    )
    role = models.CharField(max_length=10, choices=Role)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["id"]
        constraints = [
            models.CheckConstraint(
                condition=Q(user__isnull=False, group=None) | Q(user=None, group__isnull=False),
                name="membership_of_one",
            ),
            models.UniqueConstraint(
                fields=["user", "project"], condition=Q(user__isnull=False), name="membership_user_once"
            ),
            models.UniqueConstraint(
                fields=["group", "project"], condition=Q(group__isnull=False), name="membership_group_once"
            ),
            models.UniqueConstraint(
                fields=["user"],
                condition=Q(project=None, user__isnull=False),
                name="membership_user_everywhere",
            ),
            models.UniqueConstraint(
                fields=["group"],
                condition=Q(project=None, group__isnull=False),
                name="membership_group_everywhere",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.user or self.group}: {self.role} in {self.project or 'every project'}"


SCOPES = ("read", "run", "write", "admin")
"""What an API token may be made for."""


def every_scope() -> list[str]:
    """For a token that may do what its person may."""
    return list(SCOPES)


class ApiToken(models.Model):
    """A bearer token for the REST API. Only its digest is kept; the token itself is shown once."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="api_tokens")
    name = models.CharField(max_length=100, default="token", help_text="What the token is for.")
    digest = models.CharField(
        max_length=64, unique=True, editable=False, help_text="SHA-256 of the token, in hex."
    )
    prefix = models.CharField(
        max_length=12, editable=False, help_text="Its first characters, to recognise it."
    )
    created_at = models.DateTimeField(auto_now_add=True)
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False)
    expires_at = models.DateTimeField(null=True, blank=True, help_text="Empty: does not expire.")
    scopes = models.JSONField(
        default=every_scope, help_text="What it may be used for: of read, run, write, admin."
    )
    every_project = models.BooleanField(default=True, help_text="No: only for `projects`, and nothing else.")
    projects = models.ManyToManyField("catalog.Project", blank=True, related_name="+")

    class Meta:
        ordering = ["-created_at"]
        verbose_name = "API token"

    def __str__(self) -> str:
        return f"{self.prefix}… of {self.user}"


class RepeatableRequest(models.Model):
    """A request that came with an Idempotency-Key, and once it was answered, the answer that repetitions get."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    key = models.CharField(max_length=255)
    fingerprint = models.CharField(max_length=64, help_text="SHA-256 of method, address and body.")
    status = models.PositiveSmallIntegerField(null=True, help_text="Empty: it is being answered.")
    headers = models.JSONField(default=dict)
    body = models.BinaryField(default=bytes)
    created_at = models.DateTimeField(db_index=True)

    class Meta:
        ordering = ["-created_at"]
        constraints = [models.UniqueConstraint(fields=["user", "key"], name="repeatable_request_once")]

    def __str__(self) -> str:
        return self.key


class Allowance(models.Model):
    """How often something was done of late, counted for all web processes: tries of passwords, requests of a caller."""

    key = models.CharField(
        max_length=60, primary_key=True, help_text="What is counted, and a digest of whose it is."
    )
    used = models.PositiveIntegerField(default=0)
    until = models.DateTimeField(db_index=True, help_text="From then on it counts for nothing.")

    class Meta:
        ordering = ["key"]

    def __str__(self) -> str:
        return self.key


class BrowserSession(models.Model):
    """A session that began with a sign-in: where from, and with what. It ends with Django's own session."""

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="browser_sessions"
    )
    session_key = models.CharField(max_length=40, unique=True, editable=False)
    address = models.CharField(max_length=60, blank=True)
    agent = models.CharField(max_length=300, blank=True)
    created_at = models.DateTimeField()

    class Meta:
        ordering = ["-created_at", "-id"]

    def __str__(self) -> str:
        return f"{self.user} since {self.created_at:%Y-%m-%d %H:%M:%S}"


class AuditEntry(models.Model):
    """Who did what, when and from where. Rows are added and never changed: the database refuses it.

    It names what it is about in texts of its own, and so outlives it.
    """

    at = models.DateTimeField()
    actor = models.CharField(max_length=150, help_text="A person, a service account, or an execution.")
    via = models.CharField(max_length=20, blank=True, help_text="How a token begins; empty: in a browser.")
    address = models.CharField(max_length=60, blank=True)
    action = models.CharField(max_length=100, help_text="The route, or what an execution did.")
    method = models.CharField(max_length=10, blank=True)
    status = models.PositiveSmallIntegerField(default=0, help_text="The answer's; 403: it was refused.")
    project_id = models.BigIntegerField(null=True, blank=True)
    project = models.CharField(max_length=100, blank=True)
    object = models.CharField(max_length=600, blank=True, help_text="What it was done to.")
    said = models.JSONField(
        default=dict, help_text="What was asked for, without anything that may be secret."
    )
    before = models.JSONField(default=dict, help_text="What changed of the object, as it was.")
    after = models.JSONField(default=dict)

    class Meta:
        ordering = ["-at", "-id"]
        verbose_name_plural = "audit entries"
        indexes = [
            models.Index(fields=["-at", "-id"]),
            models.Index(fields=["project_id", "-at", "-id"]),
            models.Index(fields=["actor", "-at", "-id"]),
        ]

    def __str__(self) -> str:
        return f"{self.action} by {self.actor}"
