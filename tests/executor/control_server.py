"""A small real HTTP server that speaks the control API, and a platform around one executor."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
import socket
import tarfile
import threading
import time
import uuid
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import psutil

from ferris import events
from ferris.config import LIFECYCLE, LOGS, PACKAGES_BUCKET, Settings
from ferris.events import Event
from ferris.execution import DRAINING, ExecutionOrder
from ferris.retry import Retry
from tasks import execute
from tasks.executor import Executor

TOKEN = "executor-token-for-tests"
_ENDS = ("execution.completed", "execution.failed", "execution.cancelled")


class ControlServer:
    """Gives out orders once, counts heartbeats, keeps keys and values, and notes what scripts asked for."""

    def __init__(self) -> None:
        self.orders: dict[str, ExecutionOrder] = {}
        self.claims: list[str] = []
        self.beats: list[dict[str, Any]] = []
        self.stop: dict[str, str] = {}
        self.claimants: set[str] = set()
        self.drains = False
        self.kv: dict[str, tuple[int, bytes]] = {}
        self.kept = self.refused = 0  # writes of keys; those refused came too late
        self.index = 0
        self.secrets: dict[str, Any] = {}
        self.requests: list[tuple[str, str, Any]] = []
        self.lock = threading.Lock()
        self.answers_beats = True
        self.port = 0
        self._server: ThreadingHTTPServer | None = None

    def start(self) -> None:
        handler = type("Handler", (_Handler,), {"control": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        if self._server:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def put(self, key: str, value: bytes, cas: int | None) -> bool:
        with self.lock:
            there = self.kv.get(key, (0, b""))[0]
            if cas is not None and cas != there:
                self.refused += 1
                return False
            self.kept += 1
            self.index += 1
            self.kv[key] = (self.index, value)
            return True


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    control: ControlServer

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        path = unquote(parts.path).removeprefix("/control")
        query = {name: values[0] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        bearer = self.headers.get("Authorization", "").removeprefix("Bearer ")
        if path in ("/claim", "/heartbeat"):
            status, answer = self._executor(path, json.loads(body)) if bearer == TOKEN else (401, {})
        else:
            status, answer = self._script(path, query, body, bearer)
        content = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("X-Consul-Index", str(self.control.index))
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_POST = do_PUT = do_DELETE = do_GET

    def _executor(self, path: str, said: dict[str, Any]) -> tuple[int, Any]:
        control = self.control
        with control.lock:
            if path == "/heartbeat":
                control.beats.append(said)
                if not control.answers_beats:
                    return 503, {}
                stop = [
                    {**one, "why": control.stop[one["id"]]}
                    for one in said["executions"]
                    if one["id"] in control.stop
                ]
                told = {"drain": control.drains} if "about" in said else {}
                return 200, {"stop": stop, "lease_seconds": 15, **told}
            wanted = said.get("executions", [said.get("execution")])
            control.claims += wanted
            control.claimants.add(said["worker"])
            if control.drains:
                return 200, {"go": False, "reason": DRAINING}
            orders = [control.orders.pop(one, None) for one in wanted]
        answers = [
            {"go": True, "order": order.to_json()} if order else {"go": False, "reason": "unknown"}
            for order in orders
        ]
        return 200, {"answers": answers} if "executions" in said else answers[0]

    def _script(self, path: str, query: dict[str, str], body: bytes, bearer: str) -> tuple[int, Any]:
        control = self.control
        if not bearer.startswith("token-of-"):
            return 401, {"detail": "no execution token"}
        if path.startswith("/v1/kv/"):
            return self._kv(path.removeprefix("/v1/kv/"), query, body)
        said = json.loads(body) if body else None
        control.requests.append((self.command, path, said if said is not None else query))
        if path == "/secrets/by-name":
            if query.get("name") not in control.secrets:
                return 404, {"detail": "no such secret"}
            return 200, {"value": control.secrets[query["name"]]}
        if path == "/secrets/":
            control.secrets[said["name"]] = said["value"]
            return 200, {"name": said["name"]}
        if path.startswith("/services/") and path.endswith("/schedule"):
            return 201, {"scheduled_job_id": "42"}
        return 404, {"detail": "no such path"}

    def _kv(self, key: str, query: dict[str, str], body: bytes) -> tuple[int, Any]:
        control = self.control
        if self.command == "PUT":
            return 200, control.put(key, body, int(query["cas"]) if "cas" in query else None)
        if self.command == "DELETE":
            control.kv.pop(key, None)
            return 200, True
        if key not in control.kv:
            return 404, b""
        index, value = control.kv[key]
        if "raw" in query:
            return 200, value
        encoded = base64.b64encode(value).decode()
        return 200, [
            {"Key": key, "Value": encoded, "ModifyIndex": index, "CreateIndex": 1, "LockIndex": 0, "Flags": 0}
        ]

    def log_message(self, format: str, *args: object) -> None:
        pass


@dataclass
class Result:
    """What an execution left on the log."""

    reports: list[Event]
    lines: list[dict[str, Any]]
    events: list[Event]

    @property
    def last(self) -> Event:
        return self.reports[-1]

    @property
    def types(self) -> list[str]:
        return [event.type.removeprefix("ferris.") for event in self.reports]

    def text(self, stream: str) -> str:
        return "".join(line["message"] + "\n" for line in self.lines if line["stream"] == stream)


@dataclass
class Platform:
    """One executor with its own home, and the control server that it calls."""

    settings: Settings
    control: ControlServer
    executor: Executor
    secrets: dict[str, Any] = field(default_factory=dict)

    def package(self, files: dict[str, str | bytes]) -> str:
        """Store a package; its digest."""
        content = archive(files)
        return self.store(content)

    def store(self, content: bytes) -> str:
        digest = hashlib.sha256(content).hexdigest()
        self.executor.objects.put(PACKAGES_BUCKET, f"{digest}.tar.gz", content)
        return digest

    def order(self, files: dict[str, str | bytes], **changes: Any) -> ExecutionOrder:
        """An order for a package of these files; scripts are its .py files unless given."""
        execution_id = str(uuid.uuid4())
        order = ExecutionOrder(
            execution_id=execution_id,
            attempt=1,
            lease_seconds=15.0,
            token=f"token-of-{execution_id}",
            service="a_service",
            service_id="7",
            project="a_project",
            digest=self.package(files) if files else "",
            scripts=tuple(
                sorted(name for name in files if name.endswith((".py", ".sql")) and "/" not in name)
            ),
            event_id="e1",
            event_type="something.happened",
            flow_id="ABCDEFGHIJ",
            correlation_id="ABCDEFGHIJ_01",
            trigger_type="triggered",
            retry=Retry(),
        )
        return replace(order, **changes)

    def offer(self, order: ExecutionOrder) -> str:
        """Let it be claimed."""
        self.control.orders[order.execution_id] = order
        return order.execution_id

    def run(self, files: dict[str, str | bytes], **changes: Any) -> Result:
        """Run an execution in this thread, and what it left."""
        execution_id = self.offer(self.order(files, **changes))
        execute.run(self.executor, execution_id)
        return self.result(execution_id)

    def start(self, order: ExecutionOrder) -> threading.Thread:
        """Run an execution in a thread."""
        thread = threading.Thread(target=execute.run, args=(self.executor, self.offer(order)))
        thread.start()
        return thread

    def result(self, execution_id: str) -> Result:
        reports = [event for event in self.events(LIFECYCLE) if event.subject == execution_id]
        lines = [
            json.loads(one.value)
            for one in self._log.browse(LOGS, limit=1_000_000)
            if one.key == execution_id
        ]
        sent = [event for event in self.events("ferris.events") if event.causation_id == execution_id]
        return Result(reports, lines, sent)

    def events(self, topic: str) -> list[Event]:
        now = datetime.now(UTC)
        return [
            events.from_record(one.value, one.headers, now=now)
            for one in self._log.browse(topic, limit=1_000_000)
        ]

    def wait_line(self, execution_id: str, message: str, seconds: float = 60) -> None:
        """Wait until a script has printed this line."""
        consumer = self._log.tail([LOGS])
        deadline = time.monotonic() + seconds
        try:
            while not any(line["message"] == message for line in self.result(execution_id).lines):
                left = deadline - time.monotonic()
                assert left > 0, f"{message!r} was not printed; {self.result(execution_id)}"
                consumer.poll(timeout=left)
        finally:
            consumer.close()

    def ended(self, execution_id: str, seconds: float = 60) -> Result:
        """Wait until another process has reported the execution's end; what it left."""
        consumer = self._log.tail([LIFECYCLE])
        deadline = time.monotonic() + seconds
        try:
            while not (found := self.result(execution_id)).types[-1:] or found.types[-1] not in _ENDS:
                left = deadline - time.monotonic()
                assert left > 0, f"it has not ended; {found}"
                consumer.poll(timeout=left)
            return found
        finally:
            consumer.close()

    def wait_progress(self, execution_id: str, done: float, seconds: float = 60) -> None:
        """Wait until a script's progress was reported as that."""
        consumer = self._log.tail([LIFECYCLE])
        deadline = time.monotonic() + seconds
        try:
            while not any(one.data.get("done") == done for one in self.result(execution_id).reports):
                left = deadline - time.monotonic()
                assert left > 0, self.result(execution_id)
                consumer.poll(timeout=left)
        finally:
            consumer.close()

    @property
    def _log(self) -> Any:
        return self.executor.reporter._log


def archive(files: dict[str, str | bytes]) -> bytes:
    """A tar.gz of these files."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for path, text in sorted(files.items()):
            content = text.encode() if isinstance(text, str) else text
            entry = tarfile.TarInfo(path)
            entry.size = len(content)
            entry.mode = 0o644
            tar.addfile(entry, io.BytesIO(content))
    return gzip.compress(packed.getvalue(), mtime=0)


def lives(pid: int) -> bool:
    """True while a process runs; one that only waits for its parent does not."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def lives_inside(pid: int) -> bool:
    """The same for a number that scripts know it by, in a PID namespace of their own."""
    for path in Path("/proc").glob("[0-9]*/status"):
        try:
            said = dict(line.split(":", 1) for line in path.read_text().splitlines())
        except OSError:
            continue
        numbers = said["NSpid"].split()
        if len(numbers) > 1 and numbers[-1] == str(pid) and said["State"].strip()[0] not in "ZX":
            return True
    return False


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def platform(home: Path, **changes: str) -> Platform:
    """A platform with its own home. Close it."""
    control = ControlServer()
    control.start()
    settings = Settings.from_env(
        {
            "FERRIS_HOME": str(home),
            "FERRIS_CONTROL_URL": f"http://127.0.0.1:{control.port}/control",
            "FERRIS_EXECUTOR_TOKEN": TOKEN,
            "FERRIS_HEARTBEAT": "0.1",
            "FERRIS_CANCEL_GRACE": "0.5",
            **changes,
        }
    )
    return Platform(settings, control, Executor(settings))
