from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('executions', '0034_the_map_in_sum'),
    ]

    operations = [
        migrations.RemoveIndex(
            model_name='execution',
            name='execution_reason',
        ),
        migrations.AddIndex(
            model_name='execution',
            index=models.Index(condition=models.Q(('reason__gt', '')), fields=['reason', '-created_at', '-id', 'status', 'trigger_type', 'lane', 'project'], name='execution_reason'),
        ),
        migrations.RemoveIndex(
            model_name='rollup',
            name='rollup_project',
        ),
        migrations.AddIndex(
            model_name='rollup',
            index=models.Index(condition=models.Q(('service', None)), fields=['span', 'project', 'start', 'status', 'trigger_type', 'lane'], name='rollup_project'),
        ),
    ]
