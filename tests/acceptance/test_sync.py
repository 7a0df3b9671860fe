"""What a sync makes of a folder: versions of what is right, messages for what is wrong."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

from tests.acceptance.embedded import Platform
from tests.acceptance.services import Project

GO = {"trigger_events": ["TAG.go"]}


def messages(result: Any) -> str:
    return json.dumps(result, ensure_ascii=False)


def runs_with(project: Project, event_type: str = "TAG.go") -> dict[str, str]:
    """What each service printed for one event, once all that ran have ended."""
    client = project.client
    flow = project.emit(event_type)
    client.flow(project.emit("TAG.last"), 1)  # comes behind on the log: the first event has been dispatched
    rows = client.flow(flow, len(client.executions(correlation_id=flow)))
    return {row["service"].removeprefix(project.tag): "\n".join(client.output(row["id"])) for row in rows}


LAST = {"manifest.json": {"trigger_events": ["TAG.last"]}, "s.py": "print()"}


def test_a_change_makes_a_version_and_a_vanished_service_rests(project: Project) -> None:
    project.load(
        {
            "TAG_a": {"manifest.json": GO, "s.py": "print('a1')"},
            "TAG_b": {"manifest.json": GO, "s.py": "print('b1')"},
            "TAG_last": LAST,
        }
    )
    assert runs_with(project) == {"_a": "a1", "_b": "b1"}
    project.write({"TAG_a": {"s.py": "print('a2')"}, "TAG_c": {"manifest.json": GO, "s.py": "print('c1')"}})
    shutil.rmtree(project.folder / project("TAG_b"))
    result = messages(project.sync())
    assert all(project(name) in result for name in ("TAG_a", "TAG_b", "TAG_c"))
    assert runs_with(project) == {"_a": "a2", "_c": "c1"}
    assert len(project.runs("TAG_b")) == 1  # its history stays
    assert project.client.get(f"/api/v1/services/{project('TAG_b')}/")["active"] in (True, False)
    project.write({"TAG_b": {"manifest.json": GO, "s.py": "print('b2')"}})
    project.sync()
    assert runs_with(project) == {"_a": "a2", "_b": "b2", "_c": "c1"}
    before = project.client.get(f"/api/v1/services/{project('TAG_a')}/")
    project.sync()
    assert project.client.get(f"/api/v1/services/{project('TAG_a')}/")["version"] == before["version"]


def test_every_mistake_is_named_and_the_others_are_synced(project: Project, tmp_path: Path) -> None:
    script = "print('ran')"
    secret = tmp_path / "outside.txt"
    secret.write_text("not yours")
    project.write(
        {
            "TAG_good": {"manifest.json": GO, "s.py": script},
            "TAG_json": {"manifest.json": '{"trigger_events": [', "s.py": script},
            "TAG_type": {"manifest.json": {**GO, "priority": "high"}, "s.py": script},
            "TAG_range": {"manifest.json": {**GO, "priority": 11}, "s.py": script},
            "TAG_near": {"manifest.json": {**GO, "triger_events": []}, "s.py": script},
            "TAG_script": {"manifest.json": {**GO, "entrypoint": "gone.py"}, "s.py": script},
            "TAG_filter": {
                "manifest.json": {
                    "trigger_events": [
                        {"event_type": "TAG.go", "filter": {"data": {"mag": [{"numeric": [">>", 1]}]}}}
                    ]
                },
                "s.py": script,
            },
            "TAG_cron": {"manifest.json": {**GO, "schedule": "61 * * * *"}, "s.py": script},
            "TAG_field": {
                "manifest.json": GO,
                "parameters.json": {"fields": [{"type": "slider", "name": "n"}]},
                "s.py": script,
            },
            "TAG_last": LAST,
            ".hidden": {"s.py": script},
        }
    )
    (project.folder / "empty").mkdir()
    link = project.folder / project("TAG_link")
    link.mkdir()
    (link / "stolen.txt").symlink_to(secret)
    (link / "s.py").write_text("print(open('stolen.txt').read())")
    result = messages(project.load({}))
    for service, words in {
        "TAG_json": ["manifest.json"],
        "TAG_type": ["manifest.json", "priority"],
        "TAG_range": ["manifest.json", "priority"],
        "TAG_near": ["triger_events", "trigger_events"],
        "TAG_script": ["entrypoint", "gone.py"],
        "TAG_filter": ["trigger_events[0].filter.data.mag"],
        "TAG_cron": ["schedule"],
        "TAG_field": ["parameters.json", "slider"],
        ".hidden": [".hidden"],
        "empty": ["empty"],
        "TAG_link": ["stolen.txt"],
    }.items():
        assert project(service) in result, service
        for word in words:
            assert word in result, (service, word)
    ran = runs_with(project)
    assert {"_good", "_near"} <= set(ran)
    assert not {"_json", "_type", "_range", "_script", "_filter", "_cron", "_field"} & set(ran)
    assert "not yours" not in json.dumps(ran)


def test_a_mistake_keeps_the_version_before(project: Project) -> None:
    project.load({"TAG_s": {"manifest.json": GO, "s.py": "print('right')"}, "TAG_last": LAST})
    project.write({"TAG_s": {"manifest.json": "{", "s.py": "print('wrong')"}})
    assert "manifest.json" in messages(project.sync())
    assert runs_with(project) == {"_s": "right"}


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=tester", "-c", "user.email=tester@example.org", "-c", "commit.gpgsign=false"]
    done = subprocess.run(
        ["git", *identity, *arguments], cwd=folder, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


def test_a_git_repository_is_read_by_branch(shared: Platform, project: Project) -> None:
    project.write({"TAG_s": {"manifest.json": GO, "s.py": "print('main')"}, "TAG_last": LAST})
    (project.folder / "README.md").write_text("no service")
    git(project.folder, "init", "-q", "-b", "main")
    git(project.folder, "add", ".")
    git(project.folder, "commit", "-q", "-m", "first")
    git(project.folder, "checkout", "-q", "-b", "next")
    project.write({"TAG_s": {"s.py": "print('next')"}})
    git(project.folder, "commit", "-q", "-am", "second")
    commit = git(project.folder, "rev-parse", "HEAD")
    git(project.folder, "checkout", "-q", "main")
    source = f"file://{project.folder}"
    done = shared.manage("project", "add", project.tag, source, "--branch", "next")
    assert project("TAG_s") in done.stdout
    assert commit[:7] in done.stdout
    assert runs_with(project) == {"_s": "next"}
    assert commit[:7] in json.dumps(project.client.get(f"/api/v1/services/{project('TAG_s')}/"))
    project.write({"TAG_s": {"s.py": "print('uncommitted')"}})
    project.sync()
    assert runs_with(project) == {"_s": "next"}


def test_the_command_prints_what_it_did_and_fails_for_mistakes(shared: Platform, project: Project) -> None:
    project.write({"TAG_s": {"manifest.json": GO, "s.py": "print()"}})
    done = shared.manage("project", "add", project.tag, str(project.folder))
    assert project("TAG_s") in done.stdout
    project.write({"TAG_s": {"s.py": "print(2)"}, "TAG_bad": {"manifest.json": "[]", "s.py": "print()"}})
    done = shared.manage("sync", project.tag, check=False)
    assert project("TAG_s") in done.stdout
    assert project("TAG_bad") in done.stdout + done.stderr
    assert "manifest.json" in done.stdout + done.stderr
    assert done.returncode != 0
    assert shared.manage("sync", "no-such-project", check=False).returncode != 0
    assert shared.manage("project", "add", "x", "/no/such/folder", check=False).returncode != 0
