"""Commands of two words (`subscription add`), here and from afar: their arguments, and what they print."""

from __future__ import annotations

import argparse
import json
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from remote.client import Refused
from remote.verbs import json_of

PATIENCE = 45.0  # seconds for the platform to send a sample
_UNDER_WAY = ("pending", "sending")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def add_json(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """The option of everything that prints data; the parser again."""
    parser.add_argument("--json", action="store_true", help="a JSON object in each line, for programs")
    return parser


def told(options: argparse.Namespace, line: str, values: Mapping[str, Any]) -> None:
    """Print one row, as `line` or as its values."""
    print(json.dumps(values, ensure_ascii=False) if options.json else line, flush=True)


def picked(row: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    """What of a row the commands tell, wherever it comes from."""
    return {name: row[name] for name in names}


def given(options: argparse.Namespace, *names: str) -> dict[str, Any]:
    """The options that were given, by name."""
    return {name: value for name in names if (value := getattr(options, name)) is not None}


def json_option(options: argparse.Namespace, name: str) -> Any:
    """The JSON of `--NAME`; Refused."""
    return json_of(getattr(options, name), f"--{name}")


def time_of(text: str, now: datetime) -> str:
    """So long ago (30m, 12h, 7d) as a time; a time as it is: the platform says what is wrong with it."""
    ago = re.fullmatch(r"(\d{1,6})([smhd])", text)
    return (now - timedelta(**{_UNITS[ago[2]]: int(ago[1])})).isoformat() if ago else text


def each_settled(
    look: Callable[[], Sequence[Mapping[str, Any]]], every: float = 0.3
) -> Iterator[Mapping[str, Any]]:
    """Each of the samples that `look` finds, once it is sent or has failed: nothing tells when. They wait together;
    Refused when after `PATIENCE` nobody has sent one of them."""
    end, known = time.monotonic() + PATIENCE, set[str]()
    while True:
        rows = look()
        for row in rows:
            if row["status"] not in _UNDER_WAY and row["id"] not in known:
                known.add(row["id"])
                yield row
        waiting = len(rows) - len(known)
        if not waiting:
            return
        if time.monotonic() > end:
            raise Refused(f"nobody sent {waiting} of {len(rows)} samples; does the platform run?")
        time.sleep(every)


def settled(look: Callable[[], Mapping[str, Any]], every: float = 0.3) -> Mapping[str, Any]:
    """The same of one."""
    return next(each_settled(lambda: [look()], every))
