"""`docs/problems.md` lists the API's problem types. A type that was told once stays.

`FERRIS_TESTS_WRITE=1 python -m pytest tests/web/test_problem_types.py` writes that page anew.
"""

from __future__ import annotations

import os
from pathlib import Path

from ferris_web.api.problems import KINDS

PAGE = Path(__file__).resolve().parents[2] / "docs" / "problems.md"
_HEAD = """# Problem types

An error of the [REST API](api.md) is a problem document (RFC 9457). Its `type` ends in one of these names and leads to
a page that says the same. Programs go by `type` and `status`; `title` and `detail` are for people and may change. A
name, once given, keeps its meaning.
"""


def test_the_page_of_problem_types_is_true() -> None:
    parts = (f"## {name}\n\n{kind.status}, *{kind.title}*. {kind.meaning}\n" for name, kind in KINDS.items())
    made = "\n".join([_HEAD, *parts])
    if os.environ.get("FERRIS_TESTS_WRITE"):
        PAGE.write_text(made)
    assert PAGE.read_text() == made, (
        "the types of problems have changed: FERRIS_TESTS_WRITE=1 writes the page anew"
    )
