from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("executions", "0022_rollups")]

    operations = [
        migrations.AddField(
            model_name="step",
            name="snapshot",
            field=models.JSONField(
                blank=True,
                help_text="Of a step that failed: what is kept of what earlier ones left (day, size, files), or `problem`.",
                null=True,
            ),
        )
    ]
