"""Commands that the console gives to be copied, pasted into a shell."""

from __future__ import annotations

import json
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from uuid import UUID

import pytest
from django.test import Client

from ferris.events import RUN_REQUESTED
from ferris_web.executions.models import Execution
from tests.web.console_pages import page
from tests.web.console_rows import Rows

pytestmark = pytest.mark.django_db
NASTY = """it's "so" $(touch pwned) `touch pwned` \\ !! <b>"""


class Copied(HTMLParser):
    """What the buttons of a page copy."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.texts += [value or "" for name, value in attrs if name == "data-copy"]


def pasted(text: str, folder: Path) -> list[str]:
    """The arguments that the program of that command gets, in a shell that has no `uuidgen`."""
    told = "import sys, json; print(json.dumps(sys.argv[1:]))"
    script = f'told() {{ python3 -c {json.dumps(told)} "$@"; }}\ncurl() {{ told "$@"; }}\n'
    script += "uuidgen() { return 127; }\n" + text.replace("manage.py", "told", 1)
    done = subprocess.run(
        ["bash", "-c", script], cwd=folder, capture_output=True, text=True, timeout=60, check=True
    )
    assert not list(folder.iterdir())
    found: list[str] = json.loads(done.stdout)
    return found


def test_what_is_copied_says_the_same_again(rows: Rows, person: Client, tmp_path: Path) -> None:
    row = rows.executions["load"]
    event = row.event
    event.type, event.data = "quake.load", {"title": NASTY}
    event.save()
    for address in (f"/executions/{row.pk}/", f"/events/{event.pk}/"):
        copied = Copied(page(person, address).html).texts
        cli = next(text for text in copied if text.startswith("manage.py emit"))
        arguments = pasted(cli, tmp_path)
        assert arguments[:2] == ["emit", event.type]
        assert json.loads(arguments[3]) == event.data
    sent = json.loads(pasted(next(text for text in copied if text.startswith("curl")), tmp_path)[-1])
    assert (sent["type"], sent["data"]) == (event.type, event.data)
    assert UUID(sent["id"])


def test_a_run_by_hand_is_copied_too(rows: Rows, person: Client, tmp_path: Path) -> None:
    row: Execution = rows.executions["load"]
    row.event.type, row.event.data = RUN_REQUESTED, {"title": NASTY}
    row.event.save()
    curl, cli, *_ = Copied(page(person, f"/executions/{row.pk}/").html).texts
    assert json.loads(pasted(curl, tmp_path)[-1]) == {"parameters": row.event.data}
    arguments = pasted(cli, tmp_path)
    assert arguments[:3] == ["run", row.service.name, "--data"]
    assert json.loads(arguments[3]) == row.event.data
