"""Packages that run code of their own while they are built: what that code is kept from."""

from __future__ import annotations

import io
import json
import os
import tarfile
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.executor.control_server import TOKEN, Platform, lives, lives_inside, platform
from tests.wheels import wheel

ROOT = os.geteuid() == 0
BACKEND = """
    import base64, json, os, sys, zipfile

    def tried(code):
        try:
            return eval(code)
        except BaseException as error:
            return type(error).__name__

    def build_wheel(folder, config_settings=None, metadata_directory=None):
        with open("attempts.json") as file:
            said = {name: tried(code) for name, code in json.load(file).items()}
        info, name = "hostile-1.0.dist-info", "hostile-1.0-py3-none-any.whl"
        with zipfile.ZipFile(os.path.join(folder, name), "w") as wheel:
            wheel.writestr("hostile.py", f"SAID = {said!r}")
            wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\\nName: hostile\\nVersion: 1.0\\n")
            wheel.writestr(
                f"{info}/WHEEL",
                "Wheel-Version: 1.0\\nGenerator: test\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n",
            )
            wheel.writestr(f"{info}/RECORD", "")
        return name
"""
PROJECT = """
    [build-system]
    requires = []
    build-backend = "backend"
    backend-path = ["."]
    [project]
    name = "hostile"
    version = "1.0"
"""


@pytest.fixture(scope="module", params=["off", "basic", "best"])
def ferris(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    made = platform(tmp_path_factory.mktemp("home"), FERRIS_ISOLATION=request.param)
    yield made
    made.executor.close()
    made.control.close()


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of packages in place of an index; the platform's secrets are in this process's environment."""
    monkeypatch.setenv("UV_OFFLINE", "1")
    monkeypatch.setenv("UV_FIND_LINKS", str(tmp_path))
    monkeypatch.setenv("UV_PUBLISH_TOKEN", "secret-of-a-publisher")
    monkeypatch.setenv("FERRIS_EXECUTOR_TOKEN", TOKEN)
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    tmp_path.chmod(0o755)  # as a folder of packages is
    return tmp_path


def source(index: Path, attempts: dict[str, str], backend: str = BACKEND) -> None:
    """A package as its author uploaded it: what uses it has to build it."""
    files = {
        "pyproject.toml": textwrap.dedent(PROJECT),
        "backend.py": textwrap.dedent(backend),
        "attempts.json": json.dumps(attempts),
    }
    with tarfile.open(index / "hostile-1.0.tar.gz", "w:gz") as archive:
        for name, text in files.items():
            entry = tarfile.TarInfo(f"hostile-1.0/{name}")
            entry.size = len(text.encode())
            archive.addfile(entry, io.BytesIO(text.encode()))


def has(ferris: Platform, layer: str) -> bool:
    return ferris.settings.isolation != "off" and bool(ferris.executor.isolation.found[layer]["ok"])


def built(ferris: Platform, index: Path, attempts: dict[str, str]) -> dict[str, Any]:
    """What the attempts of a build came to."""
    source(index, attempts)
    text = f"hostile @ file://{index}/hostile-1.0.tar.gz\n"
    code = "import hostile, json; print(json.dumps(hostile.SAID))"
    result = ferris.run({"main.py": code, "requirements.txt": text}, requirements=text)
    assert result.types[-1] == "execution.completed", result.text("platform")
    return dict(json.loads(result.text("stdout")))


def test_a_hostile_build_reads_no_secret_and_writes_nothing_outside(
    ferris: Platform, index: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    home, outside = ferris.settings.home, tmp_path_factory.mktemp("outside")
    other = home / "cache" / "environments" / "of-another" / "evil.py"
    other.parent.mkdir(parents=True, exist_ok=True)
    (outside / "secret").write_text("secret")
    found = built(
        ferris,
        index,
        {
            "keys": f"os.listdir({str(home / 'keys')!r})",
            "key": f"open({str(home / 'keys' / 'encryption.keys')!r}).read()",
            "database": f"os.listdir({str(home)!r})",
            "outside": f"open({str(outside / 'secret')!r}).read()",
            "written": f"open({str(outside / 'written')!r}, 'w').write('x')",
            "at_home": f"open({str(home / 'written')!r}, 'w').write('x')",
            "environment": f"open({str(other)!r}, 'w').write('x')",
            "of_the_executor": f"open('/proc/{os.getpid()}/environ').read()",
            "signal": f"os.kill({os.getpid()}, 0)",
            "variables": "sorted(n for n in os.environ if n.startswith(('FERRIS_', 'UV_PUBLISH'))"
            " and n != 'FERRIS_CHANNEL')",
            "temporary": "open(os.environ['TMPDIR'] + '/x', 'w').write('x')",
            "beside": "open('x', 'w').write('x')",
            "uid": "os.getuid()",
            "more_rights": "[l for l in open('/proc/self/status') if l.startswith('NoNewPrivs')]",
            "largest_file": "__import__('resource').getrlimit(__import__('resource').RLIMIT_FSIZE)[1]",
        },
    )
    refused = ("PermissionError", "FileNotFoundError")
    assert found["variables"] == []
    assert (found["temporary"], found["beside"]) == (1, 1)
    if ferris.settings.isolation == "off":
        assert found["outside"] == "secret"  # so the attempts do reach for what is there
        return
    if has(ferris, "limits"):
        assert found["largest_file"] == ferris.settings.limits.file_size
    if has(ferris, "privileges"):
        assert found["more_rights"] == ["NoNewPrivs:\t1\n"]
    if has(ferris, "rules"):
        for name in ("keys", "key", "outside", "written", "of_the_executor"):
            assert found[name] in refused, (name, found)
        # A home below /tmp, as here, may be a folder in a /tmp of its own: what is written there is nowhere.
        assert not any(path.exists() for path in (outside / "written", home / "written", other))
        if ferris.settings.isolation == "basic":
            for name in ("database", "at_home", "environment"):
                assert found[name] == "PermissionError"
    if ferris.settings.isolation == "best" and has(ferris, "user"):
        first, last = ferris.settings.script_uids
        assert first <= found["uid"] <= last
        assert found["signal"] in ("PermissionError", "ProcessLookupError")


def test_what_a_build_made_is_the_platforms_and_no_script_changes_it(ferris: Platform, index: Path) -> None:
    wheel(index, "tiny_built", "1.0", {"tiny_built.py": "VALUE = 1\n"})
    code = (
        "import tiny_built\n"
        "try: print(open(tiny_built.__file__, 'a').write('x'))\n"
        "except OSError as error: print(type(error).__name__)"
    )
    text = "tiny_built==1.0\n"
    result = ferris.run({"main.py": code, "requirements.txt": text}, requirements=text)
    assert result.types[-1] == "execution.completed", result.text("platform")
    if ferris.settings.isolation == "best" and (has(ferris, "rules") or has(ferris, "user")):
        assert result.text("stdout") in ("PermissionError\n", "OSError\n")
    folder = ferris.settings.home / "cache" / "environments"
    owners = {
        path.lstat().st_uid for there in folder.glob("py*") for path in there.rglob("*") if there.is_dir()
    }
    assert owners == {os.geteuid()}


def test_a_daemon_that_a_build_leaves_is_ended(ferris: Platform, index: Path) -> None:
    attempts = {
        "daemon": "__import__('subprocess').Popen(['sleep', '600'], start_new_session=True,"
        " stdin=-3, stdout=-3, stderr=-3).pid",
        "another": str(id(ferris)),
    }
    pid = built(ferris, index, attempts)["daemon"]
    inside = ferris.settings.isolation == "best" and has(ferris, "pid_namespace")
    assert not (lives_inside if inside else lives)(pid)


def test_a_build_that_cannot_be_confined_does_not_run(
    ferris: Platform, index: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if ferris.settings.isolation == "off":
        return  # nothing is to be had
    plan = ferris.executor.isolation.build_plan
    monkeypatch.setattr(
        ferris.executor.isolation, "build_plan", lambda *a: {**(plan(*a) or {}), "cgroups": ["/nowhere"]}
    )
    source(index, {"never": "1"})
    text = f"hostile @ file://{index}/hostile-1.0.tar.gz\n"
    result = ferris.run({"main.py": "print('ran')", "requirements.txt": text}, requirements=text)
    assert result.last.data["reason"] == "isolation"
    assert "its packages are not built: cgroups: [Errno 2]" in result.last.data["error"]
    assert result.text("stdout") == ""


def test_a_worker_says_how_builds_are_confined(ferris: Platform) -> None:
    ferris.executor.isolation.tell()
    said = ferris.executor.isolation.summary() or {}
    assert set(said["builds"]) <= set(said["layers"])
    assert ("limits" in said["builds"]) is (ferris.settings.isolation != "off")
    assert "network" not in said["builds"]
