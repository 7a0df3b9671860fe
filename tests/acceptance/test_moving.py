"""A platform is carried to another one: from outside, by the commands that a person uses."""

from __future__ import annotations

import json
import shutil
import subprocess
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.acceptance.client import until
from tests.acceptance.embedded import Platform
from tests.acceptance.services import Project

SECRET = "the moving secret 4711"
SERVICES = {
    "TAG_first": {
        "manifest.json": {"trigger_events": ["TAG.begun"], "entrypoint": "s.py"},
        "config.json": {"level": 3},
        "secrets.json": {"key": SECRET},
        "s.py": """
            from ferris_ef import context
            context.state.put("seen", (context.state.get("seen") or 0) + 1)
            print(f"seen {context.state.get('seen')} times")
            assert context.secrets.get("key") == "the moving secret 4711"
            context.events.send("TAG.second", data={"n": 1})
            print("a line to be found")
        """,
    },
    "TAG_second": {
        "manifest.json": {"trigger_events": ["TAG.second"], "entrypoint": "s.py"},
        "s.py": "raise SystemExit('it fails')",
    },
}


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Platform, Project, str, Path, str]]:
    """A platform on one machine with a history, stopped, and its archive."""
    folder = tmp_path_factory.mktemp("ended")
    old = Platform(folder / "old")
    try:
        yield old, *history(old, folder)
    finally:
        if old.running():
            old.kill_all()


@pytest.fixture
def moved(ended, tmp_path: Path) -> Iterator[tuple[Platform, Project, str, Path, str]]:
    """The same in a home of the test's own, with an archive of its own, to be removed and started again at will."""
    old, project, flow, archive, said = ended
    subprocess.run(["cp", "-a", old.home, tmp_path / "old"], check=True)  # named pipes too
    own = Platform(tmp_path / "old")
    own.client.token = old.client.token
    try:
        yield own, project, flow, shutil.copy2(archive, tmp_path / "platform.zip"), said
    finally:
        if own.running():
            own.kill_all()


def history(old: Platform, tmp_path: Path) -> tuple[Project, str, Path, str]:
    """Make the platform work, stop it, export it: project, flow, archive, what the command said."""
    old.start()
    project = Project(old.client, tmp_path)
    project.load(SERVICES)
    flow = project.emit("TAG.begun")
    old.client.flow(flow, 2)
    until(lambda: up_to_date(old), 30, "readers stay behind")
    old.stop()
    archive = tmp_path / "platform.zip"
    said = old.manage("export", str(archive)).stdout
    return project, flow, archive, said


def test_a_platform_is_carried_to_another_one(moved, make_platform: Callable[..., Platform]) -> None:
    assert "catalog.service " in moved[4]
    carried(*moved[:4], make_platform())


@pytest.mark.real_stack
def test_a_platform_is_carried_back_to_one_machine(
    make_platform: Callable[..., Platform], tmp_path: Path
) -> None:
    old, new = make_platform(), Platform(tmp_path / "new")
    try:
        carried(old, *history(old, tmp_path)[:3], new)
    finally:
        if new.running():
            new.kill_all()


def up_to_date(platform: Platform) -> bool:
    """All that is on the log has been taken up."""
    topics = {topic["name"]: topic["groups"] for topic in platform.client.all("/api/v1/topics/")}
    lags = {
        (name, group["group"]): group["lag"] for name, groups in topics.items() for group in groups
    }  # a group appears with its first commit
    read = [("ferris.events", "ferris.router"), ("ferris.hpsm", "ferris.recorder")]
    read += [(name, "ferris.indexer") for name in ("ferris.events", "ferris.hpsm", "ferris.logs")]
    return all(lags.get(one) == 0 for one in read)


def carried(old: Platform, project: Project, flow: str, archive: Path, new: Platform) -> None:
    """The new platform takes over: its history is that of the old one, and what comes now runs as there."""
    keys = (old.home / "keys" / "encryption.keys").read_text().strip()
    new.manage("migrate")
    refused = new.manage("import", str(archive), check=False)
    assert refused.returncode != 0
    assert "keys/encryption.keys" in refused.stderr
    with (new.home / "keys" / "encryption.keys").open("a") as file:
        file.write(keys + "\n")
    assert "differs" not in new.manage("import", str(archive)).stdout
    shutil.rmtree(old.home)

    new.client.token = old.client.token  # tokens came along
    new.start()
    before = {row["id"]: row["status"] for row in new.client.executions()}
    assert sorted(before.values()) == ["completed", "failed"]
    runs = new.client.executions(correlation_id=flow)
    first = next(run for run in runs if run["service"] == project("TAG_first"))
    assert any("a line to be found" in line["message"] for line in new.client.logs(first["id"]))
    later = new.client.emit(project("TAG.begun"))  # package, secret, configuration and state are all there
    new.client.flow(later, 2)
    after = {row["id"]: row["status"] for row in new.client.executions()}
    assert {key: after[key] for key in before} == before
    second = next(
        run for run in new.client.executions(correlation_id=later) if run["service"] == first["service"]
    )
    assert "seen 2 times" in new.client.output(second["id"])
    assert sorted(row["status"] for row in new.client.executions(correlation_id=later)) == [
        "completed",
        "failed",
    ]
    assert len(after) == 4  # nothing of the history ran again
    new.stop()


def test_an_archive_holds_no_secret_and_is_its_owners(moved) -> None:
    archive = moved[3]
    assert archive.stat().st_mode & 0o077 == 0
    with zipfile.ZipFile(archive) as file:
        names = file.namelist()
        content = b"".join(file.read(name) for name in names if not name.startswith("objects/"))
    assert SECRET.encode() not in content
    assert (moved[0].home / "keys" / "encryption.keys").read_bytes().strip() not in content
    assert all(".." not in name and not name.startswith("/") for name in names)
    assert names[-1] == "manifest.json"


def test_a_platform_that_runs_or_is_not_empty_is_left_alone(moved) -> None:
    old, _, _, archive, _ = moved
    refused = old.manage("import", str(archive), check=False)
    assert "not empty" in refused.stderr
    refused = old.manage("export", str(archive), check=False)
    assert "there already" in refused.stderr
    old.start()
    for command in ("export", "import"):
        refused = old.manage(command, str(archive.with_name("other.zip")), check=False)
        assert refused.returncode != 0
        assert "running already" in refused.stderr
    old.stop()


def test_an_import_that_was_cut_short_is_done_again(moved, make_platform: Callable[..., Platform]) -> None:
    old, _, flow, archive, _ = moved
    new = make_platform(FERRIS_ENCRYPTION_KEYS=(old.home / "keys" / "encryption.keys").read_text().strip())
    broken = archive.with_name("broken.zip")
    with zipfile.ZipFile(archive) as whole, zipfile.ZipFile(broken, "w") as cut:
        for name in whole.namelist():  # ends in the middle of the history, after all objects
            rows = whole.read(name)
            cut.writestr(name, rows + b"{" if name == "rows/executions.step.jsonl" else rows)
    refused = new.manage("import", str(broken), check=False)
    assert refused.returncode != 0
    assert "differs" not in new.manage("import", str(archive)).stdout
    new.client.token = old.client.token
    new.start()
    assert len(new.client.executions(correlation_id=flow)) == 2
    new.stop()


def test_what_is_no_archive_is_refused_with_a_line(make_platform, tmp_path: Path) -> None:
    platform = make_platform()
    text = tmp_path / "text"
    text.write_text("no archive")
    other = tmp_path / "other.zip"
    with zipfile.ZipFile(other, "w") as file:
        file.writestr("manifest.json", json.dumps({"format": 99}))
    for path, word in ((text, "no whole archive"), (other, "upgrade"), (tmp_path / "none", "cannot be read")):
        refused = platform.manage("import", str(path), check=False)
        assert refused.returncode != 0
        assert word in refused.stderr
        assert "Traceback" not in refused.stderr
