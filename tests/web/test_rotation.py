"""Another encryption key for everything, while processes read; killed in the middle, it goes on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path

import pytest
from allauth.mfa.models import Authenticator
from cryptography.fernet import Fernet
from django.core.management import CommandError, call_command
from django.db import connection

from ferris.encryption_keys import keys_path, keys_read, keys_replace, keys_stamp
from ferris.errors import Conflict
from ferris_web import wiring
from ferris_web.accounts.models import AuditEntry, User
from ferris_web.accounts.noted import account
from ferris_web.accounts.second_factors import FactorAdapter
from ferris_web.catalog import connections, secrets
from ferris_web.catalog.models import (
    NotificationRule,
    Project,
    Repository,
    RepositorySecret,
    Secret,
    Subscription,
    Webhook,
)
from ferris_web.catalog.rotation import key_begin, keys_drop, reencrypt, sealed, standing

pytestmark = pytest.mark.django_db
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, settings) -> Iterator[Path]:
    """A home with a file of keys of its own."""
    (tmp_path / "keys").mkdir(mode=0o700)
    key = Fernet.generate_key().decode()
    keys_path(tmp_path).write_text(f"{key}\n")
    settings.FERRIS = replace(
        settings.FERRIS, home=tmp_path, secret_keys=(key,), keys_stamp=keys_stamp(tmp_path)
    )
    return tmp_path


def later() -> datetime:
    return datetime.now(UTC) + timedelta(seconds=61)


def command(*words: str) -> str:
    out = StringIO()
    call_command("rotate-keys", *words, stdout=out, stderr=out)
    return out.getvalue()


def one_of_each() -> None:
    """A row of every model that keeps something encrypted."""
    project = Project.objects.create(name="p")
    text = secrets.encrypted("s3cr3t")
    Secret.objects.create(scope="platform", name="a", ciphertext=text)
    connections.connection_set("db", url="postgresql://a:s3cr3t@db/x", projects=[project])
    Webhook.objects.create(name="w", ciphertext=text)
    repository = Repository.objects.create(project=project, source="https://example.org/x.git")
    RepositorySecret.objects.create(repository=repository, kind="push", ciphertext=text)
    Subscription.objects.create(name="s", project=project, ciphertext=text)
    NotificationRule.objects.create(name="n", project=project, ciphertext=text)
    data = {"secret": FactorAdapter().encrypt("s3cr3t")}
    Authenticator.objects.create(user=User.objects.create(username="ada"), type="totp", data=data)


def test_everything_that_is_encrypted_moves_and_the_old_key_can_go(home):
    one_of_each()
    models = [kept.model for kept in sealed()]
    assert len(models) >= 7
    assert all(model._base_manager.count() == 1 for model in models), "add a row of the new model"
    old = keys_read(home)[0]
    assert f"{len(models)} of {len(models)} secrets hang on the first of 2 keys" in command()
    wanted = {"secrets": len(models), "by_key": [len(models), 0], "unreadable": []}
    assert json.loads(command("--status", "--json")) == wanted
    new = keys_read(home)[0]
    assert keys_read(home) == (new, old)
    assert oct(keys_path(home).stat().st_mode)[-3:] == "600"
    for kept in sealed():
        [text] = kept.texts(getattr(kept.model._base_manager.get(), kept.column))
        assert Fernet(new).decrypt(text.encode())
    entries = list(AuditEntry.objects.order_by("id"))
    assert [(entry.actor, entry.action) for entry in entries] == [
        ("manage.py", "keys.new"), ("manage.py", "keys.rotated"),
    ]  # fmt: skip
    assert entries[1].said == {
        "account": account(),
        "first_key": len(models),
        "older_keys": 0,
        "unreadable": 0,
    }
    assert keys_drop(later()) == 1
    assert keys_read(home) == (new,)
    assert standing().by_key == [len(models)]
    assert secrets.decrypted(Secret.objects.get().ciphertext, "a") == "s3cr3t"


def test_a_running_process_follows(home, settings):
    """Its settings are those of its start."""
    secrets.secret_set("platform", "a", 1)
    before = wiring.config().secret_keys
    assert key_begin()
    assert wiring.config().secret_keys == before
    secrets.secret_set("platform", "b", 2)
    assert standing().by_key == [1, 1]
    reencrypt()
    assert {name: secrets.decrypted(Secret.objects.get(name=name).ciphertext, name) for name in "ab"} == {
        "a": 1, "b": 2,
    }  # fmt: skip


def test_old_keys_stay_while_something_hangs_on_them(home):
    secrets.secret_set("platform", "a", 1)
    key_begin()
    with pytest.raises(Conflict, match="1 secrets hang on an older key"):
        keys_drop(later())
    with pytest.raises(CommandError, match="wait until"):  # what was encrypted before may not be written yet
        command("--drop-old")
    assert "0 of 1 secrets hang on the first of 2 keys" in command("--status")
    assert len(keys_read(home)) == 2


def test_what_no_key_opens_is_named_and_the_others_move(home):
    secrets.secret_set("platform", "a", 1)
    Secret.objects.create(scope="platform", name="gone", ciphertext="x")
    with pytest.raises(CommandError, match=r"gone \(platform\)"):
        command()
    assert standing().by_key == [1, 0]


def test_a_value_that_is_set_meanwhile_stays(home):
    for number in range(6):
        secrets.secret_set("platform", f"s{number}", "old")
    key_begin()

    def meanwhile(done: int, of: int) -> None:
        secrets.secret_set("platform", "s5", "new")

    assert reencrypt(batch=2, tell=meanwhile).by_key == [6, 0]
    assert secrets.decrypted(Secret.objects.get(name="s5").ciphertext, "s5") == "new"


def test_keys_of_the_environment_are_not_replaced(settings, home):
    settings.FERRIS = replace(settings.FERRIS, keys_stamp=None)
    before = keys_path(home).read_text()
    with pytest.raises(CommandError, match="FERRIS_ENCRYPTION_KEYS"):
        command()
    assert keys_path(home).read_text() == before
    command("--no-new-key")


def test_another_rotation_keeps_the_keys_of_the_first(home):
    old = keys_read(home)
    keys_replace(home, ("other", *old))
    with pytest.raises(ValueError, match="key"):  # no key of ours: nothing is done with it
        standing()
    keys_replace(home, old)
    assert key_begin()
    assert key_begin()  # nothing hangs on the older one: another in front, none lost
    assert keys_read(home)[2:] == old
    assert len(set(keys_read(home))) == 3


def test_nothing_that_it_leaves_can_be_read_by_others(home):
    """`doctor` fails a folder of keys in which somebody else may read something."""
    keys = home / "keys"
    keys_path(home).chmod(0o600)
    assert key_begin()
    loose = [path.name for path in keys.iterdir() if path.stat().st_mode & 0o077]
    assert loose == []
    (keys / ".encryption.keys.lock").chmod(0o644)  # as an earlier release left it
    assert key_begin()
    assert [path.name for path in keys.iterdir() if path.stat().st_mode & 0o077] == []


def _environment(home: Path) -> dict[str, str]:
    own = {"FERRIS_DATABASE": f"sqlite:///{connection.settings_dict['NAME']}"}
    return os.environ | {
        **(own if connection.vendor == "sqlite" else {}),
        "DJANGO_SETTINGS_MODULE": "ferris_web.settings",
        "FERRIS_HOME": str(home),
    }


READER = """
import sys, django
django.setup()
from ferris_web.catalog.models import Secret
from ferris_web.catalog.secrets import decrypted
print("ready", flush=True)
import select
rounds = 0
while not select.select([sys.stdin], [], [], 0)[0] or rounds < 2:
    for row in Secret.objects.all():
        assert decrypted(row.ciphertext, row.name) == row.name, row.name
    rounds += 1
print(rounds, flush=True)
"""


@pytest.mark.django_db(transaction=True)
def test_killed_in_the_middle_it_goes_on_and_processes_read_all_the_time(home):
    for number in range(60):
        secrets.secret_set("platform", f"s{number:02}", f"s{number:02}")
    environment = _environment(home)
    reader = subprocess.Popen(
        [sys.executable, "-c", READER],
        env=environment, cwd=ROOT, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert reader.stdout is not None
    assert reader.stdout.readline() == "ready\n"
    rotating = subprocess.Popen(
        [sys.executable, "manage.py", "rotate-keys", "--batch", "1"],
        env=environment, cwd=ROOT, text=True, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    assert rotating.stderr is not None
    assert rotating.stderr.readline() == "A new key is in front.\n"
    for _ in range(3):
        assert "moved" in rotating.stderr.readline()
    rotating.kill()
    rotating.wait()
    rotating.stderr.close()
    left = standing()
    assert (left.keys, left.lost, left.total) == (2, [], 60)
    assert 0 < left.old < 60
    secrets.secret_set("platform", "s00", "s00")
    assert "A rotation is under way" in command()
    assert standing().by_key == [60, 0]
    out, _ = reader.communicate("stop\n", timeout=60)
    assert reader.returncode == 0
    assert int(out) >= 2


@pytest.mark.django_db(transaction=True)
def test_threads_that_write_while_it_runs_leave_nothing_behind(home):
    for number in range(20):
        secrets.secret_set("platform", f"s{number}", 0)
    wrong: list[Exception] = []

    def write() -> None:
        try:
            for number in range(20):
                secrets.secret_set("platform", f"s{number}", number)
        except Exception as error:
            wrong.append(error)
        finally:
            connection.close()

    key_begin()
    thread = threading.Thread(target=write)
    thread.start()
    reencrypt(batch=3)
    thread.join()
    assert not wrong
    assert standing().by_key == [20, 0]
