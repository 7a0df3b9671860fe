"""The database: version, schema, rights, clock, connections."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from django.db import connection, transaction
from django.db.migrations.executor import MigrationExecutor

from ferris.findings import Finding, clock
from ferris_web.accounts.models import User
from ferris_web.catalog.changes import revision_bump

_FULL = 0.8


def database(part: str, now: datetime) -> Iterator[Finding]:
    """Every finding; DatabaseError when it does not let us in."""
    if connection.vendor == "postgresql":
        yield from _postgresql(part)
    executor = MigrationExecutor(connection)
    missing = executor.migration_plan(executor.loader.graph.leaf_nodes())
    if missing:
        yield Finding(
            "failure",
            part,
            f"{len(missing)} migrations are missing",
            "manage.py migrate (manage.py ferris does it at its start)",
        )
        return
    with transaction.atomic():
        revision_bump()
        transaction.set_rollback(True)
    yield Finding("ok", part, f"{connection.vendor}, schema up to date, can be written")
    if not User.objects.filter(is_superuser=True, is_active=True).exists():
        yield Finding("warning", part, "there is no administrator", "manage.py createsuperuser")


def _postgresql(part: str) -> Iterator[Finding]:
    with connection.cursor() as cursor:
        asked = datetime.now(UTC)
        cursor.execute(
            "SELECT clock_timestamp(), current_setting('server_version'), current_user, current_database(),"
            " has_schema_privilege(current_schema(), 'CREATE'), current_setting('max_connections')::int,"
            " pg_database_size(current_database())"
        )
        answered = datetime.now(UTC)
        time, version, user, name, may_create, most, size = cursor.fetchone()
        cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'")
        (used,) = cursor.fetchone()
    text = (
        f"PostgreSQL {version.split()[0]}, {name} has {size / 1024**2:,.0f} MiB, {used} of {most} connections"
    )
    if used > most * _FULL:
        yield Finding("warning", part, text, "raise max_connections, or put pgbouncer in front")
    else:
        yield Finding("ok", part, text)
    yield from clock(part, time, asked, answered)
    if not may_create:
        yield Finding(
            "warning",
            part,
            f"{user} may not make tables: the next update cannot bring the schema up to date",
            f'as a superuser: ALTER DATABASE "{name}" OWNER TO "{user}"',
        )
