"""What commands print: lines for people, or with --json a JSON object in each line."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.core.management.base import BaseCommand


def add_json(parser: ArgumentParser) -> None:
    """The option of every command that prints data."""
    parser.add_argument("--json", action="store_true", help="a JSON object in each line, for programs")


def printed(command: BaseCommand, options: Mapping[str, Any], line: str, values: Mapping[str, Any]) -> None:
    """One row, as `line` or as its values; times as RFC 3339."""
    told = json.dumps(values, default=_plain, ensure_ascii=False) if options["json"] else line
    command.stdout.write(told)


def _plain(value: Any) -> str:
    return value.isoformat().replace("+00:00", "Z") if isinstance(value, datetime) else str(value)
