"""ResourceLimits as users write them, and how the end of a script is said."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ferris.config import Settings
from ferris.errors import ConfigError
from ferris.execution import ExecutionOrder
from ferris.isolation import (
    BASIC,
    BEST,
    LAYERS,
    NONE,
    OFF,
    REMEDIES,
    Ceiling,
    ResourceLimits,
    exit_words,
    layers_of,
    missing,
    size_of,
    size_text,
)
from ferris.manifest import Manifest, parse_service

ALL = {name: {"ok": True, "said": ""} for name in LAYERS}


def parsed(manifest: dict[str, Any]) -> Any:
    return parse_service({"manifest.json": json.dumps(manifest).encode(), "run.py": b"print()"})


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("512MB", 512 << 20),
        ("512 mb", 512 << 20),
        ("512MiB", 512 << 20),
        ("1.5G", 3 << 29),
        ("2TB", 2 << 40),
        ("100", 100),
        (100, 100),
        ("64k", 64 << 10),
        ("0", 0),
        ("", None),
        ("MB", None),
        ("-1MB", None),
        ("1 2MB", None),
        (True, None),
        (1.5, None),
        ([], None),
    ],
)
def test_sizes(text: object, size: int | None) -> None:
    assert size_of(text) == size


def test_sizes_as_text() -> None:
    assert [size_text(n) for n in (5, 2048, 512 << 20, 3 << 29, 2 << 40)] == [
        "5 bytes",
        "2 KB",
        "512 MB",
        "1.5 GB",
        "2 TB",
    ]


def test_a_manifest_with_limits() -> None:
    limits = {"memory": "512MB", "cpu": "10m", "files": "256", "processes": 64, "file_size": "1GB"}
    found = parsed({"limits": limits, "network": "none", "isolation": "best"})
    assert found.messages == ()
    assert found.manifest.resources == ResourceLimits(512 << 20, 600.0, 256, 64, 1 << 30)
    assert (found.manifest.network, found.manifest.isolation) == ("none", "best")


def test_a_manifest_without_them() -> None:
    manifest = parsed({}).manifest
    assert (manifest.resources, manifest.network, manifest.isolation) == (ResourceLimits(), "egress", None)
    assert Manifest.from_json({}) == Manifest()  # as older versions are stored


CEILING = Ceiling(ResourceLimits(1 << 30, 600.0, 512, 64, 1 << 30), timeout=3600.0)


@pytest.mark.parametrize(
    ("manifest", "key", "says"),
    [
        ({"limits": {"memory": "8GB"}}, "limits.memory", "is 8 GB; this platform allows at most 1 GB (FERRIS_CEILING"),
        ({"limits": {"memory": 0}}, "limits.memory", "is no limit; this platform allows at most 1 GB"),
        ({"limits": {"cpu": "20m"}}, "limits.cpu", "is 1200 s; this platform allows at most 600 s (FERRIS_"),
        ({"limits": {"files": 513}}, "limits.files", "is 513; this platform allows at most 512"),
        ({"limits": {"processes": 65}}, "limits.processes", "is 65; this platform allows at most 64"),
        ({"limits": {"file_size": "2GB"}}, "limits.file_size", "(FERRIS_CEILING_FILE_SIZE)"),
        ({"timeout": "2h"}, "timeout", "is 7200 s; this platform allows at most 3600 s (FERRIS_CEILING_TIMEOUT)"),
    ],
)  # fmt: skip
def test_a_manifest_that_asks_for_more_than_is_allowed(manifest: dict[str, Any], key: str, says: str) -> None:
    files = {"manifest.json": json.dumps(manifest).encode(), "main.py": b""}
    found = parse_service(files, CEILING)
    [error] = [message for message in found.messages if message.level == "error"]
    assert (error.file, error.key, found.manifest) == ("manifest.json", key, None)
    assert says in error.text
    assert parse_service(files).manifest is not None
    assert parse_service(files, Ceiling(timeout=7200.0, limits=ResourceLimits(memory=0))).manifest is not None


def test_as_much_as_is_allowed_is_allowed() -> None:
    asked = {"memory": "1GB", "cpu": "10m", "files": 512, "processes": 64, "file_size": "1GB"}
    document = json.dumps({"limits": asked, "timeout": "1h"}).encode()
    for manifest in (document, b"{}"):
        assert parse_service({"manifest.json": manifest, "main.py": b""}, CEILING).manifest is not None


def test_what_is_above_a_ceiling_is_lowered() -> None:
    asked = ResourceLimits(memory=4 << 30, cpu=0, files=16)
    assert asked.within(CEILING.limits) == ResourceLimits(memory=1 << 30, cpu=600.0, files=16)
    assert asked.within(ResourceLimits()) == asked
    assert (CEILING.seconds(7200.0), CEILING.seconds(5.0), Ceiling().seconds(7200.0)) == (3600.0, 5.0, 7200.0)


def test_no_limit_at_all() -> None:
    limits = dict.fromkeys(("memory", "cpu", "files", "processes", "file_size"), 0)
    assert parsed({"limits": limits}).manifest.resources == ResourceLimits(0, 0, 0, 0, 0)


@pytest.mark.parametrize(
    ("manifest", "key", "says"),
    [
        ({"limits": {"memory": "1MB"}}, "limits.memory", "at least 32 MB"),
        ({"limits": {"memory": "much"}}, "limits.memory", '"512MB"'),
        ({"limits": {"cpu": "x"}}, "limits.cpu", "expected seconds"),
        ({"limits": {"files": 3}}, "limits.files", "from 16"),
        ({"limits": {"processes": -1}}, "limits.processes", "from 1"),
        ({"limits": {"file_size": []}}, "limits.file_size", "expected bytes"),
        ({"limits": 5}, "limits", "an object"),
        ({"network": "some"}, "network", '"egress" or "none"'),
        ({"isolation": "off"}, "isolation", '"basic" or "best"'),
    ],
)
def test_mistakes_name_key_and_remedy(manifest: dict[str, Any], key: str, says: str) -> None:
    found = parsed(manifest)
    [error] = [message for message in found.messages if message.level == "error"]
    assert error.key == key
    assert says in error.text


def test_what_a_service_does_not_say_is_the_platforms() -> None:
    defaults = ResourceLimits(memory=1, cpu=2, files=3, processes=4, file_size=5)
    assert ResourceLimits(memory=0, files=9).over(defaults) == ResourceLimits(0, 2, 9, 4, 5)


LIMITS = ResourceLimits(memory=512 << 20, cpu=60, files=64, processes=32, file_size=1 << 30)


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({"exit_code": 0}, "ended normally"),
        ({"exit_code": 3}, "ended with exit status 3"),
        ({"signal": "SIGSEGV"}, "killed by SIGSEGV"),
        ({"signal": "SIGXCPU"}, "killed by the CPU limit of 60 s"),
        ({"signal": "SIGKILL", "cpu_seconds": 65.0}, "killed by the CPU limit of 60 s"),
        ({"signal": "SIGKILL", "cpu_seconds": 61.0}, "not by the platform"),
        ({"signal": "SIGXFSZ"}, "killed by the file size limit of 1 GB"),
        ({"signal": "SIGKILL"}, "killed by SIGKILL, not by the platform"),
        ({"signal": "SIGKILL", "out_of_memory": True}, "killed by the memory limit of 512 MB"),
        ({"exit_code": 1, "error": "MemoryError"}, "out of memory, the limit is 512 MB"),
        ({"exit_code": 1, "error": "OSError: [Errno 27] File too large"}, "the size limit of 1 GB"),
        ({"exit_code": 1, "error": "OSError: [Errno 24] Too many open files: 'x'"}, "the limit is 64"),
        (
            {"exit_code": 1, "error": "BlockingIOError: [Errno 11] Resource temporarily unavailable"},
            "the limit is 32",
        ),
        ({"exit_code": 1, "error": "RuntimeError: can't start new thread"}, "the limit is 32"),
        ({"signal": "SIGKILL", "stopped": "timeout"}, "its timeout ran out"),
        ({"exit_code": 0, "stopped": "cancelled"}, "it was cancelled"),
        ({}, "its exit status is lost"),
    ],
)
def test_how_a_script_ended(how: dict[str, Any], words: str) -> None:
    said = exit_words(**{"exit_code": None, "signal": None, "stopped": None, "limits": LIMITS, **how})
    assert words in said


def test_levels_and_their_layers() -> None:
    assert layers_of(OFF, ALL, NONE, root=True) == ()
    basic = layers_of(BASIC, ALL, "egress", root=True)
    assert set(basic) == {"limits", "privileges", "rules", "system_calls", "cgroup_pids"}
    assert set(layers_of(BEST, ALL, NONE, root=True)) > {"user", "mounts", "processes", "network"}
    assert "user_namespace" in layers_of(BEST, ALL, "egress", root=False)
    assert "user" not in layers_of(BEST, ALL, "egress", root=False)


def test_what_is_missing_is_said_with_the_reason() -> None:
    found = {**ALL, "mounts": {"ok": False, "said": "Operation not permitted"}}
    assert missing(found, ("limits", "mounts")) == {"mounts": "Operation not permitted"}
    assert missing({}, ("limits",)) == {"limits": "not there"}
    assert set(REMEDIES) <= set(LAYERS)


def test_an_order_carries_them() -> None:
    order = ExecutionOrder(
        **dict.fromkeys(
            (
                "execution_id",
                "token",
                "service",
                "service_id",
                "project",
                "digest",
                "event_id",
                "event_type",
                "flow_id",
                "correlation_id",
                "trigger_type",
            ),
            "x",
        ),
        attempt=1,
        lease_seconds=1.0,
        scripts=(),
        limits={"memory": 5},
        network="none",
        isolation="best",
    )
    assert ExecutionOrder.from_json(json.loads(json.dumps(order.to_json()))) == order


def test_settings(tmp_path: Any) -> None:
    said = {
        "FERRIS_HOME": str(tmp_path),
        "FERRIS_ISOLATION": "best",
        "FERRIS_LIMIT_MEMORY": "1GB",
        "FERRIS_LIMIT_CPU": "60",
        "FERRIS_LIMIT_FILES": "100",
        "FERRIS_LIMIT_PROCESSES": "10",
        "FERRIS_LIMIT_FILE_SIZE": "0",
        "FERRIS_SCRIPT_READS": "/data:/models",
        "FERRIS_SCRIPT_UIDS": "70000-70009",
    }
    settings = Settings.from_env(said)
    assert settings.isolation == "best"
    assert settings.limits == ResourceLimits(1 << 30, 60.0, 100, 10, 0)
    assert (settings.script_reads, settings.script_uids) == (("/data", "/models"), (70000, 70009))
    assert Settings.from_env({"FERRIS_HOME": str(tmp_path)}).isolation == "basic"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("FERRIS_ISOLATION", "full"),
        ("FERRIS_LIMIT_MEMORY", "much"),
        ("FERRIS_SCRIPT_WRITES", "data"),
        ("FERRIS_SCRIPT_UIDS", "5"),
        ("FERRIS_SCRIPT_UIDS", "0-9"),
    ],
)
def test_wrong_settings(name: str, value: str, tmp_path: Any) -> None:
    with pytest.raises(ConfigError) as caught:
        Settings.from_env({"FERRIS_HOME": str(tmp_path), name: value})
    assert name in str(caught.value)
