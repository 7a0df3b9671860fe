"""The example of a poller: every row becomes one event, whatever dies between events and cursor."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from ferris.config import EVENTS
from ferris.manifest import parse_service
from tests.executor.control_server import Platform, Result

FOLDER = Path(__file__).parents[2] / "examples" / "feed" / "feed_poll"
FILES = {path.name: path.read_bytes() for path in FOLDER.iterdir() if path.is_file()}
TABLE: list[int] = []


class Feed(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        asked = {name: int(values[0]) for name, values in parse_qs(urlsplit(self.path).query).items()}
        found = [{"id": n, "text": f"row {n}"} for n in TABLE if n > asked["after"]][: asked["limit"]]
        body = json.dumps(found).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Nobody asks."""


@pytest.fixture
def feed() -> Iterator[str]:
    TABLE[:] = [1, 2, 5, 6, 7]
    with ThreadingHTTPServer(("127.0.0.1", 0), Feed) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/feed"
        server.shutdown()


def poll(ferris: Platform, url: str, scripts: tuple[str, ...] = ("poll.py", "commit.py")) -> Result:
    code: dict[str, str | bytes] = {name: FILES[name] for name in scripts}
    result = ferris.run(code, scripts=scripts, service="feed_poll", config={"url": url, "limit": 2})
    assert result.types[-1] == "execution.completed", result
    return result


def test_the_example_is_a_service() -> None:
    parsed = parse_service(FILES)
    assert parsed.manifest is not None
    assert parsed.manifest.scripts == ("poll.py", "commit.py")
    assert not [message for message in parsed.messages if message.level != "info"]


def test_each_row_is_one_event_also_when_the_run_dies_before_it_moved_the_cursor(
    ferris: Platform, feed: str
) -> None:
    poll(ferris, feed, ("poll.py",))  # dies here
    poll(ferris, feed)
    TABLE.extend([8, 9])
    poll(ferris, feed)
    assert "0 rows sent, up to 9" in poll(ferris, feed).text("stdout")
    sent = [event for event in ferris.events(EVENTS) if event.type == "feed.row.added"]
    assert [event.data["id"] for event in sent] == [1, 2, 5, 6, 7, 1, 2, 5, 6, 7, 8, 9]
    assert len({event.key for event in sent}) == len(TABLE)
    assert sent[0].id == f"{feed}#1"
    assert sent[0].source == "feed_poll"


def test_without_a_feed_it_does_nothing(ferris: Platform) -> None:
    assert "no feed is configured" in poll(ferris, "").text("stdout")
