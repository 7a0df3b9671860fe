"""Files that scripts leave in FERRIS_ARTIFACTS: what is kept of them, what is refused, and what the log says."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ferris.artifacts import BUCKET
from ferris.errors import BackendError
from tests.executor.control_server import Platform, Result, platform

SECRET = "correct-horse-battery"


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Platform]:
    """A platform with narrow limits."""
    made = platform(tmp_path / "home", FERRIS_ARTIFACT_LIMIT="1000", FERRIS_ARTIFACT_COUNT="3")
    yield made
    made.executor.close()
    made.control.close()


def kept(result: Result) -> dict[str, tuple[int, str]]:
    """Names, sizes and types as reported."""
    return {
        one["name"]: (one["size"], one["content_type"])
        for report in result.reports
        for one in report.data.get("artifacts", ())
    }


def stored(ferris: Platform, result: Result) -> dict[str, bytes]:
    """What lies in the bucket for this execution, by attempt, step and name."""
    execution = result.reports[0].subject
    found = {}
    for info in ferris.executor.objects.list(BUCKET):
        _, of, rest = info.key.split("/", 2)
        if of == execution and "/before-" not in rest:  # what steps leave for the next ones
            with ferris.executor.objects.open(BUCKET, info.key) as content:
                found[rest] = content.read()
    return found


def notes(result: Result) -> list[str]:
    return [line["message"] for line in result.lines if line["stream"] == "platform"]


def test_files_in_the_folder_are_kept_also_of_a_step_that_fails(ferris: Platform) -> None:
    first = (
        "import os\nfolder = os.environ['FERRIS_ARTIFACTS']\nassert os.listdir(folder) == []\n"
        "os.makedirs(folder + '/deep/er')\nopen(folder + '/deep/er/a.csv', 'w').write('x,y')\n"
        "open(folder + '/empty', 'w')\n"
    )
    second = (
        "from ferris_ef import context\n"
        "path = context.artifacts.path('charts/one.svg')\nopen(path, 'w').write('<svg/>')\n"
        "context.artifacts.put('plain', 'some text', content_type='text/x-log')\n"
        "context.artifacts.put('parts.bin', (b'a' * 3 for _ in range(2)))\n"
        "1 / 0\n"
    )
    result = ferris.run({"a.py": first, "b.py": second})
    assert result.types[-2:] == ["step.failed", "execution.failed"]
    assert kept(result) == {
        "deep/er/a.csv": (3, "text/csv"),
        "empty": (0, "application/octet-stream"),
        "charts/one.svg": (6, "image/svg+xml"),
        "parts.bin": (6, "application/octet-stream"),
        "plain": (9, "text/x-log"),
    }
    assert stored(ferris, result) == {
        "1/0/deep/er/a.csv": b"x,y",
        "1/0/empty": b"",
        "1/1/charts/one.svg": b"<svg/>",
        "1/1/parts.bin": b"aaaaaa",
        "1/1/plain": b"some text",
    }


def test_links_and_devices_are_refused_and_nothing_outside_is_read(ferris: Platform, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "passwd").write_text("root")
    code = (
        "import os, sys, socket\nos.chdir(os.environ['FERRIS_ARTIFACTS'])\n"
        f"os.symlink('{tmp_path}/outside/passwd', 'file-link')\nos.symlink('{tmp_path}/outside', 'folder-link')\n"
        "os.mkfifo('pipe')\nsocket.socket(socket.AF_UNIX).bind('socket')\n"
        f"os.link('{tmp_path}/outside/passwd', 'hard-link')\n"
        "open('bad\\nname', 'w')\nopen('good', 'w').write('1')\n"
    )
    result = ferris.run({"main.py": code})
    assert result.types[-1] == "execution.completed"
    assert list(kept(result)) == ["good"]
    assert list(stored(ferris, result)) == ["1/0/good"]
    told = "\n".join(notes(result))
    for name in ("file-link", "folder-link", "pipe", "socket", "hard-link", "bad"):
        assert f"the artifact '{name}" in told, told
    assert "root" not in told


def test_a_folder_that_became_a_link_leads_nowhere(ferris: Platform, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "passwd").write_text("root")
    code = (
        f"import os\nf = os.environ['FERRIS_ARTIFACTS']\nos.rmdir(f)\nos.symlink('{tmp_path}/outside', f)\n"
    )
    result = ferris.run({"main.py": code})
    assert result.types[-1] == "execution.completed"
    assert (kept(result), stored(ferris, result)) == ({}, {})


def test_too_large_and_too_many_are_told_of(small: Platform) -> None:
    code = (
        "import os\nos.chdir(os.environ['FERRIS_ARTIFACTS'])\n"
        "open('a-sparse', 'w').truncate(2**40)\n"
        "for name in 'bcdefg': open(name, 'w').write('x' * 300)\n"
    )
    result = small.run({"main.py": code}, limits={"file_size": 0})
    assert result.types[-1] == "execution.completed"
    assert sorted(kept(result)) == ["b", "c", "d"]
    assert notes(result) == [
        f"the artifact 'a-sparse' is not kept: it has {2**40} bytes, and 1000 are left of this execution's limit",
        "artifacts: 3 more files are not kept: the limit of their number is reached",
    ]


def test_no_secret_is_kept(ferris: Platform) -> None:
    code = (
        "import os, json, base64\nos.chdir(os.environ['FERRIS_ARTIFACTS'])\n"
        f"s = '{SECRET[:5]}' + '{SECRET[5:]}'\n"
        "open('a.json', 'w').write(json.dumps({'k': s, 'b': base64.b64encode(s.encode()).decode()}))\n"
        "open('b.bin', 'wb').write(b'\\0\\xff' * (700 * 1024) + s.encode() + b'\\0')\n"
        "open('c.txt', 'wb').write(b'\\xff\\xfe ' + s.encode())\n"
        "open('d-' + s + '.txt', 'w').write('fine')\n"
        "open('e.txt', 'w').write('fine')\n"
    )
    result = ferris.run({"main.py": code}, secrets={"s": SECRET})
    assert sorted(kept(result)) == ["a.json", "c.txt", "d-***.txt", "e.txt"]
    content = stored(ferris, result)
    assert content["1/0/a.json"] == b'{"k": "***", "b": "***"}'
    assert content["1/0/c.txt"] == b"\xff\xfe ***"
    told = "\n".join(notes(result))
    assert "'b.bin' is not kept: it holds a secret" in told
    assert SECRET not in told


def test_a_short_secret_that_stands_in_a_picture_by_chance(ferris: Platform) -> None:
    code = (
        "from ferris_ef import context\n"
        "context.artifacts.put('a.png', b'..1234..')\ncontext.artifacts.put('a.txt', '1234')"
    )
    result = ferris.run({"main.py": code}, secrets={"pin": "1234"})
    assert stored(ferris, result) == {"1/0/a.png": b"..1234..", "1/0/a.txt": b"***"}


def test_a_store_that_is_away_is_waited_for(ferris: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    objects: Any = ferris.executor.objects
    put, refused = type(objects).put, []

    def later(self: Any, bucket: str, *rest: Any) -> Any:
        if bucket == BUCKET and len(refused) < 2:
            refused.append(bucket)
            raise BackendError("the store", "is away", "wait")
        return put(self, bucket, *rest)

    monkeypatch.setattr(type(objects), "put", later)
    result = ferris.run({"main.py": "from ferris_ef import context\ncontext.artifacts.put('a', 'x')"})
    assert (len(refused), result.types[-1], list(kept(result))) == (2, "execution.completed", ["a"])


def test_results_that_cannot_be_stored_are_no_success(
    ferris: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    objects: Any = ferris.executor.objects
    put = type(objects).put

    def full(self: Any, bucket: str, key: str, *rest: Any) -> Any:
        if key.endswith("/b"):
            raise BackendError("the store", "is full", "make room")
        return put(self, bucket, key, *rest)

    monkeypatch.setattr(type(objects), "put", full)
    monkeypatch.setattr("tasks.steps._UPLOAD_SECONDS", 0.0)
    code = "from ferris_ef import context\nfor n in 'ab': context.artifacts.put(n, 'x')"
    result = ferris.run({"main.py": code})
    assert result.types[-2:] == ["step.failed", "execution.failed"]
    assert result.last.data["reason"] == "platform"
    assert "artifacts could not be stored" in result.last.data["error"]
    assert list(kept(result)) == ["a"]


def test_the_scripts_themselves_cannot_reach_the_bucket(ferris: Platform) -> None:
    code = f"from ferris_ef import context\ncontext.objects.put('{BUCKET}', 'a', b'')"
    result = ferris.run({"main.py": code})
    assert "the platform's own" in result.last.data["error"]


def test_nothing_is_left_of_the_folders(small: Platform) -> None:
    result = small.run({"main.py": "import os\nprint(os.environ['FERRIS_ARTIFACTS'])"})
    folder = Path(result.text("stdout").strip())
    small.executor.cleaner.close()
    assert not os.path.lexists(folder.parent)
