"""What a shell offers when Tab is pressed behind `manage.py`: a script of bash, zsh or fish, made of the real parsers.

The script holds all the words, so that pressing Tab starts no Python.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

SHELLS = ("bash", "zsh", "fish")
HINT = {
    "bash": 'eval "$(manage.py completion bash)", in ~/.bashrc',
    "zsh": 'eval "$(manage.py completion zsh)", in ~/.zshrc behind compinit',
    "fish": "manage.py completion fish | source, in ~/.config/fish/config.fish",
}
_RARE = (
    "-h",
    "-v",
    "--version",
    "--settings",
    "--pythonpath",
    "--traceback",
    "--force-color",
    "--skip-checks",
)
_PROGRAMS = ("manage.py", "python", "python3", ".venv/bin/python")


@dataclass(frozen=True)
class Level:
    """One command, or a command and its second word: what may stand behind it."""

    path: tuple[str, ...]
    help: str
    options: Mapping[str, str] = field(default_factory=dict)  # with what they do
    choices: Mapping[str, Sequence[str]] = field(
        default_factory=dict
    )  # of the options that take one of a few
    valued: Sequence[str] = ()  # options behind which a value stands
    words: Mapping[str, str] = field(default_factory=dict)  # second words, or what the first argument may be


def completion(shell: str, parsers: Mapping[str, argparse.ArgumentParser]) -> str:
    """The script for one of SHELLS, over these commands."""
    levels = [level for name, parser in sorted(parsers.items()) for level in _levels((name,), parser)]
    return {"bash": _bash, "zsh": _zsh, "fish": _fish}[shell](levels)


def add_shell(parser: argparse.ArgumentParser) -> None:
    """The argument of the command `completion`."""
    parser.add_argument("shell", choices=SHELLS, help="; ".join(HINT.values()).replace("%", "%%"))


def _levels(path: tuple[str, ...], parser: argparse.ArgumentParser) -> Iterator[Level]:
    options, choices, valued, words = (
        dict[str, str](),
        dict[str, Sequence[str]](),
        list[str](),
        dict[str, str](),
    )
    for action in parser._actions:  # argparse has no other way to ask
        if action.help == argparse.SUPPRESS:
            continue
        told = _told(action.help)
        if isinstance(action, argparse._SubParsersAction):
            helps = {one.dest: _told(one.help) for one in action._choices_actions}
            words = {name: helps.get(name, "") for name in action.choices}
            for name, inner in action.choices.items():
                yield from _levels((*path, name), inner)
        elif not action.option_strings and action.choices and not words:
            words = {str(one): "" for one in action.choices}
        for name in (one for one in action.option_strings if one not in _RARE):
            options[name] = told
            if action.nargs != 0:
                valued.append(name)
            if action.choices:
                choices[name] = [str(one) for one in action.choices]
    yield Level(path, _told(parser.description), options, choices, valued, words)


def _told(text: str | None) -> str:
    """The first sentence, in one line of plain characters."""
    line = re.sub(r"%\(\w+\)s", "…", " ".join((text or "").split())).replace("%%", "%")
    return re.split(r"(?<=[.:;])\s", line)[0].rstrip(".:;")[:80]


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


def _cases(levels: Sequence[Level]) -> Iterator[str]:
    """Of bash and zsh alike: `offered` and `valued` by the command, `$key`."""
    for level in levels:
        words = " ".join((*level.words, *level.options))
        yield f"    {_quoted(' '.join(level.path))}) offered={_quoted(words)}; valued={_quoted(' '.join(level.valued))}"
        if level.choices:
            yield '      case "$previous" in'
            for name, few in level.choices.items():
                yield f"        {name}) offered={_quoted(' '.join(few))}; valued='' ;;"
            yield "      esac"
        yield "      ;;"


def _seconds(levels: Sequence[Level]) -> str:
    return "|".join(_quoted(" ".join(level.path)) for level in levels if len(level.path) > 1) or "' '"


def _bash(levels: Sequence[Level]) -> str:
    first = " ".join(level.path[0] for level in levels if len(level.path) == 1)
    cases = "\n".join(_cases(levels))
    return f"""_ferris_manage() {{
  local at=0 key previous offered='' valued=''
  local word="${{COMP_WORDS[COMP_CWORD]}}"
  [[ "${{COMP_WORDS[0]}}" == *manage.py ]] || at=1
  COMPREPLY=()
  [[ "${{COMP_WORDS[at]}}" == *manage.py ]] && (( COMP_CWORD > at )) || return 0
  if (( COMP_CWORD == at + 1 )); then
    COMPREPLY=($(compgen -W {_quoted(first)} -- "$word"))
    return 0
  fi
  key="${{COMP_WORDS[at+1]}}"
  previous="${{COMP_WORDS[COMP_CWORD-1]}}"
  if (( COMP_CWORD > at + 2 )); then
    case "$key ${{COMP_WORDS[at+2]}}" in
      {_seconds(levels)}) key="$key ${{COMP_WORDS[at+2]}}" ;;
    esac
  fi
  case "$key" in
{cases}
  esac
  [[ " $valued " == *" $previous "* ]] && return 0
  COMPREPLY=($(compgen -W "$offered" -- "$word"))
}}
complete -o default -o bashdefault -F _ferris_manage {" ".join(_PROGRAMS)}
"""


def _zsh(levels: Sequence[Level]) -> str:
    first = " ".join(
        _quoted(f"{level.path[0]}:{level.help.replace(':', ' ')}") for level in levels if len(level.path) == 1
    )
    cases = "\n".join(_cases(levels))
    return f"""_ferris_manage() {{
  local at=1 key previous offered='' valued=''
  [[ "${{words[1]}}" == *manage.py ]] || at=2
  if [[ "${{words[at]}}" != *manage.py ]] || (( CURRENT <= at )); then _files; return; fi
  if (( CURRENT == at + 1 )); then
    local -a commands=({first})
    _describe command commands
    return
  fi
  key="${{words[at+1]}}"
  previous="${{words[CURRENT-1]}}"
  if (( CURRENT > at + 2 )); then
    case "$key ${{words[at+2]}}" in
      {_seconds(levels)}) key="$key ${{words[at+2]}}" ;;
    esac
  fi
  case "$key" in
{cases}
  esac
  if [[ " $valued " == *" $previous "* ]]; then _files; return; fi
  compadd -- ${{=offered}}
  [[ "${{words[CURRENT]}}" == -* ]] || _files
}}
compdef _ferris_manage {" ".join(_PROGRAMS)}
"""


def _fish(levels: Sequence[Level]) -> str:
    lines = [
        "function __ferris_words",
        "  set -l words (commandline -opc)",
        "  if not string match -q '*manage.py' -- $words[1]; set -e words[1]; end",
        "  string match -q '*manage.py' -- $words[1]; or return 1",
        "  set -e words[1]",
        "  test (count $words) -gt 0; and printf '%s\\n' $words",
        "  return 0",
        "end",
        "function __ferris_first",
        "  set -l words (__ferris_words); or return 1",
        "  test (count $words) -eq 0",
        "end",
        "function __ferris_behind",
        "  set -l words (__ferris_words); or return 1",
        "  test (count $words) -ge (count $argv); or return 1",
        '  test (string join " " -- $words[1..(count $argv)]) = (string join " " -- $argv)',
        "end",
    ]
    for level in levels:
        path, behind = " ".join(level.path), f"__ferris_behind {' '.join(level.path)}"
        if len(level.path) == 1:
            lines.append(_offer("__ferris_first", f"-f -a {_quoted(path)}", level.help))
        for word, told in level.words.items():
            lines.append(_offer(behind, f"-a {_quoted(word)}", told))
        for name, told in level.options.items():
            short = f"-l {name[2:]}" if name.startswith("--") else f"-s {name[1:]}"
            few = f" -x -a {_quoted(' '.join(level.choices[name]))}" if name in level.choices else ""
            lines.append(_offer(behind, short + (few or (" -r" if name in level.valued else "")), told))
    return "\n".join(lines) + "\n"


def _offer(condition: str, what: str, told: str) -> str:
    programs = " ".join(f"-c {name}" for name in ("manage.py", "python", "python3"))
    return f"complete {programs} -n {_quoted(condition)} {what}" + (f" -d {_quoted(told)}" if told else "")
