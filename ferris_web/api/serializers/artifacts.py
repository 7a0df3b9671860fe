"""Files that steps left behind."""

from __future__ import annotations

from django.urls import reverse
from rest_framework import serializers

from ferris_web.api.serializers.fields import Time
from ferris_web.executions.models import Artifact as ArtifactRow


class ArtifactQuery(serializers.Serializer):
    """Which of several of one name."""

    attempt = serializers.IntegerField(required=False, min_value=1, max_value=2**31 - 1)
    step = serializers.IntegerField(required=False, min_value=0, max_value=2**31 - 1)


class Artifact(serializers.Serializer):
    """A file that a step left behind."""

    name = serializers.CharField(help_text="Folders included: charts/a.png.")
    size = serializers.IntegerField(help_text="In bytes.")
    content_type = serializers.CharField()
    attempt = serializers.IntegerField()
    step = serializers.IntegerField(help_text="The step's index.")
    script = serializers.CharField()
    created_at = Time()
    url = serializers.SerializerMethodField(help_text="Its content.")

    def get_url(self, row: ArtifactRow) -> str:
        path = reverse("api:execution-artifact", args=[row.execution_id, row.name])
        request = self.context.get("request")
        query = f"?attempt={row.attempt}&step={row.step}"
        return request.build_absolute_uri(path + query) if request else path + query
