# Indexes of 1,000,000 events and executions take SQLite some 20 s of computing, and the disk what it takes to read them.

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('catalog', '0022_values_of_all_scopes'),
        ('executions', '0030_config_marks'),
    ]

    operations = [
        migrations.CreateModel(
            name='FailureKind',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('reason', models.CharField(blank=True, max_length=40)),
                ('kind', models.CharField(help_text='The fingerprint of their errors.', max_length=12)),
                ('error', models.CharField(blank=True, help_text='What their errors have in common.', max_length=300)),
                ('last_at', models.DateTimeField(help_text='When the latest was made. None: all were retried.', null=True)),
            ],
            options={
                'ordering': ['-last_at', 'id'],
            },
        ),
        migrations.CreateModel(
            name='Tally',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('listing', models.CharField(help_text='events or flows.', max_length=20)),
                ('start', models.DateTimeField(help_text='Of the hour.')),
                ('outcome', models.CharField(max_length=12)),
                ('count', models.PositiveBigIntegerField()),
            ],
            options={
                'ordering': ['listing', 'start', 'outcome'],
            },
        ),
        migrations.AddField(
            model_name='execution',
            name='retried',
            field=models.BooleanField(editable=False, help_text='It failed, and another ran in its place.', null=True),
        ),
        migrations.AlterField(
            model_name='execution',
            name='project',
            field=models.ForeignKey(db_index=False, help_text="Its service's: who sees it, and whose turn it is in a lane.", null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='catalog.project'),
        ),
        migrations.AddIndex(
            model_name='event',
            index=models.Index(fields=['source', '-received_at', '-key'], name='event_source'),
        ),
        migrations.AddIndex(
            model_name='event',
            index=models.Index(condition=models.Q(('subject__gt', '')), fields=['subject', '-received_at', '-key'], name='event_subject'),
        ),
        migrations.AddIndex(
            model_name='flow',
            index=models.Index(fields=['root_type', '-started_at', '-id'], name='flow_root_type'),
        ),
        migrations.AddField(
            model_name='failurekind',
            name='project',
            field=models.ForeignKey(db_index=False, help_text="The service's.", on_delete=django.db.models.deletion.CASCADE, related_name='+', to='catalog.project'),
        ),
        migrations.AddField(
            model_name='failurekind',
            name='service',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='catalog.service'),
        ),
        migrations.AddField(
            model_name='execution',
            name='failure',
            field=models.ForeignKey(db_index=False, editable=False, help_text='Of one that failed and was not retried, once it was looked at: how.', null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='executions.failurekind'),
        ),
        migrations.AddIndex(
            model_name='execution',
            index=models.Index(fields=['project', '-created_at', '-id'], name='execution_project'),
        ),
        migrations.AddIndex(
            model_name='execution',
            index=models.Index(condition=models.Q(('reason__gt', '')), fields=['reason', '-created_at', '-id'], name='execution_reason'),
        ),
        migrations.AddIndex(
            model_name='execution',
            index=models.Index(condition=models.Q(('failure__isnull', False)), fields=['failure', '-created_at', '-id'], name='execution_failure'),
        ),
        migrations.AddIndex(
            model_name='execution',
            index=models.Index(condition=models.Q(('failure', None), ('retried', None), ('status', 'failed')), fields=['status', 'failure', 'retried', '-created_at'], name='execution_unsorted'),
        ),
        migrations.AddConstraint(
            model_name='tally',
            constraint=models.UniqueConstraint(fields=('listing', 'start', 'outcome'), name='tally_once'),
        ),
        migrations.AddIndex(
            model_name='failurekind',
            index=models.Index(condition=models.Q(('last_at__isnull', False)), fields=['-last_at', 'id'], name='failure_last'),
        ),
        migrations.AddIndex(
            model_name='failurekind',
            index=models.Index(condition=models.Q(('last_at__isnull', False)), fields=['project', '-last_at', 'id'], name='failure_its_last'),
        ),
        migrations.AddConstraint(
            model_name='failurekind',
            constraint=models.UniqueConstraint(fields=('service', 'reason', 'kind'), name='failure_kind_once'),
        ),
    ]
