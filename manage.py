#!/usr/bin/env python
"""Ferris from the command line: `python manage.py help` lists what it can do."""

import os
import sys
from pathlib import Path

# These work on files of this machine, whether FERRIS_URL is set or not, and with Python alone.
AT_HOME = ("new", "run-local", "test")
_ROOT = Path(__file__).resolve().parent


def to_packages() -> None:
    """Begin the same command anew with what `make` has installed, where it has."""
    installed = _ROOT / ".venv"
    if (installed / "bin" / "python").exists() and Path(sys.prefix).resolve() != installed.resolve():
        python = str(installed / "bin" / "python")
        os.execv(python, [python, *sys.argv])  # noqa: S606 - the repository's own interpreter


def has_packages() -> bool:
    try:
        import django  # noqa: F401
    except ModuleNotFoundError:
        return False
    return True


def main() -> None:
    if sys.version_info < (3, 11):  # noqa: UP036 - whoever calls it with another one reads this, and no traceback
        sys.exit(
            f"Ferris needs Python 3.11 or newer; this is {sys.version.split()[0]}: try python3.11 manage.py"
        )
    command = sys.argv[1] if len(sys.argv) > 1 else ""
    if sys.argv[1:] == ["match"]:  # needs no setting and no framework
        from ferris import trials

        return trials.main()
    if command in AT_HOME:
        if not has_packages():
            to_packages()  # what scripts import may be there
        from ferris_web.catalog.at_home import main as at_home

        sys.exit(at_home(sys.argv[1:]))
    if os.environ.get("FERRIS_URL") and command != "match":
        from remote.__main__ import main as remotely  # the standard library is enough for it

        sys.exit(remotely(sys.argv[1:]))
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "ferris_web.settings")
    if not has_packages():
        to_packages()
        sys.exit(
            f"This command needs the packages of Ferris: `make -C {_ROOT} .venv/installed` installs them, once. "
            "Against a platform elsewhere, with FERRIS_URL, most commands need none."
        )
    from django.core.exceptions import ImproperlyConfigured
    from django.core.management import execute_from_command_line
    from django.db import InterfaceError, NotSupportedError, OperationalError

    from ferris import start
    from ferris.errors import ConfigError, FerrisError

    try:
        execute_from_command_line(sys.argv)
    except ImproperlyConfigured as error:  # a setting is wrong: its name and remedy say more than a traceback
        start.refuse(error)
    except ConfigError as error:
        start.refuse(start.line(error))
    except FerrisError as error:
        sys.exit(start.line(error))
    except (InterfaceError, NotSupportedError, OperationalError) as error:
        from ferris_web.executions.checkup import reach

        sys.exit(start.line(reach.explained(error)))


if __name__ == "__main__":
    main()
