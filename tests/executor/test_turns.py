"""Executions that update one value of their service's state take turns, whatever becomes of who has one."""

from __future__ import annotations

import json
import threading

import psutil
import pytest

from ferris.execution import ExecutionOrder
from tasks.turns import Turns
from tests.executor.control_server import Platform

FOREVER = 3600.0
COUNT = "context.state.update('n', lambda n: (n or 0) + 1)\n"
HEAD = "import os, signal, threading, time\nfrom ferris_ef import context\n"
HOLD = (
    "def hold(n):\n    print(os.getpid())\n    print('holds', flush=True)\n    signal.pause()\n"
    "context.state.update('n', hold)\n"
)


@pytest.fixture(autouse=True)
def turns(ferris: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody's patience ends, so that a turn that is lost is a test that hangs."""
    patient(ferris, monkeypatch, FOREVER)
    ferris.control.kv.clear()
    ferris.control.kept = ferris.control.refused = 0


def patient(ferris: Platform, monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    monkeypatch.setattr(ferris.executor, "turns", Turns(seconds))


def together(ferris: Platform, code: str, many: int, **changes: object) -> None:
    orders = [ferris.order({"main.py": HEAD + code}, service="counter", **changes) for _ in range(many)]
    for thread in [ferris.start(order) for order in orders]:
        thread.join()
    results = [ferris.result(order.execution_id) for order in orders]
    assert [result.types[-1] for result in results] == ["execution.completed"] * many, results


def counted(ferris: Platform, service: str = "counter") -> int:
    found: int = json.loads(ferris.control.kv[f"{service}.state"][1])["n"]
    return found


def holding(
    ferris: Platform, before: str = "", service: str = "counter"
) -> tuple[ExecutionOrder, threading.Thread]:
    """An execution that has a turn and does not end it by itself."""
    order = ferris.order({"main.py": HEAD + before + HOLD}, service=service)
    thread = ferris.start(order)
    ferris.wait_line(order.execution_id, "holds")
    return order, thread


def end(ferris: Platform, order: ExecutionOrder, thread: threading.Thread) -> None:
    ferris.control.stop[order.execution_id] = "cancelled"
    thread.join()


def count_once(ferris: Platform) -> None:
    result = ferris.run({"main.py": HEAD + COUNT}, service="counter")
    assert result.types[-1] == "execution.completed", result


def test_many_at_once_lose_nothing_and_no_write_is_in_vain(ferris: Platform) -> None:
    together(ferris, f"for _ in range(10):\n    {COUNT}", 8)
    assert counted(ferris) == 80
    assert (ferris.control.kept, ferris.control.refused) == (80, 0)


def test_services_do_not_wait_for_each_other(ferris: Platform) -> None:
    order, thread = holding(ferris, service="another")
    count_once(ferris)
    end(ferris, order, thread)
    assert counted(ferris) == 1


def test_an_update_within_an_update(ferris: Platform) -> None:
    code = (
        "seen = []\ndef outer(n):\n    if not seen: context.state.put('inner', 1)\n"
        "    seen.append(n)\n    return (n or 0) + 1\n"
        "context.state.update('n', outer)\nprint(seen, context.state.get('inner'))\n" + COUNT
    )
    result = ferris.run({"main.py": HEAD + code}, service="counter")
    assert result.text("stdout") == "[None, None] 1\n", result
    assert counted(ferris) == 2


def test_threads_and_children_of_a_script(ferris: Platform) -> None:
    code = (
        f"def count():\n    for _ in range(5):\n        {COUNT}"
        "child = os.fork()\n"
        "threads = [threading.Thread(target=count) for _ in range(3)]\n"
        "[one.start() for one in threads]\n[one.join() for one in threads]\n"
        "if child:\n    assert os.waitpid(child, 0)[1] == 0\nelse:\n    os._exit(0)"
    )
    together(ferris, code, 3)
    assert counted(ferris) == 90


@pytest.mark.parametrize(
    "code",
    [
        "try:\n    context.state.update('n', lambda n: 1 / 0)\n"
        "except ZeroDivisionError:\n    print('not written', flush=True)\n",
        "from ferris_ef.state import State\nfrom ferris_ef.wire import PlatformError\n"
        "try:\n    State('../x').update('n', lambda n: 1)\n"
        "except PlatformError:\n    print('not written', flush=True)\n",
    ],
    ids=["a function that fails", "a read that is refused"],
)
def test_what_is_not_written_ends_the_turn(ferris: Platform, code: str) -> None:
    order = ferris.order({"main.py": HEAD + code + "signal.pause()"}, service="counter")
    thread = ferris.start(order)
    ferris.wait_line(order.execution_id, "not written")
    count_once(ferris)
    end(ferris, order, thread)


def test_a_signal_that_breaks_off_the_wait_for_a_turn(ferris: Platform) -> None:
    holder, thread = holding(ferris)
    code = HEAD + (
        "class Enough(Exception): pass\n"
        "def enough(*_): raise Enough\n"
        "signal.signal(signal.SIGALRM, enough)\nsignal.setitimer(signal.ITIMER_REAL, 0.1)\n"
        f"try:\n    {COUNT}except Enough:\n    print(context.state.get(), context.config.get('k'))"
    )
    result = ferris.run({"main.py": code}, service="counter", config={"k": 1})
    assert result.text("stdout") == "{} 1\n", result
    end(ferris, holder, thread)
    count_once(ferris)


@pytest.mark.parametrize("parent", ["", "if os.fork():\n    os.wait()\n    signal.pause()\n"])
def test_who_is_killed_hands_over(ferris: Platform, parent: str) -> None:
    holder, thread = holding(ferris, parent)
    said = ferris.result(holder.execution_id).text("stdout").split()
    mine = {process.pid: process for process in psutil.Process().children(recursive=True)}
    waiting = ferris.start(ferris.order({"main.py": HEAD + COUNT}, service="counter"))
    mine[int(said[0])].kill()
    waiting.join()
    assert counted(ferris) == 1
    end(ferris, holder, thread)


def test_who_is_cancelled_hands_over(ferris: Platform) -> None:
    holder, thread = holding(ferris)
    waiting = ferris.start(ferris.order({"main.py": HEAD + COUNT}, service="counter"))
    end(ferris, holder, thread)
    waiting.join()
    assert counted(ferris) == 1


def test_who_is_cancelled_while_it_waits_is_passed_over(ferris: Platform) -> None:
    holder, thread = holding(ferris)
    waiter = ferris.order({"main.py": HEAD + "print('asks', flush=True)\n" + COUNT}, service="counter")
    waiting = ferris.start(waiter)
    ferris.wait_line(waiter.execution_id, "asks")
    last = ferris.start(ferris.order({"main.py": HEAD + COUNT}, service="counter"))
    end(ferris, waiter, waiting)
    end(ferris, holder, thread)
    last.join()
    assert counted(ferris) == 1


def test_who_never_ends_a_turn_is_waited_for_no_longer_than_others_have_patience(
    ferris: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    patient(ferris, monkeypatch, 0.3)
    holder, thread = holding(ferris)
    together(ferris, COUNT, 4)
    assert thread.is_alive()
    end(ferris, holder, thread)
    assert counted(ferris) == 4


def test_a_child_whose_parent_waits_for_it_within_an_update(
    ferris: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    patient(ferris, monkeypatch, 0.3)
    code = (
        "def count(n):\n    if n is None and not os.fork():\n"
        "        context.state.put('n', 10)\n        os._exit(0)\n"
        "    if n is None: os.wait()\n    return (n or 0) + 1\n"
        "context.state.update('n', count)"
    )
    together(ferris, code, 1)
    assert counted(ferris) == 11
