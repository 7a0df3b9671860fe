"""What Accounts 0003 to 0007 come to, for a platform that begins: one step instead of 5."""

from importlib import import_module

import django.db.models.deletion
import ferris_web.accounts.models
from django.conf import settings
from django.db import migrations, models
from ferris_web.new_tables import CreateModels

audit = import_module('ferris_web.accounts.migrations.0005_audit')


class Migration(migrations.Migration):

    replaces = [
        ('accounts', '0003_memberships'),
        ('accounts', '0004_tokens_and_sessions'),
        ('accounts', '0005_audit'),
        ('accounts', '0006_administrator_by_provider'),
        ('accounts', '0007_allowance'),
    ]

    dependencies = [
        ('accounts', '0002_repeatable_request'),
        ('auth', '0012_alter_user_first_name_max_length'),
        ('catalog', '0001_begun'),
    ]

    operations = [
        migrations.AddField(
            model_name='apitoken',
            name='every_project',
            field=models.BooleanField(default=True, help_text='No: only for `projects`, and nothing else.'),
        ),
        migrations.AddField(
            model_name='apitoken',
            name='projects',
            field=models.ManyToManyField(blank=True, related_name='+', to='catalog.project'),
        ),
        migrations.AddField(
            model_name='apitoken',
            name='scopes',
            field=models.JSONField(default=ferris_web.accounts.models.every_scope, help_text='What it may be used for: of read, run, write, admin.'),
        ),
        migrations.AddField(
            model_name='user',
            name='administrator_by_provider',
            field=models.BooleanField(default=False, editable=False, help_text='Made administrator by FERRIS_OIDC_ADMIN_GROUP, not by hand.'),
        ),
        migrations.AddField(
            model_name='user',
            name='service_of',
            field=models.ForeignKey(blank=True, editable=False, help_text='Set: a service account of that project.', null=True, on_delete=django.db.models.deletion.CASCADE, related_name='service_accounts', to='catalog.project'),
        ),
        CreateModels([
            migrations.CreateModel(
                name='Allowance',
                fields=[
                    ('key', models.CharField(help_text='What is counted, and a digest of whose it is.', max_length=60, primary_key=True, serialize=False)),
                    ('used', models.PositiveIntegerField(default=0)),
                    ('until', models.DateTimeField(db_index=True, help_text='From then on it counts for nothing.')),
                ],
                options={
                    'ordering': ['key'],
                },
            ),
            migrations.CreateModel(
                name='AuditEntry',
                fields=[
                    ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                    ('at', models.DateTimeField()),
                    ('actor', models.CharField(help_text='A person, a service account, or an execution.', max_length=150)),
                    ('via', models.CharField(blank=True, help_text='How a token begins; empty: in a browser.', max_length=20)),
                    ('address', models.CharField(blank=True, max_length=60)),
                    ('action', models.CharField(help_text='The route, or what an execution did.', max_length=100)),
                    ('method', models.CharField(blank=True, max_length=10)),
                    ('status', models.PositiveSmallIntegerField(default=0, help_text="The answer's; 403: it was refused.")),
                    ('project_id', models.BigIntegerField(blank=True, null=True)),
                    ('project', models.CharField(blank=True, max_length=100)),
                    ('object', models.CharField(blank=True, help_text='What it was done to.', max_length=600)),
                    ('said', models.JSONField(default=dict, help_text='What was asked for, without anything that may be secret.')),
                    ('before', models.JSONField(default=dict, help_text='What changed of the object, as it was.')),
                    ('after', models.JSONField(default=dict)),
                ],
                options={
                    'verbose_name_plural': 'audit entries',
                    'ordering': ['-at', '-id'],
                    'indexes': [models.Index(fields=['-at', '-id'], name='accounts_au_at_a78707_idx'), models.Index(fields=['project_id', '-at', '-id'], name='accounts_au_project_144252_idx'), models.Index(fields=['actor', '-at', '-id'], name='accounts_au_actor_16a175_idx')],
                },
            ),
            migrations.CreateModel(
                name='BrowserSession',
                fields=[
                    ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                    ('session_key', models.CharField(editable=False, max_length=40, unique=True)),
                    ('address', models.CharField(blank=True, max_length=60)),
                    ('agent', models.CharField(blank=True, max_length=300)),
                    ('created_at', models.DateTimeField()),
                    ('user', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='browser_sessions', to=settings.AUTH_USER_MODEL)),
                ],
                options={
                    'ordering': ['-created_at', '-id'],
                },
            ),
            migrations.CreateModel(
                name='Membership',
                fields=[
                    ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                    ('role', models.CharField(choices=[('viewer', 'Viewer'), ('operator', 'Operator'), ('maintainer', 'Maintainer'), ('owner', 'Owner')], max_length=10)),
                    ('created_at', models.DateTimeField(auto_now_add=True)),
                    ('group', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.CASCADE, related_name='memberships', to='auth.group')),
                    ('project', models.ForeignKey(blank=True, help_text='Empty: every project, and what belongs to none.', null=True, on_delete=django.db.models.deletion.CASCADE, related_name='memberships', to='catalog.project')),
                    ('user', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.CASCADE, related_name='memberships', to=settings.AUTH_USER_MODEL)),
                ],
                options={
                    'ordering': ['id'],
                    'constraints': [models.CheckConstraint(condition=models.Q(models.Q(('group', None), ('user__isnull', False)), models.Q(('group__isnull', False), ('user', None)), _connector='OR'), name='membership_of_one'), models.UniqueConstraint(condition=models.Q(('user__isnull', False)), fields=('user', 'project'), name='membership_user_once'), models.UniqueConstraint(condition=models.Q(('group__isnull', False)), fields=('group', 'project'), name='membership_group_once'), models.UniqueConstraint(condition=models.Q(('project', None), ('user__isnull', False)), fields=('user',), name='membership_user_everywhere'), models.UniqueConstraint(condition=models.Q(('group__isnull', False), ('project', None)), fields=('group',), name='membership_group_everywhere')],
                },
            ),
        ]),
        migrations.RunPython(audit.protect, audit.unprotect),
    ]
