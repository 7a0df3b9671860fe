from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("catalog", "0019_value_changes")]

    operations = [
        migrations.AddField(
            model_name="serviceversion",
            name="author",
            field=models.CharField(
                blank=True,
                default="",
                help_text="Who made it: of the commit, or by name.",
                max_length=255,
            ),
            preserve_default=False,
        ),
        migrations.AddField(
            model_name="serviceversion",
            name="message",
            field=models.CharField(
                blank=True,
                default="",
                help_text="What the author said about it.",
                max_length=500,
            ),
            preserve_default=False,
        ),
    ]
