"""Wherever a person may name a server: by no way, and in no spelling, does it lead to this machine or its network."""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.conf import settings
from django.core.exceptions import ValidationError

from ferris.adapters import git, http_push
from ferris.errors import BackendError
from ferris.pushing import target
from ferris_web.catalog import subscriptions
from ferris_web.catalog.models import Project
from ferris_web.executions.services import charts, notices
from gateway.notifier import sent
from tests.web.receivers import Receiver

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("backends")]

SPELLINGS = [
    *("127.0.0.1", "127.8.9.1", "0.0.0.0", "169.254.169.254", "224.0.0.1"),
    *("[::1]", "[::]", "[fe80::1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::ffff:a9fe:a9fe]"),
    *("[::127.0.0.1]", "[64:ff9b::7f00:1]", "[64:ff9b::a9fe:a9fe]", "[2002:7f00:1::]", "[2001:0:7f00:1::]"),
    *("[fd00:ec2::254]", "100.100.100.200", "168.63.129.16"),
    *("localhost", "LOCALHOST", "2130706433", "0x7f000001", "127.1", "017700000001", "0177.0.0.1"),
]  # fmt: skip
PRIVATE = ["10.0.0.1", "172.16.0.1", "192.168.1.1", "100.64.0.1", "[fd00::1]", "[::ffff:10.0.0.1]"]
NAMES = {
    "private.example": ["10.0.0.1"],
    "metadata.example": ["169.254.169.254"],
    "mapped.example": ["::ffff:127.0.0.1"],
    "carried.example": ["64:ff9b::7f00:1"],
    "both.example": ["8.8.8.8", "127.0.0.1"],
}


def _post(url: str, folder: Path) -> str:
    return http_push.post(target(url), {}, b"{}", seconds=5, allowed=()).problem


def _get(url: str, folder: Path) -> str:
    return http_push.get(target(url), {}, seconds=5, allowed=(), most=1000).problem


def _notify(url: str, folder: Path) -> str:
    message = notices.Message(uuid4(), "", url.replace("http://", "json://"), "title", "body")
    return sent(message, ())


def _fetch(scheme: str) -> Callable[[str, Path], str]:
    def fetch(url: str, folder: Path) -> str:
        try:
            git.fetch(url.replace("http://", scheme), "", folder / uuid4().hex)
        except BackendError as error:
            return str(error)
        return ""

    return fetch


WAYS = {
    "subscription": _post,
    "chart": _get,
    "repository-https": _fetch("https://"),
    "repository-ssh": _fetch("ssh://git@"),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("host", SPELLINGS)
def test_no_way_leads_here(way: str, host: str, receiver: Receiver, tmp_path: Path) -> None:
    problem = WAYS[way](f"http://{host}:{receiver.port}/x", tmp_path)
    assert (
        "FERRIS_ALLOW_PRIVATE" in problem
        or "FERRIS_GIT_HOSTS" in problem
        or "may not ask this host" in problem
    ), problem
    assert receiver.got == []


def test_a_notification_leads_nowhere_here(receiver: Receiver, tmp_path: Path) -> None:
    for host in (
        "127.0.0.1",
        "[::ffff:127.0.0.1]",
        "2130706433",
        "0x7f000001",
        "127.1",
        *PRIVATE,
    ):
        assert _notify(f"http://{host}:{receiver.port}/x", tmp_path), host
    assert receiver.got == []


@pytest.mark.parametrize("host", PRIVATE)
@pytest.mark.parametrize("way", ["subscription", "chart"])
def test_nor_into_the_own_network(way: str, host: str, tmp_path: Path) -> None:
    """But git's servers are there often: FERRIS_GIT_HOSTS says which may be asked."""
    assert "FERRIS_ALLOW_PRIVATE" in WAYS[way](f"http://{host}/x", tmp_path)


@pytest.mark.parametrize(
    ("way", "host"),
    [
        (way, host)
        for way in WAYS
        for host in NAMES
        if host != "private.example" or not way.startswith("repository")  # git's servers are there often
    ],
)
def test_a_name_is_judged_as_what_it_leads_to(
    way: str, host: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def resolve(name: str, port: int, *args: Any, **more: Any) -> Any:
        families = ((socket.AF_INET6 if ":" in one else socket.AF_INET, one) for one in NAMES[name])
        return [(family, socket.SOCK_STREAM, 6, "", (one, port)) for family, one in families]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    problem = WAYS[way](f"http://{host}/x", tmp_path)
    assert "FERRIS_ALLOW_PRIVATE" in problem or "may not ask this host" in problem, problem


NUMBERS = [host for host in (*SPELLINGS, *PRIVATE) if host.replace(".", "").isdigit() or ":" in host]


@pytest.mark.parametrize("host", NUMBERS)
def test_an_address_is_refused_when_it_is_written_down(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "FERRIS", replace(settings.FERRIS, allow_private=()))
    project, now, url = Project.objects.create(name="shop"), datetime.now(UTC), f"http://{host}:8080/x"
    with pytest.raises(ValidationError, match="not allowed"):
        subscriptions.subscription_set("orders", now=now, project=project, event_type="shop.*", url=url)
    with pytest.raises(ValidationError, match="not allowed"):
        charts.chart_save(
            {"title": "Orders", "kind": "kpi", "source": "url", "url": url, "every_minutes": 5},
            now=now, project=project,
        )  # fmt: skip
