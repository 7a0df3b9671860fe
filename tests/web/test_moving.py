"""The tables as lines and back: everything comes back as it was, but what must not be."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from cryptography.fernet import Fernet
from django.contrib.auth.models import Group, Permission

from ferris.errors import Conflict
from ferris_web.accounts.models import User
from ferris_web.catalog import secrets
from ferris_web.catalog.models import Project, Secret
from ferris_web.executions.models import DeadLetter, Event, Execution
from ferris_web.executions.moving import carry, rows, standstill
from tests.web import console_platform
from tests.web.platform import NOW, dispatch, event, service

pytestmark = pytest.mark.django_db(transaction=True)
ADJUSTED = {
    "executions.execution": ("rung_at",),
    "executions.event": ("partition",),
    "executions.deadletter": ("partition", "offset"),
    "catalog.secret": ("ciphertext",),
    "catalog.connection": ("ciphertext",),
    "catalog.webhook": ("ciphertext",),
    "catalog.subscription": ("ciphertext",),
    "catalog.notificationrule": ("ciphertext",),
}


def said() -> dict[str, list]:
    """All rows as an archive holds them."""
    return json.loads(json.dumps({rows.label(m): list(rows.lines(m)) for m in rows.MODELS}, default=str))


def emptied() -> None:
    from django.core.management import call_command

    call_command("flush", verbosity=0, interactive=False)


def test_every_row_comes_back_as_it_was():
    console_platform.fill(NOW)
    service("mine", "a.happened")
    dispatch(event(data={"big": 2**63, "text": "ä", "none": None}))
    person = User.objects.create_user("somebody", password="a long password")
    group = Group.objects.create(name="operators")
    group.permissions.set(Permission.objects.filter(codename__startswith="view_")[:3])
    person.groups.add(group)
    DeadLetter.objects.create(
        topic="t",
        partition=3,
        offset=7,
        reason="unreadable",
        detail="",
        value=b"\xff\0",
        created_at="2026-01-01T00:00Z",
    )
    before = said()
    assert all(before[name] for name in ("executions.execution", "catalog.service", "auth.group"))
    emptied()
    rows.take_in(lambda label: before[label])
    after = said()
    for name, lines in before.items():
        for line, back in zip(lines, after[name], strict=True):
            for adjusted in ADJUSTED.get(name, ()):
                line.pop(adjusted), back.pop(adjusted)
            assert back == line
    assert Project.objects.create(name="next").pk not in {line["id"] for line in before["catalog.project"]}


def test_nothing_that_was_rung_counts_as_rung_and_no_place_is_one_of_this_log():
    service("mine", "a.happened")
    dispatch(event())
    lines = said()
    emptied()
    rows.take_in(lambda label: lines[label])
    assert Execution.objects.get().rung_at is None
    assert Event.objects.get().partition == rows.ELSEWHERE


def test_secrets_are_encrypted_anew_with_the_first_key(settings):
    secrets.secret_set("platform", "name", "value")
    lines = said()
    emptied()
    first = Fernet.generate_key().decode()
    settings.FERRIS = replace(settings.FERRIS, secret_keys=(first, *settings.FERRIS.secret_keys))
    rows.take_in(lambda label: lines[label])
    assert json.loads(Fernet(first).decrypt(Secret.objects.get().ciphertext.encode())) == "value"


def test_what_runs_keeps_a_platform_from_being_exported(tmp_path):
    service("mine", "a.happened")
    dispatch(event())
    Execution.objects.update(status="in_progress")
    with pytest.raises(Conflict, match="in progress"):
        standstill.nothing_under_way()


def test_an_error_in_the_middle_leaves_the_tables_as_they_were():
    User.objects.create_superuser("admin", password="a long password")
    lines = said()
    lines["catalog.project"] = [{"id": 1, "name": "one", "created_at": "2026-01-01T00:00Z"}, {"id": "x"}]
    with pytest.raises(Exception, match="x"):
        rows.take_in(lambda label: lines[label])
    assert User.objects.filter(username="admin").exists()
    assert not Project.objects.exists()
    assert carry.rows.occupied() == ""
