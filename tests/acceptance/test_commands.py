"""The commands beside a running platform."""

from __future__ import annotations

import json
from pathlib import Path

from tests.acceptance.client import Client
from tests.acceptance.embedded import Platform
from tests.acceptance.services import Project


def test_token_prints_a_token_and_nothing_else(shared: Platform) -> None:
    done = shared.manage("token", "admin")
    token = done.stdout.strip()
    assert done.stdout == f"{token}\n"
    assert " " not in token
    assert Client(shared.client.address, token).get("/api/v1/services/")["results"] is not None
    assert shared.manage("token", "nobody-of-that-name", check=False).returncode != 0


def test_emit_follows_a_flow_to_its_end(shared: Platform, project: Project) -> None:
    project.load(
        {
            "TAG_a": {
                "manifest.json": {"trigger_events": ["TAG.go"]},
                "a.py": """
                    from ferris_ef import context
                    context.events.send("TAG.sent", data={"code": context.params.get("code")})
                """,
            },
            "TAG_b": {
                "manifest.json": {"trigger_events": ["TAG.sent"]},
                "b.py": "from ferris_ef import context\nimport sys\nsys.exit(context.params.get('code'))",
            },
        }
    )
    for code in (0, 4):
        done = shared.manage(
            "emit", project("TAG.go"), "--data", json.dumps({"code": code}), "--wait", check=False
        )
        assert (done.returncode == 0) == (code == 0), done.stdout + done.stderr
        assert project("TAG_a") in done.stdout
        assert project("TAG_b") in done.stdout
    assert shared.manage("emit", project("TAG.go"), "--data", "{", check=False).returncode != 0
    assert shared.manage("emit", "ferris.execution.completed", "--data", "{}", check=False).returncode != 0


def test_doctor_finds_a_healthy_platform_healthy(shared: Platform) -> None:
    done = shared.manage("doctor")
    assert done.stdout.strip()


def test_a_new_service_runs_locally_and_on_the_platform(
    shared: Platform, project: Project, tmp_path: Path
) -> None:
    name = project("TAG_new")
    shared.manage("new", name, "--folder", str(project.folder))
    folder = project.folder / name
    assert (folder / "manifest.json").is_file()
    done = shared.manage("run-local", str(folder), "--data", '{"name": "Ada"}')
    assert done.stdout.strip()
    project.load({})
    row = project.client.finished(project.client.run(name))
    assert row["status"] == "completed", project.client.logs(row["id"])


def test_the_api_describes_itself(client: Client) -> None:
    answer = client.request("GET", "/api/schema/", headers={"Accept": "application/vnd.oai.openapi+json"})
    assert answer.status == 200
    for path in ("/api/v1/events/", "/api/v1/executions/{id}/cancel/", "/api/v1/services/{name}/run/"):
        assert path in answer.text


def test_health_and_metrics(client: Client) -> None:
    for path in ("/health/live", "/health/ready"):
        assert client.request("GET", path, token=None).status == 200
    assert "ferris" in client.request("GET", "/metrics").text
