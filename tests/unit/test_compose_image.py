"""compose/Dockerfile and .dockerignore: what hadolint says, and what it does not know."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from tests.unit.compose_file import COMPOSE, OURS, ROOT, SECRET, SERVICES


def test_the_image_is_built_as_hadolint_wants_it() -> None:
    hadolint = Path(sys.executable).with_name("hadolint")
    told = subprocess.run([hadolint, COMPOSE / "Dockerfile"], capture_output=True, text=True, check=False)
    assert (told.returncode, told.stdout) == (0, "")


def test_the_image_is_small_pinned_and_not_root() -> None:
    lines = (COMPOSE / "Dockerfile").read_text().replace("\\\n", " ").splitlines()
    steps = [line.split(None, 1) for line in lines if line.strip() and not line.lstrip().startswith("#")]
    bases = [argument for word, argument in steps if word == "FROM"]
    assert len(bases) == 2, "what builds is not in what runs"
    assert len({re.fullmatch(r"(python:3\.\d+\.\d+-slim-\w+)( AS \w+)?", base)[1] for base in bases}) == 1
    words = [word for word, _ in steps]
    assert "ADD" not in words
    assert words.count("USER") == 1
    user = next(argument for word, argument in steps if word == "USER")
    assert int(user.partition(":")[0]) > 0
    assert words.index("USER") > max(place for place, word in enumerate(words) if word == "RUN")
    assert all("--require-hashes" in argument for word, argument in steps if "pip install" in argument)
    for word, argument in steps:
        assert word not in ("ENV", "ARG") or not SECRET.search(argument), argument


def test_the_image_holds_what_runs_and_nothing_else() -> None:
    lines = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and line[0] != "#"]
    assert lines[0] == "*"
    kept = [line[1:] for line in lines if line.startswith("!")]
    assert all((ROOT / path).exists() for path in kept)
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"tests"}
    assert packages <= set(kept)
    assert not {".git", "tests", "var", ".venv"} & set(kept)
    assert "**/.env" in lines
    for name in OURS:
        for word in SERVICES[name]["command"]:
            path = word.removeprefix("--conf=")
            if path.endswith(".py") or path == "celery_app":
                assert (path if path.endswith(".py") else f"{path}.py") in kept
