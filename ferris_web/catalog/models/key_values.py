"""Configuration and state when no Consul holds them."""

from __future__ import annotations

from django.db import models


class KeyValue(models.Model):
    """Configuration and state when no Consul holds them. Written by ferris.adapters.database_config only."""

    key = models.CharField(max_length=512, primary_key=True)
    value = models.BinaryField()
    modify_index = models.BigIntegerField()
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        verbose_name_plural = "key values"

    def __str__(self) -> str:
        return self.key
