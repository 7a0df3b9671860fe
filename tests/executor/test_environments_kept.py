"""Environments are shared by workers, never removed in use, pruned by size, and whole or not there."""

from __future__ import annotations

import fcntl
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from ferris import environments
from tasks.environment import BuildStep, EnvironmentFailed, Environments

MIB = 1024 * 1024


class Built:
    """Stands for uv, to be quick: makes an environment of a size, and counts those with packages."""

    def __init__(self, size: int = MIB) -> None:
        self.size, self.count = size, 0

    def __call__(self, steps: list[BuildStep]) -> None:
        self.count += len(steps) > 1
        there = steps[0].folder
        (there / "bin").mkdir(parents=True)
        (there / "bin" / "python").symlink_to(sys.executable)
        (there / "content").write_bytes(os.urandom(self.size))


def use(store: Environments, name: str, build: Callable[[Any], None] | None = None) -> Any:
    return store.use(name, None, "", build or Built(), lambda seconds: time.sleep(min(seconds, 0.01)))


def names(folder: Path) -> list[tuple[str, ...]]:
    return [one.requirements for one in environments.environments(folder)]


def age(folder: Path, name: str, seconds: float) -> None:
    [one] = [one for one in environments.environments(folder) if one.requirements == (name,)]
    before = time.time() - seconds
    os.utime(environments.lock_of(one.path), (before, before))


def test_the_longest_unused_goes_first_and_what_is_used_stays(tmp_path: Path) -> None:
    store = Environments(tmp_path, int(4.5 * MIB))
    for number, name in enumerate(("a", "b", "c")):
        with use(store, name):
            pass
        age(tmp_path, name, 1000 - number)
    with use(store, ""):
        pass  # without packages: never in the way
    with use(store, "a"):
        age(tmp_path, "a", 2000)
        with use(store, "d"):
            assert set(names(tmp_path)) == {("a",), ("c",), ("d",), ()}
            with use(store, "e"):
                assert set(names(tmp_path)) == {("a",), ("d",), ("e",), ()}
    assert not list(tmp_path.glob(".*"))


def test_one_that_another_process_uses_stays(tmp_path: Path) -> None:
    store = Environments(tmp_path, MIB // 2)
    code = (
        "import sys, pathlib; from tasks.environment import Environments\n"
        f"store = Environments(pathlib.Path({str(tmp_path)!r}), 1)\n"
        "with store.use('a', None, '', None, None) as there:\n    print(there.python, flush=True); sys.stdin.read()"
    )
    with use(store, "a") as mine:
        other = subprocess.Popen(
            [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert other.stdout is not None
        assert other.stdout.readline().strip() == mine.python
    assert environments.prune(tmp_path, 0) == []
    other.kill()
    other.wait()
    other.stdout.close()
    other.stdin.close()  # type: ignore[union-attr]
    assert [one.requirements for one in environments.prune(tmp_path, 0)] == [("a",)]


def _die_building(folder: Path, started: Path) -> None:
    def build(steps: list[BuildStep]) -> None:
        Built()(steps)
        started.touch()
        time.sleep(600)

    with use(Environments(folder, 10 * MIB), "a", build):
        pass


def test_what_a_killed_builder_left_is_removed_and_built_again(tmp_path: Path) -> None:
    folder, started = tmp_path / "e", tmp_path / "started"
    builder = multiprocessing.get_context("fork").Process(target=_die_building, args=(folder, started))
    builder.start()
    deadline = time.monotonic() + 60
    while not started.exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert environments.environments(folder) == []
    environments.sweep(folder)
    assert list(folder.glob(".*")), "its builder lives"
    os.kill(builder.pid, signal.SIGKILL)  # type: ignore[arg-type]
    builder.join()
    build = Built()
    with use(Environments(folder, 10 * MIB), "a", build) as there:
        assert Path(there.python).exists()
    assert build.count == 1
    assert not list(folder.glob(".*"))


def test_one_whose_python_is_gone_is_built_again(tmp_path: Path) -> None:
    store, build = Environments(tmp_path, 10 * MIB), Built()
    with use(store, "a", build) as there:
        pass
    Path(there.python).unlink()
    Path(there.python).symlink_to("/nowhere/python3")
    with use(store, "a", build) as again:
        assert Path(again.python).exists()
    assert build.count == 2


def test_a_build_that_fails_leaves_nothing(tmp_path: Path) -> None:
    def fail(steps: list[BuildStep]) -> None:
        Built()(steps)
        raise EnvironmentFailed("no such package")

    store = Environments(tmp_path, 10 * MIB)
    with pytest.raises(EnvironmentFailed, match="^no such package$"), use(store, "a", fail):
        pass
    assert [path.name for path in tmp_path.iterdir() if path.suffix != ".lock"] == []
    with use(store, "a"):
        pass


def test_a_python_that_is_not_there_is_told_with_those_that_are(tmp_path: Path) -> None:
    def fail(steps: list[BuildStep]) -> None:
        raise EnvironmentFailed("No interpreter found for Python 3.99")

    store = Environments(tmp_path, 10 * MIB)
    own = f"{sys.version_info.major}.{sys.version_info.minor}"
    with (
        pytest.raises(EnvironmentFailed, match=rf"asks for Python 3\.99, and this executor has .*{own}"),
        store.use("", "3.99", "", fail, time.sleep),
    ):
        pass


def test_the_executors_own_version_by_name_is_the_same_environment(tmp_path: Path) -> None:
    store, build = Environments(tmp_path, 10 * MIB), Built()
    own = f"{sys.version_info.major}.{sys.version_info.minor}"
    with ExitStack() as stack:
        one = stack.enter_context(store.use("a", None, "", build, time.sleep))
        other = stack.enter_context(store.use("a", own, "", build, time.sleep))
    assert (one, build.count) == (other, 1)


def test_many_builders_build_once(tmp_path: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor

    build = Built(100)

    def go(_: int) -> str:
        with use(Environments(tmp_path, MIB), "a", build) as there:
            return str(there.python)

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(go, range(40)))) == 1
    assert build.count == 1


def test_a_use_costs_little(tmp_path: Path) -> None:
    """Its time of use is written once a minute only."""
    store = Environments(tmp_path, MIB)
    with use(store, "a"):
        pass
    both = environments.environments(tmp_path)
    with use(store, "a"):
        pass
    assert [one.used_at for one in environments.environments(tmp_path)] == [one.used_at for one in both]
    [one] = [one for one in both if one.requirements]
    with environments.held(one.path, fcntl.LOCK_EX) as mine:
        assert mine, "given back"
