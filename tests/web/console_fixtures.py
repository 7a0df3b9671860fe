"""Fixtures of the console's tests: a platform in use, and somebody who is signed in."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from django.core.cache import cache
from django.core.management import call_command
from django.test import Client
from pytest_django.plugin import DjangoDbBlocker

from tests.web.console_platform import fill
from tests.web.console_rows import Rows

HOSTILE = "\"'><script>alert(1)</script><img src=x onerror=alert(2)>"


def _stores_cleared(home: Path) -> None:
    from ferris_web import wiring

    wiring.reset()
    for name in ("log", "objects", "repositories"):
        shutil.rmtree(home / name, ignore_errors=True)
    for path in home.glob("ops.db*"):
        path.unlink()


def _filled(home: Path, blocker: DjangoDbBlocker, hostile: str) -> Iterator[Rows]:
    _stores_cleared(home)
    with blocker.unblock():
        yield fill(datetime.now(UTC), long=40, hostile=hostile)
        call_command("flush", interactive=False, verbosity=0)
    _stores_cleared(home)


@pytest.fixture(scope="module")
def rows(django_db_setup: None, django_db_blocker: DjangoDbBlocker, ferris_home: Path) -> Iterator[Rows]:
    """A platform that has been in use for a day."""
    yield from _filled(ferris_home, django_db_blocker, "")


@pytest.fixture(scope="module")
def hostile_rows(
    django_db_setup: None, django_db_blocker: DjangoDbBlocker, ferris_home: Path
) -> Iterator[Rows]:
    """The same, with an attempt to run script in every text that comes from users or senders."""
    yield from _filled(ferris_home, django_db_blocker, HOSTILE)


@pytest.fixture
def person(db: None, client: Client) -> Client:
    """A browser of somebody who is signed in, and no administrator."""
    from ferris_web.accounts.models import User

    cache.clear()
    client.force_login(User.objects.create_user("ada", password="a long password"))
    return client


@pytest.fixture
def administrator(db: None) -> Client:
    """A browser of an administrator."""
    from ferris_web.accounts.models import User

    cache.clear()
    client = Client()
    client.force_login(User.objects.create_superuser("root", password="a long password"))
    return client


def addresses(rows: Rows) -> list[str]:
    """Every page that shows rows."""
    services = ("make_report", "quakes_alert", "old_report", "lost_report", "hello_world")
    pages = ("", "run/", "files/", "edit/", "edit/order/", "settings/", "versions/", "why/")
    return [
        "/",
        "/help/",
        "/help/?q=retry",
        "/help/tutorial/",
        "/help/commands/",
        "/api/docs/",
        "/api/docs/services_run_create/",
        "/services/",
        "/services/?q=report&project=reports&state=active",
        "/projects/",
        "/projects/add/",
        "/projects/quakes/",
        "/projects/reports/",
        "/values/",
        "/secrets/",
        "/services/quakes_alert/config/",
        "/services/quakes_alert/config/history/",
        "/projects/quakes/config/",
        "/projects/quakes/config/history/1/",
        "/platform/config/",
        "/platform/config/history/",
        "/services/quakes_alert/state/",
        "/services/quakes_alert/state/history/",
        "/services/quakes_alert/state/history/1/",
        "/connections/",
        "/webhooks/",
        "/subscriptions/",
        "/notifications/",
        "/charts/",
        "/charts/?project=quakes",
        *(
            f"/charts/add/?project=quakes&source={source}"
            for source in ("events", "metrics", "artifact", "url")
        ),
        f"/charts/{rows.chart.pk}/",
        "/executions/",
        "/executions/?status=failed&service=make_report&since=24h&trigger=triggered&project=reports",
        f"/executions/?q={rows.flow}",
        "/failures/",
        "/failures/?service=make_report&since=7d",
        "/flows/",
        f"/flows/{rows.flow}/",
        f"/flows/{rows.long_flow}/?service=quakes_alert&status=failed",
        "/events/",
        "/events/?type=quakes.*&matched=some&since=7d",
        f"/events/{rows.event.pk}/",
        f"/events/{rows.event.pk}/why/?all=1",
        "/events/send/",
        f"/events/send/?from={rows.event.pk}",
        "/backtest/",
        "/backtest/?service=make_report&project=quakes",
        "/event-types/",
        "/event-types/quakes.quake.detected/",
        "/schedules/",
        "/topics/",
        "/topics/ferris.control/",
        "/dead-letters/",
        f"/dead-letters/{rows.letter.pk}/",
        "/replays/",
        "/replays/new/?service=make_report",
        f"/replays/{rows.replay.pk}/",
        f"/schedules/{rows.schedule.pk}/missed/?since=7d",
        "/objects/",
        "/objects/reports/",
        "/objects/reports/?prefix=quakes/2026/",
        *(f"/services/{name}/{page}" for name in services for page in pages),
        "/services/make_report/versions/1/",
        "/map/",
        "/map/?project=quakes&state=both",
        *(f"/executions/{row.pk}/" for row in rows.executions.values()),
    ]


# Texts that code reads, and that only code writes; or that the forms check, and addresses are made of.
_READ_BY_CODE = frozenset(
    (
        "action", "address", "branch", "bucket", "cause", "ciphertext", "code", "commit", "content_type",
        "cron", "day", "digest", "event_type", "fingerprint", "flow_id", "folder", "group", "job", "kind",
        "known_hosts", "lane", "level", "listing", "method", "mode", "password", "pinned", "prefix",
        "private_key", "public_key", "query", "reason", "root_type", "script", "sealed", "session_key",
        "shown", "source", "state", "status", "strategy", "target", "timezone", "token", "topic",
        "trigger_type", "type", "unit", "url", "username", "via", "path", "place", "filter",
    )
)  # fmt: skip


def plant(hostile: str) -> int:
    """Put the text into each column of text there is whose content is a person's, a script's or a sender's, and is
    read by nobody but people: new columns too. How many columns."""
    from django.apps import apps
    from django.db import models
    from django.db.models.functions import Concat, Left

    planted = 0
    for model in apps.get_models():
        if not model.__module__.startswith("ferris_web."):
            continue
        for column in model._meta.concrete_fields:
            room = column.max_length or 100_000
            if (
                not isinstance(column, models.CharField | models.TextField)
                or column.unique
                or column.choices
                or column.name in _READ_BY_CODE
                or room < 2 * len(hostile)
                or any(column.name in getattr(one, "fields", ()) for one in model._meta.constraints)
            ):
                continue
            name = column.name
            text = Concat(
                Left(name, room - len(hostile)), models.Value(hostile), output_field=models.TextField()
            )
            rows = model._default_manager.exclude(**{f"{name}__contains": hostile})
            planted += bool(models.QuerySet(model).filter(pk__in=rows.values("pk")).update(**{name: text}))
    return planted
