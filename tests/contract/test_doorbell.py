"""The in-process broker: Celery's own worker on `memory://`, with our transport behind it."""

from __future__ import annotations

import logging
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from celery import Celery
from celery.contrib.testing.worker import start_worker
from kombu import Connection, Consumer, Queue

from ferris.adapters import kombu_bell

# Names of this module's own: the queues belong to the process, where a worker of another test may still be ending.
QUEUES = ("bell.first", "bell.second", "bell.third", "bell.fourth")


@pytest.fixture(autouse=True)
def _installed() -> Iterator[None]:
    kombu_bell.install()
    yield
    with Connection("memory://") as connection:
        channel = connection.channel()
        for name in list(channel.queues):
            channel.queue_purge(name)


def make_app(**settings: object) -> Celery:
    # No fixups: Celery would start Django where DJANGO_SETTINGS_MODULE is set, and a worker needs none.
    app = Celery("doorbells", broker="memory://", set_as_current=False, fixups=[])
    app.conf.update(
        task_queues=[Queue(name, routing_key=name) for name in QUEUES],
        task_default_queue=QUEUES[1],
        task_ignore_result=True,
        task_acks_late=True,
        worker_prefetch_multiplier=1,
        broker_transport_options={"queue_order_strategy": "priority"},
        **settings,
    )
    return app


@contextmanager
def running(app: Celery, concurrency: int = 4) -> Iterator[None]:
    """A worker in a thread; told to stop, it is interrupted in its wait as the platform does it."""
    ended = threading.Event()
    level = logging.root.level  # Celery sets another, for the tests that come after as well

    def interrupt() -> None:
        while not ended.wait(0.02):
            kombu_bell.interrupt()

    try:
        with start_worker(
            app, pool="threads", concurrency=concurrency, perform_ping_check=False, shutdown_timeout=10
        ):
            yield
            threading.Thread(target=interrupt).start()
    finally:
        ended.set()
        logging.root.setLevel(level)


def test_a_doorbell_is_answered_without_waiting_for_a_poll():
    app = make_app()
    answered = threading.Event()

    def answer() -> None:
        answered.set()

    app.task(answer, name="ring")
    with running(app):
        waits = []
        for _ in range(20):
            answered.clear()
            time.sleep(0.01)
            start = time.monotonic()
            app.send_task("ring")
            assert answered.wait(60)
            waits.append(time.monotonic() - start)
        # kombu's own transport would look once a second: half of them would take longer than half of one
        assert sorted(waits)[len(waits) // 2] < 0.25


def test_nothing_is_lost_from_many_publishing_threads():
    app = make_app()
    seen: list[tuple[int, int]] = []
    done = threading.Event()

    def count(thread: int, number: int) -> None:
        seen.append((thread, number))
        if len(seen) == 4000:
            done.set()

    app.task(count, name="count")

    def publish(thread: int) -> None:
        with app.producer_pool.acquire(block=True) as producer:
            for number in range(1000):
                app.send_task("count", args=(thread, number), queue=QUEUES[number % 4], producer=producer)

    with running(app):
        threads = [threading.Thread(target=publish, args=(thread,)) for thread in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert done.wait(60), f"only {len(seen)} of 4000 arrived"
    assert len(set(seen)) == len(seen) == 4000


def test_threads_that_publish_first_make_one_queue():
    rounds, interval = 300, sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with Connection("memory://") as connection:
            channels = [connection.channel() for _ in range(3)]
            for number in range(rounds):
                start = threading.Barrier(len(channels))

                def publish(channel, name=f"fresh-{number}", start=start):
                    start.wait()
                    channel._put(name, {"body": name})

                threads = [threading.Thread(target=publish, args=(channel,)) for channel in channels]
                for thread in threads:
                    thread.start()
                for thread in threads:
                    thread.join()
                assert channels[0].queue_purge(f"fresh-{number}") == len(channels)
                channels[0]._delete(f"fresh-{number}")
    finally:
        sys.setswitchinterval(interval)


def test_lanes_are_emptied_in_their_order():
    app = make_app()
    order: list[str] = []
    first, go, done = threading.Event(), threading.Event(), threading.Event()

    def hold() -> None:
        first.set()
        go.wait(60)

    def note(lane: str) -> None:
        order.append(lane)
        if len(order) == 40:
            done.set()

    app.task(hold, name="hold")
    app.task(note, name="note")
    with running(app, concurrency=1):
        app.send_task("hold", queue=QUEUES[1])
        assert first.wait(60)
        for _ in range(10):
            for lane in reversed(QUEUES):
                app.send_task("note", args=(lane,), queue=lane)
        go.set()
        assert done.wait(60), order
    assert order == [lane for lane in QUEUES for _ in range(10)]


def test_lanes_take_turns_without_the_option():
    with Connection("memory://") as connection:
        taken: list[str] = []
        queues = [Queue(f"turn-{number}") for number in range(2)]
        channel = connection.channel()
        with Consumer(channel, queues, callbacks=[lambda body, message: (taken.append(body), message.ack())]):
            producer = connection.Producer()
            for queue in queues:
                for _ in range(3):
                    producer.publish(queue.name, routing_key=queue.name, exchange="", declare=[queue])
            for _ in range(6):
                connection.drain_events(timeout=60)
    assert sorted(taken) == ["turn-0"] * 3 + ["turn-1"] * 3
    assert taken != sorted(taken)


def test_an_idle_drain_keeps_its_timeout_and_uses_no_processor():
    with Connection("memory://") as connection:
        channel = connection.channel()
        with Consumer(channel, [Queue("idle")], callbacks=[]):
            spent, start = time.thread_time(), time.monotonic()
            with pytest.raises(socket.timeout):
                connection.drain_events(timeout=0.3)
            assert time.monotonic() - start >= 0.3
            assert time.thread_time() - spent < 0.05


def test_an_acknowledgement_makes_room_under_the_prefetch_limit():
    with Connection("memory://") as connection:
        channel = connection.channel()
        channel.basic_qos(0, 1, False)
        held: list = []
        queue = Queue("narrow")
        with Consumer(channel, [queue], callbacks=[lambda body, message: held.append(message)]):
            producer = connection.Producer()
            for body in ("a", "b"):
                producer.publish(body, routing_key="narrow", exchange="", declare=[queue])
            connection.drain_events(timeout=60)
            with pytest.raises(socket.timeout):
                connection.drain_events(timeout=0.05)
            threading.Timer(0.1, held[0].ack).start()
            connection.drain_events(timeout=60)
            assert [message.payload for message in held] == ["a", "b"]
            held[1].ack()


def test_a_wait_can_be_interrupted():
    with Connection("memory://") as connection, Consumer(connection.channel(), [Queue("interrupted")]):
        threading.Timer(0.1, kombu_bell.interrupt).start()
        start = time.monotonic()
        with pytest.raises(socket.timeout):
            connection.drain_events(timeout=30)
        assert time.monotonic() - start < 10


def test_a_message_of_an_early_publisher_waits_for_its_consumer():
    with Connection("memory://") as connection:
        queue = Queue("early")
        connection.Producer().publish("hello", routing_key="early", exchange="", declare=[queue])
    with Connection("memory://") as connection:
        got: list[str] = []
        with Consumer(
            connection.channel(), [queue], callbacks=[lambda body, message: (got.append(body), message.ack())]
        ):
            connection.drain_events(timeout=60)
    assert got == ["hello"]
