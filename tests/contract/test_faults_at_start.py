"""A wrong setting costs each process one line at its start: it names the setting and what to do, and no secret."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

pytestmark = pytest.mark.walk

ROOT = Path(__file__).resolve().parents[2]
MANAGE = [sys.executable, "manage.py"]
EXECUTOR = [sys.executable, "-m", "celery", "-A", "celery_app", "worker", "-P", "threads"]
PROCESSES = {
    "web": [*MANAGE, "web"],
    "gateway": [*MANAGE, "gateway"],
    "executor": EXECUTOR,
    "project": [*MANAGE, "sync", "shop"],
    "emit": [*MANAGE, "emit", "shop.order.placed"],
}
SECRET = "do-not-show-me"


def started(name: str, home: Path, settings: dict[str, str], *, status: int | None = None) -> str:
    """What a process said that ended by itself, soon and not well: with this status, or any."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("FERRIS_")}
    done = subprocess.run(
        PROCESSES[name],
        cwd=ROOT,
        env=kept
        | {"FERRIS_HOME": str(home), "FERRIS_PORT": str(free_port()), "C_FORCE_ROOT": "1"}
        | settings,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode not in (0, -9), done.stdout
    assert status in (None, done.returncode), done.stderr
    return done.stdout + done.stderr


def free_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return int(server.getsockname()[1])


@contextmanager
def something_else() -> Iterator[str]:
    """A server that speaks no protocol of ours: it says a word and hangs up."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    client, _ = server.accept()
                    client.sendall(b"hello\r\n")
                    client.close()
                except OSError:
                    return

        threading.Thread(target=serve, daemon=True).start()
        yield f"127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)


def one_line(said: str, setting: str) -> str:
    """The line about this setting; there is one, and no stack trace."""
    assert "Traceback" not in said, said
    assert SECRET not in said, said
    lines = [line for line in said.splitlines() if setting in line]
    assert len(lines) == 1, said
    return lines[0]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home whose database has its schema, so that one thing alone is wrong."""
    folder = tmp_path_factory.mktemp("home")
    kept = {key: value for key, value in os.environ.items() if not key.startswith("FERRIS_")}
    done = subprocess.run(
        [*MANAGE, "migrate", "-v", "0"], cwd=ROOT, env=kept | {"FERRIS_HOME": str(folder)},
        capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return folder


URLS = {
    "FERRIS_DATABASE": f"postgresql://ferris:{SECRET}@{{}}/ferris",
    "FERRIS_EVENT_LOG": "kafka://{}",
    "FERRIS_OBJECT_STORE": f"s3://ferris:{SECRET}@{{}}?secure=0",
    "FERRIS_CONFIG_STORE": f"consul://{SECRET}@{{}}",
    "FERRIS_BROKER": f"amqp://ferris:{SECRET}@{{}}//",
}
NEEDED = [
    ("web", "FERRIS_DATABASE"), ("web", "FERRIS_EVENT_LOG"), ("web", "FERRIS_OBJECT_STORE"),
    ("web", "FERRIS_CONFIG_STORE"), ("gateway", "FERRIS_DATABASE"), ("gateway", "FERRIS_EVENT_LOG"),
    ("gateway", "FERRIS_BROKER"), ("executor", "FERRIS_EVENT_LOG"), ("executor", "FERRIS_OBJECT_STORE"),
    ("executor", "FERRIS_BROKER"), ("project", "FERRIS_DATABASE"), ("emit", "FERRIS_EVENT_LOG"),
]  # fmt: skip


def settings_of(process: str, setting: str, url: str) -> dict[str, str]:
    """This setting; the broker must be none of one process, or gateway and executor stop at that."""
    others = {"FERRIS_BROKER": "amqp://ferris:x@127.0.0.1:1//"} if process in ("gateway", "executor") else {}
    return others | {setting: url}


@pytest.mark.parametrize(("process", "setting"), NEEDED)
def test_a_port_where_nothing_listens(home: Path, process: str, setting: str) -> None:
    url = URLS[setting].format(f"127.0.0.1:{free_port()}")
    line = one_line(started(process, home, settings_of(process, setting, url)), setting)
    assert "correct FERRIS_" in line


@pytest.mark.parametrize(("process", "setting"), [pair for pair in NEEDED if pair[0] in ("web", "executor")])
def test_a_port_where_something_else_listens(home: Path, process: str, setting: str) -> None:
    with something_else() as address:
        url = URLS[setting].format(address)
        line = one_line(started(process, home, settings_of(process, setting, url)), setting)
    assert "correct" in line


MEANINGLESS = {
    "FERRIS_EVENT_LOG": "kafka://nowhere",
    "FERRIS_BROKER": f"redis://:{SECRET}@127.0.0.1",
    "FERRIS_DATABASE": f"mysql://ferris:{SECRET}@127.0.0.1/ferris",
    "FERRIS_LEASE": "soon",
}


@pytest.mark.parametrize(
    ("process", "setting"),
    [
        ("web", "FERRIS_EVENT_LOG"), ("web", "FERRIS_DATABASE"), ("web", "FERRIS_LEASE"),
        ("gateway", "FERRIS_EVENT_LOG"), ("gateway", "FERRIS_BROKER"), ("gateway", "FERRIS_DATABASE"),
        ("gateway", "FERRIS_LEASE"), ("executor", "FERRIS_EVENT_LOG"), ("executor", "FERRIS_BROKER"),
        ("executor", "FERRIS_LEASE"), ("project", "FERRIS_DATABASE"), ("project", "FERRIS_LEASE"),
    ],
)  # fmt: skip
def test_a_value_that_means_nothing(home: Path, process: str, setting: str) -> None:
    settings = settings_of(process, setting, MEANINGLESS[setting])
    one_line(started(process, home, settings, status=os.EX_CONFIG), setting)


def test_a_schema_that_is_missing(tmp_path: Path) -> None:
    for process in ("web", "project"):
        line = one_line(started(process, tmp_path, {}), "FERRIS_DATABASE")
        assert "manage.py migrate" in line


# ------------------------------------------------------------------------------------------- real servers


def wrong_password(url: str) -> str:
    parts = urlsplit(url)
    user = parts.netloc.partition(":")[0]
    return parts._replace(netloc=f"{user}:{SECRET}@{parts.netloc.rpartition('@')[2]}").geturl()


def wrong_user(url: str) -> str:
    parts = urlsplit(url)
    return parts._replace(netloc=f"nobody:{SECRET}@{parts.netloc.rpartition('@')[2]}").geturl()


def wrong_name(url: str) -> str:
    return urlsplit(url)._replace(path="/nothing").geturl()


@pytest.mark.real
@pytest.mark.parametrize(
    ("process", "setting", "spoil", "said"),
    [
        ("web", "FERRIS_DATABASE", wrong_password, "refused this user"),
        ("gateway", "FERRIS_DATABASE", wrong_user, "refused this user"),
        ("web", "FERRIS_DATABASE", wrong_name, "correct its name"),
        ("project", "FERRIS_DATABASE", wrong_name, "correct its name"),
        ("gateway", "FERRIS_BROKER", wrong_password, "refused this"),
        ("executor", "FERRIS_BROKER", wrong_user, "refused this"),
        ("executor", "FERRIS_BROKER", wrong_name, "virtual host"),
        ("web", "FERRIS_OBJECT_STORE", wrong_password, "refused this"),
        ("executor", "FERRIS_OBJECT_STORE", wrong_user, "refused this"),
    ],
)
def test_a_server_that_refuses(
    real: Callable[[str], str], home: Path, process: str, setting: str, spoil: Callable[[str], str], said: str
) -> None:
    url = spoil(real(setting))
    line = one_line(started(process, home, settings_of(process, setting, url)), setting)
    assert said in line


@pytest.mark.real
@pytest.mark.parametrize(
    ("process", "setting", "server"),
    [
        ("web", "FERRIS_EVENT_LOG", "FERRIS_CONFIG_STORE"),
        ("gateway", "FERRIS_EVENT_LOG", "FERRIS_DATABASE"),
        ("web", "FERRIS_OBJECT_STORE", "FERRIS_CONFIG_STORE"),
        ("web", "FERRIS_CONFIG_STORE", "FERRIS_OBJECT_STORE"),
        ("executor", "FERRIS_BROKER", "FERRIS_EVENT_LOG"),
        ("web", "FERRIS_DATABASE", "FERRIS_BROKER"),
    ],
)
def test_another_server_than_the_setting_says(
    real: Callable[[str], str], home: Path, process: str, setting: str, server: str
) -> None:
    url = URLS[setting].format(urlsplit(real(server)).netloc.rpartition("@")[2])
    line = one_line(started(process, home, settings_of(process, setting, url)), setting)
    assert "correct" in line
