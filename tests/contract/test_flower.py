"""Flower beside our workers on RabbitMQ: what it shows, to whom, and what it does not."""

from __future__ import annotations

import base64
import json
import os
import re
import secrets
import signal
import subprocess
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from celery import Celery

import celery_app
from tests.executor.control_server import TOKEN, Platform, free_port, platform
from tests.waiting import until

pytestmark = pytest.mark.real

ROOT = Path(__file__).resolve().parents[2]
CELERY = [ROOT / ".venv/bin/celery", "-A", "celery_app"]
PASSWORD = secrets.token_urlsafe(24)
SECRET = "the-secret-of-the-script"


class Flower:
    """A Flower that runs, asked over HTTP."""

    def __init__(self, port: int) -> None:
        self._url = f"http://127.0.0.1:{port}"

    def get(self, path: str, password: str | None = PASSWORD, method: str = "GET") -> tuple[int, str]:
        request = urllib.request.Request(self._url + path, method=method)
        if password is not None:
            user = base64.b64encode(f"admin:{password}".encode()).decode()
            request.add_header("Authorization", f"Basic {user}")
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def json(self, path: str) -> Any:
        status, text = self.get(path)
        assert status == 200, (path, status, text)
        return json.loads(text)


class Site:
    """A worker and a Flower as processes, in a virtual host of RabbitMQ that nobody else uses."""

    def __init__(self, ferris: Platform, app: Celery, flower: Flower, worker: str, broker: str) -> None:
        self.ferris, self.app, self.flower, self.worker, self.broker = ferris, app, flower, worker, broker

    def ring(self, files: dict[str, str | bytes], lane: str, **changes: Any) -> str:
        execution_id = self.ferris.offer(self.ferris.order(files, **changes))
        self.app.send_task(celery_app.EXECUTE, args=[execution_id], queue=lane)
        return execution_id

    def task(self, execution_id: str, state: str) -> dict[str, Any]:
        """What Flower says of the doorbell of an execution, once it is in this state."""

        def look() -> dict[str, Any] | None:
            tasks = self.flower.json("/api/tasks").values()
            return next((t for t in tasks if execution_id in str(t["args"]) and t["state"] == state), None)

        return until(look)


@pytest.fixture(scope="module")
def site(real: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("flower")
    ferris = platform(folder / "home")
    port = free_port()
    with virtual_host(real("FERRIS_BROKER"), real("FERRIS_BROKER_API")) as broker:
        environ = {name: value for name, value in os.environ.items() if not name.startswith("FERRIS_")} | {
            "FERRIS_HOME": str(ferris.settings.home),
            "FERRIS_BROKER": broker,
            "FERRIS_BROKER_API": real("FERRIS_BROKER_API"),
            "FERRIS_CONTROL_URL": ferris.settings.control_url,
            "FERRIS_EXECUTOR_TOKEN": TOKEN,
            "FERRIS_FLOWER_PASSWORD": PASSWORD,
            "FERRIS_FLOWER_PORT": str(port),
        }
        flower = [*CELERY, "flower", "--conf=compose/flowerconfig.py"]
        worker = [*CELERY, "worker", "-P", "threads", "-c", "2", "-n", "executor-1@%h"]
        with process(worker, environ, folder / "worker"), process(flower, environ, folder / "flower"):
            shown = Flower(port)
            until(lambda: _answers(shown))
            names = until(lambda: [n for n, up in _workers(shown).items() if up])
            yield Site(ferris, _app(broker), shown, names[0], broker)
    ferris.executor.close()
    ferris.control.close()


def _answers(flower: Flower) -> bool:
    try:
        return flower.get("/healthcheck")[0] == 200
    except OSError:
        return False


def _workers(flower: Flower) -> dict[str, bool]:
    return flower.json("/api/workers?status=1")


def _app(broker: str) -> Celery:
    settings = celery_app.Settings.from_env(
        {"FERRIS_BROKER": broker, "FERRIS_HOME": os.environ["FERRIS_HOME"]}
    )
    return celery_app.make(settings)


@contextmanager
def virtual_host(broker: str, api: str) -> Iterator[str]:
    name = f"flower-{secrets.token_hex(4)}"
    user = urlsplit(broker).username
    _manage(api, "PUT", f"vhosts/{name}")
    _manage(api, "PUT", f"permissions/{name}/{user}", {"configure": ".*", "write": ".*", "read": ".*"})
    yield f"{broker.rstrip('/')}/{name}"
    _manage(api, "DELETE", f"vhosts/{name}")


def _manage(api: str, method: str, path: str, body: dict[str, str] | None = None) -> None:
    parts = urlsplit(api)
    user = base64.b64encode(f"{parts.username}:{parts.password}".encode()).decode()
    request = urllib.request.Request(
        f"http://{parts.hostname}:{parts.port}/api/{path}",
        method=method,
        data=json.dumps(body or {}).encode(),
        headers={"Authorization": f"Basic {user}", "Content-Type": "application/json"},
    )
    urllib.request.urlopen(request, timeout=60).close()


@contextmanager
def process(command: list[Any], environ: dict[str, str], log: Path) -> Iterator[None]:
    with log.open("wb") as out:
        started = subprocess.Popen(
            [str(part) for part in command],
            cwd=ROOT,
            env=environ,
            stdout=out,
            stderr=out,
            start_new_session=True,
        )
    try:
        yield
    finally:
        started.terminate()
        try:
            started.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(started.pid, signal.SIGKILL)
            started.wait()


def test_nothing_is_shown_without_the_password(site: Site) -> None:
    pages = [
        "/",
        "/workers",
        "/tasks",
        "/broker",
        "/metrics",
        "/api/workers",
        "/api/tasks",
        "/api/queues/length",
    ]
    pages += [f"/worker/{site.worker}", "/api/task/types"]
    for page in pages:
        assert site.flower.get(page, password=None)[0] == 401, page
        assert site.flower.get(page, password="admin")[0] == 401, page
        until(
            lambda page=page: site.flower.get(page)[0] == 200
        )  # a worker's page waits for the worker's answer


def test_workers_have_a_name_that_says_what_and_where(site: Site) -> None:
    assert re.fullmatch(r"executor-1@[\w.-]+", site.worker)


def test_a_worker_is_shown_with_its_lanes(site: Site) -> None:
    def answered() -> dict[str, Any] | None:
        found = site.flower.json(f"/api/workers?refresh=1&workername={site.worker}")[site.worker]
        return found if {"active_queues", "registered", "stats"} <= found.keys() else None

    told = until(answered)
    queues = {queue["name"] for queue in told["active_queues"]}
    assert {name for name in queues if not name.startswith("canary.")} == {
        "priority",
        "default",
        "slow",
        "scheduled",
    }
    assert celery_app.EXECUTE in told["registered"]
    assert told["stats"]["pool"]["max-concurrency"] == 2


def test_queues_are_shown_with_their_length(site: Site) -> None:
    def lengths() -> dict[str, int] | None:
        queues = site.flower.json("/api/queues/length")["active_queues"]
        # RabbitMQ counts every few seconds: a queue that is new has no figures yet.
        found = {queue["name"]: queue.get("messages") for queue in queues}
        return None if None in found.values() else found

    assert until(lengths).keys() >= {"priority", "default", "slow", "scheduled"}


def test_a_doorbell_is_a_task_whose_state_says_how_the_execution_fared(site: Site) -> None:
    # Workers tell of their tasks only when a monitor has asked them to: it has, when it hears of one.
    until(lambda: site.flower.json("/api/tasks") or (site.ring({"main.py": "pass"}, "default") and None))
    good = site.ring({"main.py": "print('fine')"}, "priority")
    bad = site.ring({"main.py": f"raise SystemExit('{SECRET}')"}, "slow", secrets={"password": SECRET})
    gone = "00000000-0000-0000-0000-000000000000"
    site.app.send_task(celery_app.EXECUTE, args=[gone], queue="scheduled")

    task = site.task(good, "SUCCESS")
    assert (task["name"], task["args"], task["kwargs"]) == (celery_app.EXECUTE, f"['{good}']", "{}")
    assert (task["result"], task["worker"]) == ("'completed'", site.worker)
    assert site.task(gone, "SUCCESS")["result"] == "'not run: unknown'"
    assert site.task(bad, "FAILURE")["exception"] == "ExecutionFailed('script_failed')"


def test_no_password_token_or_secret_is_shown_anywhere(site: Site) -> None:
    broker_password = urlsplit(site.broker).password
    assert broker_password
    pages = [
        "/",
        "/tasks",
        "/broker",
        "/metrics",
        f"/worker/{site.worker}",
        "/api/tasks",
        "/api/workers?refresh=1",
    ]
    for page in pages:
        text = site.flower.get(page)[1]
        for hidden in (broker_password, TOKEN, PASSWORD, SECRET):
            assert hidden not in text, page


def test_it_only_looks(site: Site) -> None:
    changes = [
        f"/api/worker/shutdown/{site.worker}",
        f"/api/worker/queue/cancel-consumer/{site.worker}?queue=slow",
        f"/api/task/send-task/{celery_app.EXECUTE}",
        "/api/task/revoke/1?terminate=1",
    ]
    for change in changes:
        assert site.flower.get(change, method="POST")[0] == 403, change
