"""Starting, stopping, starting again."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from tests.acceptance.client import until
from tests.acceptance.embedded import Platform
from tests.acceptance.services import Project

# A script that does what it can to stay: its child leaves the process group and the session, and is orphaned.
FUGITIVE = """
    import os, signal, sys, time
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            os.close(1); os.close(2)
            time.sleep(300)
        os._exit(0)
    open({path!r}, "w").close()
    time.sleep(300)
"""


# Ctrl-C is for who sits before the supervisor; Celery's worker ends with status 1 on it.
@pytest.mark.parametrize("number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.embedded)])
def test_it_ends_cleanly_and_starts_again(
    make_platform: Callable[..., Platform], tmp_path: Path, number: signal.Signals
) -> None:
    platform = make_platform()
    platform.start()
    assert "password" in platform.said()
    project = Project(platform.client, tmp_path)
    begun = tmp_path / "begun"
    project.load(
        {
            "TAG_long": {
                "manifest.json": {"trigger_events": ["TAG.go"]},
                "s.py": FUGITIVE.format(path=str(begun)),
            },
            "TAG_short": {"manifest.json": {"trigger_events": ["TAG.short"]}, "s.py": "print()"},
        }
    )
    flow = project.emit("TAG.go")
    until(begun.exists, 20, "the script has not begun")
    assert platform.stop(number) == 0
    assert platform.left_behind(project.folder) == []

    said = len(platform.said())
    platform.start()
    assert "password" not in platform.said()[said:]
    row = project.client.flow(flow, 1, timeout=30)[0]
    assert (row["status"], row["reason"]) == ("failed", "executor_lost")
    assert project.client.flow(project.emit("TAG.short"), 1)[0]["status"] == "completed"
    assert platform.stop() == 0
    assert platform.left_behind(project.folder) == []


@pytest.mark.embedded  # of other processes each is told on its own
def test_what_runs_may_finish_and_has_the_platform_until_then(
    make_platform: Callable[..., Platform], tmp_path: Path
) -> None:
    platform = make_platform(FERRIS_STOP_GRACE="60")
    platform.start()
    project, told = Project(platform.client, tmp_path), tmp_path / "told"
    script = f"""
        import os, time
        from ferris_ef import context
        context.state.put("begun", True)
        while not os.path.exists({str(told)!r}): time.sleep(0.02)
        context.state.put("ended", True)
    """
    project.load({"TAG_s": {"manifest.json": {"trigger_events": ["TAG.go"]}, "s.py": script}})
    state = f"/api/v1/services/{project('TAG_s')}/state/"
    flow = project.emit("TAG.go")
    until(lambda: "begun" in platform.client.request("GET", state).text, 30, "the script has not begun")
    engine, web = platform.engine(), platform.web()
    worker = "/api/v1/workers/"
    main = psutil.Process(engine.pid).parent()
    assert main is not None
    main.terminate()
    until(
        lambda: platform.client.get(worker)["results"][0]["state"] == "stopping",
        20,
        "it does not say that it ends",
    )
    assert engine.is_running()
    assert web.is_running()
    told.touch()
    until(lambda: not platform.running(), 30, "it does not end")
    platform.start()
    [row] = platform.client.flow(flow, 1)
    assert (row["status"], row["attempt"]) == ("completed", 1)
    assert "ended" in platform.client.request("GET", state).text


@pytest.mark.embedded
def test_a_second_platform_on_the_same_home_is_refused(own: Platform) -> None:
    done = own.manage("ferris", check=False)
    assert done.returncode != 0
    assert "running already" in done.stderr
    assert f"127.0.0.1:{own.port}" in done.stderr, "where to find it"
    assert own.client.request("GET", "/health/ready", token=None).status == 200


@pytest.mark.embedded
def test_commands_find_the_platform_that_runs(own: Platform) -> None:
    """In a shell that was told only the home, addresses are those of the platform that runs there."""
    told = own.environment.pop("FERRIS_PORT")
    try:
        made = own.manage("webhook", "new", "found", "--kind", "none")
        assert f"http://127.0.0.1:{own.port}/hooks/found/" in made.stderr
        own.stop()
        listed = own.manage("webhook", "list")
        assert "http://127.0.0.1:8000/hooks/found/" in listed.stdout, "of one that has ended nothing is known"
    finally:
        own.environment["FERRIS_PORT"] = told


def test_a_port_in_use_is_said(own: Platform, make_platform: Callable[..., Platform]) -> None:
    other = make_platform(FERRIS_PORT=str(own.port))
    done = other.manage("ferris", check=False)
    assert done.returncode == os.EX_CONFIG
    assert "FERRIS_PORT" in done.stderr


def test_a_wrong_setting_is_named_with_its_remedy(make_platform: Callable[..., Platform]) -> None:
    done = make_platform(FERRIS_LEASE="soon").manage("ferris", check=False)
    assert done.returncode == os.EX_CONFIG
    assert "FERRIS_LEASE" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("port", ["EVENT_LOG", "OBJECT_STORE", "CONFIG_STORE", "OPS_STORE"])
def test_a_backend_that_there_is_not_ends_the_start(
    make_platform: Callable[..., Platform], port: str
) -> None:
    done = make_platform(**{f"FERRIS_{port}": "carrier-pigeon://coop"}).manage("ferris", check=False)
    assert done.returncode != 0
    assert f"FERRIS_{port} is 'carrier-pigeon://coop'" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.embedded
@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="needs two processors")
@pytest.mark.parametrize("runner", ["warm", "cold"])
def test_the_engine_keeps_to_one_processor_and_its_scripts_do_not(
    make_platform: Callable[..., Platform], tmp_path: Path, runner: str
) -> None:
    platform = make_platform(FERRIS_RUNNER=runner)
    platform.start()
    project = Project(platform.client, tmp_path)
    script = "import os; print(sorted(os.sched_getaffinity(0)))"
    project.load({"TAG_s": {"manifest.json": {"trigger_events": ["TAG.go"]}, "s.py": script}})
    row = project.client.flow(project.emit("TAG.go"), 1)[0]
    assert project.client.output(row["id"]) == [str(sorted(os.sched_getaffinity(0)))]
    kept = []
    for thread in platform.engine().threads():
        with contextlib.suppress(ProcessLookupError):  # it has just ended
            kept.append(sorted(os.sched_getaffinity(thread.id)))
    assert len(kept) > 10
    assert all(one == kept[0] for one in kept)
    assert len(kept[0]) == 1
