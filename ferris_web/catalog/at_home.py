"""`new`, `run-local` and `test`: what people do with services in folders of their own machine.

Without platform, database and framework: Python alone is enough, as for `remote/`.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ferris.errors import FerrisError
from ferris.manifest import Message
from ferris_web.catalog.local import Refused, run_local
from ferris_web.catalog.source import name_problem
from ferris_web.catalog.starters import STARTERS, starter_files
from ferris_web.catalog.trying import FOLDER, Tried, tried
from remote.showing import clean, colour
from remote.words import add_json, told

BAD_INPUT = 2
NO_TESTS = 5  # as pytest has it
_SHOWN = 20  # lines of what a failed test printed

Options = argparse.Namespace


def new(options: Options) -> int:
    """Write a small working service into a new folder."""
    problem = name_problem(options.service)
    if problem:
        raise Refused(problem)
    folder = Path(options.folder).expanduser() / options.service
    try:
        folder.mkdir(parents=True)
    except FileExistsError:
        raise Refused(f"{folder} is there already: choose another name, or remove it") from None
    except OSError as error:
        raise Refused(f"{folder} cannot be made: {error.strerror}") from None
    files = starter_files(options.starter, options.service)
    for file, content in files.items():
        (folder / file).write_text(content)
    line = (
        f"{folder} holds {', '.join(files)}.\n"
        f'Try it:   manage.py run-local {shlex.quote(str(folder))} --data \'{{"who": "you"}}\'\n'
        f"Load it:  manage.py project add PROJECT {shlex.quote(str(folder.parent))}"
    )
    told(options, line, {"folder": str(folder), "files": list(files)})
    return 0


def _add_new(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("service", metavar="SERVICE")
    parser.add_argument(
        "--from", dest="starter", choices=STARTERS, default="python", help="what to start from"
    )
    parser.add_argument(
        "--folder", default=".", help="the project's folder, in which it is made (default: here)"
    )


def run(options: Options) -> int:
    """Run a service's scripts here; the exit status of the one that failed."""
    try:
        data = json.loads(options.data)
    except ValueError as error:
        raise Refused(f"--data is no JSON: {error}") from None
    folder = _folder(options.folder)
    if not options.json:
        return run_local(folder, data, _tell, _say)
    with tempfile.TemporaryFile() as output:

        def ended(script: str, status: int) -> None:
            output.seek(0)
            printed = output.read().decode("utf-8", "replace")
            told(options, printed, {"script": script, "status": status, "output": printed})
            output.seek(0)
            output.truncate()

        return run_local(folder, data, _tell, _say, output=output, ended=ended)


def _add_run(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", metavar="FOLDER")
    parser.add_argument("--data", default="{}", help="JSON: the event's data (default: {})")


def test(options: Options) -> int:
    """Run the tests of services."""
    passed = failed = 0
    for folder in _services(options.folder):
        try:
            for one in tried(folder):
                failed, passed = failed + bool(one.wrong), passed + (not one.wrong)
                _tell_test(options, folder.name, one)
        except Refused as error:
            raise Refused(f"{folder}: {error}") from None
    if not options.json:
        print(f"{passed} passed, {failed} failed")
    if not passed and not failed:
        print(
            "No tests: each is a file tests/NAME.json in a service's folder (docs/services.md)",
            file=sys.stderr,
        )
    if failed:
        return 1
    return 0 if passed else NO_TESTS


def _add_test(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", metavar="FOLDER", nargs="+", help="a service's folder, or one with several")


def _tell_test(options: Options, service: str, one: Tried) -> None:
    word = colour("failed", "failed") if one.wrong else colour("passed", "completed")
    more = list(one.wrong)
    if one.wrong and one.output:
        more += ["--- output", *one.output.splitlines()[-_SHOWN:]]
    lines = [f"{word}  {service}  {one.name}", *(f"    {clean(line)}" for line in more)]
    said = {"service": service, "test": one.name, "passed": not one.wrong, "wrong": one.wrong}
    told(options, "\n".join(lines), {**said, "output": one.output})


def _services(names: list[str]) -> Iterator[Path]:
    """The folders with tests among those named and those directly in them."""
    for folder in map(_folder, names):
        within = [folder, *sorted(path for path in folder.iterdir() if path.is_dir())]
        yield from (path for path in within if any((path / FOLDER).glob("*.json")))


def _folder(name: str) -> Path:
    folder = Path(name).expanduser().resolve()
    if not folder.is_dir():
        raise Refused(f"there is no folder {folder}")
    return folder


def _tell(message: Message) -> None:
    if message.level != "info":
        print(f"{message.level}: {message}", file=sys.stderr)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


@dataclass(frozen=True)
class Command:
    """One command: what it does, the function behind it, its arguments."""

    help: str
    run: Callable[[Options], int]
    add: Callable[[argparse.ArgumentParser], None]


COMMANDS: Final[Mapping[str, Command]] = {
    "new": Command("Write a small working service into a new folder of that name.", new, _add_new),
    "run-local": Command(
        "Run a service's folder on this machine, without the platform: its scripts in order, with the given data "
        "as the event's. Prints what they print and the events they send (--json: that of each script when it has "
        "ended); ends with a failing script's exit status.",
        run,
        _add_run,
    ),
    "test": Command(
        "Run the tests of services on this machine, without the platform: each tests/*.json is an event and what is "
        "expected of it. Exit status: 0 all passed, 1 one did not, 2 a folder is no service, 5 there are no tests.",
        test,
        _add_test,
    ),
}


def add_arguments(name: str, parser: argparse.ArgumentParser) -> None:
    """The arguments of one command."""
    COMMANDS[name].add(parser)
    add_json(parser)


def main(arguments: Sequence[str]) -> int:
    """Run one command; its exit status."""
    name = arguments[0]
    parser = argparse.ArgumentParser(prog=f"manage.py {name}", description=COMMANDS[name].help)
    add_arguments(name, parser)
    try:
        return COMMANDS[name].run(parser.parse_args(arguments[1:]))
    except FerrisError as error:
        print(error, file=sys.stderr)
        return BAD_INPUT
    except KeyboardInterrupt:
        return 130
