"""The whole output of a script that writes more than its log keeps, and what is said of it in the log."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ferris.errors import BackendError
from ferris.log_archive import BUCKET
from tests.executor.control_server import Platform, platform

LIMIT = 200_000
SECRET = "correct-horse-battery"


@pytest.fixture(scope="module")
def archiving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    made = platform(tmp_path_factory.mktemp("home"), FERRIS_LOG_LIMIT=str(LIMIT), FERRIS_LOG_ARCHIVE="1")
    yield made
    made.executor.close()
    made.control.close()


def archived(ferris: Platform, execution_id: str) -> list[bytes]:
    parts = []
    for info in ferris.executor.objects.list(BUCKET, f"{execution_id}/"):
        with ferris.executor.objects.open(BUCKET, info.key) as content:
            parts.append(content.read())
    return parts


def test_all_of_it_is_archived_in_parts_and_masked(
    archiving: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tasks.log_archive._PART", 20_000)
    code = (
        "import hashlib\nfrom ferris_ef import context\nprint(context.secrets['s'])\n"
        "for n in range(20_000): print(n, hashlib.md5(str(n).encode()).hexdigest())\n"
    )
    result = archiving.run({"main.py": code}, secrets={"s": SECRET})
    execution = result.reports[0].subject
    parts = archived(archiving, execution)
    assert len(parts) > 10
    text = gzip.decompress(b"".join(parts)).decode()  # members behind one another are one file
    assert SECRET not in text
    lines = text.splitlines()
    assert lines[0].endswith(" main.py info ***")
    said = [line.split(" ", 3)[3].split()[0] for line in lines[1:]]
    assert said == [str(n) for n in range(20_000)]
    # The log itself has its head and its tail, and a marker between them.
    messages = [line["message"] for line in result.lines]
    assert messages[1].startswith("0 ")
    assert messages[-1].startswith("19999 ")
    (marker,) = [one for one in messages if "are left out here" in one]
    assert f"the limit is {LIMIT} bytes. The download of the log has all of them." in marker
    assert sum(map(len, messages)) < LIMIT


def test_a_log_within_its_limit_needs_no_archive(archiving: Platform) -> None:
    result = archiving.run({"main.py": "for n in range(100): print(n)"})
    assert archived(archiving, result.reports[0].subject) == []


def test_without_the_setting_nothing_is_archived(tmp_path: Path) -> None:
    made = platform(tmp_path, FERRIS_LOG_LIMIT="2000")
    try:
        result = made.run({"main.py": "for n in range(1000): print(n)"})
        assert archived(made, result.reports[0].subject) == []
        assert any("limit is 2000 bytes." in line["message"] for line in result.lines)
    finally:
        made.executor.close()
        made.control.close()


def test_an_archive_that_cannot_be_stored_is_told_and_ends_nothing(
    archiving: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    objects: Any = archiving.executor.objects
    put = type(objects).put

    def full(self: Any, bucket: str, *rest: Any) -> Any:
        if bucket == BUCKET:
            raise BackendError("the store", "is full", "make room")
        return put(self, bucket, *rest)

    monkeypatch.setattr(type(objects), "put", full)
    monkeypatch.setattr("tasks.log_archive._PATIENCE", 0.0)
    result = archiving.run({"main.py": "for n in range(20_000): print(n)"})
    assert result.types[-1] == "execution.completed"
    (marker,) = [line["message"] for line in result.lines if "are left out here" in line["message"]]
    assert "Not all of them could be archived: " in marker
    assert "is full" in marker
