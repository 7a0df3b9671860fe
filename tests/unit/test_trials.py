"""`manage.py match` as a process: one answer per line, whatever the line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
EVENT = {"specversion": "1.0", "id": "1", "source": "/s", "type": "t", "data": {"mag": 5, "kind": "quake"}}


def match(*lines: Any, home: Path) -> list[dict[str, Any]]:
    text = "".join(f"{line if isinstance(line, str) else json.dumps(line)}\n" for line in lines)
    done = subprocess.run(
        [sys.executable, "manage.py", "match"],
        input=text.encode(), capture_output=True, cwd=ROOT, timeout=60, check=True,
        env={**os.environ, "FERRIS_HOME": str(home), "FERRIS_DATABASE": "nonsense"},
    )  # fmt: skip
    return [json.loads(line) for line in done.stdout.decode().splitlines()]


def test_a_line_in_a_line_out(tmp_path: Path) -> None:
    answers = match(
        {"filter": {"data": {"mag": [{"numeric": [">=", 4.5]}]}}, "event": EVENT},
        {"filter": {"data": {"kind": ["blast"]}}, "event": EVENT},
        "nonsense",
        "",
        {"filter": {"data": {"mag": [{"wildcard": "a**"}]}}, "event": EVENT},
        {"filter": {"mag": {"x": [1]}}, "event": EVENT},
        {"filter": {"detail": {"a-b": [{"exists": False}]}}, "event": {"detail": {}}},
        {"cesql": "source LIKE '/%'", "event": EVENT},
        {"cesql": "1 / 0", "event": EVENT},
        {"cesql": "time", "event": {**EVENT, "time": "2018-04-26T14:48:09+02:00"}},
        {"cesql": "LENGTH(", "event": EVENT},
        {"cesql": "true", "filter": {}, "event": EVENT},
        {"cesql": "true"},
        home=tmp_path / "none",
    )
    assert [answer["matched"] for answer in answers] == [True, False, *[False] * 4, True, True, *[False] * 5]
    assert answers[1]["why"] == 'data.kind is "quake"; expected ["blast"]'
    assert answers[1]["error"] is None
    problems = [answer["error"] for answer in answers]
    assert [problem is None for problem in problems] == [
        True, True, False, False, False, False, True, True, False, True, False, False, False,
    ]  # fmt: skip
    assert problems[4].startswith("filter.data.mag[0].wildcard: has '**' at character 2")
    assert [answer["value"] for answer in answers[7:11]] == [True, 0, "2018-04-26T14:48:09+02:00", False]
    assert problems[8] == "math: division by zero"
    assert problems[10].startswith("parse: at position 8")
    assert problems[11] == "the line has both of filter and cesql; expected one of them"
    assert problems[12] == "event is missing; expected an object"
    assert not (tmp_path / "none").exists()
