"""`FERRIS_URL=… FERRIS_TOKEN=… python -m remote VERB`, which is what `manage.py VERB` does with FERRIS_URL set."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence

from remote.arguments import COMMANDS, parser_of
from remote.client import Client, Refused
from remote.verbs import BAD_INPUT

_INTERRUPTED = 130


def main(arguments: Sequence[str], environ: Mapping[str, str] = os.environ) -> int:
    """Run one command; its exit status: 0 all well, 1 something failed, 2 the request was not taken."""
    if not arguments or arguments[0] in ("help", "--help", "-h"):
        print(f"Commands against {environ.get('FERRIS_URL', 'a platform elsewhere')}:\n")
        for name, command in COMMANDS.items():
            print(f"  {name:<12} {command.help.partition('. ')[0].rstrip('.')}.")
        return 0
    if arguments[0] not in COMMANDS:
        known = ", ".join(COMMANDS)
        print(
            f"{arguments[0]!r} needs the platform's own machine: there, or without FERRIS_URL. From here: {known}.",
            file=sys.stderr,
        )
        return BAD_INPUT
    options = parser_of(arguments[0]).parse_args(arguments[1:])
    try:
        client = Client(environ.get("FERRIS_URL", ""), environ.get("FERRIS_TOKEN", ""))
        return COMMANDS[arguments[0]].run(client, options)
    except Refused as error:
        print(error, file=sys.stderr)
        return BAD_INPUT
    except KeyboardInterrupt:
        return _INTERRUPTED
    except BrokenPipeError:  # `… | head` has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
