from django.db import migrations
from django.db.models import OuterRef, Subquery


def name_projects(apps, schema_editor):
    """What is open takes part in the shares of its project from now on; what has ended does not need one."""
    executions = apps.get_model("executions", "Execution")
    services = apps.get_model("catalog", "Service")
    theirs = services.objects.filter(pk=OuterRef("service_id")).values("project_id")[:1]
    executions.objects.filter(status__in=("pending", "queued", "in_progress"), project=None).update(
        project_id=Subquery(theirs)
    )


class Migration(migrations.Migration):
    dependencies = [("executions", "0016_fair_shares")]

    operations = [migrations.RunPython(name_projects, migrations.RunPython.noop)]
