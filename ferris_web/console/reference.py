"""The reference of the commands, made from the commands themselves."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from django.core.management import get_commands, load_command_class
from django.core.management.base import BaseCommand

_OURS = ("ferris_web.", "embedded")
# What Django gives every command says nothing about ours.
_GENERAL = frozenset(
    {
        "help",
        "version",
        "verbosity",
        "settings",
        "pythonpath",
        "traceback",
        "no_color",
        "force_color",
        "skip_checks",
    }
)


def commands() -> str:
    """Markdown: every command of the platform with what it does and its arguments; a section of a page."""
    lines = [
        "\n## Every command of manage.py\n",
        "Made from the commands themselves; `manage.py NAME --help` says the same in a terminal. They act on the "
        "platform of `FERRIS_HOME` and the other [settings](settings.md).\n",
    ]
    for name, app in sorted(get_commands().items()):
        if str(app).startswith(_OURS):
            command = app if isinstance(app, BaseCommand) else load_command_class(app, name)
            lines += _command(name, command)
    return "\n".join(lines)


def _command(name: str, command: BaseCommand) -> Iterator[str]:
    yield f"\n## {name}\n"
    yield f"{command.help}\n"
    yield from _arguments(f"manage.py {name}", command.create_parser("manage.py", name))


def _arguments(title: str, parser: argparse.ArgumentParser) -> Iterator[str]:
    own = [action for action in parser._actions if action.dest not in _GENERAL]
    nested = [action for action in own if isinstance(action, argparse._SubParsersAction)]
    own = [action for action in own if action not in nested and action.help != argparse.SUPPRESS]
    if own:
        yield "| argument | what it does |\n|---|---|"
        for action in own:
            yield f"| {_name(action)} | {_cell(_help(parser, action))} |"
        yield ""
    for action in nested:
        about = {choice.dest: choice.help or "" for choice in action._choices_actions}
        for verb, below in action.choices.items():
            yield f"\n### {title} {verb}\n"
            yield f"{_cell(about.get(verb, '') or below.description or '')}\n"
            yield from _arguments(f"{title} {verb}", below)


def _name(action: argparse.Action) -> str:
    value = "" if action.nargs == 0 else str(action.metavar or action.dest.upper())
    if not action.option_strings:
        return f"`{value}`"
    return ", ".join(f"`{option}`" for option in action.option_strings) + (f" `{value}`" if value else "")


def _help(parser: argparse.ArgumentParser, action: argparse.Action) -> str:
    text = parser._get_formatter()._expand_help(action) if action.help else ""
    if action.choices:
        text = f"{text}; one of {', '.join(map(str, action.choices))}".removeprefix("; ")
    return text


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("<", "\\<").replace("*", "\\*")
