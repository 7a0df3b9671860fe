"""What every config store keeps. To add a backend: one parameter of `store`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from ferris.adapters import open_config_store
from ferris.errors import BackendError, ConfigError
from ferris.ports import MAX_CONFIG_VALUE, ConfigStore, Entry

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture(
    params=[
        pytest.param("database:", id="database"),
        pytest.param("consul", id="consul", marks=pytest.mark.real),
    ]
)
def url(request: pytest.FixtureRequest, transactional_db: None) -> Iterator[str]:
    if request.param != "consul":
        yield request.param
        return
    server = request.getfixturevalue("real")("FERRIS_CONFIG_STORE")
    url = f"{server}/test-{uuid.uuid4().hex}"
    yield url
    store = open_config_store(url)
    for entry in store.list(""):
        store.delete(entry.key)


@pytest.fixture
def store(url: str) -> ConfigStore:
    return open_config_store(url)


def value(store: ConfigStore, key: str) -> bytes | None:
    entry = store.get(key)
    return entry.value if entry else None


def index(store: ConfigStore, key: str) -> int:
    entry = store.get(key)
    return entry.index if entry else 0


def test_set_and_get(store):
    assert store.get("key") is None
    assert store.put("key", b"one")
    assert store.put("key", b"two")
    entry = store.get("key")
    assert entry is not None
    assert (entry.key, entry.value) == ("key", b"two")
    assert type(entry.value) is bytes


def test_many_at_once(store):
    assert store.get_many([]) == {}
    keys = [f"key {number}" for number in range(70)]
    for key in (*keys[::7], "/lead", "~x"):
        store.put(key, key.encode())
    store.put("empty", b"")
    wanted = [*keys, "/lead", "~x", "empty", "never"]
    assert store.get_many(wanted) == {
        key: Entry(key, b"" if key == "empty" else key.encode(), index(store, key))
        for key in (*keys[::7], "/lead", "~x", "empty")
    }
    with pytest.raises(BackendError):
        store.get_many(["fine", "a\0"])


@pytest.mark.parametrize(
    "data", [b"", bytes(range(256)), "äöü 日本".encode(), b"\0\0", b"x" * MAX_CONFIG_VALUE]
)
def test_any_bytes(store, data):
    store.put("key", data)
    assert value(store, "key") == data


@pytest.mark.parametrize(
    "key", ["a b", "quakes_alert.state", "ä/日本", "a%_b", "-x", "a?b#c", "x" * 512, "/lead"]
)
def test_any_key(store, key):
    store.put(key, b"x")
    assert store.list("") == [Entry(key, b"x", store.index())]
    assert value(store, key) == b"x"
    assert store.delete(key)
    assert store.get(key) is None


@pytest.mark.parametrize("key", ["", "x" * 513, "a\0b", "\ud800"])
def test_bad_keys_are_refused(store, key):
    for call in (lambda: store.put(key, b"x"), lambda: store.get(key), lambda: store.delete(key)):
        with pytest.raises(BackendError):
            call()


def test_too_large_values_are_refused(store):
    with pytest.raises(BackendError, match="object store"):
        store.put("key", b"x" * (MAX_CONFIG_VALUE + 1))
    assert store.get("key") is None


def test_compare_and_set(store):
    assert not store.put("key", b"x", cas=5)  # nothing there to have index 5
    assert store.get("key") is None
    assert store.put("key", b"first", cas=0)
    assert not store.put("key", b"second", cas=0)
    seen = index(store, "key")
    assert not store.put("key", b"third", cas=seen + 1)
    assert value(store, "key") == b"first"
    assert store.put("key", b"third", cas=seen)
    assert not store.put("key", b"fourth", cas=seen)
    assert value(store, "key") == b"third"


def test_compare_and_delete(store):
    store.put("key", b"x")
    old = index(store, "key")
    store.put("key", b"y")
    assert not store.delete("key", cas=old)
    assert not store.delete("key", cas=0)
    assert store.delete("key", cas=index(store, "key"))
    assert store.get("key") is None
    assert not store.delete("key", cas=old)
    assert store.delete("key")  # not there is as good


def test_a_key_made_again_has_a_new_index(store):
    store.put("key", b"x")
    old = index(store, "key")
    store.delete("key")
    store.put("key", b"x")
    assert index(store, "key") > old
    assert not store.put("key", b"y", cas=old)


def test_the_index_grows_with_every_change_and_only_then(store):
    start = store.index()
    assert start >= 0
    store.put("a", b"1")
    first = store.index()
    assert start < first == index(store, "a")
    store.put("b", b"1")
    second = store.index()
    assert first < second
    assert index(store, "a") == first
    store.delete("a")
    third = store.index()
    assert third > second
    store.put("b", b"2", cas=0)
    store.get("b")
    store.list("")
    assert store.index() == third


def test_list_by_prefix(store):
    for key in ("b", "a/2", "a/1", "A/1", "a", "a_x", "aäx", "a%"):
        store.put(key, key.encode())
    assert [entry.key for entry in store.list("a/")] == ["a/1", "a/2"]
    assert [entry.key for entry in store.list("a_")] == ["a_x"]
    assert [entry.key for entry in store.list("a%")] == ["a%"]
    assert [entry.key for entry in store.list("A")] == ["A/1"]
    assert store.list("nothing") == []
    everything = store.list("")
    assert [entry.key for entry in everything] == sorted((e.key for e in everything), key=str.encode)
    assert len(everything) == 8
    assert all(entry == store.get(entry.key) for entry in everything)


def add_one(store: ConfigStore, key: str, times: int) -> int:
    """Count a number in the store up; give how often another was faster."""
    lost = 0
    for _ in range(times):
        while True:
            entry = store.get(key)
            number = int(entry.value) if entry else 0
            if store.put(key, str(number + 1).encode(), cas=entry.index if entry else 0):
                break
            lost += 1
    return lost


def test_threads_counting_lose_nothing(store):
    def work() -> None:
        from django.db import connection

        try:
            add_one(store, "counter", 10)
        except Exception as error:
            errors.append(error)
        finally:
            connection.close()

    errors: list[Exception] = []
    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert value(store, "counter") == b"40"


PROCESS = """
import sys, django
django.setup()
from ferris.adapters import open_config_store
from tests.contract.test_config_store import add_one
store = open_config_store(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
add_one(store, "counter", 20)
"""


def test_processes_counting_lose_nothing(store, url):
    from django.db import connection

    database = {"FERRIS_DATABASE": f"sqlite:///{connection.settings_dict['NAME']}"}
    environment = os.environ | {
        **(database if connection.vendor == "sqlite" else {}),
        "DJANGO_SETTINGS_MODULE": "ferris_web.settings",
        "PYTHONPATH": str(ROOT),
    }
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", PROCESS, url],
            env=environment, cwd=ROOT, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )
        for _ in range(2)
    ]  # fmt: skip
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.communicate("go\n", timeout=60)
        assert process.returncode == 0
    assert value(store, "counter") == b"40"


def test_database_state_is_json_as_the_platform_uses_it(store):
    state = {"seen": [1, 2], "last": "ü"}
    store.put("service.state", json.dumps(state).encode())
    assert json.loads(value(store, "service.state") or b"") == state


def test_an_unknown_scheme_is_a_config_error():
    with pytest.raises(ConfigError, match="FERRIS_CONFIG_STORE"):
        open_config_store("etcd://host")
    with pytest.raises(ConfigError) as caught:
        open_config_store("etcd://user:hidden@host")
    assert "hidden" not in str(caught.value)
