#!/usr/bin/env python
"""Ferris from the command line: `python manage.py help` lists what it can do."""

import os
import sys
from pathlib import Path

# With FERRIS_URL commands go to the platform there; these work on files of this machine.
AT_HOME = ("new", "run-local", "test")


def with_packages() -> None:
    """The same command with what `make` has installed; where it has not, says what to do."""
    root = Path(__file__).resolve().parent
    installed = root / ".venv"
    if (installed / "bin" / "python").exists() and Path(sys.prefix).resolve() != installed.resolve():
        python = str(installed / "bin" / "python")
        os.execv(python, [python, *sys.argv])  # noqa: S606 - the repository's own interpreter
    sys.exit(
        f"This command needs the packages of Ferris: `make -C {root} .venv/installed` installs them, once. "
        "Against a platform elsewhere, with FERRIS_URL, most commands need none."
    )


def main() -> None:
    if sys.argv[1:] == ["match"]:  # needs no setting and no framework
        from ferris import trials

        return trials.main()
    if os.environ.get("FERRIS_URL") and sys.argv[1:2] not in ([name] for name in AT_HOME):
        from remote.__main__ import main as remotely  # the standard library is enough for it

        sys.exit(remotely(sys.argv[1:]))
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "ferris_web.settings")
    try:
        import django  # noqa: F401
    except ModuleNotFoundError:
        with_packages()
    from django.core.exceptions import ImproperlyConfigured
    from django.core.management import execute_from_command_line
    from django.db import InterfaceError, NotSupportedError, OperationalError

    from ferris import start
    from ferris.errors import FerrisError

    try:
        execute_from_command_line(sys.argv)
    except ImproperlyConfigured as error:  # a setting is wrong: its name and remedy say more than a traceback
        sys.exit(str(error))
    except FerrisError as error:
        sys.exit(start.line(error))
    except (InterfaceError, NotSupportedError, OperationalError) as error:
        from ferris_web.executions.checkup import reach

        sys.exit(start.line(reach.explained(error)))


if __name__ == "__main__":
    main()
