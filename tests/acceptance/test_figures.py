"""/metrics: what operations look at, from every process."""

from __future__ import annotations

import os
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.acceptance.client import Client, until
from tests.acceptance.ports import free_port
from tests.acceptance.services import Project

ROOT = Path(__file__).resolve().parents[2]


def figures(text: str) -> dict[str, float]:
    """Sums over labels. A family that is there twice is a mistake, which scrapers punish by taking nothing."""
    families = list(text_string_to_metric_families(text))
    names = [family.name for family in families]
    assert sorted(set(names)) == sorted(names)
    found: dict[str, float] = {}
    for family in families:
        for sample in family.samples:
            found[sample.name] = found.get(sample.name, 0) + sample.value
    return found


@pytest.mark.embedded
def test_the_web_process_shows_the_engines_figures_too(client: Client, project: Project) -> None:
    project.load({"counted": {"main.py": "print('one')"}})
    before = figures(client.request("GET", "/metrics").text)
    assert client.finished(client.run("counted"))["status"] == "completed"

    def grown() -> bool | None:
        after = figures(client.request("GET", "/metrics").text)
        return all(
            after[name] > before.get(name, 0)
            for name in (
                "ferris_events_routed_total", "ferris_executions_dispatched_total", "ferris_doorbells_rung_total",
                "ferris_dispatch_seconds_count", "ferris_claim_seconds_count", "ferris_script_start_seconds_count",
                "ferris_attempt_seconds_count", "ferris_attempts_total", "ferris_role_turns_total",
                "ferris_records_handled_total",
            )
        ) or None  # fmt: skip

    until(grown, 20, "the figures did not grow")
    found = figures(client.request("GET", "/metrics").text)
    assert found["ferris_engine_process_resident_memory_bytes"] > 0
    assert found["ferris_process_resident_memory_bytes"] > 0
    assert {"ferris_group_lag", "ferris_executions", "ferris_attempts_running"} <= set(found)


PROCESSES = {
    "web": ([sys.executable, "manage.py", "web", "--prepare"], "ferris_live_followers"),
    "gateway": ([sys.executable, "manage.py", "gateway"], "ferris_events_routed_total"),
    "executor": (
        [sys.executable, "-m", "celery", "-A", "celery_app", "worker", "-P", "threads"],
        "ferris_reporter_records",
    ),
}


@pytest.mark.embedded
@pytest.mark.parametrize("process", PROCESSES)
def test_each_process_listens_when_it_is_told_to(process: str, tmp_path: Path) -> None:
    command, name = PROCESSES[process]
    port = free_port()
    kept = {key: value for key, value in os.environ.items() if not key.startswith("FERRIS_")}
    settings = {
        "FERRIS_HOME": str(tmp_path / "home"), "FERRIS_PORT": str(free_port()), "FERRIS_METRICS_PORT": str(port),
        "FERRIS_BROKER": "filesystem://localhost", "PYTHONPATH": str(ROOT), "C_FORCE_ROOT": "1",
    }  # fmt: skip
    (tmp_path / "data_in").mkdir()
    if process == "gateway":
        migrate = [sys.executable, str(ROOT / "manage.py"), "migrate", "-v", "0"]
        subprocess.run(migrate, env=kept | settings, check=True, timeout=100)
    command = [str(ROOT / part) if part == "manage.py" else part for part in command]
    running = subprocess.Popen(
        command,
        cwd=tmp_path,
        env=kept | settings,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:

        def answered() -> str | None:
            assert running.poll() is None, running.communicate()[0]
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
                    return str(answer.read().decode())
            except OSError:
                return None

        found = figures(until(answered, 60, "nobody listens"))
        assert name in found
        assert found["ferris_process_resident_memory_bytes"] > 0
    finally:
        running.terminate()
        try:
            running.communicate(timeout=30)
        finally:
            running.kill()
