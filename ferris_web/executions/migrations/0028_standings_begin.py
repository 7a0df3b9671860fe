from datetime import UTC, datetime

from django.db import migrations
from django.db.models import Exists, OuterRef

LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


def begin(apps, schema_editor):
    """A row for each service that has roll-ups, from so long ago that the roller adds it up anew."""
    Service = apps.get_model("catalog", "Service")
    Rollup = apps.get_model("executions", "Rollup")
    Standing = apps.get_model("executions", "Standing")
    counted = Service.objects.filter(Exists(Rollup.objects.filter(service=OuterRef("pk"), span="day")))
    Standing.objects.bulk_create(
        (
            Standing(service_id=service, project_id=project, period=period, oldest=LONG_AGO)
            for service, project in counted.values_list("pk", "project_id")
            for period in ("24h", "7d", "30d", "90d")
        ),
        batch_size=500,
        ignore_conflicts=True,
    )


class Migration(migrations.Migration):
    dependencies = [("executions", "0027_standings")]

    operations = [migrations.RunPython(begin, migrations.RunPython.noop)]
