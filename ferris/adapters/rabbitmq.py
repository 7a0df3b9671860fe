"""RabbitMQ as an operator looks at it: does it let us in, what waits in the lanes, who takes from them.

The doorbells themselves are Celery's business. What AMQP does not tell (unacknowledged messages, disk, time)
is asked of the management plugin where FERRIS_BROKER_API names it.
"""

from __future__ import annotations

import base64
import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from amqp.exceptions import (  # type: ignore[import-untyped]
    AccessRefused,
    AMQPError,
    NotAllowed,
    NotFound,
)
from kombu import Connection

from ferris.errors import BackendError
from ferris.findings import Finding, clock, room
from ferris.lanes import LANES

BACKEND = "broker"
SETTING = "FERRIS_BROKER"
_API = "FERRIS_BROKER_API"
_SECONDS = 5.0
_OLDEST = (3, 8)
_MANY = 10_000


class RabbitMQ:
    """One virtual host of one broker; `url` as Celery has it, `api_url` that of the management plugin or empty."""

    def __init__(self, url: str, api_url: str = "") -> None:
        self._url, self._api = url, api_url

    def reach(self) -> dict[str, Any]:
        """Sign in; what the broker says of itself. BackendError."""
        with self._connection() as connection:
            return dict(connection.connection.server_properties)

    def waiting(self) -> dict[str, tuple[int, int] | None]:
        """Messages that wait and consumers, by lane; None for a lane whose queue nobody has declared. BackendError."""
        found: dict[str, tuple[int, int] | None] = {}
        with self._connection() as connection:
            for lane in LANES:
                try:
                    with connection.channel() as channel:
                        told = channel.queue_declare(queue=lane, passive=True)
                except NotFound:
                    found[lane] = None
                except AMQPError as error:
                    raise _fault(error) from error
                else:
                    found[lane] = (told.message_count, told.consumer_count)
        return found

    def declare(self, queues: Any) -> None:
        """Make the lanes' queues, so that they are there before anybody rings. BackendError."""
        with self._connection() as connection:
            try:
                for queue in queues:
                    queue(connection.default_channel).declare()
            except AMQPError as error:
                raise _fault(error) from error

    def examine(self) -> Iterator[Finding]:
        """See `findings.Examined`."""
        told = self.reach()
        version = str(told.get("version", "?"))
        text = f"{told.get('product', 'AMQP broker')} {version}"
        numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdecimal())
        if told.get("product") == "RabbitMQ" and numbers < _OLDEST:
            yield Finding("failure", BACKEND, text, "use RabbitMQ 3.8 or later")
        else:
            yield Finding("ok", BACKEND, text)
        yield from self._lanes()
        yield from self._managed()

    def _lanes(self) -> Iterator[Finding]:
        waiting = self.waiting()
        if missing := [lane for lane, found in waiting.items() if found is None]:
            text = f"no queue for {', '.join(missing)} yet"
            yield Finding("warning", BACKEND, text, "start a gateway (manage.py gateway): it makes them")
        there = {lane: found for lane, found in waiting.items() if found is not None}
        if deaf := [lane for lane, (_, consumers) in there.items() if not consumers]:
            yield Finding(
                "warning", BACKEND, f"nobody takes from {', '.join(deaf)}",
                f"start an executor: celery -A celery_app worker -P threads -Q {','.join(LANES)}",
            )  # fmt: skip
        depth = ", ".join(f"{lane} {messages:,}" for lane, (messages, _) in there.items())
        if any(messages > _MANY for messages, _ in there.values()):
            yield Finding("warning", BACKEND, f"doorbells wait: {depth}", "start more executors")
        elif there:
            yield Finding("ok", BACKEND, f"doorbells that wait: {depth}")

    def _managed(self) -> Iterator[Finding]:
        if not self._api:
            yield Finding(
                "warning", BACKEND, "unacknowledged messages, disk and clock are not looked at",
                f"set {_API} to the management plugin: http://user:password@host:15672/api/",
            )  # fmt: skip
            return
        asked = datetime.now(UTC).replace(microsecond=0)
        nodes, date = self._ask("nodes")
        if date:
            yield from clock(BACKEND, parsedate_to_datetime(date), asked, datetime.now(UTC))
        for node in nodes:
            if node.get("mem_alarm") or node.get("disk_free_alarm"):
                text = (
                    f"{node['name']} takes no messages: {'memory' if node.get('mem_alarm') else 'disk'} alarm"
                )
                yield Finding("failure", BACKEND, text, "give it more of it: gateways wait until then")
            elif "disk_free" in node:
                yield room(BACKEND, node["name"], node["disk_free"])
        queues, _ = self._ask(f"queues/{quote(self._vhost, safe='')}")
        ours = [queue for queue in queues if queue["name"] in LANES]
        held = {queue["name"]: queue.get("messages_unacknowledged", 0) for queue in ours}
        if ours:
            text = ", ".join(f"{lane} {count:,}" for lane, count in held.items())
            yield Finding("ok", BACKEND, f"doorbells that executors hold: {text}")
        if down := [
            queue["name"] for queue in ours if queue.get("state") not in (None, "running", "idle", "flow")
        ]:
            yield Finding(
                "failure", BACKEND, f"the queue {', '.join(down)} is down", "start the node that holds it"
            )

    @property
    def _vhost(self) -> str:
        """As Celery reads the URL: what follows the first slash, "/" when there is nothing."""
        return unquote(urlsplit(self._url).path[1:]) or "/"

    def _ask(self, what: str) -> tuple[list[dict[str, Any]], str | None]:
        parts = urlsplit(self._api)
        address = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl().rstrip("/")
        request = urllib.request.Request(f"{address}/{what}")  # noqa: S310 - an address of the settings
        if parts.username:
            user = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            request.add_header("Authorization", f"Basic {base64.b64encode(user.encode()).decode()}")
        try:
            with urllib.request.urlopen(request, timeout=_SECONDS) as answer:  # noqa: S310
                return json.load(answer), answer.headers.get("Date")
        except urllib.error.HTTPError as error:
            remedy = f"correct user and password in {_API}, or give that user the tag monitoring"
            raise BackendError(BACKEND, f"{address}/{what} answers {error.code}", remedy) from None
        except (OSError, ValueError) as error:
            reason = getattr(error, "reason", error)
            raise BackendError(BACKEND, f"{address} does not answer ({reason})", f"correct {_API}") from None

    def _connection(self) -> Any:
        """An open connection, which the caller closes; BackendError."""
        connection = Connection(
            self._url, connect_timeout=_SECONDS, transport_options={"read_timeout": _SECONDS}
        )
        try:
            connection.connect()
        except Exception as error:
            connection.release()
            raise _fault(error) from error
        return connection


def _fault(error: Exception) -> BackendError:
    if isinstance(error, NotAllowed):
        return BackendError(
            BACKEND, f"refused this ({error.reply_text or error})",
            f"make the virtual host that {SETTING} names and give its user the right to it",
        )  # fmt: skip
    if isinstance(error, AccessRefused):
        return BackendError(
            BACKEND, f"refused this ({error.reply_text or error})",
            f"correct user and password in {SETTING}, or give that user configure, write and read in its virtual host",
        )  # fmt: skip
    if isinstance(error, (KeyError, ValueError, TypeError, ImportError)):
        form = "write amqp://user:password@host:5672/vhost"
        return BackendError(
            BACKEND, f"cannot be understood ({type(error).__name__})", f"correct {SETTING}: {form}"
        )
    return BackendError(
        BACKEND, f"cannot be reached ({' '.join(str(error).split())[:200] or type(error).__name__})",
        f"start it, or correct {SETTING}",
    )  # fmt: skip
