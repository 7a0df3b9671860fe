"""Services made without git: every save is a version, checked as a sync would, and overwrites nobody's work."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.utils import timezone

from ferris.errors import Conflict, NotFound
from ferris_web.catalog.editing import (
    Saved,
    edit_preview,
    service_edit,
    service_make,
    service_remove,
    service_restore,
)
from ferris_web.catalog.edits import Edit, Overtaken, fingerprint, line_of
from ferris_web.catalog.models import Project, Secret, Service
from ferris_web.catalog.secrets import secret_set
from ferris_web.catalog.selectors import version_file, version_files
from ferris_web.catalog.services import service_upload
from ferris_web.catalog.source import MAX_FILE_BYTES
from ferris_web.catalog.starters import STARTERS, starter_files

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("backends")]

FILES = {
    "manifest.json": b'{"execution_order": ["a.py", "b.py"]}',
    "a.py": b"print(1)\n",
    "b.py": b"print(2)\n",
}


@pytest.fixture
def service() -> Service:
    return made("edited")


def made(name: str, files: dict[str, bytes] = FILES) -> Service:
    project, _ = Project.objects.get_or_create(name="hand")
    saved = service_make(project, name, files, author="ada", message="the first", now=timezone.now())
    assert not saved.refused, saved.messages
    return Service.objects.get(name=name)


def save(service: Service, message: str = "", **edit: Any) -> Saved:
    return service_edit(service, Edit(**edit), author="bob", message=message, now=timezone.now())


def manifest(service: Service) -> Any:
    service.refresh_from_db()
    assert service.version is not None
    return json.loads(version_file(service.version, "manifest.json"))


def test_a_save_is_a_version_with_its_author(service: Service) -> None:
    saved = save(service, "louder\n\0", put={"a.py": b"print('A')\n"})
    assert saved.changed
    assert saved.version is not None
    assert (saved.version.number, saved.version.author, saved.version.message) == (2, "bob", "louder")
    first = service.versions.get(number=1)
    assert (first.author, first.message) == ("ada", "the first")
    assert version_file(first, "a.py") == b"print(1)\n"
    assert version_file(saved.version, "a.py") == b"print('A')\n"


def test_nothing_to_save_is_no_version(service: Service) -> None:
    saved = save(service, put={"a.py": FILES["a.py"]})
    assert not saved.changed
    assert service.versions.count() == 1


def test_who_comes_second_is_told_and_nothing_is_overwritten(service: Service) -> None:
    assert service.version is not None
    seen = {"a.py": fingerprint(version_files(service.version)["a.py"])}
    save(service, put={"a.py": b"first()\n"}, seen=seen)
    with pytest.raises(Overtaken, match=r"a\.py was changed"):
        save(service, put={"a.py": b"second()\n"}, seen=seen)
    service.refresh_from_db()
    assert service.version is not None
    assert version_file(service.version, "a.py") == b"first()\n"
    # another file is nobody's business
    save(
        service,
        put={"b.py": b"other()\n"},
        seen={"b.py": fingerprint(version_files(service.version)["b.py"])},
    )
    service.refresh_from_db()
    assert {
        path: f.content for path, f in version_files(service.version).items() if path != "manifest.json"
    } == {
        "a.py": b"first()\n",
        "b.py": b"other()\n",
    }


def test_a_save_beside_another_is_made_from_what_that_left(service: Service) -> None:
    """The row that the second holds is old by then: what it does not change is as the first left it."""
    stale = Service.objects.select_related("version").get(pk=service.pk)
    save(service, put={"a.py": b"first()\n"})
    save(stale, put={"b.py": b"second()\n"})
    service.refresh_from_db()
    assert service.version is not None
    assert service.version.number == 3
    assert version_file(service.version, "a.py") == b"first()\n"


def test_a_new_file_takes_nobodys_place(service: Service) -> None:
    with pytest.raises(Overtaken):
        save(service, put={"a.py": b""}, seen={"a.py": ""})


def test_what_a_sync_would_refuse_is_refused(service: Service) -> None:
    saved = save(service, put={"manifest.json": b'{"execution_order": ["a.py", "c.py"],\n "priority": 99}'})
    assert saved.refused
    assert {m.key for m in saved.errors} == {"execution_order[1]", "priority"}
    assert service.versions.count() == 1


@pytest.mark.parametrize(
    "path", ["../x.py", "/etc/x", "a//b", "./a.py", "x\\y", "a\nb", "a.py/b.py", "x" * 300, "", "\ud800.py"]
)
def test_hostile_names_are_refused(service: Service, path: str) -> None:
    saved = save(service, put={path: b"x"})
    assert saved.errors
    assert service.versions.count() == 1


@pytest.mark.parametrize("path", ["secrets.json", "sub/secrets.json", "ef_env.json", "x.pyc", ".git/config"])
def test_what_no_version_keeps_is_refused_by_name(service: Service, path: str) -> None:
    assert [m.file for m in save(service, put={path: b"{}"}).errors] == [path]


def test_what_is_too_large_is_refused(service: Service) -> None:
    assert save(service, put={"big.bin": bytes(MAX_FILE_BYTES + 1)}).refused


def test_secrets_stay_with_every_save(service: Service) -> None:
    project = service.project
    service_upload(project, "sealed", {**FILES, "secrets.json": b'{"token": "x"}'}, now=timezone.now())
    row = Service.objects.get(name="sealed")
    secret_set(Secret.Scope.SERVICE, "own", "y", service=row)
    save(row, put={"a.py": b"changed()\n"})
    assert set(row.secrets.values_list("name", flat=True)) == {"token", "own"}


def test_renamed_and_deleted_scripts_are_so_in_the_manifest(service: Service) -> None:
    save(service, move={"a.py": "c.py"})
    assert manifest(service)["execution_order"] == ["c.py", "b.py"]
    save(service, remove=["b.py"])
    assert manifest(service)["execution_order"] == ["c.py"]
    with pytest.raises(Conflict, match="already"):
        save(service, move={"c.py": "manifest.json"})
    with pytest.raises(NotFound):
        save(service, remove=["b.py"])


def test_the_order_is_written_as_the_contract_says(service: Service) -> None:
    save(service, scripts=["b.py", "a.py"])
    assert manifest(service) == {"execution_order": ["b.py", "a.py"]}
    assert service.version is not None
    assert service.version.manifest["scripts"] == ["b.py", "a.py"]
    save(service, put={"manifest.json": b'{"entrypoint": "a.py", "tags": ["x"]}'})
    save(service, scripts=["a.py", "b.py"])
    assert manifest(service) == {"tags": ["x"], "execution_order": ["a.py", "b.py"]}, (
        "an entrypoint would win"
    )
    with pytest.raises(Conflict, match="no script"):
        save(service, scripts=[])
    assert save(service, scripts=["a.py", "gone.py"]).refused


def test_a_preview_writes_nothing(service: Service) -> None:
    preview = edit_preview(service, Edit(put={"a.py": b"print(3)\n"}, remove=["b.py"]))
    assert {change.path: change.kind for change in preview.changes} == {
        "a.py": "changed",
        "b.py": "removed",
        "manifest.json": "changed",
    }
    assert "+print(3)" in preview.changes[0].lines
    assert service.versions.count() == 1


def test_an_earlier_version_is_restored(service: Service) -> None:
    save(service, put={"a.py": b"worse()\n"}, remove=["b.py"])
    saved = service_restore(service, 1, author="ada", now=timezone.now())
    assert saved.version is not None
    assert (saved.version.number, saved.version.message) == (3, "as v1 was")
    assert set(version_files(saved.version)) == set(FILES)
    with pytest.raises(NotFound):
        service_restore(service, 9, author="ada", now=timezone.now())


def test_a_removed_service_comes_back(service: Service) -> None:
    service_remove(service, now=timezone.now())
    assert not Service.objects.get(pk=service.pk).runs
    service_restore(service, 1, author="ada", now=timezone.now())
    service.refresh_from_db()
    assert service.runs
    assert service.versions.count() == 1


def test_a_name_is_taken_once(service: Service) -> None:
    with pytest.raises(Conflict, match="already"):
        made("edited")


def test_what_comes_from_git_is_edited_there(service: Service) -> None:
    repository = service.project.repositories.create(source="/srv/elsewhere")
    Service.objects.filter(pk=service.pk).update(repository=repository)
    for refused in (
        lambda: save(service, put={"a.py": b""}),
        lambda: service_restore(service, 1, author="ada", now=timezone.now()),
        lambda: edit_preview(Service.objects.get(pk=service.pk), Edit()),
        lambda: service_remove(Service.objects.get(pk=service.pk), now=timezone.now()),
    ):
        with pytest.raises(Conflict, match="comes from"):
            refused()


@pytest.mark.parametrize("starter", STARTERS)
def test_starters_are_services_without_a_mistake(starter: str) -> None:
    name = f"my {starter}"
    row = made(name, {path: text.encode() for path, text in starter_files(starter, name).items()})
    assert row.runs
    assert row.version is not None
    assert row.version.manifest["scripts"]


def test_the_line_of_a_key() -> None:
    text = '{\n  "tags": ["priority"],\n  "retry": {\n    "times": 9\n  }\n}'
    assert line_of(text, "retry.times") == 4
    assert line_of(text, "tags[0]") == 2
    assert line_of(text, "nothing") is None
