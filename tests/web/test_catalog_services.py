"""Projects, uploads, schedules, secrets and the lock, apart from what a sync does with a folder's content."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import zoneinfo
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from django.core.exceptions import ValidationError
from django.db import connection

from ferris.config import ROOT
from ferris.errors import BackendError, Conflict, NotFound
from ferris_web.catalog import secrets, selectors, services
from ferris_web.catalog.configs import configs_of
from ferris_web.catalog.models import Project, Schedule, Secret, Service, SyncRun
from ferris_web.catalog.repositories import repository_add
from ferris_web.catalog.rotation import standing
from ferris_web.catalog.sync import repositories_locked
from ferris_web.catalog.values import Kind, Place
from ferris_web.executions.services.values import value_get, value_set
from tests.web.folders import NOW, SourceFolder

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("backends")]


@pytest.fixture
def project(source: SourceFolder) -> Project:
    return repository_add("shop", str(source.root), now=NOW).project


@pytest.fixture
def service(project: Project, source: SourceFolder) -> Service:
    source.service("orders", {"trigger_events": ["order.placed"]})
    services.project_sync(project, now=NOW)
    return selectors.service_get("orders")


# ------------------------------------------------------------------------------------------------ projects


def test_a_project_is_added_once(project: Project, source: SourceFolder) -> None:
    with pytest.raises(Conflict, match="already"):
        repository_add("shop", str(source.root / ".." / "source"), now=NOW)
    assert project.repositories.get().source == str(source.root)


@pytest.mark.parametrize("name", ["", "a b", "ä", "x" * 101])
def test_a_project_needs_a_plain_name(source: SourceFolder, name: str) -> None:
    with pytest.raises(ValidationError) as wrong:
        repository_add(name, str(source.root), now=NOW)
    assert "name" in wrong.value.message_dict


def test_a_project_that_is_removed_keeps_its_services(project: Project, service: Service) -> None:
    assert services.project_remove(project, now=NOW) == ["orders"]
    assert selectors.service_get("orders").vanished_at == NOW
    assert selectors.triggers_all() == []
    with pytest.raises(Conflict, match="no repository"):
        services.project_sync(project, now=NOW)


def test_a_removed_project_comes_back(project: Project, service: Service, source: SourceFolder) -> None:
    services.project_remove(project, now=NOW)
    [run] = services.project_sync(repository_add("shop", str(source.root), now=NOW).project, now=NOW)
    assert run.result["added"] == ["orders"]
    assert selectors.service_get("orders").pk == service.pk


def test_an_empty_project_is_removed_altogether(project: Project) -> None:
    assert services.project_remove(project, now=NOW) == []
    assert not Project.objects.exists()


def test_a_new_project_of_an_old_name_gets_nothing_of_the_old_one(
    project: Project, source: SourceFolder
) -> None:
    assert value_set(Place(Kind.CONFIG, project), {"host": "inner"}, actor="ada", now=NOW)
    services.project_remove(project, now=NOW)
    again = repository_add("shop", str(source.root), now=NOW).project
    assert value_get(Place(Kind.CONFIG, again), NOW) is None


# ------------------------------------------------------------------------------------- two at once, and kill


def test_two_syncs_at_once(project: Project, source: SourceFolder) -> None:
    source.service("orders")
    reading, go_on = threading.Event(), threading.Event()
    runs: list[SyncRun] = []

    def hold(line: str) -> None:
        reading.set()
        assert go_on.wait(60)

    def first() -> None:
        runs.extend(services.project_sync(project, now=NOW, progress=hold))
        connection.close()

    thread = threading.Thread(target=first)
    thread.start()
    assert reading.wait(60)
    with pytest.raises(Conflict, match="being synced already"):
        services.project_sync(project, now=NOW)
    go_on.set()
    thread.join(60)
    assert [run.status for run in runs] == ["completed"]
    [again] = services.project_sync(project, now=NOW)
    assert again.result["unchanged"] == ["orders"]


def test_removing_waits_for_nobody(project: Project) -> None:
    with repositories_locked(list(project.repositories.all())), pytest.raises(Conflict):
        services.project_remove(project, now=NOW)


_KILLED = """
import os, signal, sys, django
django.setup()
from datetime import UTC, datetime
from ferris_web.catalog import services, selectors, sync
def die(*arguments, **named): os.kill(os.getpid(), signal.SIGKILL)
setattr(sync, sys.argv[1], die)
services.project_sync(selectors.project_get("shop"), now=datetime.now(UTC))
"""


@pytest.mark.parametrize("moment", ["prepare", "apply", "vanish", "revision_bump"])
def test_a_sync_that_is_killed_leaves_the_old_catalog(
    project: Project, service: Service, source: SourceFolder, moment: str
) -> None:
    source.service("orders", {"trigger_events": ["other"]}, config_json={"a": 1}, secrets_json={"K": "v"})
    source.service("second")
    killed = subprocess.run([sys.executable, "-c", _KILLED, moment], cwd=ROOT, check=False, timeout=60)
    assert killed.returncode == -9
    assert [t.event_type for t in selectors.triggers_all()] == ["order.placed"]
    assert configs_of(service).of(service.name, service.project.name) == {}
    assert list(Service.objects.values_list("name", flat=True)) == ["orders"]
    assert SyncRun.objects.filter(status="running").count() == 1
    [run] = services.project_sync(project, now=NOW)
    assert (run.result["added"], run.result["changed"]) == (["second"], ["orders"])
    assert [t.event_type for t in selectors.triggers_all()] == ["other"]
    dead = SyncRun.objects.order_by("pk")[1]
    assert (dead.status, "process ended" in dead.error) == ("failed", True)


def test_a_store_that_fails_leaves_the_old_catalog(
    project: Project, service: Service, source: SourceFolder, backends: Path
) -> None:
    source.service("orders", run_py="print('new')")
    objects = backends / "objects"
    objects.rename(backends / "aside")
    objects.write_text("no folder")  # whoever runs the tests, root included, cannot write in here
    try:
        [run] = services.project_sync(project, now=NOW)
        assert run.status == "failed"
        assert selectors.service_get("orders").version_id == service.version_id
    finally:
        objects.unlink()
        (backends / "aside").rename(objects)
    [run] = services.project_sync(project, now=NOW)
    assert run.result["changed"] == ["orders"]


# ------------------------------------------------------------------------------------------------- uploads


def test_an_upload_is_a_service_and_each_change_a_version(project: Project) -> None:
    files = {"run.py": b"print(1)\n", "manifest.json": b'{"trigger_events": ["a"]}'}
    assert services.service_upload(project, "made", files, now=NOW).added == ["made"]
    files["run.py"] = b"print(2)\n"
    assert services.service_upload(project, "made", files, now=NOW).changed == ["made"]
    assert services.service_upload(project, "made", files, now=NOW).unchanged == ["made"]
    made = selectors.service_get("made")
    assert (made.version.number, made.repository) == (2, None)  # type: ignore[union-attr]


@pytest.mark.parametrize("path", ["../run.py", "/run.py", "a//b.py", "a/./b", "a\nb", "a\\b"])
def test_an_upload_under_a_strange_path_is_refused(project: Project, path: str) -> None:
    outcome = services.service_upload(project, "made", {path: b"x", "run.py": b"x"}, now=NOW)
    assert outcome.refused == ["made"]
    assert not Service.objects.exists()


def test_an_upload_does_not_replace_what_a_repository_holds(project: Project, service: Service) -> None:
    with pytest.raises(Conflict, match="change it there"):
        services.service_upload(project, "orders", {"run.py": b"x"}, now=NOW)


def test_a_sync_leaves_uploaded_services_alone(project: Project, source: SourceFolder) -> None:
    services.service_upload(project, "made", {"run.py": b"x = 1\nprint(x)"}, now=NOW)
    [run] = services.project_sync(project, now=NOW)
    assert run.result["removed"] == []
    assert selectors.service_get("made").runs


# ----------------------------------------------------------------------------------------------- schedules


def test_a_schedule_by_cron_and_once(service: Service) -> None:
    daily = services.schedule_add(
        service, origin="person", cron="30 2 * * *", timezone="Europe/Berlin", now=NOW
    )
    berlin = zoneinfo.ZoneInfo("Europe/Berlin")
    assert daily.next_due_at is not None
    assert daily.next_due_at.astimezone(berlin).strftime("%d %H:%M") == "25 02:30"
    once = services.schedule_add(service, origin="script", cron="0 13 24 11", parameters={"a": 1}, now=NOW)
    assert (once.once, once.next_due_at) == (True, NOW + timedelta(hours=1))
    assert [s.pk for s in selectors.schedules_due(NOW + timedelta(hours=2))] == [once.pk]
    assert selectors.schedules_next() == once.next_due_at


@pytest.mark.parametrize(
    ("cron", "zone"), [("x", "UTC"), ("0 0 30 2 *", "UTC"), ("@daily", "Mars/Olympus"), ("", "UTC")]
)
def test_a_schedule_that_cannot_be(service: Service, cron: str, zone: str) -> None:
    with pytest.raises(ValidationError):
        services.schedule_add(service, origin="person", cron=cron, timezone=zone, now=NOW)
    assert not Schedule.objects.exists()


def test_advancing_is_a_compare_and_set(service: Service) -> None:
    schedule = services.schedule_add(service, origin="person", cron="@hourly", now=NOW)
    due = schedule.next_due_at
    assert due is not None
    following = due + timedelta(hours=1)
    assert services.schedule_advance(schedule, fired=due, following=following)
    assert not services.schedule_advance(schedule, fired=due, following=following)
    assert services.schedule_advance(schedule, fired=following, following=None)
    schedule.refresh_from_db()
    assert (schedule.active, schedule.last_due_at, schedule.next_due_at) == (False, following, None)


def test_schedules_of_services_that_do_not_run_are_not_due(service: Service) -> None:
    services.schedule_add(service, origin="person", cron="@hourly", now=NOW)
    Service.objects.update(active=False)
    assert selectors.schedules_due(NOW + timedelta(days=1)) == []
    assert selectors.schedules_next() is None


def test_a_manifests_schedule_is_not_removed_here(project: Project, source: SourceFolder) -> None:
    source.service("clock", {"schedule": "@daily"})
    services.project_sync(project, now=NOW)
    with pytest.raises(Conflict, match="manifest"):
        services.schedule_remove(Schedule.objects.get())


# ------------------------------------------------------------------------------------------------- secrets


def test_the_nearest_secret_wins(project: Project, service: Service) -> None:
    secrets.secret_set("platform", "A", "platform")
    secrets.secret_set("platform", "B", "platform")
    secrets.secret_set("platform", "C", {"any": ["json", 1, None]})
    secrets.secret_set("project", "A", "project", project=project)
    secrets.secret_set("project", "B", "project", project=project)
    secrets.secret_set("service", "A", "service", service=service)
    secrets.secret_set("project", "D", "other", project=Project.objects.create(name="other"))
    assert secrets.secrets_of(service) == {
        "A": "service",
        "B": "project",
        "C": {"any": ["json", 1, None]},
    }
    assert [secrets.secret_find(service, name) for name in "ABD"] == ["service", "project", None]
    secrets.secret_delete("service", "A", service=service)
    assert secrets.secret_find(service, "A") == "project"
    with pytest.raises(NotFound):
        secrets.secret_delete("service", "A", service=service)


def test_a_scope_needs_its_owner(project: Project, service: Service) -> None:
    for scope, owner in (
        ("platform", {"project": project}),
        ("project", {}),
        ("service", {"project": project}),
    ):
        with pytest.raises(ValueError, match="scope"):
            secrets.secret_set(scope, "A", 1, **owner)
    with pytest.raises(ValueError, match="global"):
        secrets.secret_set("global", "A", 1)
    assert not Secret.objects.exists()


def test_a_key_that_was_lost_is_told_without_the_value(service: Service) -> None:
    secret = secrets.secret_set("service", "A", "word", service=service)
    assert standing().lost == []
    secret.ciphertext = Fernet(Fernet.generate_key()).encrypt(b'"word"').decode()
    secret.save()
    with pytest.raises(BackendError, match="encryption keys"):
        secrets.secrets_of(service)
    assert standing().lost == [f"secret {secret}"]


# ----------------------------------------------------------------------------------------------- selectors


def test_services_are_found(project: Project, service: Service, source: SourceFolder) -> None:
    source.service("bills", {"description": "Sends bills", "tags": ["money"], "active": False})
    services.project_sync(project, now=NOW)
    found = Service.objects.order_by("name")
    assert [s.name for s in found.filter(selectors.tagged("money"))] == ["bills"]
    assert [s.name for s in found.filter(selectors.service_filter(runs=True))] == ["orders"]
    assert [s.name for s in found.filter(selectors.service_filter(runs=False))] == ["bills"]
    assert selectors.service_by_name_or_id(str(service.pk)) == service
    assert selectors.service_by_name_or_id("orders") == service
    with pytest.raises(NotFound):
        selectors.service_by_name_or_id("gone")
    assert selectors.tag_list() == ["money"]
    assert [s.name for s in selectors.event_type_listeners("order.placed")] == ["orders"]
    assert [p.service_count for p in selectors.project_list()] == [2]


def test_the_environment_of_children_is_ours() -> None:
    assert os.environ["DJANGO_SETTINGS_MODULE"] == "ferris_web.settings"
