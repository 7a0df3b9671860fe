"""Code that packages run while Python comes up (`.pth`): as in plain Python, and confined as the script is."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tasks.command import inherited
from tasks.runner import Command
from tests.executor import test_parity as parity
from tests.executor.control_server import Platform
from tests.executor.test_isolation import closing, has, started
from tests.wheels import wheel

PTH = {
    "a_path.pth": "# a comment\nfurther\n",
    "distutils-precedence.pth": "import os; enabled = True; enabled and __import__('hooked')\n",
    "namespace-nspkg.pth": (
        "import sys, types, os; p = os.path.join(sys._getframe(1).f_locals['sitedir'], 'spread'); "
        "m = sys.modules.setdefault('spread', types.ModuleType('spread')); m.__path__ = [p]\n"
    ),
    "measures.pth": "import os, atexit; atexit.register(print, 'measured'); os.environ['MEASURED'] = '1'\n",
    "starts_a_thread.pth": "import threading; t = threading.Thread(target=str, daemon=True); t.start(); t.join()\n",
    "opens.pth": "import sys; sys.kept = open(__import__('os').devnull)\n",
    "says.pth": "import sys; print('from a package'); print('an error', file=sys.stderr)\n",
    "wrong.pth": "import sys; 1 / 0\nimport never\n",
}
MODULES = {
    "hooked.py": (
        "import sys\nclass Finder:\n    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'made_up': print('asked for', name)\nsys.meta_path.insert(0, Finder())\n"
    ),
    "spread/inner.py": "NAME = __name__\n",
    "further/found.py": "print('found by a path')\n",
    "sitecustomize.py": "import sys\nsys.customized = len(sys.path)\n",
    "usercustomize.py": "raise SystemExit('never')\n",
}
SCRIPTS = {
    "interpreter": (
        "import sys, os, site, sysconfig, zoneinfo\n"
        "print(sys.executable, sys.prefix, sys.exec_prefix, sys.base_prefix, sys._base_executable, sys.orig_argv)\n"
        "print(sys.path, site.PREFIXES, site.getsitepackages(), site.ENABLE_USER_SITE, sys.flags)\n"
        "print(sysconfig.get_paths(), sorted(sysconfig.get_config_vars().items(), key=str))\n"
        "print(sorted(p for p in sys.path_importer_cache if 'bare' in p), sorted(os.environ.items()))\n"
    ),
    "nothing_of_the_other_one_is_left": (
        "import sys\nfor name, module in sorted(sys.modules.items()):\n"
        "    for key, value in sorted(vars(module).items(), key=lambda one: one[0]):\n"
        "        if '/bare/' in str(value) and name != '__main__': print(name, key, str(value)[:200])\n"
    ),
    "hooks": "try:\n    import made_up\nexcept ImportError as error:\n    print(error)",
    "namespace": "import spread.inner, found\nprint(spread.inner.NAME, spread.__path__)",
    "customized": "import sys, os\nprint(sys.customized, os.environ['MEASURED'], sys.kept.name)",
    "subprocess": (
        "import subprocess, sys\nsaid = subprocess.run([sys.executable, '-c', 'import found, sys; print(sys.prefix)'],"
        " capture_output=True)\nprint(said.stdout, said.stderr)"
    ),
    "finds_python": "import shutil, sys; print(shutil.which('python', path=sys.prefix + '/bin'))",
    "error": "1 / 0",
    "exit": "import sys; sys.exit(3)",
    "hides": (
        "import sys\nf = sys.excepthook\ndef h(*_):\n    sys.excepthook = f\n    del sys.last_value\n"
        "sys.excepthook = h\n1/0"
    ),
}  # fmt: skip


@pytest.fixture(scope="module", params=[parity.Fresh, parity.ForkedConfined])
def way(request: pytest.FixtureRequest) -> Iterator[parity.Fresh | parity.Forked]:
    made = request.param()
    yield made
    made.runner.close()


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """An interpreter without packages, and one with such as do something when Python comes up."""
    folder = tmp_path_factory.mktemp("environments")
    return parity.built(folder / "bare"), filled(parity.built(folder / "full"))


def filled(python: str) -> str:
    [packages] = Path(python).parent.parent.glob("lib/python*/site-packages")
    for name, text in {**PTH, **MODULES}.items():
        (packages / name).parent.mkdir(exist_ok=True)
        (packages / name).write_text(text)
    return python


def compare(way: parity.Fresh | parity.Forked, bare: str, python: str, script: str, folder: Path) -> None:
    expected = parity.plainly(python, parity.folder_of(script, folder), "{}")
    parity.folder_of(script, folder)
    command = Command(python, "script.py", folder, inherited(), b"{}", bare=bare)
    assert parity.outcome(way.start(command)) == expected


@pytest.mark.parametrize("name", SCRIPTS)
def test_it_is_as_in_plain_python(
    name: str, way: parity.Fresh | parity.Forked, pair: tuple[str, str], tmp_path: Path
) -> None:
    compare(way, *pair, SCRIPTS[name], tmp_path / "service")


@pytest.mark.parametrize("version", ["3.12", "3.13"])
def test_other_versions_of_python(version: str, way: parity.Fresh | parity.Forked, tmp_path: Path) -> None:
    base = parity.interpreter(version)
    if base is None:
        pytest.skip(f"no Python {version} here")
    bare, python = (parity.built(tmp_path / name, base) for name in ("bare", "full"))
    for script in SCRIPTS.values():
        compare(way, bare, filled(python), script, tmp_path / "service")


HOSTILE = """
import os, socket, sys
def tried(code):
    try:
        return eval(code)
    except BaseException as error:
        return type(error).__name__
TRIES = {tries!r}
sys.at_start = {{name: tried(code) for name, code in TRIES.items()}}
"""


@pytest.fixture(scope="module", params=["cold", "warm"])
def ferris(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    yield from closing(started(tmp_path_factory.mktemp("home"), "best", request.param))


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of wheels in place of a package index."""
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("UV_FIND_LINKS", str(folder))
    monkeypatch.setenv("UV_OFFLINE", "1")
    return folder


@pytest.mark.parametrize("network", ["egress", "none"])
def test_code_of_packages_is_confined_as_the_script_is(
    network: str, ferris: Platform, index: Path, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir(mode=0o777)
    outside.chmod(0o777)
    with socket.create_server(("127.0.0.1", 0)) as server:
        tries = {
            "secret": f"open({str(ferris.settings.home / 'keys' / 'executor.token')!r}).read()",
            "keys": f"os.listdir({str(ferris.settings.home / 'keys')!r})",
            "write": f"open({str(outside)!r} + '/at_start', 'w').write('x')",
            "environment": "open(sys.prefix + '/at_start', 'w').write('x')",
            "connect": f"socket.create_connection({server.getsockname()!r}, 5).getpeername()",
            "platform": "[name for name in os.environ if 'TOKEN' in name]",
            "uid": "os.getuid()",
            "own": "open('at_start', 'w').write('x')",
        }
        name = f"hostile_{network}"
        files = {f"{name}.py": HOSTILE.format(tries=tries), f"{name}.pth": f"import {name}\n"}
        wheel(index, name, "1.0", files)
        code = (
            f"import json, sys, {name} as h\n"
            "print(json.dumps([sys.at_start, {n: h.tried(c) for n, c in h.TRIES.items()}]))"
        )
        for _ in range(2):  # in the first it is built
            order = {"main.py": code, "requirements.txt": name}
            result = ferris.run(order, requirements=name, network=network)
            assert result.types[-1] == "execution.completed", result
            at_start, later = json.loads(result.text("stdout"))
            assert at_start == later
            assert (at_start["own"], at_start["platform"]) == (1, [])
            refused = ("PermissionError", "FileNotFoundError", "OSError")
            if has(ferris, "rules"):
                for one in ("secret", "keys", "write", "environment"):
                    assert at_start[one] in refused, one
            assert (at_start["connect"] == "ConnectionRefusedError") is (network == "none")
    if has(ferris, "rules"):
        assert not list(outside.iterdir())


def test_an_interpreter_that_a_package_has_replaced_is_not_started(
    ferris: Platform, index: Path, tmp_path: Path
) -> None:
    """It may be what it likes, when it is confined."""
    wheel(index, "replaces", "1.0", {"replaces.py": ""})
    files = {
        "main.py": "import replaces, sys; print(sys.prefix, sys.executable)",
        "requirements.txt": "replaces",
    }
    prefix = Path(ferris.run(files, requirements="replaces").text("stdout").split()[0])
    (prefix / "bin" / "python").unlink()
    (prefix / "bin" / "python").write_text(f"#!/bin/sh\necho >{tmp_path}/ran\n")
    (prefix / "bin" / "python").chmod(0o755)
    (prefix / "pyvenv.cfg").write_text("home = /root/elsewhere/bin\n")
    assert ferris.run(files, requirements="replaces").text("stdout") == f"{prefix} {prefix}/bin/python\n"
    assert not (tmp_path / "ran").exists()
