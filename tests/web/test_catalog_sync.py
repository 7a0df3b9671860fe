"""Sync of a folder: services, versions, messages, what vanishes and comes back."""

from __future__ import annotations

import dataclasses
import io
import json
import os
import subprocess
import tarfile
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings

from ferris.config import CONTROL, PACKAGES_BUCKET
from ferris.isolation import Ceiling, ResourceLimits
from ferris_web import wiring
from ferris_web.catalog import selectors, services
from ferris_web.catalog.configs import configs_of
from ferris_web.catalog.models import EventType, Project, Schedule, Secret, Service, SyncRun
from ferris_web.catalog.preview import project_preview
from ferris_web.catalog.repositories import repository_add
from ferris_web.catalog.values import Kind, Place, person, value_delete
from tests.web.folders import NOW, SourceFolder
from tests.web.platform import config_set

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("backends")]


@pytest.fixture
def project(source: SourceFolder) -> Project:
    return repository_add("shop", str(source.root), now=NOW).project


def sync(project: Project, later: timedelta = timedelta()) -> SyncRun:
    [run] = services.project_sync(project, now=NOW + later)
    return run


def messages(run: SyncRun, service: str) -> list[tuple[str, str, str, str]]:
    return [
        (m["level"], m["file"], m["key"], m["text"])
        for m in run.result["messages"]
        if m["service"] == service
    ]


def of(run: SyncRun, kind: str) -> list[str]:
    found: list[str] = run.result[kind]
    return found


def package(service: str) -> dict[str, bytes]:
    version = Service.objects.get(name=service).version
    assert version is not None
    with wiring.object_store().open(PACKAGES_BUCKET, selectors.package_key(version.digest)) as stored:
        packed = stored.read()
    with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
        return {m.name: tar.extractfile(m).read() for m in tar if m.isfile()}  # type: ignore[union-attr]


MANIFEST: dict[str, Any] = {
    "description": "Looks at orders",
    "tags": ["orders"],
    "trigger_events": [
        "order.placed",
        {"event_type": "order.*", "filter": {"data": {"total": [{"numeric": [">", 5]}]}}},
    ],
    "output_events": ["order.seen"],
    "schedule": "0 6 * * *",
    "priority": "3",
    "retry": {"attempts": 3, "delay": "2s"},
}


def test_a_folder_becomes_a_service(project: Project, source: SourceFolder) -> None:
    source.service("orders", MANIFEST, README_md="# Orders", requirements_txt="six==1.16.0\n")
    run = sync(project)
    assert (run.status, run.error, run.commit) == ("completed", "", "")
    assert of(run, "added") == ["orders"]
    service = selectors.service_get("orders")
    assert (service.description, service.tags, service.priority) == ("Looks at orders", ["orders"], 3)
    version = service.version
    assert version is not None
    assert version.number == 1
    assert version.manifest["scripts"] == ["run.py"]
    assert version.manifest["retry"] == {
        "attempts": 3,
        "delay": 2.0,
        "backoff": 2.0,
        "max_delay": 3600.0,
        "on_lost": False,
        "cron": "",
        "timezone": "UTC",
        "only_on": [],
        "never_on": [],
    }
    assert version.requirements == "six==1.16.0\n"
    assert version.readme == "# Orders"
    assert {f["path"] for f in version.files} == {"manifest.json", "run.py", "README.md", "requirements.txt"}
    assert [(t.event_type, t.filter) for t in selectors.triggers_all()] == [
        ("order.placed", None),
        ("order.*", {"data": {"total": [{"numeric": [">", 5]}]}}),
    ]
    assert set(EventType.objects.values_list("name", flat=True)) == {"order.placed", "order.seen"}
    assert list(service.output_events.values_list("event_type", flat=True)) == ["order.seen"]
    [schedule] = Schedule.objects.all()
    assert (schedule.cron, schedule.origin, schedule.next_due_at) == (
        "0 6 * * *",
        "manifest",
        NOW.replace(hour=6) + timedelta(days=1),
    )
    assert package("orders")["run.py"] == b"print('hello')\n"
    assert selectors.version_file(version, "README.md") == b"# Orders"


def test_a_folder_without_a_manifest_has_the_defaults(project: Project, source: SourceFolder) -> None:
    source.service("plain")
    run = sync(project)
    assert of(run, "added") == ["plain"]
    service = selectors.service_get("plain")
    assert (service.priority, service.allow_manual_triggering, service.runs) == (5, True, True)


def test_a_second_sync_changes_nothing(project: Project, source: SourceFolder) -> None:
    source.service("orders", MANIFEST, config_json={"a": 1}, secrets_json={"KEY": "x"})
    sync(project)
    revision, updated = selectors.revision(), selectors.service_get("orders").updated_at
    due = Schedule.objects.get().next_due_at
    run = sync(project, timedelta(days=3))
    assert of(run, "unchanged") == ["orders"]
    assert run.result["messages"] == []
    service = selectors.service_get("orders")
    assert service.versions.count() == 1
    assert (selectors.revision(), service.updated_at) == (revision, updated)
    assert Schedule.objects.get().next_due_at == due


def test_changed_content_is_a_new_version_and_old_content_again_another(
    project: Project, source: SourceFolder
) -> None:
    source.service("orders")
    sync(project)
    first = selectors.service_get("orders").version
    source.service("orders", run_py="print('changed')\n")
    run = sync(project)
    assert of(run, "changed") == ["orders"]
    assert selectors.service_get("orders").version.number == 2  # type: ignore[union-attr]
    source.service("orders")
    run = sync(project)
    third = selectors.service_get("orders").version
    assert first is not None
    assert third is not None
    assert (third.number, third.digest) == (3, first.digest)
    assert "with the content of version 1 again" in messages(run, "orders")[-1][3]


def test_the_digest_depends_on_nothing_but_the_content(source: SourceFolder, tmp_path: Path) -> None:
    source.service("orders", a_csv="1", b_csv="2")
    other = SourceFolder(tmp_path / "other")
    other.service("copy", b_csv="2", a_csv="1")
    (other.root / "copy" / "__pycache__").mkdir()
    (other.root / "copy" / "__pycache__" / "run.cpython-311.pyc").write_bytes(b"x")
    (other.root / "copy" / "old.pyc").write_bytes(b"x")
    for name, folder in (("one", source), ("two", other)):
        sync(repository_add(name, str(folder.root), now=NOW).project)
    assert selectors.service_get("orders").version.digest == selectors.service_get("copy").version.digest  # type: ignore[union-attr]


MISTAKES: list[tuple[dict[str, Any], str, str, str]] = [
    ({"manifest_json": "{"}, "manifest.json", "", ""),
    ({"manifest_json": []}, "manifest.json", "", "object"),
    ({"manifest_json": {"priority": 11}}, "manifest.json", "priority", "1 to 10"),
    ({"manifest_json": {"entrypoint": "gone.py"}}, "manifest.json", "entrypoint", "gone.py"),
    ({"manifest_json": {"schedule": "every day"}}, "manifest.json", "schedule", "every day"),
    (
        {
            "manifest_json": {
                "trigger_events": [
                    "a",
                    {"event_type": "b", "filter": {"data": {"mag": [{"numeric": ["~", 4]}]}}},
                ]
            }
        },
        "manifest.json",
        "trigger_events[1].filter.data.mag",
        "",
    ),
    (
        {"parameters_json": {"fields": [{"type": "colour", "name": "x"}]}},
        "parameters.json",
        "fields[0].type",
        "colour",
    ),
    ({"config_json": "{'a': 1}"}, "config.json", "", ""),
    ({"secrets_json": "[1]"}, "secrets.json", "", ""),
]


@pytest.mark.parametrize(("files", "file", "key", "text"), MISTAKES)
def test_a_mistake_is_told_with_file_and_key_and_the_others_sync(
    project: Project, source: SourceFolder, files: dict[str, Any], file: str, key: str, text: str
) -> None:
    source.service("wrong", **files)
    source.service("fine")
    run = sync(project)
    assert (of(run, "refused"), of(run, "added")) == (["wrong"], ["fine"])
    errors = [m for m in messages(run, "wrong") if m[0] == "error"]
    assert errors
    assert any(m[1] == file and m[2].startswith(key) and text in m[3] for m in errors), errors
    assert not Service.objects.filter(name="wrong").exists()


def test_a_manifest_that_asks_for_more_than_the_platform_allows_is_refused(
    project: Project, source: SourceFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    ceiling = Ceiling(ResourceLimits(memory=1 << 30), timeout=60.0)
    monkeypatch.setattr(settings, "FERRIS", dataclasses.replace(settings.FERRIS, ceiling=ceiling))
    source.service("hungry", {"limits": {"memory": "8GB"}, "timeout": "2m"})
    source.service("fine", {"limits": {"memory": "1GB"}, "timeout": "1m"})
    run = sync(project)
    assert (of(run, "refused"), of(run, "added")) == (["hungry"], ["fine"])
    assert [(m[1], m[2], m[3]) for m in messages(run, "hungry") if m[0] == "error"] == [
        ("manifest.json", "timeout", "is 120 s; this platform allows at most 60 s (FERRIS_CEILING_TIMEOUT)"),
        (
            "manifest.json",
            "limits.memory",
            "is 8 GB; this platform allows at most 1 GB (FERRIS_CEILING_MEMORY)",
        ),
    ]


def test_a_refused_folder_leaves_its_running_version(project: Project, source: SourceFolder) -> None:
    source.service("orders", MANIFEST)
    sync(project)
    source.service("orders", {"priority": 99})
    run = sync(project)
    assert (of(run, "refused"), of(run, "removed")) == (["orders"], [])
    service = selectors.service_get("orders")
    assert (service.runs, service.priority, service.version.number) == (True, 3, 1)  # type: ignore[union-attr]


def test_an_unknown_key_is_a_warning_with_a_near_miss(project: Project, source: SourceFolder) -> None:
    source.service("orders", {"trigger_event": ["a"], "debounce": "5s"})
    run = sync(project)
    assert of(run, "added") == ["orders"]
    told = {(m[0], m[2]): m[3] for m in messages(run, "orders")}
    assert "trigger_events" in told["warning", "trigger_event"]
    assert "no trigger_events" in told["warning", "debounce"]


def test_hidden_and_empty_folders_and_files_at_the_root(project: Project, source: SourceFolder) -> None:
    source.service(".hidden")
    (source.root / "empty" / "inner").mkdir(parents=True)
    (source.root / "shared").mkdir()
    (source.root / ".gitmodules").write_text('[submodule "x"]\n\tpath = shared\n\turl = ../shared.git\n')
    (source.root / "README.md").write_text("about")
    (source.root / "manifest.json").write_text("{}")
    (source.root / "node_modules").mkdir()
    source.service("orders")
    run = sync(project)
    assert of(run, "added") == ["orders"]
    assert of(run, "refused") == []
    assert messages(run, ".hidden") == [("info", "", "", "hidden folder, skipped")]
    assert messages(run, "empty") == [("info", "", "", "empty folder, skipped")]
    [(level, _, _, said)] = messages(run, "shared")
    assert (level, "is a submodule" in said, "add its repository" in said) == ("warning", True, True)
    assert messages(run, "")[0][:2] == ("warning", "manifest.json")


@pytest.mark.parametrize("name", ["a.state", "ferris.env", "-x", "x ", "a:b", "a'b"])
def test_a_folder_whose_name_cannot_be_a_service(project: Project, source: SourceFolder, name: str) -> None:
    source.service(name)
    run = sync(project)
    assert of(run, "refused") == [name]
    assert "rename the folder" in messages(run, name)[0][3]


def test_names_that_are_no_utf_8_are_refused_and_the_others_sync(
    project: Project, source: SourceFolder
) -> None:
    bad = os.fsdecode(b"caf\xe9")
    source.service(bad)
    source.service(f".{bad}")
    (source.service("files") / bad).write_text("x")
    links = source.service("links")
    (links / f".{bad}").write_text("x")
    (links / "link.txt").symlink_to(links / f".{bad}")
    source.service("orders")
    run = sync(project)
    assert of(run, "added") == ["orders"]
    assert of(run, "refused") == ["caf\ufffd", "files", "links"]
    assert "rename the folder" in messages(run, "caf\ufffd")[0][3]
    assert messages(run, ".caf\ufffd") == [("info", "", "", "hidden folder, skipped")]
    json.dumps(run.result, ensure_ascii=False).encode()  # what PostgreSQL can keep


def test_links_are_not_followed_out_of_the_repository(
    project: Project, source: SourceFolder, tmp_path: Path
) -> None:
    (tmp_path / "outside.txt").write_text("private")
    folder = source.service("leak")
    (folder / "data.txt").symlink_to(tmp_path / "outside.txt")
    folder = source.service("shares", shared_txt="shared")
    (folder / "again.txt").symlink_to(folder / "shared.txt")
    folder = source.service("steals", secrets_json={"A": "b"})
    (folder / "copy.json").symlink_to(folder / "secrets.json")
    (source.root / "alias").symlink_to(folder)
    run = sync(project)
    assert of(run, "refused") == ["leak", "steals"]
    assert "leads out of the repository" in messages(run, "leak")[0][3]
    assert messages(run, "leak")[0][1] == "data.txt"
    assert package("shares")["again.txt"] == b"shared"
    assert "link" in messages(run, "alias")[0][3]


def test_a_named_pipe_does_not_hold_up_the_sync(project: Project, source: SourceFolder) -> None:
    os.mkfifo(source.service("piped") / "pipe")
    run = sync(project)
    assert of(run, "refused") == ["piped"]
    assert "no regular file" in messages(run, "piped")[0][3]


def test_limits_on_size_and_number(
    project: Project, source: SourceFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ferris_web.catalog import source as reading

    monkeypatch.setattr(reading, "MAX_FILE_BYTES", 1000)
    monkeypatch.setattr(reading, "MAX_SERVICE_BYTES", 1500)
    monkeypatch.setattr(reading, "MAX_FILES", 5)
    source.service("large", data_csv="x" * 1001)
    source.service("heavy", a_csv="x" * 900, b_csv="x" * 900)
    source.service("many", **{f"f{n}_csv": "x" for n in range(9)})
    source.service("fine")
    run = sync(project)
    assert of(run, "refused") == ["heavy", "large", "many"]
    assert "data.csv has 1,001 bytes, more than the 1,000" in messages(run, "large")[0][3]
    assert "more than 1,500 bytes of files" in messages(run, "heavy")[0][3]
    assert "more than 5 files" in messages(run, "many")[0][3]


def test_vanished_services_are_kept_and_come_back(project: Project, source: SourceFolder) -> None:
    source.service("orders", MANIFEST)
    source.service("other")
    sync(project)
    before = selectors.service_get("orders")
    source.remove("orders")
    run = sync(project)
    assert of(run, "removed") == ["orders"]
    gone = selectors.service_get("orders")
    assert (gone.pk, gone.vanished_at, gone.runs) == (before.pk, NOW, False)
    assert selectors.triggers_all() == []
    assert selectors.schedules_due(NOW + timedelta(days=9)) == []
    assert of(sync(project), "removed") == []
    source.service("orders", MANIFEST)
    later = timedelta(days=9)
    run = sync(project, later)
    assert of(run, "added") == ["orders"]
    back = selectors.service_get("orders")
    assert (back.pk, back.runs, back.version_id) == (before.pk, True, before.version_id)
    assert len(selectors.triggers_all()) == 2
    assert Schedule.objects.get().next_due_at == (NOW + later).replace(hour=6) + timedelta(days=1)


def test_a_name_of_another_project_is_refused_with_a_remedy(
    project: Project, source: SourceFolder, tmp_path: Path
) -> None:
    source.service("orders")
    sync(project)
    theirs = SourceFolder(tmp_path / "theirs")
    theirs.service("orders", run_py="print('theirs')")
    theirs.service("mine")
    bank = repository_add("bank", str(theirs.root), now=NOW).project
    [seen] = project_preview(bank, now=NOW)  # said before anything is synced, too
    assert (seen.clean, seen.result["refused"]) == (False, ["orders"])
    assert any("project shop" in said["text"] for said in seen.result["messages"])
    run = sync(bank)
    assert (of(run, "refused"), of(run, "added")) == (["orders"], ["mine"])
    assert "project shop" in messages(run, "orders")[-1][3]
    assert "rename this folder" in messages(run, "orders")[-1][3]
    assert package("orders")["run.py"] == b"print('hello')\n"


def test_two_repositories_of_one_project(project: Project, source: SourceFolder, tmp_path: Path) -> None:
    second = SourceFolder(tmp_path / "second")
    source.service("a")
    second.service("b")
    second.service("a", run_py="print('second')")
    repository_add("shop", str(second.root), now=NOW)
    runs = services.project_sync(project, now=NOW)
    assert [of(run, "added") for run in runs] == [["a"], ["b"]]
    assert of(runs[1], "refused") == ["a"]
    assert "another repository" in messages(runs[1], "a")[-1][3]
    source.remove("a")
    runs = services.project_sync(project, now=NOW)
    assert of(runs[0], "removed") == ["a"]
    assert of(runs[1], "added") == ["a"]
    assert package("a")["run.py"] == b"print('second')"


def test_a_missing_folder_fails_and_changes_nothing(project: Project, source: SourceFolder) -> None:
    source.service("orders", MANIFEST)
    sync(project)
    source.root.rename(source.root.with_name("moved"))
    run = sync(project)
    assert run.status == "failed"
    assert "bring it back" in run.error
    assert selectors.service_get("orders").runs


def test_switches_set_on_the_platform_stay_until_the_manifest_changes(
    project: Project, source: SourceFolder
) -> None:
    source.service("orders", {"active": True, "priority": 4})
    sync(project)
    Service.objects.update(active=False)
    source.service("orders", {"active": True, "priority": 6})
    run = sync(project)
    service = selectors.service_get("orders")
    assert (service.active, service.priority) == (False, 6)
    assert ("info", "manifest.json", "active", "was set to false on the platform and stays so") in messages(
        run, "orders"
    )
    source.service("orders", {"active": False, "priority": 6})
    sync(project)
    source.service("orders", {"active": True, "priority": 6})
    sync(project)
    assert selectors.service_get("orders").active


def test_a_paused_schedule_stays_paused_until_it_changes(project: Project, source: SourceFolder) -> None:
    source.service("orders", MANIFEST)
    sync(project)
    services.schedule_switch(Schedule.objects.get(), False, now=NOW)
    sync(project)
    assert not Schedule.objects.get().active
    source.service("orders", {**MANIFEST, "schedule": "0 7 * * *"})
    sync(project)
    schedule = Schedule.objects.get()
    assert (schedule.active, schedule.cron) == (True, "0 7 * * *")
    source.service("orders", {})
    sync(project)
    assert not Schedule.objects.exists()


def test_a_change_bumps_the_revision_and_tells_control(project: Project, source: SourceFolder) -> None:
    before = selectors.revision()
    source.service("orders")
    sync(project)
    assert selectors.revision() == before + 1
    assert [json.loads(r.value) for r in wiring.event_log().browse(CONTROL)] == [{"changed": "catalog"}]


def test_secrets_reach_nothing_but_their_rows(
    project: Project, source: SourceFolder, ferris_home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    value = "Tr0ub4dor-and-3-horses"
    source.service("orders", secrets_json={"KEY": value, "NESTED": {"inner": [value]}})
    folder = source.service("wrong", secrets_json=f'{{"KEY": "{value}", oops')
    (folder / "sub").mkdir()
    inner = source.service("deep") / "sub"
    inner.mkdir()
    (inner / "secrets.json").write_text(json.dumps({"X": value}))
    run = sync(project)
    assert of(run, "refused") == ["wrong"]
    assert {s.name for s in Secret.objects.filter(synced=True)} == {"KEY", "NESTED"}
    assert value not in json.dumps(run.result) + caplog.text
    assert "secrets.json" not in package("orders")
    assert "sub/secrets.json" not in package("deep")
    # By another process: SQLite's locks on a file are gone when their own process opens and closes it.
    found = subprocess.run(["grep", "-rlaF", value, ferris_home], capture_output=True, text=True, check=False)
    assert (found.returncode, found.stdout) == (1, "")
    for name in ("orders", "deep"):
        assert all(value.encode() not in content for content in package(name).values())


def test_secrets_follow_the_file_but_not_over_the_platform(project: Project, source: SourceFolder) -> None:
    from ferris_web.catalog import secrets

    source.service("orders", secrets_json={"A": 1, "B": "x"})
    sync(project)
    service = selectors.service_get("orders")
    assert secrets.secrets_of(service) == {"A": 1, "B": "x"}
    kept = Secret.objects.get(name="A").ciphertext
    source.service("orders", secrets_json={"A": 1, "C": [True]})
    run = sync(project)
    assert of(run, "changed") == ["orders"]
    assert Secret.objects.get(name="A").ciphertext == kept
    assert secrets.secrets_of(service) == {"A": 1, "C": [True]}
    assert {(m[2], m[3]) for m in messages(run, "orders") if m[1] == "secrets.json"} == {
        ("B", "removed"),
        ("C", "added"),
    }
    secrets.secret_set("service", "A", "from the platform", service=service)
    run = sync(project)
    assert secrets.secret_find(service, "A") == "from the platform"
    assert any(m[0] == "warning" and m[2] == "A" for m in messages(run, "orders"))


def test_config_is_copied_and_edits_on_the_platform_are_not_lost_silently(
    project: Project, source: SourceFolder
) -> None:
    source.service("orders", config_json={"limit": 5, "url": "u"})
    run = sync(project)
    service = selectors.service_get("orders")
    assert configs_of(service).of(service.name, service.project.name) == {"limit": 5, "url": "u"}
    config_set(service, {"limit": 9, "url": "u"})
    source.service("orders", run_py="print('else')")
    run = sync(project)
    assert configs_of(service).of(service.name, service.project.name) == {"limit": 9, "url": "u"}
    assert any("the platform's is kept" in m[3] for m in messages(run, "orders"))
    source.service("orders", config_json={"limit": 7, "url": "u"})
    run = sync(project)
    assert configs_of(service).of(service.name, service.project.name) == {"limit": 7, "url": "u"}
    [said] = [m for m in messages(run, "orders") if m[1] == "config.json"]
    assert said[0] == "warning"
    assert "limit" in said[3]
    assert "url" not in said[3].replace("configuration", "")
    value_delete(Place(Kind.CONFIG, service), by=person("ada"), now=NOW)
    sync(project)
    assert configs_of(service).of(service.name, service.project.name) == {"limit": 7, "url": "u"}


def test_characters_no_database_keeps(project: Project, source: SourceFolder) -> None:
    source.service("null", '{"description": "a\\u0000b"}')
    source.service("half", '{"description": "a\\ud800b"}')
    source.service("fine")
    run = sync(project)
    assert (of(run, "refused"), of(run, "added")) == (["half", "null"], ["fine"])
