"""compose.yaml as Compose reads it, by its own loader; tests/unit/test_compose.py looks at what hangs together."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.real

ROOT = Path(__file__).resolve().parents[2]
COMPOSE = ROOT / "compose"
LOADER = "github.com/compose-spec/compose-go/v2/cmd@v2.9.1"  # the module that `docker compose` v2.40 reads files with


@pytest.fixture(scope="session")
def loader() -> Path:
    """Built once, into the cache of the native servers."""
    if not shutil.which("go"):
        if os.environ.get("FERRIS_TESTS_SKIP_NOTHING"):
            pytest.fail("go is not on this machine: install it")
        pytest.skip("go is not on this machine")
    sys.path.insert(0, str(COMPOSE / "native"))
    try:
        import install  # type: ignore[import-not-found]
    finally:
        sys.path.remove(str(COMPOSE / "native"))
    folder: Path = install.made("compose-go-2.9.1", lambda part: install.go_install(LOADER, part))
    return folder / "cmd"


def read(loader: Path, text: str, folder: Path) -> subprocess.CompletedProcess[str]:
    (folder / "compose.yaml").write_text(text)
    return subprocess.run(
        [loader, "-no-interpolation", "compose.yaml"], cwd=folder, capture_output=True, text=True, check=False
    )


def filled() -> str:
    """The file with each variable's default, or a word for one that has none."""
    return re.sub(r"\$\{[A-Z_]+:([-?])([^}]*)\}", lambda v: v[2] if v[1] == "-" else "given", text())


def text() -> str:
    return (COMPOSE / "compose.yaml").read_text()


def test_the_file_is_what_the_specification_allows(loader: Path, tmp_path: Path) -> None:
    told = read(loader, filled(), tmp_path)
    assert told.returncode == 0, told.stderr


@pytest.mark.parametrize(
    ("right", "wrong"),
    [("    healthcheck:\n", "    helthcheck:\n"), ("restart: unless-stopped", "restart: [sometimes]")],
)
def test_a_mistake_would_be_found(loader: Path, tmp_path: Path, right: str, wrong: str) -> None:
    assert right in text()
    assert read(loader, filled().replace(right, wrong, 1), tmp_path).returncode != 0
