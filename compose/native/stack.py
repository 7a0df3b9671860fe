"""`make stack`: the servers of the real stack on this machine, without containers.

    python compose/native/stack.py get|up|down|status [name …]

Each server comes from its ordinary package client into FERRIS_STACK_CACHE, once per version, and runs on
127.0.0.1 as an ordinary user with everything it keeps under FERRIS_STACK_HOME (`var/stack`). Its `env` file
holds the settings with which the platform runs on them. Ports: FERRIS_STACK_<NAME>_PORT; options of Java for Kafka
and Elasticsearch: FERRIS_STACK_JAVA.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import re
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import probes
from process import StackError, account, recall, remember, start
from servers import ALL
from servers.server import Server, Site

ROOT = Path(__file__).resolve().parent.parent.parent
HOME = Path(os.environ.get("FERRIS_STACK_HOME") or ROOT / "var/stack").expanduser().resolve()
RUN, LOG, DATA, ENV, PASSWORDS = HOME / "run", HOME / "log", HOME / "data", HOME / "env", HOME / "passwords"


def up(servers: Sequence[Server]) -> int:
    """Get, start, wait until ready, prepare, tell."""
    began = time.monotonic()
    who = account()
    for folder in (HOME, RUN, LOG, DATA):
        folder.mkdir(parents=True, exist_ok=True)
    passwords = _passwords(servers)
    versions = _get(servers)
    waiting = []
    for server in servers:
        if _alive(server):
            continue
        _end(server)  # one of its processes died: the others, which hold ports, go first
        site = Site(who.own(DATA / server.name), who, passwords)
        for key in server.ports:
            if probes.listening(server.port(key)):
                raise StackError(
                    f"port {server.port(key)} for {server.title} is taken: end what listens there, "
                    f"or set FERRIS_STACK_{key} to a free port"
                )
        log = LOG / f"{server.name}.log"
        running = []
        for command in server.commands(site):
            running.append(start(command, who, log))
            remember(_pid_file(server), running, {"port": server.port(), "version": versions[server.name]})
        waiting.append(server)
    _wait(waiting)
    _write_env(servers, Site(DATA, who, passwords))
    prepared = subprocess.run(
        [sys.executable, ROOT / "compose/native/prepare.py"],
        check=False, cwd=ROOT, env={k: v for k, v in os.environ.items() if not k.startswith("FERRIS_")} | _env(),
    )  # fmt: skip
    if prepared.returncode:
        return prepared.returncode  # it said why; the servers run on
    status(servers)
    print(f"\nready after {time.monotonic() - began:.1f} s; to use it:  set -a; . {ENV}; set +a")
    for name, value in _env().items():
        print(f"  {name}={re.sub(r':[^:@/]+@', ':…@', value)}")
    return 0


def _get(servers: Sequence[Server]) -> dict[str, str]:
    """The version of each, got side by side: a build keeps one core busy, so as many at a time as there are."""
    with ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool:
        versions = pool.map(lambda server: server.get(), servers)
        return dict(zip((server.name for server in servers), versions, strict=True))


def down(servers: Sequence[Server]) -> int:
    """End exactly what `up` started, the youngest first."""
    for server in reversed(servers):
        if _end(server):
            print(f"{server.title} ended")
    return 0


def _end(server: Server) -> bool:
    """Whether there was anything to end."""
    running, _ = recall(_pid_file(server))
    for process in reversed(running):
        process.end(server.farewell)
    _pid_file(server).unlink(missing_ok=True)
    return bool(running)


def status(servers: Sequence[Server]) -> int:
    """A table of what there is; 1 when something does not run."""
    rows = [("NAME", "ADDRESS", "VERSION", "STATE")]
    bad = False
    for server in servers:
        running, facts = recall(_pid_file(server))
        port = facts.get("port", server.port())
        state = "stopped" if not running else "ready" if server.ready() else "not ready"
        if running and not all(process.alive for process in running):
            state = f"died, see {LOG / server.name}.log"
        bad = bad or state != "ready"
        rows.append((server.title, f"127.0.0.1:{port}", str(facts.get("version", "")), state))
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    return int(bad)


def _wait(servers: Sequence[Server]) -> None:
    """Until every one is ready. A server cannot tell by itself, so it is asked, a few times a second."""
    began = time.monotonic()
    left = list(servers)
    while left:
        for server in list(left):
            log = LOG / f"{server.name}.log"
            if not _alive(server):
                raise StackError(f"{server.title} ended while starting:\n{_tail(log)}\nsee {log}")
            if server.ready():
                left.remove(server)
            elif time.monotonic() - began > server.patience:
                raise StackError(f"{server.title} is not ready after {server.patience:.0f} s: see {log}")
        time.sleep(0.2 if left else 0)


def _tail(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-8:])


def _alive(server: Server) -> bool:
    running, _ = recall(_pid_file(server))
    return bool(running) and all(process.alive for process in running)


def _pid_file(server: Server) -> Path:
    return RUN / f"{server.name}.json"


def _passwords(servers: Sequence[Server]) -> dict[str, str]:
    """Random, made once, kept in a file that only this user reads."""
    known = _pairs(PASSWORDS)
    for name in (name for server in servers for name in server.secrets()):
        known.setdefault(name, secrets.token_hex(16))
    _private(PASSWORDS, known)
    return known


def _write_env(servers: Sequence[Server], site: Site) -> None:
    lines = _env()
    for server in servers:
        lines |= server.settings(site)
    _private(ENV, lines)


def _env() -> dict[str, str]:
    return {name: value.strip("'") for name, value in _pairs(ENV).items()}


def _pairs(path: Path) -> dict[str, str]:
    if not path.exists():
        return {}
    return dict(line.split("=", 1) for line in path.read_text().splitlines() if "=" in line)


def _private(path: Path, pairs: dict[str, str]) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.writelines(
            f"{name}='{value.strip(chr(39))}'\n" if path == ENV else f"{name}={value}\n"
            for name, value in pairs.items()
        )


@contextmanager
def _alone() -> Iterator[None]:
    """One `up` or `down` at a time."""
    HOME.mkdir(parents=True, exist_ok=True)
    with (HOME / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("action", choices=("get", "up", "down", "status"))
    parser.add_argument("servers", nargs="*", metavar="name", help=", ".join(kind.name for kind in ALL))
    told = parser.parse_args()
    unknown = set(told.servers) - {kind.name for kind in ALL}
    if unknown:
        parser.error(f"there is no server {', '.join(sorted(unknown))}")
    chosen = [kind() for kind in ALL if not told.servers or kind.name in told.servers]
    try:
        if told.action == "status":
            return status(chosen)
        if told.action == "get":
            _get(chosen)
            return 0
        with _alone():
            return up(chosen) if told.action == "up" else down(chosen)
    except StackError as error:
        print(f"stack: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
