"""Which secrets went to executions of which services."""

from __future__ import annotations

from django.db import models


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
