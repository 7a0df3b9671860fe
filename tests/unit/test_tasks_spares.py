"""A folder is given to the next attempt only if that cannot tell it from a new one."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tasks.package_copy import PackageCopy
from tasks.spares import MOST, MOST_KINDS, Spares


@pytest.fixture
def spares(tmp_path: Path) -> Spares:
    folder = tmp_path / "spare"
    folder.mkdir()
    return Spares(folder)


@pytest.fixture
def copy(tmp_path: Path) -> PackageCopy:
    folder = tmp_path / "package"
    (folder / "inner").mkdir(parents=True)
    (folder / "run.py").write_text("print(1)\n")
    (folder / "inner" / "data.txt").write_text("data")
    (folder / "tool").write_text("#!/bin/sh\n")
    (folder / "tool").chmod(0o755)
    return PackageCopy(folder)


def test_an_empty_folder_is_given_out_again(spares: Spares, tmp_path: Path) -> None:
    spares.empty(tmp_path / "a")
    number = (tmp_path / "a").stat().st_ino
    assert spares.give_back(tmp_path / "a")
    assert not (tmp_path / "a").exists()
    spares.empty(tmp_path / "b")
    assert (tmp_path / "b").stat().st_ino == number
    spares.empty(tmp_path / "c")
    assert (tmp_path / "c").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: (folder / ".left").touch(),
        lambda folder: folder.chmod(0o755),
        lambda folder: folder.chmod(0o1700),
        lambda folder: (folder.rmdir(), folder.symlink_to("/")),
        lambda folder: (folder.rmdir(), folder.touch(0o700)),
        lambda folder: folder.rmdir(),
    ],
)
def test_a_changed_folder_is_not(spares: Spares, tmp_path: Path, change: Callable[[Path], object]) -> None:
    spares.empty(tmp_path / "a")
    change(tmp_path / "a")
    assert not spares.give_back(tmp_path / "a")


def test_a_folder_that_was_not_given_out_is_not_kept(spares: Spares, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir(0o700)
    assert not spares.give_back(tmp_path / "a")


def test_an_unchanged_copy_of_a_package_is_given_out_again(
    spares: Spares, copy: PackageCopy, tmp_path: Path
) -> None:
    for _ in range(3):
        taken = spares.take(tmp_path / "a", "digest", copy.unchanged)
        if not taken:
            copy.make(tmp_path / "a")
        assert (tmp_path / "a" / "run.py").read_text() == "print(1)\n"
        assert os.access(tmp_path / "a" / "tool", os.X_OK)
        assert spares.give_back(tmp_path / "a")
    assert taken
    assert not spares.take(tmp_path / "b", "another digest", copy.unchanged)


def _same_size_and_time(folder: Path) -> None:
    path = folder / "run.py"
    found = path.stat()
    path.write_text("print(2)\n")
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))


def _replaced(folder: Path) -> None:
    (folder / "run.py").rename(folder / "other")
    (folder / "run.py").symlink_to("other")


@pytest.mark.parametrize(
    "change",
    [
        _same_size_and_time,
        _replaced,
        lambda folder: os.utime(folder / "run.py"),
        lambda folder: (folder / "run.py").chmod(0o755),
        lambda folder: (folder / "run.py").unlink(),
        lambda folder: (folder / "more.py").touch(),
        lambda folder: (folder / "inner" / "more").mkdir(),
        lambda folder: (folder / "inner").chmod(0o700),
        lambda folder: os.link(folder / "run.py", folder.parent / "link"),
        lambda folder: (folder / "inner" / "data.txt").write_text("data and more"),
        lambda folder: ((folder / "tool").unlink(), os.mkfifo(folder / "tool")),
        lambda folder: ((folder / "inner" / "data.txt").unlink(), (folder / "inner").rmdir()),
    ],
)
def test_a_changed_copy_is_not(
    spares: Spares, copy: PackageCopy, tmp_path: Path, change: Callable[[Path], object]
) -> None:
    assert not spares.take(tmp_path / "a", "digest", copy.unchanged)
    copy.make(tmp_path / "a")
    change(tmp_path / "a")
    assert not spares.give_back(tmp_path / "a")


def test_what_is_large_is_not_compared(tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(bytes(1 << 20))
    assert not PackageCopy(tmp_path).small


def test_no_more_are_kept_than_a_moment_needs(spares: Spares, tmp_path: Path) -> None:
    for number in range(MOST + 10):
        spares.empty(tmp_path / str(number))
    assert [spares.give_back(tmp_path / str(number)) for number in range(MOST + 10)].count(True) == MOST


def test_kinds_that_were_not_used_for_long_are_removed(spares: Spares, tmp_path: Path) -> None:
    for number in range(MOST_KINDS + 5):
        assert not spares.take(tmp_path / "a", str(number), lambda _: True)
        (tmp_path / "a").mkdir()
        assert spares.give_back(tmp_path / "a")
    assert len(list((tmp_path / "spare").iterdir())) == MOST_KINDS
    assert not spares.take(tmp_path / "a", "0", lambda _: True)
