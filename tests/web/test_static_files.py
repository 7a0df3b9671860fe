"""Style and scripts are packed once, under names that change with their content."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

import pytest
from django.contrib.staticfiles.finders import get_finder
from django.contrib.staticfiles.storage import staticfiles_storage
from django.test import Client

from ferris_web import static_files

pytestmark = pytest.mark.django_db


@pytest.fixture
def folder(tmp_path: Path, settings: object, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in which nothing is prepared."""
    settings.STATIC_ROOT = tmp_path / "static"  # type: ignore[attr-defined]
    storage = static_files.Storage(location=str(settings.STATIC_ROOT))  # type: ignore[attr-defined]
    monkeypatch.setattr(staticfiles_storage, "_wrapped", storage)
    return tmp_path / "static"


def test_they_are_prepared_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    static_files.prepare()
    style = staticfiles_storage.url("console/console.css")
    assert re.fullmatch(r"/static/console/console\.[0-9a-f]{12}\.css", style)
    kept = folder / style.removeprefix("/static/")
    assert gzip.decompress(Path(f"{kept}.gz").read_bytes()) == kept.read_bytes()
    script = folder / staticfiles_storage.url("console/editor-colours.js").removeprefix("/static/")
    assert re.search(r'from "\./highlight-[\d.]+/core\.min\.[0-9a-f]{12}\.js"', script.read_text())
    assert not list(folder.rglob("bootstrap*")), "what no page names is left out"
    answer = Client().get(style, headers={"Accept-Encoding": "gzip"})
    assert answer.headers["Content-Encoding"] == "gzip"
    assert "immutable" in answer.headers["Cache-Control"]

    def again(*args: object, **options: object) -> None:
        raise AssertionError("nothing has changed")

    monkeypatch.setattr(static_files, "call_command", again)
    static_files.prepare()


def test_they_are_prepared_anew_when_one_has_changed(folder: Path, tmp_path: Path, settings: object) -> None:
    static_files.prepare()
    before = staticfiles_storage.url("console/console.css")
    (tmp_path / "changed" / "console").mkdir(parents=True)
    (tmp_path / "changed" / "console" / "console.css").write_text("body { color: red }")
    settings.STATICFILES_DIRS = [tmp_path / "changed"]  # type: ignore[attr-defined]
    get_finder.cache_clear()
    try:
        static_files.prepare()
        after = staticfiles_storage.url("console/console.css")
    finally:
        get_finder.cache_clear()
    assert after != before
    assert (folder / after.removeprefix("/static/")).read_text() == "body { color: red }"


def test_a_place_that_cannot_be_written_to_ends_nothing(
    tmp_path: Path, settings: object, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")
    settings.STATIC_ROOT = tmp_path / "file" / "static"  # type: ignore[attr-defined]
    static_files.prepare()
    assert "served unpacked" in caplog.text
    assert Client().get("/static/console/console.css").status_code == 200


def test_what_is_not_prepared_is_served_as_it_lies(folder: Path) -> None:
    assert staticfiles_storage.url("console/console.css") == "/static/console/console.css"
    assert Client().get("/static/console/console.css").status_code == 200
