"""What every object store keeps. To add a backend: one parameter of `store`."""

from __future__ import annotations

import hashlib
import io
import os
import threading
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ferris.adapters import open_object_store
from ferris.errors import BackendError, ConfigError, NotFound
from ferris.ports import ObjectStore


def folder(tmp_path: Path) -> ObjectStore:
    return open_object_store(f"file://{tmp_path}/objects")


@pytest.fixture(
    params=[
        pytest.param(folder, id="folder"),
        pytest.param(None, id="minio", marks=pytest.mark.real),
    ]
)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ObjectStore]:
    make: Callable[[Path], ObjectStore] | None = request.param
    if make is not None:
        yield make(tmp_path)
        return
    server = request.getfixturevalue("real")("FERRIS_OBJECT_STORE")
    store = open_object_store(server.replace("?", f"/t{uuid.uuid4().hex[:12]}?"))
    yield store
    for bucket in store.buckets():
        for info in store.list(bucket):
            store.delete(bucket, info.key)
        store._client.remove_bucket(store._prefix + bucket)


def content(store: ObjectStore, key: str, bucket: str = "bucket") -> bytes:
    with store.open(bucket, key) as stream:
        return stream.read()


def keys(store: ObjectStore, **arguments) -> list[str]:
    return [info.key for info in store.list("bucket", **arguments)]


def test_what_was_put_comes_back_with_what_is_known_of_it(store):
    data = os.urandom(3_000_000)
    info = store.put("bucket", "a/b/data.bin", io.BytesIO(data), "application/x-test")
    assert content(store, "a/b/data.bin") == data
    assert store.stat("bucket", "a/b/data.bin") == info
    assert (info.bucket, info.key, info.size) == ("bucket", "a/b/data.bin", len(data))
    assert info.content_type == "application/x-test"
    assert datetime.now(UTC) - info.modified < timedelta(minutes=5)


def test_the_content_type_is_guessed_without_one(store):
    assert store.put("bucket", "report.html", b"x").content_type == "text/html"
    assert store.put("bucket", "thing.unheard-of", b"x").content_type == "application/octet-stream"


def test_the_etag_follows_the_content(store):
    first = store.put("bucket", "key", b"one").etag
    assert store.put("bucket", "key", b"two").etag != first
    assert store.put("bucket", "other", b"one", "text/plain").etag == first


def test_empty_content(store):
    assert store.put("bucket", "empty", b"").size == 0
    assert content(store, "empty") == b""


@pytest.mark.parametrize(
    "key", ["a b", "ä/ö.txt", "日本語", "a+b%20c?d#e", "a'b\"c", "-rf", ".hidden", "a..b", "x" * 255, "CON"]
)
def test_unusual_keys(store, key):
    store.put("bucket", key, b"x")
    assert content(store, key) == b"x"
    assert keys(store) == [key]


@pytest.mark.parametrize(
    "key",
    [
        "",
        "/a",
        "a/",
        "a//b",
        ".",
        "..",
        "a/../b",
        "../b",
        "a/./b",
        "a\\b",
        "a\x00b",
        "a\nb",
        "x" * 256,
        "y/" * 600,
        "\ud800",
    ],
)
def test_keys_that_could_escape_or_mean_something_else_are_refused(store, key):
    for call in (
        lambda: store.put("bucket", key, b"x"),
        lambda: store.open("bucket", key),
        lambda: store.stat("bucket", key),
        lambda: store.delete("bucket", key),
    ):
        with pytest.raises(BackendError):
            call()


@pytest.mark.parametrize(
    "bucket", ["", "a", "..", "a..b", "A-B", "a/b", ".tmp", "a_b", "x" * 64, "-ab", "ab\n"]
)
def test_bad_bucket_names_are_refused(store, bucket):
    with pytest.raises(BackendError):
        store.put(bucket, "key", b"x")
    with pytest.raises(BackendError):
        store.list(bucket)


def test_what_is_not_there(store):
    assert store.stat("bucket", "nothing") is None
    with pytest.raises(NotFound, match="bucket/nothing"):
        store.open("bucket", "nothing")
    store.delete("bucket", "nothing")
    assert store.list("bucket") == []
    store.put("bucket", "folder/file", b"x")
    assert store.stat("bucket", "folder") is None
    with pytest.raises(NotFound):
        store.open("bucket", "folder")
    with pytest.raises(NotFound):
        store.open("bucket", "folder/file/below")


def test_deleted_is_gone(store):
    store.put("bucket", "a/b", b"x")
    store.delete("bucket", "a/b")
    assert store.stat("bucket", "a/b") is None
    assert keys(store) == []
    store.put("bucket", "a", b"its folder left nothing in the way")
    assert keys(store) == ["a"]


def test_buckets_are_apart(store):
    assert store.buckets() == []
    store.put("two", "key", b"2")
    store.put("one", "key", b"1")
    assert store.buckets() == ["one", "two"]
    assert content(store, "key", "one") == b"1"


KEYS = ["Z", "a", "a-b", "a.b", "a/b", "a/b-c/d", "a/c", "a0", "ab/c", "b", "é", "日"]


@pytest.fixture
def filled(store):
    for key in reversed(KEYS):
        if key != "a":  # not beside a/b
            store.put("bucket", key, key.encode())
    return store


def test_lists_in_the_order_of_the_keys(filled):
    expected = sorted((key for key in KEYS if key != "a"), key=str.encode)
    assert keys(filled) == expected
    assert keys(filled, prefix="a") == [key for key in expected if key.startswith("a")]
    assert keys(filled, prefix="a/") == ["a/b", "a/b-c/d", "a/c"]
    assert keys(filled, prefix="a/b-c/") == ["a/b-c/d"]
    assert keys(filled, prefix="nothing") == []


@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_pages_meet_without_gap_or_overlap(filled, size):
    found: list[str] = []
    while page := keys(filled, after=found[-1] if found else None, limit=size):
        assert len(page) <= size
        found += page
    assert found == keys(filled)
    assert keys(filled, prefix="a/", after="a/b", limit=1) == ["a/b-c/d"]
    assert keys(filled, after="a/b-c") == [key for key in found if key.encode() > b"a/b-c"]


def test_an_open_stream_outlives_a_replacement(store):
    store.put("bucket", "key", b"old")
    with store.open("bucket", "key") as stream:
        store.put("bucket", "key", b"new")
        assert stream.read() == b"old"
    assert content(store, "key") == b"new"


def test_a_source_that_fails_leaves_the_old_version(store):
    class Broken(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            if self.tell():
                raise RuntimeError("the upload broke off")
            return super().read(10)

    old = store.put("bucket", "key", b"old", "text/x-old")
    with pytest.raises(RuntimeError):
        store.put("bucket", "key", Broken(b"half of something new"), "text/x-new")
    assert store.stat("bucket", "key") == old
    assert content(store, "key") == b"old"
    assert keys(store) == ["key"]


def test_readers_see_whole_versions_while_writers_replace_them(store):
    versions = [bytes([number]) * 200_000 for number in range(4)]
    known = {hashlib.sha256(version).hexdigest(): version for version in versions}
    etags = {store.put("bucket", "other", version).etag: version for version in versions}
    store.put("bucket", "key", versions[0], "text/x-kept")
    stop = threading.Event()
    wrong: list[object] = []

    def write(number: int) -> None:
        for turn in range(40):
            store.put("bucket", "key", versions[(number + turn) % 4], "text/x-kept")

    def read() -> None:
        while not stop.is_set():
            if hashlib.sha256(content(store, "key")).hexdigest() not in known:
                wrong.append("a mixture")
            info = store.stat("bucket", "key")
            if info is None or info.etag not in etags or info.content_type != "text/x-kept":
                wrong.append(info)

    readers = [threading.Thread(target=read) for _ in range(2)]
    writers = [threading.Thread(target=write, args=(number,)) for number in range(2)]
    for thread in readers + writers:
        thread.start()
    for thread in writers:
        thread.join()
    stop.set()
    for thread in readers:
        thread.join()
    assert not wrong


# ------------------------------------------------------------------------------------- the folder alone


def test_folder_a_key_cannot_be_a_folder_too(tmp_path):
    store = folder(tmp_path)
    store.put("bucket", "a", b"x")
    with pytest.raises(BackendError, match="folder"):
        store.put("bucket", "a/b", b"x")
    store.put("bucket", "c/d", b"x")
    with pytest.raises(BackendError, match="folder"):
        store.put("bucket", "c", b"x")
    assert keys(store) == ["a", "c/d"]
    assert list((tmp_path / "objects" / ".tmp").iterdir()) == []


def test_folder_links_are_not_followed(tmp_path):
    store = folder(tmp_path)
    store.put("bucket", "key", b"x")
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "file").write_text("hidden")
    (tmp_path / "objects/bucket/link").symlink_to(secret)
    (tmp_path / "objects/bucket/direct").symlink_to(secret / "file")
    for key in ("link/file", "direct"):
        with pytest.raises((BackendError, NotFound)):
            store.open("bucket", key)
    with pytest.raises(BackendError):
        store.put("bucket", "link/new", b"x")
    assert keys(store) == ["key"]
    assert not (secret / "new").exists()


def test_folder_a_file_copied_in_by_hand_is_an_object(tmp_path):
    store = folder(tmp_path)
    etag = store.put("bucket", "one.csv", b"1,2").etag
    (tmp_path / "objects/bucket/two.csv").write_bytes(b"1,2")
    info = store.stat("bucket", "two.csv")
    assert info is not None
    assert (info.etag, info.content_type) == (etag, "text/csv")
    (tmp_path / "objects/bucket/two.csv").write_bytes(b"changed")
    changed = store.stat("bucket", "two.csv")
    assert changed is not None
    assert changed.etag != etag


def test_folder_notes_do_not_pile_up(tmp_path):
    store = folder(tmp_path)
    for number in range(5):
        store.put("bucket", "key", str(number).encode(), "text/plain")
    notes = [path for path in (tmp_path / "objects/.notes").rglob("*") if path.is_file()]
    assert len(notes) == 1
    store.delete("bucket", "key")
    assert not any(path.is_file() for path in (tmp_path / "objects").rglob("*"))


def test_folder_errors_name_a_remedy(tmp_path):
    (tmp_path / "objects").write_text("a file in the way")
    with pytest.raises(BackendError) as caught:
        folder(tmp_path).put("bucket", "key", b"x")
    assert caught.value.remedy
    for url in ("file:relative/path", "file://host/path", "file:///", "ftp://x/y", "nothing"):
        with pytest.raises(ConfigError, match="FERRIS_OBJECT_STORE"):
            open_object_store(url)
