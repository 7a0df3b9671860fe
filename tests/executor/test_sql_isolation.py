"""What SQL steps are kept from: they hold the credentials of a database, and run the platform's own code."""

from __future__ import annotations

import contextlib
import os
import socket
import sqlite3
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from ferris.artifacts import BUCKET, key_of
from tests.executor.control_server import Platform, Result
from tests.executor.test_isolation import ROOT, WAYS, closing, has, isolation_of, started
from tests.wheels import wheel

ENDLESS = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT max(x) FROM n"
NAMESPACES = ("net", "mnt", "pid")


@pytest.fixture(scope="module", params=WAYS, ids=["-".join(way) for way in WAYS])
def confined(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """An executor of each level, with each way to start scripts."""
    yield from closing(warmed(started(tmp_path_factory.mktemp("home"), *request.param)))


@pytest.fixture(scope="module", params=["cold", "warm"])
def best(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    yield from closing(warmed(started(tmp_path_factory.mktemp("home"), "best", request.param)))


def warmed(ferris: Platform) -> Platform:
    """With a fork server for SQL, where scripts are forks."""
    deadline = time.monotonic() + 60
    while ferris.settings.runner == "warm" and not any(
        "FERRIS_WARM_IMPORTS" in str(key) for key in ready(ferris)
    ):
        ferris.run({"a.sql": "SELECT 1"}, connections=database(ferris.settings.home.parent / "warms"))
        assert time.monotonic() < deadline, "no fork server came up"
    return ferris


def ready(ferris: Platform) -> list[Any]:
    servers = ferris.executor.runner._servers  # type: ignore[attr-defined]
    return [key for key, server in servers.items() if server.look() == "ready"]


def database(folder: Path, **more: Any) -> dict[str, Any]:
    """A connection called `data` to a SQLite file in a folder that only its owner may enter."""
    folder.mkdir(mode=0o700, exist_ok=True)
    with contextlib.closing(sqlite3.connect(folder / "data.db")) as made:
        made.executescript("PRAGMA journal_mode = WAL; CREATE TABLE IF NOT EXISTS t (n INT)")
    return {"data": {"url": f"sqlite:///{folder}/data.db", **more}}


def seen(ferris: Platform, connections: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """What the system says of the process of a SQL step while it runs."""
    order = ferris.order({"a.sql": ENDLESS}, connections=connections, **changes)
    thread = ferris.start(order)
    try:
        for _ in range(1000):  # looks, not seconds: the machine may be busy with others
            assert thread.is_alive(), ferris.result(order.execution_id)
            found = _look(str(ferris.settings.home))
            if found is not None:
                return found
            time.sleep(0.05)
        raise AssertionError("it was never seen running")
    finally:
        ferris.control.stop[order.execution_id] = "cancelled"
        thread.join(60)


def _look(home: str) -> dict[str, Any] | None:
    """Of one that is past its gate: it burns CPU then."""
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError, ValueError):
            line = process.cmdline()
            if not any("tasks/sql/__main__" in word for word in line):
                continue
            folder = process.cwd()
            if not folder.startswith(home) or process.cpu_times().user < 0.5:
                continue
            status = dict(
                row.split(":\t", 1) for row in Path(f"/proc/{process.pid}/status").read_text().splitlines()
            )
            own = {name: os.readlink(f"/proc/{process.pid}/ns/{name}") for name in NAMESPACES}
            return {
                "filter": int(status["Seccomp"]),
                "no_new_privs": int(status["NoNewPrivs"]),
                "uid": int(status["Uid"].split()[0]),
                "other": [name for name in NAMESPACES if own[name] != os.readlink(f"/proc/self/ns/{name}")],
            }
    return None


def test_it_is_confined_as_scripts_are(confined: Platform, tmp_path: Path) -> None:
    found = seen(confined, database(tmp_path / "db"))
    assert found["no_new_privs"] == 1
    assert found["filter"] == (2 if has(confined, "system_calls") else 0)
    best = confined.settings.isolation == "best"
    assert ("mnt" in found["other"]) is (best and has(confined, "mounts"))
    assert ("pid" in found["other"]) is (best and has(confined, "pid_namespace"))
    assert "net" not in found["other"]


def test_layers_are_those_of_scripts(confined: Platform, tmp_path: Path) -> None:
    files = {"a.py": "", "b.sql": "INSERT INTO t VALUES (1); SELECT n FROM t"}
    result = confined.run(files, connections=database(tmp_path / "db"))
    assert result.types[-1] == "execution.completed", result
    script, sql = (
        event.data["isolation"]["layers"] for event in result.reports if event.type == "ferris.step.started"
    )
    assert set(script) - set(sql) <= {"user"}  # its file may be the executor's own


def test_a_database_on_the_network_gets_a_user_of_its_own(best: Platform) -> None:
    """And is reached with `"network": "none"`, which is about the service's own code."""
    for network in ("egress", "none"):
        result, reached = connected(best, network=network)
        assert reached, result.lines
        layers = isolation_of(result)["layers"]
        assert "network" not in layers
        if ROOT and has(best, "user"):
            assert "user" in layers
            assert reached[0] >= 61_000


def connected(ferris: Platform, **changes: Any) -> tuple[Result, list[int]]:
    """Run a script on a server that answers nothing useful: who has connected to it."""
    reached: list[int] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    with server.accept()[0] as one:
                        reached.append(_user_of(one.getpeername()[1], one.getsockname()[1]))

        thread = threading.Thread(target=accept)
        thread.start()
        url = f"postgresql://ada:sesame@127.0.0.1:{server.getsockname()[1]}/x"
        result = ferris.run({"a.sql": "SELECT 1"}, connections={"far": {"url": url}}, **changes)
        server.shutdown(socket.SHUT_RDWR)
        thread.join()
    return result, reached


def _user_of(port: int, to: int) -> int:
    """Whose end of a connection on this machine is."""
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[1].endswith(f":{port:04X}") and fields[2].endswith(f":{to:04X}"):
            return int(fields[7])
    return -1


def test_a_file_needs_no_network(confined: Platform, tmp_path: Path) -> None:
    if not has(confined, "network"):
        pytest.skip("this machine makes no networks")
    assert "net" in seen(confined, database(tmp_path / "db"), network="none")["other"]


@pytest.mark.parametrize("read_only", [False, True])
def test_files_of_a_database_are_reached_and_no_others(
    best: Platform, tmp_path: Path, read_only: bool
) -> None:
    connections = database(tmp_path / "db", read_only=read_only)
    result = best.run({"a.sql": "SELECT count(*) AS n FROM t"}, connections=connections)
    assert result.types[-1] == "execution.completed", result.lines
    changed = best.run({"a.sql": "INSERT INTO t VALUES (1)"}, connections=connections)
    assert changed.types[-1] == ("execution.failed" if read_only else "execution.completed"), changed.lines


def test_a_database_among_the_platforms_own_files_is_refused(best: Platform) -> None:
    connections = database(best.settings.home)
    result = best.run({"a.sql": "SELECT 1"}, connections=connections)
    assert result.last.data["reason"] == "isolation"
    assert "move it to a folder of its own" in result.last.data["error"]
    below = best.run({"a.sql": "SELECT 1"}, connections=database(best.settings.home / "shop"))
    assert below.types[-1] == "execution.completed", below.lines


def test_a_link_in_place_of_the_script_opens_nothing(confined: Platform, tmp_path: Path) -> None:
    """A Python step before it may leave what it likes; what it must not read no error of the database tells it."""
    (tmp_path / "key").write_text("the_platforms_own_key")
    for at in (tmp_path / "key", confined.settings.home / "keys" / "executor.token"):
        code = f"import os; os.unlink('b.sql'); os.symlink({str(at)!r}, 'b.sql')"
        result = confined.run({"a.py": code, "b.sql": "SELECT 1"}, connections=database(tmp_path / "db"))
        assert result.last.data["reason"] == "script_failed"
        assert "b.sql" in result.last.data["error"]
        assert "it is a link" in result.last.data["error"]
        assert "near" not in str(result.lines)


def test_a_script_that_an_earlier_step_writes(confined: Platform, tmp_path: Path) -> None:
    code = "open('b.sql', 'w').write('SELECT 42 AS n')"
    result = confined.run({"a.py": code, "b.sql": ""}, connections=database(tmp_path / "db"))
    assert result.types[-1] == "execution.completed", result.lines
    [table] = next(event.data["tables"] for event in result.reports if "tables" in event.data)
    assert table["rows"] == [["42"]]


def test_no_code_of_the_services_packages_runs_in_it(
    confined: Platform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Parquet is written by the platform's own pyarrow, whatever requirements.txt brings under that name."""
    (tmp_path / "index").mkdir()
    monkeypatch.setenv("UV_FIND_LINKS", str(tmp_path / "index"))
    monkeypatch.setenv("UV_OFFLINE", "1")
    mine = "print('mine'); raise SystemExit('mine')"
    wheel(
        tmp_path / "index",
        "hostile",
        "1.0",
        {"pyarrow/__init__.py": mine, "MySQLdb.py": mine, "pandas.py": mine},
    )
    result = confined.run(
        {"a.sql": "SELECT 1 AS one", "requirements.txt": "hostile"},
        requirements="hostile",
        connections=database(tmp_path / "db"),
        sql={"format": "parquet"},
    )
    assert "mine" not in str(result.lines)
    assert result.types[-1] == "execution.completed", result.lines
    [done] = [event.data for event in result.reports if event.type == "ferris.step.completed"]
    assert [one["name"] for one in done["artifacts"]] == ["a.parquet"]
    key = key_of(done["artifacts_day"], result.last.subject or "", 1, 0, "a.parquet")
    with confined.executor.objects.open(BUCKET, key) as kept:
        assert kept.read(4) == b"PAR1"
