"""`kill -9` of the executor at each stage of an execution: the outcome that docs/isolation.md states, and the next
execution runs normally."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.acceptance.client import until
from tests.acceptance.embedded import Platform
from tests.acceptance.services import Project

GO = {"trigger_events": ["TAG.go"]}
NEXT = {"manifest.json": {"trigger_events": ["TAG.next"]}, "s.py": "print('fine')"}
WITHIN = 90.0  # on the real stack a lease has to run out


def begun(mark: Path) -> str:
    return f"with open({str(mark)!r}, 'a') as file: file.write('begun\\n')\n"


def the_next_runs(project: Project) -> None:
    [row] = project.client.flow(project.emit("TAG.next"), 1, timeout=WITHIN)
    assert row["status"] == "completed"


def outcome(project: Project, flow: str) -> dict[str, Any]:
    [row] = project.client.flow(flow, 1, timeout=WITHIN)
    return dict(row)


def test_before_the_claim(own: Platform, tmp_path: Path) -> None:
    project, mark = Project(own.client, tmp_path), tmp_path / "mark"
    project.load({"TAG_s": {"manifest.json": GO, "s.py": begun(mark)}, "TAG_n": NEXT})
    own.engine().kill()
    flow = project.emit("TAG.go")
    assert (outcome(project, flow)["status"], mark.read_text()) == ("completed", "begun\n")
    the_next_runs(project)


def test_between_claim_and_script(make_platform: Callable[..., Platform], tmp_path: Path) -> None:
    """While its environment is built: no code of the script has run, so it runs again by itself."""
    own = make_platform(FERRIS_SCRIPT_WRITES=str(tmp_path))
    own.start()
    project, mark, built = Project(own.client, tmp_path), tmp_path / "mark", tmp_path / "built"
    backend = f"""
        import os, time, zipfile

        def build_wheel(folder, config_settings=None, metadata_directory=None):
            if not os.path.exists({str(built)!r}):
                open({str(built)!r}, "w").close()
                time.sleep(300)
            info = "TAGslow-1.0.dist-info"
            with zipfile.ZipFile(os.path.join(folder, "TAGslow-1.0-py3-none-any.whl"), "w") as wheel:
                wheel.writestr("TAGslow.py", "")
                wheel.writestr(f"{{info}}/METADATA", "Metadata-Version: 2.1\\nName: TAGslow\\nVersion: 1.0\\n")
                wheel.writestr(
                    f"{{info}}/WHEEL",
                    "Wheel-Version: 1.0\\nGenerator: test\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n",
                )
                wheel.writestr(f"{{info}}/RECORD", "")
            return "TAGslow-1.0-py3-none-any.whl"
    """
    project.load(
        {
            "TAG_s": {
                "manifest.json": GO,
                "requirements.txt": "./slow",
                "slow/pyproject.toml": "[build-system]\nrequires = []\n"
                'build-backend = "backend"\nbackend-path = ["."]\n'
                '[project]\nname = "TAGslow"\nversion = "1.0"\n',
                "slow/backend.py": backend,
                "s.py": "import TAGslow\n" + begun(mark),
            },
            "TAG_n": NEXT,
        }
    )
    flow = project.emit("TAG.go")
    until(built.exists, 60, "the environment is not being built")
    executor_of(project).kill()
    row = outcome(project, flow)
    assert (row["status"], mark.read_text(), row["attempt"]) == ("completed", "begun\n", 2)
    the_next_runs(project)


def test_in_the_script(own: Platform, tmp_path: Path) -> None:
    project, mark = Project(own.client, tmp_path), tmp_path / "mark"
    project.load(
        {"TAG_s": {"manifest.json": GO, "s.py": begun(mark) + "import time\ntime.sleep(300)"}, "TAG_n": NEXT}
    )
    flow = project.emit("TAG.go")
    until(mark.exists, 30, "the script has not begun")
    executor_of(project).kill()
    row = outcome(project, flow)
    assert (row["status"], row["reason"], mark.read_text()) == ("failed", "executor_lost", "begun\n")
    the_next_runs(project)


def test_between_script_and_report(own: Platform, tmp_path: Path) -> None:
    """While its artifact is stored: it has ended, but nothing durable says how, and what it did it has done."""
    project, mark = Project(own.client, tmp_path), tmp_path / "mark"
    code = f"""
        import os
        with open(os.environ["FERRIS_ARTIFACTS"] + "/large", "w") as file:
            file.truncate(900 << 20)
        with open({str(mark)!r} + ".part", "w") as file:
            file.write(str(os.getpid()))
        os.rename({str(mark)!r} + ".part", {str(mark)!r})
    """
    project.load({"TAG_s": {"manifest.json": GO, "s.py": code}, "TAG_n": NEXT})
    flow = project.emit("TAG.go")
    until(mark.exists, 30, "the script has not begun")
    executor = executor_of(project)
    until(lambda: not lives(int(mark.read_text())), 30, "the script has not ended")
    executor.kill()
    row = outcome(project, flow)
    assert (row["status"], row["reason"], row["attempt"]) == ("failed", "executor_lost", 1)
    the_next_runs(project)


@pytest.mark.embedded  # for it looks into the folder of objects
def test_between_upload_and_report(own: Platform, tmp_path: Path) -> None:
    """While its last artifact is stored: the others lie in the store, but no report tells of them. Where the manifest
    allows another try, its artifacts are those of that try, each once."""
    project, mark = Project(own.client, tmp_path), tmp_path / "mark"
    code = f"""
        import os
        folder = os.environ["FERRIS_ARTIFACTS"] + "/"
        first = not os.path.exists({str(mark)!r})
        with open({str(mark)!r}, "a") as file:
            file.write("begun\\n")
        with open(folder + "a.txt", "w") as file:
            file.write("first" if first else "again")
        if first:
            with open(folder + "b", "w") as file:
                file.truncate(900 << 20)
    """
    retry = {"attempts": 2, "delay": 0, "on_lost": True}
    project.load({"TAG_s": {"manifest.json": {**GO, "retry": retry}, "s.py": code}, "TAG_n": NEXT})
    flow = project.emit("TAG.go")
    [row] = until(lambda: project.runs("TAG_s"), 30, "there is no execution")
    artifacts = f"/api/v1/executions/{row['id']}/artifacts/"
    bucket, engine = own.home / "objects" / "ferris-artifacts", own.engine()
    until(lambda: list(bucket.glob("*/*/1/0/a.txt")), 30, "its first artifact was not stored", 0.02)
    engine.kill()
    assert project.client.all(artifacts) == []
    row = outcome(project, flow)
    assert (row["status"], row["attempt"], mark.read_text()) == ("completed", 2, "begun\n" * 2)
    [kept] = project.client.all(artifacts)
    assert (kept["name"], kept["attempt"], kept["size"]) == ("a.txt", 2, 5)
    assert project.client.request("GET", kept["url"]).body == b"again"
    the_next_runs(project)


def executor_of(project: Project) -> psutil.Process:
    """Who runs the service's only execution; also when its script has ended already."""
    [row] = project.runs("TAG_s")
    return psutil.Process(int(row["worker"].rpartition(":")[2]))


def lives(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_after_the_report(own: Platform, tmp_path: Path) -> None:
    project, mark = Project(own.client, tmp_path), tmp_path / "mark"
    project.load({"TAG_s": {"manifest.json": GO, "s.py": begun(mark)}, "TAG_n": NEXT})
    flow = project.emit("TAG.go")
    [row] = project.client.flow(flow, 1, timeout=WITHIN)
    own.engine().kill()
    the_next_runs(project)
    again = outcome(project, flow)
    assert (row["status"], again["status"], mark.read_text()) == ("completed", "completed", "begun\n")
    assert again["finished_at"] == row["finished_at"]
