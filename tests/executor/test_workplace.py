"""The folders of workers on one machine: each its own, and what those that died left is removed."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import pytest

from tasks.workplace import Workplace


def _work(parent: Path, together: Any, found: Any) -> None:
    together.wait()
    place = Workplace(parent)
    together.wait()  # all have made theirs
    found.put(place.attempts.is_dir() and Path(place.socket_path()).parent.is_dir())
    together.wait()  # all have looked
    place.close()


def test_workers_that_start_at_once_leave_each_others_folders_alone(tmp_path: Path) -> None:
    fork = multiprocessing.get_context("fork")
    for _ in range(15):
        together, found = fork.Barrier(6), fork.SimpleQueue()
        workers = [fork.Process(target=_work, args=(tmp_path, together, found)) for _ in range(6)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join(60)
        assert [found.get() for _ in workers] == [True] * 6
    assert [path.name for path in tmp_path.iterdir()] == ["sweep"]


def test_what_a_worker_that_died_left_is_removed(tmp_path: Path) -> None:
    (tmp_path / "host-1").mkdir()
    (tmp_path / "host-1.lock").touch()
    place = Workplace(tmp_path)
    assert not (tmp_path / "host-1").exists()
    assert not (tmp_path / "host-1.lock").exists()
    place.close()


def test_what_it_had_elsewhere_is_removed_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with tempfile.TemporaryDirectory(prefix="short-") as short:
        monkeypatch.setattr(tempfile, "tempdir", short)
        parent = tmp_path / ("long" * 20)
        killed = os.fork()
        if not killed:  # ends as by kill -9: without closing anything
            Path(Workplace(parent).socket_path()).write_text("x")
            os._exit(0)
        os.waitpid(killed, 0)
        (left,) = Path(short).iterdir()
        daemon = subprocess.Popen(
            ["sleep", "600"], env={"FERRIS_CHANNEL": f"{left}/1", "PATH": os.environ["PATH"]}
        )
        try:
            place = Workplace(parent)
            assert daemon.wait(60) == -9
            assert not left.exists()
            place.close()
            assert os.listdir(short) == []
        finally:
            daemon.kill()
