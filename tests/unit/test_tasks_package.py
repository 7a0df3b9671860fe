"""Packages are unpacked safely or not at all."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import tarfile
import threading
from pathlib import Path

import pytest

from ferris.adapters import open_object_store
from ferris.config import PACKAGES_BUCKET
from ferris.ports import ObjectStore
from tasks import package
from tasks.package import PackageCache, PackageError, unpack
from tasks.spares import Spares

Entry = tuple[tarfile.TarInfo, bytes]


def entry(
    name: str, content: bytes = b"", kind: bytes = tarfile.REGTYPE, link: str = "", mode: int = 0o644
) -> Entry:
    info = tarfile.TarInfo(name)
    info.size, info.type, info.linkname, info.mode = len(content), kind, link, mode
    return info, content


def packed(*entries: Entry) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for info, content in entries:
            tar.addfile(info, io.BytesIO(content))
    return gzip.compress(out.getvalue(), mtime=0)


@pytest.fixture
def store(tmp_path: Path) -> ObjectStore:
    return open_object_store(f"file://{tmp_path}/objects")


def put(store: ObjectStore, content: bytes) -> str:
    digest = hashlib.sha256(content).hexdigest()
    store.put(PACKAGES_BUCKET, f"{digest}.tar.gz", content)
    return digest


@pytest.mark.parametrize(
    "bad",
    [
        [entry("../out", b"x")],
        [entry("a/../../out", b"x")],
        [entry("/etc/out", b"x")],
        [entry("C:/out", b"x")],
        [entry("a\\..\\out", b"x")],
        [entry("link", kind=tarfile.SYMTYPE, link="inside")],
        [entry("link", kind=tarfile.SYMTYPE, link="/etc/passwd"), entry("link/x", b"x")],
        [entry("link", kind=tarfile.SYMTYPE, link="..")],
        [entry("a", b"x"), entry("hard", kind=tarfile.LNKTYPE, link="a")],
        [entry("hard", kind=tarfile.LNKTYPE, link="/etc/passwd")],
        [entry("device", kind=tarfile.CHRTYPE)],
        [entry("device", kind=tarfile.BLKTYPE)],
        [entry("pipe", kind=tarfile.FIFOTYPE)],
        [entry("a.py", b"x"), entry("A.py", b"y")],
        [entry("a/x", b"x"), entry("A/y", b"y")],
        [entry("a", b"x"), entry("a/b", b"y")],
        [entry("a/b", b"x"), entry("a", b"y")],
        [entry("a", b"x"), entry("a", b"y")],
        [entry("a", b"x"), entry("./a", b"y")],
        [entry("n" * 1001, b"x")],
    ],
)
def test_what_could_escape_or_clash_is_refused_before_anything_is_written(
    bad: list[Entry], tmp_path: Path
) -> None:
    folder = tmp_path / "inner" / "folder"
    folder.mkdir(parents=True)
    with pytest.raises(PackageError):
        unpack(io.BytesIO(packed(entry("good", b"x"), *bad)), folder)
    assert list(folder.iterdir()) == []
    assert [path.name for path in tmp_path.rglob("*")] == ["inner", "folder"]


@pytest.mark.parametrize(("files", "size"), [(3, 1000), (100, 10)])
def test_limits(files: int, size: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(package, "MOST_FILES", files)
    monkeypatch.setattr(package, "MOST_BYTES", size)
    with pytest.raises(PackageError, match="more than"):
        unpack(io.BytesIO(packed(*(entry(str(n), b"123") for n in range(4)))), tmp_path)


@pytest.mark.parametrize(
    "content",
    [b"", b"no archive", gzip.compress(b"no tar"), packed(entry("a", b"x" * 99999))[:60]],
    ids=["empty", "text", "no tar", "cut off"],
)
def test_what_is_no_archive_is_refused(content: bytes, tmp_path: Path, store: ObjectStore) -> None:
    with pytest.raises(PackageError):
        PackageCache(tmp_path / "cache", store).folder(put(store, content))
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_bomb_is_refused_by_what_it_says_of_itself(tmp_path: Path) -> None:
    info = tarfile.TarInfo("big")
    info.size = 2**40
    with pytest.raises(PackageError):
        unpack(io.BytesIO(gzip.compress(info.tobuf() + b"\0" * 1024)), tmp_path)


def test_a_package_is_fetched_once_and_never_changed_by_who_uses_it(
    tmp_path: Path, store: ObjectStore
) -> None:
    digest = put(store, packed(entry("sub/tool.sh", b"#!", mode=0o755), entry("main.py", b"print()")))
    cache = PackageCache(tmp_path / "cache", store)
    cache.copy(digest, tmp_path / "one", Spares(tmp_path))
    store.delete(PACKAGES_BUCKET, f"{digest}.tar.gz")
    (tmp_path / "one" / "main.py").write_text("changed")
    (tmp_path / "one" / "new").write_text("new")
    cache.copy(digest, tmp_path / "two", Spares(tmp_path))
    assert (tmp_path / "two" / "main.py").read_text() == "print()"
    assert not (tmp_path / "two" / "new").exists()
    assert os.access(tmp_path / "two" / "sub" / "tool.sh", os.X_OK)
    assert not os.access(tmp_path / "two" / "main.py", os.X_OK)


def test_many_at_once_get_the_same_package(tmp_path: Path, store: ObjectStore) -> None:
    digest = put(store, packed(*(entry(f"f{n}", b"x" * 1000) for n in range(50))))
    caches = [PackageCache(tmp_path / "cache", store) for _ in range(3)]
    failures: list[BaseException] = []

    def copy(number: int) -> None:
        try:
            caches[number % 3].copy(digest, tmp_path / f"copy{number}", Spares(tmp_path))
            assert len(list((tmp_path / f"copy{number}").iterdir())) == 50
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=copy, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert [path.name for path in (tmp_path / "cache").iterdir()] == [digest]


def test_a_damaged_package_is_not_used(tmp_path: Path, store: ObjectStore) -> None:
    digest = put(store, packed(entry("a", b"x")))
    store.put(PACKAGES_BUCKET, f"{digest}.tar.gz", packed(entry("a", b"y")))
    with pytest.raises(PackageError, match="damaged"):
        PackageCache(tmp_path / "cache", store).folder(digest)


@pytest.mark.parametrize("digest", ["f" * 64, "../../etc", "", "F" * 64])
def test_a_package_that_is_not_there(digest: str, tmp_path: Path, store: ObjectStore) -> None:
    with pytest.raises(PackageError, match="not in the object store|no SHA-256"):
        PackageCache(tmp_path / "cache", store).folder(digest)
