"""`manage.py doctor`: each thing that can be wrong is found, with its remedy."""

from __future__ import annotations

import dataclasses
import io
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from django.conf import settings
from django.core.management import call_command
from django.core.servers.basehttp import ThreadedWSGIServer, WSGIRequestHandler
from django.core.wsgi import get_wsgi_application
from django.db.migrations.recorder import MigrationRecorder

from ferris import environments
from ferris import findings as findings_of_adapters
from ferris.config import PACKAGES_BUCKET
from ferris.public_addresses import networks
from ferris_web import wiring
from ferris_web.accounts.models import User
from ferris_web.catalog import secrets, selectors, services
from ferris_web.catalog.models import Project, Repository, Secret
from ferris_web.catalog.repositories import repository_add
from ferris_web.executions import checkup
from ferris_web.executions.checkup import Finding, machine, platform
from ferris_web.executions.models import DeadLetter
from gateway.scheduler import Scheduler
from tests.web.at_once import at_work
from tests.web.folders import NOW, SourceFolder

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("backends")]


class _Quiet(WSGIRequestHandler):
    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "ANSWER_SECONDS", 0.3)


@pytest.fixture
def gateway(backends: Path) -> Iterator[None]:
    """The scheduler's role, which is the one that takes notice."""
    with at_work(Scheduler(wiring.event_log())):
        yield


def findings() -> dict[str, list[Finding]]:
    found: dict[str, list[Finding]] = {}
    for finding in checkup.checkup(datetime.now(UTC)):
        found.setdefault(finding.part, []).append(finding)
    return found


def bad(found: dict[str, list[Finding]], part: str) -> Finding:
    [one] = [finding for finding in found[part] if finding.level != "ok"]
    assert one.remedy
    return one


def test_a_platform_that_is_down() -> None:
    out = io.StringIO()
    with pytest.raises(SystemExit) as ended:
        call_command("doctor", stdout=out)
    assert ended.value.code == 1
    said = out.getvalue()
    assert "FAIL  web" in said
    assert "FAIL  engine" in said
    assert "make run" in said
    assert "ok    event log" in said
    assert "ok    object store" in said
    assert "ok    config store" in said
    assert "ok    ops store" in said
    assert "ok    programs      git version" in said
    assert "ok    programs      uv " in said
    assert "All is well." not in said


@pytest.mark.usefixtures("gateway")
def test_a_platform_that_runs(source: SourceFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    server = ThreadedWSGIServer(("127.0.0.1", 0), _Quiet)
    server.set_app(get_wsgi_application())
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_address[1]}/control"
    monkeypatch.setattr(settings, "FERRIS", dataclasses.replace(settings.FERRIS, control_url=address))
    monkeypatch.setattr(platform, "ANSWER_SECONDS", 5.0)
    User.objects.create_superuser("admin", password="x")
    source.service("orders")
    services.project_sync(repository_add("shop", str(source.root), now=NOW).project, now=NOW)
    out = io.StringIO()
    try:
        call_command("doctor", stdout=out)
    except SystemExit:
        pytest.fail(out.getvalue())
    finally:
        server.shutdown()
        server.server_close()
    assert "All is well." in out.getvalue(), out.getvalue()
    assert "FAIL" not in out.getvalue()
    assert "ok    engine        the gateway answers" in out.getvalue()


def test_a_lost_package(source: SourceFolder) -> None:
    source.service("orders")
    services.project_sync(repository_add("shop", str(source.root), now=NOW).project, now=NOW)
    assert [f.level for f in findings()["object store"]] == ["ok"]
    digest = selectors.service_get("orders").version.digest  # type: ignore[union-attr]
    wiring.object_store().delete(PACKAGES_BUCKET, selectors.package_key(digest))
    finding = bad(findings(), "object store")
    assert (finding.level, finding.remedy) == ("failure", "manage.py sync shop")
    assert "orders" in finding.text
    call_command("sync", "shop", stdout=io.StringIO())
    assert [f.level for f in findings()["object store"]] == ["ok"], "the remedy helps"


def test_a_schema_that_is_behind() -> None:
    recorder = MigrationRecorder.Migration.objects.filter(app="executions")
    rows = list(recorder)
    recorder.delete()
    try:
        finding = bad(findings(), "database")
        assert (finding.level, "manage.py migrate" in finding.remedy) == ("failure", True)
    finally:
        MigrationRecorder.Migration.objects.bulk_create(rows)


def test_keys_that_others_may_read_and_keys_that_are_lost(ferris_home: Path) -> None:
    key = ferris_home / "keys" / "session.key"
    key.chmod(0o644)
    try:
        finding = bad(findings(), "keys")
        assert ("session.key" in finding.text, finding.remedy) == (True, f"chmod 600 {key}")
    finally:
        key.chmod(0o600)
    assert [f.level for f in findings()["keys"]] == ["ok"]
    secrets.secret_set("platform", "TOKEN", "v")
    Secret.objects.update(ciphertext=Fernet(Fernet.generate_key()).encrypt(b'"v"').decode())
    assert "TOKEN (platform)" in bad(findings(), "keys").text


def test_a_store_that_cannot_be_used(backends: Path) -> None:
    (backends / "objects").write_text("no folder")
    try:
        found = findings()
        assert bad(found, "object store").level == "failure"
        assert [f.level for f in found["config store"]] == ["ok"], "the others are looked at all the same"
    finally:
        (backends / "objects").unlink()


def test_no_administrator_late_work_and_dead_letters(source: SourceFolder) -> None:
    source.service("orders", {"schedule": "@hourly"})
    long_ago = datetime.now(UTC) - timedelta(hours=5)
    services.project_sync(repository_add("shop", str(source.root), now=long_ago).project, now=long_ago)
    DeadLetter.objects.create(
        topic="ferris.events",
        offset=1,
        reason="unreadable",
        detail="x",
        value=b"x",
        created_at=datetime.now(UTC),
    )
    found = findings()
    assert "administrator" in bad(found, "database").text
    texts = [finding.text for finding in found["work"]]
    assert any("1 schedules are overdue" in text for text in texts)
    assert any("1 dead letters" in text for text in texts)


def test_a_disk_that_is_nearly_full(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(findings_of_adapters, "LOW_DISK", 2**62)
    assert bad(findings(), "home").level == "warning"
    monkeypatch.setattr(findings_of_adapters, "NO_DISK", 2**62)
    assert bad(findings(), "home").level == "failure"


def test_a_proxy_that_nobody_named(monkeypatch: pytest.MonkeyPatch) -> None:
    known = dataclasses.replace(wiring.config(), public_url="https://ferris.example.org")
    monkeypatch.setattr(wiring, "config", lambda: known)
    assert "FERRIS_PROXIES" in bad(findings(), "sign-in").remedy
    known = dataclasses.replace(known, proxies=networks(["10.0.0.0/8"]))
    assert all(finding.level == "ok" for finding in findings()["sign-in"])


def test_a_program_that_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    finding = bad(findings(), "programs")
    assert (finding.level, finding.remedy) == ("failure", "install git")


def test_ssh_is_missed_by_those_who_need_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    git = shutil.which("git")
    assert git is not None
    (tmp_path / "git").symlink_to(git)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert all(finding.level == "ok" for finding in findings()["programs"])
    shop = Project.objects.create(name="shop")
    Repository.objects.create(project=shop, source="git@git.example:shop.git")
    finding = bad(findings(), "programs")
    assert "ssh is missing" in finding.text
    assert finding.remedy == "install openssh-client"


def test_the_findings_as_json() -> None:
    out = io.StringIO()
    with pytest.raises(SystemExit):
        call_command("doctor", stdout=out, json=True)
    rows = [json.loads(line) for line in out.getvalue().splitlines()]
    assert {"level": "failure", "part": "web"}.items() <= next(r for r in rows if r["part"] == "web").items()


@pytest.mark.parametrize("level", ["off", "basic", "best"])
def test_what_scripts_are_kept_from(level: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "FERRIS", dataclasses.replace(settings.FERRIS, isolation=level))
    found = findings()["isolation"]
    assert found[0].text.startswith(level)
    if level == "off":
        assert found[0].level == "warning"
        assert "FERRIS_ISOLATION=basic" in found[0].remedy
        return
    assert "limits" in found[0].text
    lacking = [one.text for one in found if one.text.startswith("without ")]
    for text in lacking:
        assert text.split()[1] not in found[0].text.split(", with ")[1].split(", ")
    [builds] = [one for one in found if one.text.startswith("packages are built with limits")]
    assert (builds.level == "ok") is ("rules" in found[0].text)
    as_root = [one for one in found if "runs as root" in one.text and "FERRIS_HOME" in one.text]
    assert bool(as_root) is (os.geteuid() == 0 and level == "basic")


@pytest.mark.parametrize("runner", ["warm", "cold"])
def test_how_scripts_are_started(runner: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    config = dataclasses.replace(settings.FERRIS, runner=runner, home=tmp_path)
    monkeypatch.setattr(settings, "FERRIS", config)
    for name, text in (("good", None), ("bad", "#!/bin/sh\nexit 1\n")):
        python = environments.python_of(tmp_path / "cache" / "environments" / name)
        python.parent.mkdir(parents=True)
        environments.lock_of(python.parent.parent).touch()
        if text is None:
            subprocess.run([sys.executable, "-m", "venv", "--without-pip", python.parent.parent], check=True)
        else:
            python.write_text(text)
            python.chmod(0o755)
        environments.write_about(python.parent.parent, [])
    found = list(machine.starts("starts", datetime.now(UTC)))
    if runner == "cold":
        assert [(one.level, "FERRIS_RUNNER=cold" in one.text) for one in found] == [("ok", True)]
        return
    assert [one.level for one in found] == ["ok", "warning"]
    assert "1 of 2 Pythons" in found[0].text
    assert "Python of bad " in found[1].text
    assert "it ended while it came up" in found[1].text
