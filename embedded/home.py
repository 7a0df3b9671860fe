"""Prepares a home before the processes start: schema, administrator; and the files that browsers get."""

from __future__ import annotations

import secrets

from django.core.management import call_command
from django.db import connection, connections
from django.db.migrations.executor import MigrationExecutor

from ferris_web import static_files, wiring
from ferris_web.accounts.models import User
from ferris_web.accounts.noted import command_noted

ADMINISTRATOR = "admin"


def prepare() -> str | None:
    """Bring schema and static files up to date and see that somebody can sign in.

    A new administrator's password is FERRIS_ADMIN_PASSWORD; without it a random one is made and returned: it is
    shown once and kept nowhere.
    Leaves no connection open, so that the caller may fork.
    """
    static_files.prepare()
    executor = MigrationExecutor(connection)
    if executor.migration_plan(executor.loader.graph.leaf_nodes()):
        call_command("migrate", verbosity=0, interactive=False)
    password = None
    if not User.objects.filter(is_superuser=True).exists():
        given = wiring.config().admin_password
        password = None if given else secrets.token_urlsafe(12)
        User.objects.create_superuser(ADMINISTRATOR, password=given or password)
        command_noted("command:createsuperuser", ADMINISTRATOR)
    connections.close_all()
    return password
