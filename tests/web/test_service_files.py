"""Files of services made without git, over the REST API."""

from __future__ import annotations

import hashlib
from typing import Any
from urllib.parse import quote

import pytest

from ferris_web.catalog.models import Service
from tests.web.calling import Caller, problem_of

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("backends")]

BYTES = "application/octet-stream"


@pytest.fixture
def name(api: Caller) -> str:
    files = {"manifest.json": "{}", "run.py": "print(1)\n"}
    made = api.post("/api/v1/services/", {"project": "hand", "name": "filed", "files": files})
    assert made.status_code == 201
    return "filed"


def file(path: str) -> str:
    return f"/api/v1/services/filed/file/?path={quote(path, safe='')}"


def put(api: Caller, path: str, content: bytes, **headers: str) -> Any:
    return api("PUT", file(path), content, type=BYTES, **headers)


def test_a_file_is_read_and_written_by_its_etag(api: Caller, name: str) -> None:
    read = api.get(file("run.py"))
    assert read.content == b"print(1)\n"
    assert read.headers["ETag"] == f'"{hashlib.sha256(read.content).hexdigest()}"'
    written = put(api, "run.py", b"print(2)\n", If_Match=read.headers["ETag"])
    assert written.status_code == 200, written.content
    assert written.json()["version"]["number"] == 2
    assert written.json()["version"]["author"]
    assert written.headers["ETag"] == api.get(file("run.py")).headers["ETag"]
    problem_of(put(api, "run.py", b"print(3)\n", If_Match=read.headers["ETag"]), 412)
    problem_of(api("DELETE", file("run.py"), If_Match=read.headers["ETag"]), 412)
    assert api.get(file("run.py")).content == b"print(2)\n"


def test_a_new_file_and_its_end(api: Caller, name: str) -> None:
    assert put(api, "lib/a b.bin", b"\0\xff", If_None_Match="*").status_code == 200
    problem_of(put(api, "lib/a b.bin", b"", If_None_Match="*"), 412)
    problem_of(put(api, "new.txt", b"", If_Match="*"), 412)
    problem_of(put(api, "new.txt", b"", If_None_Match='"x"'), 400)
    listed = api.get("/api/v1/services/filed/files/").json()["results"]
    assert {entry["path"]: entry["size"] for entry in listed} == {
        "lib/a b.bin": 2,
        "manifest.json": 2,
        "run.py": 9,
    }
    assert api("DELETE", file("lib/a b.bin")).status_code == 200
    problem_of(api.get(file("lib/a b.bin")), 404)
    problem_of(api("DELETE", file("lib/a b.bin")), 404)


def test_several_changes_are_one_version(api: Caller, name: str) -> None:
    seen = {"run.py": hashlib.sha256(b"print(1)\n").hexdigest(), "b.py": ""}
    change = {"put": {"b.py": "print(2)\n"}, "move": {"run.py": "a.py"}, "scripts": ["b.py", "a.py"]}
    saved = api.patch("/api/v1/services/filed/files/", {**change, "seen": seen, "message": "two"})
    assert saved.status_code == 200, saved.content
    assert saved.json()["manifest"]["scripts"] == ["b.py", "a.py"]
    problem_of(api.patch("/api/v1/services/filed/files/", {**change, "seen": seen}), 412)
    versions = api.get("/api/v1/services/filed/versions/").json()["results"]
    assert [(v["number"], v["message"]) for v in versions] == [(2, "two"), (1, None)]


def test_mistakes_are_named_by_file_and_key(api: Caller, name: str) -> None:
    refused = problem_of(put(api, "manifest.json", b'{"priority": 99}'), 400)
    assert refused["errors"][0]["field"] == "files.manifest.json"
    assert "priority" in refused["errors"][0]["problem"]
    for path in ("../x", "/etc/passwd", "a\\b", "secrets.json", "x" * 400, "a\0b"):
        problem_of(put(api, path, b"x"), 400)
    assert Service.objects.get(name="filed").versions.count() == 1


def test_remove_and_restore(api: Caller, name: str) -> None:
    put(api, "run.py", b"worse()\n")
    assert api.delete("/api/v1/services/filed/").status_code == 204
    assert not api.get("/api/v1/services/filed/").json()["runs"]
    restored = api.post("/api/v1/services/filed/restore/", {"version": 1})
    assert restored.json()["version"]["number"] == 3
    assert restored.json()["runs"]
    assert api.get(file("run.py")).content == b"print(1)\n"
    problem_of(api.post("/api/v1/services/filed/restore/", {"version": 9}), 404)
    problem_of(api.post("/api/v1/services/filed/restore/", {"version": "x"}), 400)


def test_what_comes_from_git_is_read_only(api: Caller, name: str) -> None:
    row = Service.objects.get(name="filed")
    Service.objects.update(repository=row.project.repositories.create(source="/srv/elsewhere"))
    assert api.get(file("run.py")).status_code == 200
    problem_of(put(api, "run.py", b""), 409)
    problem_of(api.delete("/api/v1/services/filed/"), 409)
    problem_of(api.post("/api/v1/services/filed/restore/", {"version": 1}), 409)
