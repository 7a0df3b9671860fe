"""What a process does first: it asks its backends whether they let it in, and says in one line which one does not."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Mapping
from typing import NoReturn

from ferris.errors import BackendError, ConfigError, FerrisError

_SETTINGS = {
    "database": "FERRIS_DATABASE",
    "event log": "FERRIS_EVENT_LOG",
    "object store": "FERRIS_OBJECT_STORE",
    "config store": "FERRIS_CONFIG_STORE",
    "ops store": "FERRIS_OPS_STORE",
    "broker": "FERRIS_BROKER",
    "the control API": "FERRIS_CONTROL_URL",
}

Look = Callable[[], object]


def line(error: FerrisError) -> str:
    """An error in one line that names the setting and the remedy."""
    if isinstance(error, BackendError):
        setting = _SETTINGS.get(error.backend)
        told = f"{setting}: {error}" if setting else str(error)
    else:
        told = str(error)
    return " ".join(told.split())


def problems(looks: Mapping[str, Look]) -> list[str]:
    """A line for each setting whose look fails. A look raises FerrisError or OSError, and touches the backend.

    Meanwhile the client libraries keep quiet: what they would log is in that line.
    """
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        return [told for setting, look in looks.items() if (told := _problem(setting, look))]
    finally:
        logging.disable(before)


def _problem(setting: str, look: Look) -> str:
    try:
        look()
    except (BackendError, ConfigError) as error:
        return line(error)
    except (FerrisError, OSError) as error:
        return f"{setting}: {type(error).__name__}: {' '.join(str(error).split())}: correct {setting}"
    return ""


def demand(looks: Mapping[str, Look]) -> None:
    """Go on if every backend lets this process in; else say which does not and end it (status 78, EX_CONFIG)."""
    if wrong := problems(looks):
        refuse("\n".join(wrong))


def refuse(problem: object) -> NoReturn:
    """End this process for a setting that is wrong, which the text names with its remedy (status 78, EX_CONFIG)."""
    print(problem, file=sys.stderr, flush=True)
    raise SystemExit(os.EX_CONFIG)
