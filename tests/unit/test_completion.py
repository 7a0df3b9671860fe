"""What shells offer behind `manage.py`, asked of the shells themselves."""

from __future__ import annotations

import argparse
import shutil
import subprocess

import pytest

from remote.arguments import COMMANDS, parser_of
from remote.completion import SHELLS, completion


def _parsers() -> dict[str, argparse.ArgumentParser]:
    project = argparse.ArgumentParser(description="It's about projects: all of them")
    does = project.add_subparsers()
    add = does.add_parser("add", help="add one (100 %% of it)")
    add.add_argument("--form", choices=["plain", "rich"])
    add.add_argument("--branch")
    does.add_parser("list", help="list them")
    return {**{name: parser_of(name) for name in COMMANDS}, "project": project}


def _bash(*words: str) -> list[str]:
    asked = 'COMP_WORDS=("$@"); COMP_CWORD=$(( $# - 1 )); _ferris_manage; printf "%s\\n" "${COMPREPLY[@]}"'
    script = completion("bash", _parsers()) + asked
    done = subprocess.run(
        ["bash", "-c", script, "bash", *words], capture_output=True, text=True, check=True, timeout=60
    )
    assert not done.stderr
    return done.stdout.split()


@pytest.mark.parametrize(
    "program", [["./manage.py"], ["python3", "manage.py"], [".venv/bin/python", "manage.py"]]
)
def test_bash_offers_what_the_parsers_take(program) -> None:
    assert _bash(*program, "e") == ["emit", "executions", "export"]
    assert _bash(*program, "emit", "--w") == ["--wait"]
    assert _bash(*program, "project", "")[:2] == ["add", "list"]
    assert _bash(*program, "project", "add", "--b") == ["--branch"]
    assert _bash(*program, "project", "add", "--form", "") == ["plain", "rich"]
    assert _bash(*program, "project", "add", "--branch", "") == []  # files, by the shell itself
    assert _bash(*program, "completion", "")[: len(SHELLS)] == list(SHELLS)


def test_other_programs_are_left_alone() -> None:
    assert _bash("python3", "other.py", "e") == []


@pytest.mark.parametrize("shell", SHELLS)
def test_each_script_is_one_of_its_shell(shell) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"there is no {shell}")
    done = subprocess.run(
        [shell, "-n"], input=completion(shell, _parsers()), capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_fish_offers_the_same() -> None:
    if shutil.which("fish") is None:
        pytest.skip("there is no fish")

    def offered(line: str) -> list[str]:
        script = completion("fish", _parsers()) + f"complete -C {line!r}\n"
        done = subprocess.run(["fish", "-c", script], capture_output=True, text=True, check=True, timeout=60)
        return [one.partition("\t")[0] for one in done.stdout.splitlines()]

    assert offered("python3 manage.py em") == ["emit"]
    assert offered("./manage.py project add --form ") == ["plain", "rich"]
