"""The control API from the executor's side: kept connections, a web process that is away for a while."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from ferris.errors import BackendError
from tasks.control import ControlClient
from tests.executor.control_server import TOKEN, ControlServer, Platform, free_port


@pytest.fixture
def server() -> Iterator[ControlServer]:
    made = ControlServer()
    made.start()
    yield made
    made.close()


def client(server: ControlServer, token: str = TOKEN) -> ControlClient:
    return ControlClient(f"http://127.0.0.1:{server.port}/control", token)


def test_an_order_is_given_once(ferris: Platform) -> None:
    order = ferris.order({"main.py": ""}, secrets={"a": 1}, params={"x": [None]})
    ferris.offer(order)
    assert client(ferris.control).claim(order.execution_id, "w") == order
    assert client(ferris.control).claim(order.execution_id, "w") == "unknown"


def test_claims_that_come_while_one_is_under_way_share_the_next_call(ferris: Platform) -> None:
    orders = [ferris.order({"main.py": ""}, params={"n": n}) for n in range(8)]
    for order in orders:
        ferris.offer(order)
    mine, calls, found, free = client(ferris.control), [], {}, threading.Event()
    post = mine._post

    def slow(path, document, *rest):
        calls.append(document)
        free.wait(60)
        return post(path, document, *rest)

    mine._post = slow  # type: ignore[method-assign]
    wanted = [*(order.execution_id for order in orders), "nobody's"]
    threads = [
        threading.Thread(target=lambda one=one: found.update({one: mine.claim(one, "w")})) for one in wanted
    ]
    for thread in threads:
        thread.start()
    while len(mine._claims._waiting) < len(wanted) - 1:
        time.sleep(0.001)
    free.set()
    for thread in threads:
        thread.join(60)
    assert found == {**{order.execution_id: order for order in orders}, "nobody's": "unknown"}
    assert len(calls) == 2


def test_claims_that_share_a_call_share_its_failure(server: ControlServer) -> None:
    mine, failed = client(server, "wrong"), []

    def ask() -> None:
        try:
            mine.claim("x", "w")
        except BackendError as error:
            failed.append(error)

    threads = [threading.Thread(target=ask) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(failed) == 6


def test_a_wrong_token_is_an_error_with_a_remedy(server: ControlServer) -> None:
    with pytest.raises(BackendError, match="401.*FERRIS_EXECUTOR_TOKEN"):
        client(server, "wrong").claim("x", "w")


def test_a_connection_is_kept_and_replaced_when_the_server_closed_it(server: ControlServer) -> None:
    mine = client(server)
    mine.heartbeat("w", [])
    first = mine._local.connection.sock.getsockname()
    mine.heartbeat("w", [])
    assert mine._local.connection.sock.getsockname() == first
    mine._local.connection.sock.shutdown(2)
    mine.heartbeat("w", [])
    assert mine._local.connection.sock.getsockname() != first


def test_a_claim_waits_for_a_web_process_that_comes_back(server: ControlServer) -> None:
    mine = client(server)
    mine.heartbeat("w", [])
    server.close()
    mine._local.connection.sock.shutdown(2)
    threading.Timer(0.7, server.start).start()
    assert mine.claim("x", "w") == "unknown"


def test_a_heartbeat_is_not_tried_again(server: ControlServer) -> None:
    server.answers_beats = False
    with pytest.raises(BackendError, match="503"):
        client(server).heartbeat("w", [])
    assert len(server.beats) == 1


def test_giving_up(server: ControlServer) -> None:
    nobody = ControlClient(f"http://127.0.0.1:{free_port()}/control", TOKEN)
    asked: list[int] = []
    with pytest.raises(BackendError, match="cannot be reached"):
        nobody.claim("x", "w", lambda: bool(asked.append(1)) or len(asked) > 2)
    assert len(asked) == 3


def test_scripts_calls_wait_for_the_web_too(ferris: Platform) -> None:
    code = (
        "from ferris_ef import context\nprint('up', flush=True)\nimport time; time.sleep(0.3)\n"
        "context.state.put('after', 1)\nprint(context.state.get('after'))"
    )
    order = ferris.order({"main.py": code}, service="patient")
    thread = ferris.start(order)
    ferris.wait_line(order.execution_id, "up")
    ferris.control.close()
    time.sleep(0.8)
    ferris.control.start()
    thread.join(60)
    assert ferris.result(order.execution_id).text("stdout") == "up\n1\n"
