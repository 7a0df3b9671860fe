"""A project as a folder that git takes: it makes the same services again, and holds nothing secret."""

from __future__ import annotations

import io
import json
import os
import tracemalloc
import zipfile
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connection
from django.db.models import F, Value
from django.db.models.functions import Concat
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from ferris.config import PACKAGES_BUCKET
from ferris.manifest import Message
from ferris_web import wiring
from ferris_web.accounts.models import AuditEntry, Membership, User
from ferris_web.accounts.services import token_create
from ferris_web.catalog import archive, connections, notifications, subscriptions, webhooks
from ferris_web.catalog.models import EventMap, Project, PromiseRule, SavedRun, Schedule, Service
from ferris_web.catalog.repositories import repository_add
from ferris_web.catalog.secrets import secret_set
from ferris_web.catalog.selectors import package_key, version_files
from ferris_web.catalog.services import project_sync, schedule_add
from ferris_web.catalog.source import folders
from ferris_web.catalog.values import Kind, Place
from ferris_web.executions.models import Chart
from ferris_web.executions.moving.project import project_archive
from ferris_web.executions.services.values import value_set
from remote.__main__ import main as remotely
from tests.web.folders import SourceFolder

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("backends")]

SECRET = "tiger-7731-tiger"
PASSWORD = "leopard-99-leopard"


@pytest.fixture
def project(source: SourceFolder) -> Project:
    """A project of a repository, with much that lives on the platform alone."""
    source.service(
        "charge_card",
        {
            "trigger_events": [{"event_type": "shop.order.placed", "filter": {"data": {"total": [1]}}}],
            "priority": 5,
        },
        config_json={"limit": 10},
        run_sh="#!/bin/sh\necho\n",
    ).joinpath("run.sh").chmod(0o755)
    source.service("ship", {"trigger_events": ["shop.order.paid"], "schedule": "0 6 * * *"})
    (source.root / "ship" / "lib").mkdir()
    (source.root / "ship" / "lib" / "größe ö.txt").write_text("lies in a folder\n")
    (source.root / "ferris.json").write_text(
        json.dumps(
            {
                "promises": [
                    {
                        "name": "paid",
                        "after": "shop.order.placed",
                        "expect": "shop.order.paid",
                        "within": "10m",
                    }
                ]
            }
        )
    )
    added = repository_add("shop", str(source.root), "", "", now=timezone.now())
    assert project_sync(added.project, now=timezone.now())[0].status == "completed"
    return added.project


def archived(project: Project) -> zipfile.ZipFile:
    return zipfile.ZipFile(io.BytesIO(b"".join(project_archive(project, timezone.now()))))


def unpacked(project: Project, to: Path) -> Path:
    """The folder of the project, as any program leaves it there."""
    with archived(project) as found:
        found.extractall(to)
        for info in found.infolist():
            (to / info.filename).chmod(info.external_attr >> 16)
    return to / project.name


def facts(project: Project) -> dict[str, Any]:
    """What a project's services are, with the contents of their files."""
    found = {}
    for service in Service.objects.select_related("version").filter(project=project, vanished_at=None):
        assert service.version is not None
        manifest = dict(service.version.manifest)
        files = version_files(service.version)
        for name in ("manifest.json", "config.json"):  # are the same, and may be written otherwise
            files.pop(name, None)
        entry = wiring.config_store().get(service.name)
        found[service.name] = {
            "switches": (service.active, service.priority, service.allow_manual_triggering),
            "triggers": list(service.triggers.values_list("position", "event_type", "filter", "cesql")),
            "outputs": list(service.output_events.values_list("event_type", flat=True)),
            "schedule": list(service.schedules.filter(origin="manifest").values_list("cron", "timezone")),
            "config": json.loads(entry.value) if entry else None,
            "files": files,
            "manifest": {key: value for key, value in manifest.items() if key not in ("active", "priority")},
        }
    return found


def test_what_is_unpacked_makes_the_same_project(project: Project, tmp_path: Path) -> None:
    Service.objects.filter(name="charge_card").update(priority=2, active=False)
    assert value_set(
        Place(Kind.CONFIG, Service.objects.get(name="charge_card")),
        {"limit": 99},
        actor="ada",
        now=timezone.now(),
    )
    before = facts(project)
    promised = sorted(PromiseRule.objects.values_list("name", flat=True))
    folder = unpacked(project, tmp_path / "out")
    # Elsewhere the names are free; here the old ones make room.
    Service.objects.update(name=Concat(Value("old_"), F("name")))
    for name in before:
        wiring.config_store().delete(name)
    made = repository_add("again", str(folder), "", "", now=timezone.now()).project
    [run] = project_sync(made, now=timezone.now())
    assert (run.status, run.result["refused"]) == ("completed", [])
    assert facts(made) == before
    assert before["charge_card"]["switches"] == (False, 2, True)
    assert before["charge_card"]["config"] == {"limit": 99}
    assert before["charge_card"]["files"]["run.sh"].executable
    assert (
        sorted(PromiseRule.objects.filter(project=made).values_list("name", flat=True))
        == promised
        == ["paid"]
    )


def test_what_nobody_changed_is_byte_for_byte_the_repository(
    project: Project, source: SourceFolder, tmp_path: Path
) -> None:
    folder = unpacked(project, tmp_path / "out")
    for path in source.root.rglob("*"):
        if path.is_file() and path.name != "ferris.json":
            assert (folder / path.relative_to(source.root)).read_bytes() == path.read_bytes(), path
    told: list[Message] = []
    assert [one.name for one in folders(folder, lambda name, message: told.append(message))] == [
        "charge_card",
        "ship",
    ]
    assert told == []  # README and platform.json at its root are nothing that a sync speaks of


def rest(project: Project) -> dict[str, Any]:
    return dict(json.loads(archived(project).read("shop/platform.json")))


def filled(project: Project) -> None:
    """All that lives on the platform, some of it with a secret in it."""
    now = timezone.now()
    ship = Service.objects.get(name="ship")
    secret_set("project", "CARD_KEY", SECRET, project=project)
    secret_set("service", "TOKEN`; rm -rf /", SECRET, service=ship)
    secret_set("platform", "PLATFORM_KEY", PASSWORD)
    value_set(Place(Kind.CONFIG, project), {"region": "eu"}, actor="ada", now=now)
    value_set(Place(Kind.CONFIG, ship), {"url": f"https://x/?key={SECRET}"}, actor="ada", now=now)
    Service.objects.filter(name="ship").update(paused_at=now)
    for name, hidden in (("nightly", "none"), ("leaky", SECRET)):
        schedule_add(
            ship, origin=Schedule.Origin.PERSON, cron="5 4 * * *", timezone="UTC", name=name,
            parameters={"a": hidden}, now=now,
        )  # fmt: skip
        SavedRun.objects.create(service=ship, name=name, values={"a": hidden}, saved_at=now)
    Schedule.objects.filter(origin="manifest").update(active=False)
    subscriptions.subscription_set(
        "orders", project=project, event_type="shop.*", url=f"https://example.org/{PASSWORD}",
        headers={"X-Of": PASSWORD}, now=now, actor="ada",
    )  # fmt: skip
    notifications.rule_set(
        "alarm", project=project, kind="failures", targets=[f"json://example.org/{PASSWORD}"]
    )
    connections.connection_set("db", url=f"postgresql://u:{PASSWORD}@db.example.org/shop", projects=[project])
    webhooks.webhook_set("orders-in", kind="hmac", event_type="shop.order.placed", now=now)
    webhooks.webhook_set("elsewhere", kind="hmac", event_type="other.type", now=now)
    EventMap.objects.create(source="a.b", target="shop.order.paid", strategy="all", created_by="ada")
    EventMap.objects.create(source="a.b", target="other.type", strategy="all", created_by="ada")
    Chart.objects.create(
        project=project, title="Sales", kind="line", source="url", url=f"https://example.org/?k={PASSWORD}"
    )


def test_what_lives_on_the_platform_alone_is_told(project: Project) -> None:
    filled(project)
    found = rest(project)
    assert (found["project"], found["secrets"], found["configuration"]) == (
        "shop",
        ["CARD_KEY"],
        {"region": "eu"},
    )
    ship = found["services"]["ship"]
    assert (ship["paused"], ship["schedule_off"], ship["secrets"]) == (True, True, ["TOKEN`; rm -rf /"])
    assert [one["name"] for one in ship["schedules"]] == ["nightly"]
    assert [one["name"] for one in ship["saved_runs"]] == ["nightly"]
    assert [one["what"] for one in ship["left_out"]] == [
        "config.json",
        "schedule 5 4 * * *",
        "saved run leaky",
    ]
    assert [(one["name"], one["receiver"], one["headers"]) for one in found["subscriptions"]] == [
        ("orders", "https://example.org", ["X-Of"])
    ]
    assert [one["name"] for one in found["notifications"]] == ["alarm"]
    assert [one["name"] for one in found["connections"]] == ["db"]
    assert [one["name"] for one in found["webhooks"]] == ["orders-in"]
    assert [one["target"] for one in found["event_maps"]] == ["shop.order.paid"]
    assert [(one["title"], one["url"]) for one in found["charts"]] == [("Sales", "https://example.org")]
    readme = archived(project).read("shop/README.md").decode()
    for line in (
        "manage.py secret set CARD_KEY --project shop",
        "manage.py secret set 'TOKEN`; rm -rf /' --service ship",
        "manage.py config set --project shop --data @FILE",
        "manage.py subscription add orders 'shop.*' URL --project shop",
        "manage.py notification add alarm --project shop --kind failures",
        "manage.py connection add db - --project shop",
        "manage.py webhook new orders-in --kind hmac --type shop.order.placed",
    ):
        assert line in readme, line


def test_no_secret_is_in_it(project: Project, source: SourceFolder) -> None:
    source.service("holds", {}, config_json={"key": SECRET}, secrets_json={"KEY": SECRET}, ef__env_json="{}")
    project_sync(project, now=timezone.now())
    filled(project)
    found = archived(project)
    for name in found.namelist():
        assert SECRET not in found.read(name).decode(), name
        assert PASSWORD not in found.read(name).decode(), name
        assert "PLATFORM_KEY" not in found.read(name).decode(), name
    assert not any(name.endswith(("secrets.json", "ef_env.json")) for name in found.namelist())


def test_hostile_names_of_files_lead_nowhere(project: Project, tmp_path: Path) -> None:
    ship = Service.objects.get(name="ship")
    assert ship.version is not None
    evil = ["../../evil.py", "/etc/evil.py", "..\\..\\evil.py", "a/../../evil.py", "new\nline.py", "good.py"]
    packed = archive.pack({path: archive.SourceFile(b"1\n") for path in evil})
    wiring.object_store().put(
        PACKAGES_BUCKET, package_key(packed.digest), io.BytesIO(packed.content), "application/gzip"
    )
    type(ship.version).objects.filter(pk=ship.version.pk).update(digest=packed.digest)
    names = archived(project).namelist()
    assert [name for name in names if name.startswith("shop/ship/")] == ["shop/ship/good.py"]
    assert not any(".." in name or "\\" in name or name.startswith("/") for name in names)
    assert len(rest(project)["services"]["ship"]["left_out"]) == len(evil) - 1
    readme = archived(project).read("shop/README.md").decode()
    assert "- `ship`, `new?line.py`:" in readme


def test_a_service_may_have_the_name_of_a_file_of_ours(project: Project, source: SourceFolder) -> None:
    source.service("README.md")
    source.service("platform.json")
    project_sync(project, now=timezone.now())
    names = archived(project).namelist()
    assert {
        "shop/README.md/run.py",
        "shop/platform.json/run.py",
        "shop/_README.md",
        "shop/_platform.json",
    } <= {*names}


def test_services_that_are_gone_are_named_and_left_out(project: Project, source: SourceFolder) -> None:
    source.remove("ship")
    project_sync(project, now=timezone.now())
    assert not any(name.startswith("shop/ship/") for name in archived(project).namelist())
    assert "kept for its history" in rest(project)["services"]["ship"]["left_out"][0]["why"]


def test_it_takes_no_more_queries_for_more(project: Project, source: SourceFolder) -> None:
    with CaptureQueriesContext(connection) as few:
        archived(project)
    for number in range(20):
        source.service(f"more_{number}", config_json={"limit": number})
    project_sync(project, now=timezone.now())
    with CaptureQueriesContext(connection) as many:
        assert sum("more_" in name for name in archived(project).namelist()) == 40
    assert len(many) == len(few)


def test_it_takes_no_more_memory_for_more(project: Project, source: SourceFolder) -> None:
    for number in range(6):
        source.service(f"big_{number}", noise_bin=os.urandom(8 << 20))
    project_sync(project, now=timezone.now())
    tracemalloc.start()
    try:
        size = sum(len(piece) for piece in project_archive(project, timezone.now()))
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert size > 6 * (8 << 20)
    assert most < 8 << 20


# ------------------------------------------------------------------------------------------ who, and from where


def person(name: str, *projects: Project) -> User:
    user = User.objects.create_user(name, password="a long password")
    Membership.objects.filter(user=user).delete()  # what FERRIS_DEFAULT_ROLE of the tests gave
    for project in projects:
        Membership.objects.create(user=user, project=project, role="viewer")
    return user


@pytest.mark.parametrize("address", ["/api/v1/projects/shop/export/", "/projects/shop/export/"])
def test_who_sees_the_project_has_it_and_the_log_says_so(
    project: Project, client: Client, address: str
) -> None:
    client.force_login(person("ada", project))
    answer = client.get(address)
    assert (answer.status_code, answer["Content-Type"]) == (200, "application/zip")
    assert answer["Content-Disposition"].startswith('attachment; filename="shop-')
    assert "shop/ship/run.py" in zipfile.ZipFile(io.BytesIO(answer.getvalue())).namelist()
    [entry] = AuditEntry.objects.filter(action__endswith=":project-export")
    assert (entry.actor, entry.project, entry.object, entry.method) == ("ada", "shop", address, "GET")


@pytest.mark.parametrize("address", ["/api/v1/projects/shop/export/", "/projects/shop/export/"])
def test_others_do_not(project: Project, client: Client, address: str) -> None:
    other = Project.objects.create(name="other")
    client.force_login(person("eve", other))
    assert client.get(address).status_code in (403, 404)
    assert client.get(address.replace("shop", "nowhere")).status_code in (403, 404)
    assert not AuditEntry.objects.filter(action__endswith=":project-export").exists()
    limited = token_create(person("bob", project, other), projects=[other])
    told = Client().get("/api/v1/projects/shop/export/", headers={"Authorization": f"Bearer {limited}"})
    assert told.status_code in (403, 404)


def test_the_page_offers_it(project: Project, client: Client) -> None:
    client.force_login(person("ada", project))
    assert 'href="/projects/shop/export/"' in client.get("/projects/shop/").content.decode()


# ------------------------------------------------------------------------------------------ the command


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("way", ["here", "from afar"])
def test_the_command(project: Project, way: str, live_server: Any, tmp_path: Path, capsys: Any) -> None:
    file = tmp_path / "shop.zip"
    token = token_create(User.objects.create_superuser("root", password="a long password"))

    def run(*words: str) -> tuple[int, str, str]:
        capsys.readouterr()
        if way == "from afar":
            status = remotely(words, {"FERRIS_URL": live_server.url, "FERRIS_TOKEN": token})
            return status, *capsys.readouterr()
        try:
            call_command(*words)
        except CommandError as error:
            return error.returncode, "", str(error)
        return 0, *capsys.readouterr()

    status, out, _ = run("export", str(file), "--project", "shop", "--json")
    assert status == 0
    assert json.loads(out) == {
        "project": "shop",
        "file": str(file),
        "services": 2,
        "bytes": file.stat().st_size,
    }
    assert file.stat().st_mode & 0o777 == 0o600
    assert zipfile.ZipFile(file).testzip() is None
    status, _, said = run("export", str(file), "--project", "shop")
    assert status == 2
    assert "is there already" in said
    status, _, said = run("export", str(tmp_path / "no.zip"), "--project", "nowhere")
    assert status == 2
    assert "there is no project 'nowhere'" in said
    assert [path.name for path in tmp_path.iterdir() if path.suffix == ".zip"] == ["shop.zip"]


def test_from_afar_the_whole_is_refused_with_what_to_do_instead(tmp_path: Path, capsys: Any) -> None:
    environ = {"FERRIS_URL": "http://127.0.0.1:1", "FERRIS_TOKEN": "t"}
    assert remotely(["export", str(tmp_path / "all.zip")], environ) == 2
    said = capsys.readouterr().err
    assert "must stand still" in said
    assert "--project NAME" in said
    assert list(tmp_path.iterdir()) == []


@pytest.mark.django_db(transaction=True)
def test_one_that_breaks_off_is_no_file(
    project: Project, source: SourceFolder, tmp_path: Path, capsys: Any, live_server: Any
) -> None:
    """A package that is lost in the object store: whoever asks is told, and gets nothing that looks whole."""
    source.service("a_large_one", noise_bin=os.urandom(2 << 20))  # is sent before
    project_sync(project, now=timezone.now())
    ship = Service.objects.select_related("version").get(name="ship")
    assert ship.version is not None
    wiring.object_store().delete(PACKAGES_BUCKET, package_key(ship.version.digest))
    with pytest.raises(CommandError):
        call_command("export", str(tmp_path / "here.zip"), "--project", "shop")
    token = token_create(User.objects.create_superuser("root", password="a long password"))
    environ = {"FERRIS_URL": live_server.url, "FERRIS_TOKEN": token}
    assert remotely(["export", str(tmp_path / "afar.zip"), "--project", "shop"], environ) == 2
    assert "broke off in the middle" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir() if path.name.endswith((".zip", ".part"))] == []
