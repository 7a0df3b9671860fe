"""What commands print: lines for people, or with --json a JSON object in each line."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any
from uuid import UUID

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError

from ferris.errors import FerrisError
from ferris.moments import stamp
from remote.client import Refused
from remote.words import add_json

__all__ = ["LOOK_AGAIN", "add_json", "fresh_values", "printed", "refusals", "values_of"]

BAD_INPUT = 2
LOOK_AGAIN = 0.1
"""Seconds between looks at a row of our own database, of which nothing tells when it changes."""


def printed(command: BaseCommand, options: Mapping[str, Any], line: str, values: Mapping[str, Any]) -> None:
    """One row, as `line` or as its values; times as the API has them."""
    told = json.dumps(values, default=_plain, ensure_ascii=False) if options["json"] else line
    command.stdout.write(told)


def values_of(row: Any, names: tuple[str, ...], **more: Any) -> dict[str, Any]:
    """These attributes of a row, and `more` that is told of it, as the API has them: `remote/` makes lines of both."""
    found = {name: more[name] if name in more else getattr(row, name) for name in names}
    return {
        name: None if value == "" else _plain(value) if isinstance(value, (datetime, UUID)) else value
        for name, value in found.items()
    }


def fresh_values(row: Any, names: tuple[str, ...], **more: Any) -> dict[str, Any]:
    """The same of the row as it is in the database by now."""
    row.refresh_from_db()
    return values_of(row, names, **more)


@contextmanager
def refusals() -> Iterator[None]:
    """What the platform refuses, as the end of the command with status 2."""
    try:
        yield
    except ValidationError as wrong:
        said = (f"{field}: {' '.join(texts)}" for field, texts in wrong.message_dict.items())
        raise CommandError("\n".join(said), returncode=BAD_INPUT) from None
    except (FerrisError, Refused, ValueError) as error:
        raise CommandError(str(error), returncode=BAD_INPUT) from None


def _plain(value: Any) -> str:
    return stamp(value) if isinstance(value, datetime) else str(value)
