"""The client of a platform elsewhere, against servers that answer badly."""

from __future__ import annotations

import argparse
import io
import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import pytest

from remote import client as remote_client
from remote import folders, following, showing, syncing, verbs
from remote.client import Client, Refused, part
from remote.folders import files_of, fingerprint, services_of

Answer = Callable[[BaseHTTPRequestHandler], None]


@contextmanager
def server(answer: Answer) -> Iterator[str]:
    """A server on a port of its own that answers every request so; its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer(self)

        do_POST = do_GET

        def log_message(self, *said: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{running.server_port}"
        finally:
            running.shutdown()


def reply(handler: BaseHTTPRequestHandler, status: int, body: str, **headers: str) -> None:
    """One whole answer."""
    handler.send_response(status)
    for name, value in headers.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.send_header("Content-Length", str(len(body.encode())))
    handler.end_headers()
    handler.wfile.write(body.encode())


def test_a_redirect_never_gets_the_token() -> None:
    heard: list[str | None] = []
    with (
        server(lambda h: (heard.append(h.headers["Authorization"]), reply(h, 200, "{}"))[1]) as other,
        server(lambda h: reply(h, 302, "", Location=f"{other}/x")) as address,
        pytest.raises(Refused, match="own address"),
    ):
        Client(address, "secret").get("services/")
    assert heard == []


def test_pages_are_asked_from_the_address_that_was_given() -> None:
    asked: list[str] = []

    def answer(handler: BaseHTTPRequestHandler) -> None:
        asked.append(handler.path)
        link = None if "cursor" in handler.path else "http://inside.example:1/api/v1/services/?cursor=b"
        reply(handler, 200, json.dumps({"results": [{"n": len(asked)}], "next": link}))

    with server(answer) as address:
        assert [row["n"] for row in Client(address, "t").all("services/", 5, q="")] == [1, 2]
        assert [row["n"] for row in Client(address, "t").all("services/", 1)] == [3]
    assert asked == ["/api/v1/services/?limit=5", "/api/v1/services/?cursor=b", "/api/v1/services/?limit=1"]


def test_a_stream_that_breaks_is_taken_up_where_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote_client, "_RECONNECT", 0.0)
    asked: list[str | None] = []

    def answer(handler: BaseHTTPRequestHandler) -> None:
        asked.append(handler.headers["Last-Event-ID"])
        if len(asked) == 1:
            handler.send_response(200)
            handler.end_headers()
            handler.wfile.write(b": ping\n\nid: 7\ndata: one\ndata: more\n\nid: 8\ndata: hal")
            return
        reply(handler, 200, "id: 9\ndata: two\n\nevent: end\ndata: {}\n\n")

    with server(answer) as address:
        found = list(Client(address, "t").stream("x/"))
    assert found == [("", "one\nmore"), ("", "two"), ("end", "{}")]
    assert asked == [None, "7"]


def test_who_is_told_to_wait_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []
    monkeypatch.setattr(remote_client.time, "sleep", waited.append)

    def answer(handler: BaseHTTPRequestHandler) -> None:
        if waited:
            reply(handler, 200, "{}")
            return
        handler.send_response(429)
        handler.send_header("Retry-After", "7")
        handler.end_headers()

    with server(answer) as address:
        assert Client(address, "t").get("services/") == {}
    assert waited == [7]


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (400, '{"detail": "no", "errors": [{"field": "a", "problem": "b"}]}', "no\n  a: b"),
        (400, '{"detail": "a: b.", "errors": [{"field": "a", "problem": "b"}]}', "a: b."),
        (500, "<html>", "answers 500"),
        (500, "[1]", "answers 500"),
        (200, "<html>", "is FERRIS_URL the address"),
        (401, "{}", "token USER"),
    ],
)
def test_answers_that_are_none(status: int, body: str, said: str) -> None:
    with server(lambda h: reply(h, status, body)) as address, pytest.raises(Refused) as caught:
        Client(address, "t").get("services/")
    assert said in str(caught.value)
    assert str(caught.value).count("a: b") <= 1


def test_tokens_and_paths_cannot_smuggle() -> None:
    assert part("../a b?c#d") == "..%2Fa%20b%3Fc%23d"
    for token in ("a\nb", "é", "a\x7f"):
        with pytest.raises(Refused):
            Client("http://a.example", token)


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("a\x1b[2Jb", "a[2Jb"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07", "]0;title�"),
        ("one\rtwo\x08", "one�two�"),
        ("tab\tstays ✓", "tab\tstays ✓"),
    ],
)
def test_a_terminal_is_not_moved_by_what_scripts_wrote(text: str, plain: str) -> None:
    assert showing.clean(text) == plain


def test_colours_only_where_somebody_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    assert showing.colour("x", "failed", io.StringIO()) == "x"
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert showing.colour("x", "failed", Terminal()) == "\x1b[31mx\x1b[0m"
    monkeypatch.setenv("NO_COLOR", "1")
    assert showing.colour("x", "failed", Terminal()) == "x"


def test_what_a_folder_gives(tmp_path: Path) -> None:
    service = tmp_path / "one"
    (service / "sub").mkdir(parents=True)
    (service / "run.py").write_text("print(1)")
    (service / "sub" / "x.bin").write_bytes(b"\xff\x00")
    (service / "ef_env.json").write_text("{}")
    (service / "__pycache__").mkdir()
    (service / "__pycache__" / "run.pyc").write_text("")
    (service / "link").symlink_to("/etc/passwd")
    for left in (".run.py.swp", "run.py~", ".#run.py", "#run.py#"):  # by editors, while a file is open
        (service / left).write_text("print(1")
    (tmp_path / ".git").mkdir()
    (tmp_path / "empty").mkdir()
    assert services_of(tmp_path) == [service]
    assert files_of(service) == {"run.py": "print(1)", "sub/x.bin": {"base64": "/wA="}}
    before = fingerprint(service)
    assert fingerprint(service) == before
    (service / "run.py").write_text("print(22)")
    assert fingerprint(service) != before
    (service / "manifest.json").write_text("{}")
    with pytest.raises(Refused, match="folder above"):
        services_of(service)
    with pytest.raises(Refused, match="no folder"):
        services_of(tmp_path / "nothing")


def test_a_folder_is_read_while_an_editor_saves_in_it(tmp_path: Path) -> None:
    """By a file of another name, which is put in the place of the old one."""
    (tmp_path / "run.py").write_text("print(1)")
    done = threading.Event()

    def save() -> None:
        number = 0
        while not done.is_set():
            number += 1
            (tmp_path / f"saved{number}").write_text("print(1)")
            (tmp_path / f"saved{number}").replace(tmp_path / "run.py")

    editor = threading.Thread(target=save)
    editor.start()
    try:
        for _ in range(500):
            fingerprint(tmp_path)
            files_of(tmp_path)
    finally:
        done.set()
        editor.join()


def test_watching_goes_on_past_a_service_that_is_too_large(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(folders, "_MOST_BYTES", 100)
    for name, size in (("large", 101), ("small", 1)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "run.py").write_text("#" * size)
    put = list[str]()

    def answer(handler: BaseHTTPRequestHandler) -> None:
        sent = json.loads(handler.rfile.read(int(handler.headers["Content-Length"])))
        put.append(sent["name"])
        (tmp_path / "large" / "run.py").write_text("#")
        status = 201 if sent["name"] == "small" else 401  # and that ends it
        said = json.dumps({"version": {"number": 1}, "messages": []} if status == 201 else {}).encode()
        handler.send_response(status)
        handler.send_header("Content-Length", str(len(said)))
        handler.end_headers()
        handler.wfile.write(said)

    options = argparse.Namespace(name="shop", watch=str(tmp_path), once=False)
    with server(answer) as url, pytest.raises(Refused):
        syncing.sync(Client(url, "t"), options)
    assert put == ["small", "large"]
    assert "large: has more than" in capsys.readouterr().out


def test_nothing_but_the_standard_library_is_imported() -> None:
    names = {name.split(".")[0] for name in sys.stdlib_module_names} | {"remote", "__future__"}
    for path in Path(remote_client.__file__).parent.glob("*.py"):
        for line in path.read_text().splitlines():
            words = line.split()
            if words[:1] in (["import"], ["from"]):
                assert words[1].split(".")[0] in names, line


def _flow_of(status: str, **more: object) -> str:
    run = {"kind": "execution", "id": "e1", "service": "s", "status": status, "finished_at": None, **more}
    return json.dumps({"settled": status == "completed", "nodes": [run]})


@pytest.mark.parametrize("streams", [True, False], ids=["streams", "a platform of before them"])
def test_a_flow_is_followed(streams: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "_LOOK", 0.0)
    asked: list[str] = []

    def answer(handler: BaseHTTPRequestHandler) -> None:
        asked.append(handler.path)
        if len(asked) == 1 and streams:
            reply(handler, 404, '{"detail": "there is no flow"}')
        elif handler.headers["Accept"] != "text/event-stream":
            reply(handler, 200, _flow_of("completed" if len(asked) > 3 else "queued"))
        elif streams:
            said = (
                f"retry: 1\nid: 0-1\n\ndata: {json.dumps({'id': 'e1', 'status': 'completed'})}\nid: 0-2\n\n"
            )
            reply(handler, 200, f"{said}event: gap\ndata: {{}}\n\nevent: end\ndata: {{}}\n\n")
        else:
            reply(handler, 406, '{"detail": "not acceptable"}')

    with server(answer) as address:
        found = list(following.flow_changes(Client(address, "t"), "F", time.monotonic() + 30))
    assert [run and run["status"] for run in found] == (
        ["completed", None] if streams else ["queued", "completed", None]
    )
    assert len(asked) == (2 if streams else 4)


def test_a_stream_that_says_nothing_keeps_nobody_waiting() -> None:
    silent = threading.Event()

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.end_headers()
        silent.wait(60)

    with server(answer) as address:
        try:
            assert not list(following.flow_changes(Client(address, "t"), "F", time.monotonic() + 0.3))
        finally:
            silent.set()


def test_a_service_whose_folder_is_gone_says_so(capsys):
    row = {"project": "shop", "active": True, "paused_at": None, "vanished_at": None, "trigger_events": []}
    rows = [
        {**row, "name": "there"},
        {**row, "name": "held", "paused_at": "2026-11-24T12:00:00.000Z"},
        {**row, "name": "left", "vanished_at": "2026-11-24T12:00:00.000Z"},
    ]
    asked = argparse.Namespace(json=False, limit=10, query="")
    assert verbs.services(SimpleNamespace(all=lambda *place, **query: rows), asked) == 0
    assert [line.split()[:3] for line in capsys.readouterr().out.splitlines()[1:]] == [
        ["there", "shop", "active"],
        ["held", "shop", "paused"],
        ["left", "shop", "gone"],
    ]
