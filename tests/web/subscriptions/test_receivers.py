"""Where a push leads, and where it does not."""

from __future__ import annotations

import socket
import threading
from dataclasses import replace
from typing import Any

import pytest
from django.conf import settings
from django.core.exceptions import ValidationError

from ferris.adapters import http_push
from ferris.pushing import target
from ferris_web.executions.services import (
    pushes,
)
from tests.web.platform import dispatch, event
from tests.web.receivers import Receiver
from tests.web.subscriptions.pushing import HERE, made, push

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("backends")]


def test_private_addresses_are_refused(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    made(receiver.url)
    dispatch(event("shop.order"))
    [outcome] = push(allowed=())
    assert (outcome.status, receiver.got) == (0, [])
    assert "FERRIS_ALLOW_PRIVATE" in outcome.problem
    monkeypatch.setattr(settings, "FERRIS", replace(settings.FERRIS, allow_private=()))
    for url in ("http://127.0.0.1/", "http://[::ffff:10.0.0.1]/", "http://169.254.169.254/latest/"):
        with pytest.raises(ValidationError, match="not allowed"):
            made(url, "other")
    # Other spellings of an address are names, which are judged as what they lead to.
    for host in ("localhost", "2130706433", "0x7f000001", "127.1", "017700000001"):
        answer = http_push.post(target(f"http://{host}:{receiver.port}/"), {}, b"", seconds=5, allowed=())
        assert (answer.status, bool(answer.problem)) == (0, True), host
    assert receiver.got == []


def test_a_name_is_looked_up_once(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that is public when it is looked at and private a moment later: the connection goes where was looked."""
    asked = []

    def resolve(host: str, port: int, *args: Any, **more: Any) -> Any:
        asked.append(host)
        first = "127.0.0.1" if len(asked) == 1 else "10.0.0.1"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (first, port))]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    answer = http_push.post(
        target(f"http://rebinding.example:{receiver.port}/x"), {}, b"{}", seconds=5, allowed=HERE
    )
    assert (answer.status, asked) == (204, ["rebinding.example"])
    assert receiver.got[0].headers["host"] == f"rebinding.example:{receiver.port}"
    assert http_push.post(target("http://rebinding.example/"), {}, b"", seconds=5, allowed=HERE).status == 0


def test_one_private_address_among_public_ones_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    def resolve(host: str, port: int, *args: Any, **more: Any) -> Any:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (a, port)) for a in ("8.8.8.8", "10.0.0.1")]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    answer = http_push.post(target("http://both.example/"), {}, b"", seconds=5, allowed=())
    assert "10.0.0.1 is private" in answer.problem


def test_redirects_are_not_followed_and_answers_are_cut(receiver: Receiver) -> None:
    made(receiver.url + "/a-token-nobody-may-see")
    dispatch(event("shop.order"))
    receiver.answers = lambda got: (
        302,
        {"Location": receiver.url + "/elsewhere"},
        got.path.encode() * 10_000,
    )
    [outcome] = push()
    assert (outcome.status, len(receiver.got)) == (302, 1)
    assert "redirect" in outcome.problem
    assert len(outcome.answer) <= pushes.SHOWN
    assert "a-token-nobody-may-see" not in outcome.answer


def test_a_receiver_that_dribbles_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """One byte now and then does not lengthen the time that it has."""
    listening = socket.create_server(("127.0.0.1", 0))
    stop = threading.Event()

    def dribble() -> None:
        one, _ = listening.accept()
        with one:
            while not stop.wait(0.02):
                try:
                    one.send(b"H")
                except OSError:
                    return

    thread = threading.Thread(target=dribble, daemon=True)
    thread.start()
    port = listening.getsockname()[1]
    answer = http_push.post(target(f"http://127.0.0.1:{port}/"), {}, b"{}", seconds=0.3, allowed=HERE)
    stop.set()
    thread.join(60)
    listening.close()
    assert (answer.status, answer.problem) == (0, "no answer within 0.3 s")
