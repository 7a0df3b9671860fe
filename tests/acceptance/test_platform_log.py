"""FERRIS_LOG_FORMAT=json: every process writes a JSON line per record on standard error."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from queue import Empty, Queue

import pytest

from tests.acceptance.ports import free_port

ROOT = Path(__file__).resolve().parents[2]
AWAY = "elasticsearch://reader:not-to-be-told@127.0.0.1:1"
PROCESSES = {
    "web": ([sys.executable, str(ROOT / "manage.py"), "web", "--prepare"], "FERRIS_OPS_STORE"),
    "gateway": ([sys.executable, str(ROOT / "manage.py"), "gateway"], "FERRIS_OPS_STORE"),
    "executor": (
        [sys.executable, "-m", "celery", "-A", "celery_app", "worker", "-P", "threads"],
        "FERRIS_CONTROL_URL",
    ),
}


@pytest.mark.embedded
@pytest.mark.parametrize("process", PROCESSES)
def test_lines_are_json_and_say_who_speaks(process: str, tmp_path: Path) -> None:
    command, about = PROCESSES[process]
    kept = {key: value for key, value in os.environ.items() if not key.startswith("FERRIS_")}
    settings = {
        "FERRIS_HOME": str(tmp_path / "home"), "FERRIS_PORT": str(free_port()), "FERRIS_LOG_FORMAT": "json",
        "FERRIS_BROKER": "filesystem://localhost", "FERRIS_OPS_STORE": AWAY, "PYTHONPATH": str(ROOT),
        "FERRIS_CONTROL_URL": "http://127.0.0.1:1/control", "C_FORCE_ROOT": "1",
    }  # fmt: skip
    (tmp_path / "data_in").mkdir()
    if process == "gateway":
        migrate = [sys.executable, str(ROOT / "manage.py"), "migrate", "-v", "0"]
        subprocess.run(migrate, env=kept | settings, check=True, timeout=100)
    running = subprocess.Popen(
        command,
        cwd=tmp_path,
        env=kept | settings,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    lines: Queue[str] = Queue()
    assert running.stderr is not None
    reader = threading.Thread(target=lambda pipe: [lines.put(line) for line in pipe], args=(running.stderr,))
    reader.start()
    try:
        found = json.loads(lines.get(timeout=60))
        while about not in found["message"]:
            found = json.loads(lines.get(timeout=60))
    except Empty:
        pytest.fail("it said nothing")
    finally:
        running.terminate()
        try:
            running.wait(30)
        finally:
            running.kill()
            reader.join()
    assert found["process"] == process
    assert found["level"] in ("warning", "error")
    assert "not-to-be-told" not in str(found)
    while not lines.empty():
        json.loads(lines.get())
