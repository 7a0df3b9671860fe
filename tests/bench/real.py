"""`python -m tests.bench.real`: the platform's figures on the real stack, each beside the bare server doing the same.

Starts all servers for itself, and for each measurement the processes of compose.yaml. Prints a table in Markdown
and writes the same figures to build/bench-real.json. Nothing is asserted.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg2

from ferris import adapters
from ferris.ports import EventLog, Record
from tests.acceptance import real
from tests.acceptance.client import event, until
from tests.acceptance.embedded import ROOT
from tests.acceptance.servers import Servers
from tests.acceptance.services import Project
from tests.bench import bare
from tests.bench.__main__ import describe, say
from tests.bench.executions import NOTE

QUICK = {"latency": 20, "events": 2_000, "runs": 40, "bare": 2_000}
FULL = {"latency": 100, "events": 20_000, "runs": 500, "bare": 20_000}
EVENTS = "ferris.events"
DRIVERS = ("kafka", "kafka+confluent")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.real", description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="small numbers: does it work at all?")
    sizes = QUICK if parser.parse_args().quick else FULL
    home = Path(tempfile.mkdtemp(prefix="ferris-bench-"))
    home.chmod(0o755)  # the servers' account passes through
    servers = Servers(home)
    try:
        say("servers")
        servers.up()
        figures = {"machine": describe(), **measure(servers, home, sizes)}
    finally:
        servers.down()
        shutil.rmtree(home, ignore_errors=True)
    text = render(figures)
    print(text)
    out = ROOT / "build"
    out.mkdir(exist_ok=True)
    (out / "bench-real.json").write_text(json.dumps(figures, indent=2) + "\n")
    (out / "bench-real.md").write_text(text + "\n")


def measure(servers: Servers, home: Path, sizes: dict[str, int]) -> dict[str, Any]:
    """Every figure by driver of the log, and of the bare servers."""
    figures: dict[str, Any] = {}
    for driver in DRIVERS:
        folder = home / driver.replace("+", "-")
        folder.mkdir()
        platform = real.Platform(servers, folder / "home")
        url = urlsplit(platform.environment["FERRIS_EVENT_LOG"])._replace(scheme=driver).geturl()
        platform.environment["FERRIS_EVENT_LOG"] = url
        log = adapters.open_event_log(url)
        say(f"{driver}: bare log")
        found: dict[str, Any] = {"append": append_rate(log, sizes["bare"])}
        say(f"{driver}: platform")
        platform.start()
        try:
            # First the many: servers that have just begun compile their code while they run it.
            found["executions"] = executions(platform, log, folder, sizes["runs"])
            time.sleep(2)  # until their ends are recorded and indexed, too
            found["sent"], found["accepted"] = latency(platform, log, folder, sizes["latency"])
            found["memory"] = memory(platform)
            found["events_two"] = events(platform, log, folder, sizes["events"])
            platform.remove("gateway-2")
            found["events_one"] = events(platform, log, folder, sizes["events"])
            found["recorded"] = recorded(platform, log, sizes["events"])
        finally:
            platform.stop()
        figures[driver] = found
        figures["rows"] = rows_rate(platform.environment["FERRIS_DATABASE"], sizes["bare"])
    say("bare spawns")
    figures["first_line"] = _percentiles([bare.first_line(home) for _ in range(sizes["latency"])])
    figures["spawns"] = bare.spawns_per_second(home, sizes["runs"], 2)
    return figures


# ------------------------------------------------------------------ the platform


def latency(
    platform: real.Platform, log: EventLog, folder: Path, count: int
) -> tuple[dict[str, float], dict[str, float]]:
    """To the first line of the script: from before an event is appended to Kafka, and from Kafka's answer on; one
    event at a time. Milliseconds."""
    notes = folder / "notes"
    project = Project(platform.client, folder)
    script = bare.FIRST_LINE + NOTE.format(notes=str(notes))
    project.load(
        {"TAG_s": {"manifest.json": {"trigger_events": ["TAG.go"], "entrypoint": "s.py"}, "s.py": script}}
    )
    sent, accepted = [], []
    for number in range(count + 5):
        before = time.time()
        _append(log, [project("TAG.go")])
        after = time.time()
        began = until(lambda number=number: _line(notes, number), 60, "the script has not run")
        sent.append(began - before)
        accepted.append(began - after)
        time.sleep(
            0.2
        )  # the end of this one, which all processes and servers note, is not the delay of the next
    return _percentiles(sent[5:]), _percentiles(accepted[5:])  # the first ones warm up


def executions(platform: real.Platform, log: EventLog, folder: Path, count: int) -> float:
    """Trivial executions per second, from the append of their events to the end of the last one."""
    project = Project(platform.client, folder)
    manifest = {"trigger_events": ["TAG.go"], "entrypoint": "s.py"}
    project.load({"TAG_s": {"manifest.json": manifest, "s.py": "pass"}})
    began = time.monotonic()
    _append(log, [project("TAG.go")] * count)
    query = "SELECT count(*) FROM executions_execution e JOIN catalog_service s ON s.id = service_id"
    wanted = f"{query} WHERE s.name = '{project('TAG_s')}' AND e.status = 'completed'"
    _reached(platform, wanted, count)
    return count / (time.monotonic() - began)


def events(platform: real.Platform, log: EventLog, folder: Path, count: int) -> float:
    """Events that run nothing, per second: from the first append until all are in the journal."""
    name = f"bench.{time.monotonic_ns()}"
    began = time.monotonic()
    _append(log, [name] * count)
    _reached(platform, f"SELECT count(*) FROM executions_event WHERE type = '{name}'", count)
    return count / (time.monotonic() - began)


def recorded(platform: real.Platform, log: EventLog, count: int) -> float:
    """Events per second until the last of them can be searched for in Elasticsearch as well."""
    name = f"bench.{time.monotonic_ns()}"
    began = time.monotonic()
    _append(log, [name] * count)
    _reached(platform, f"SELECT count(*) FROM executions_event WHERE type = '{name}'", count)
    store = adapters.open_ops_store(platform.environment["FERRIS_OPS_STORE"])
    until(lambda: sum(store.counts("events", "day", f"type:{name}").values()) >= count, 600, "not searchable")
    return count / (time.monotonic() - began)


def memory(platform: real.Platform) -> dict[str, float]:
    """PSS of each of the platform's processes, in MiB."""
    return {name: platform.process(name).memory_full_info().pss / 2**20 for name in platform.kept}


def _append(log: EventLog, types: list[str]) -> None:
    sent = [json.dumps(event(one)).encode() for one in types]
    for start in range(0, len(sent), 500):
        log.append(EVENTS, [Record(one) for one in sent[start : start + 500]])


def _reached(platform: real.Platform, query: str, count: int) -> None:
    connection = psycopg2.connect(platform.environment["FERRIS_DATABASE"])
    connection.autocommit = True
    try:
        with connection.cursor() as cursor:

            def enough() -> bool:
                cursor.execute(query)
                return int(cursor.fetchone()[0]) >= count

            until(enough, 900, f"never {count}: {query}")
    finally:
        connection.close()


def _line(notes: Path, number: int) -> float | None:
    lines = notes.read_text().split() if notes.exists() else []
    return float(lines[number]) if len(lines) > number else None


# ------------------------------------------------------------------ the bare servers


def append_rate(log: EventLog, count: int) -> float:
    """Events per second that the driver alone appends to Kafka and reads again, in the batches of the platform."""
    reader = log.subscribe("bench", ["bench"])
    began = time.monotonic()
    for start in range(0, count, 500):
        log.append(
            "bench", [Record(json.dumps(event("bench")).encode()) for _ in range(min(500, count - start))]
        )
    seen = 0
    while seen < count:
        seen += len(reader.poll(500, timeout=30))
    rate = count / (time.monotonic() - began)
    reader.close()
    return rate


def rows_rate(url: str, count: int) -> float:
    """Rows per second that PostgreSQL alone takes in transactions of 500."""
    connection = psycopg2.connect(url)
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE IF NOT EXISTS bench (id bigserial PRIMARY KEY, body text)")
        connection.commit()
        began = time.monotonic()
        for start in range(0, count, 500):
            cursor.execute(
                "INSERT INTO bench (body) SELECT repeat('x', 400) FROM generate_series(1, %s)",
                (min(500, count - start),),
            )
            connection.commit()
        rate = count / (time.monotonic() - began)
    connection.close()
    return rate


def _percentiles(values: list[float]) -> dict[str, float]:
    cuts = statistics.quantiles(values, n=100, method="inclusive")
    return {"p50": cuts[49] * 1000, "p99": cuts[98] * 1000}


# ------------------------------------------------------------------ the table


def render(figures: dict[str, Any]) -> str:
    """Markdown: a row for each figure, a column for each driver, ratios to the bare server in brackets."""
    alone, spawns, rows = figures["first_line"], figures["spawns"], figures["rows"]
    machine = figures["machine"]

    def row(name: str, cell: Any) -> str:
        return f"| {name} | " + " | ".join(cell(figures[driver]) for driver in DRIVERS) + " |"

    lines = [
        "| | kafka-python | confluent-kafka |",
        "|---|---|---|",
        *(
            row(
                f"{name}, {cut} ms (x bare `python s.py`)",
                lambda f, key=key, cut=cut: f"{f[key][cut]:.0f} ({f[key][cut] / alone[cut]:.1f})",
            )
            for key, name in (
                ("sent", "event sent to Kafka -> first line"),
                ("accepted", "accepted by Kafka -> first line"),
            )
            for cut in ("p50", "p99")
        ),
        row(
            "executions/s by way of RabbitMQ (x bare spawns, 2 at a time)",
            lambda f: f"{f['executions']:.1f} ({f['executions'] / spawns:.2f})",
        ),
        row(
            "events/s through one gateway (x the log alone)",
            lambda f: f"{f['events_one']:.0f} ({f['events_one'] / f['append']:.2f})",
        ),
        row(
            "events/s through two gateways (x one)",
            lambda f: f"{f['events_two']:.0f} ({f['events_two'] / f['events_one']:.2f})",
        ),
        row(
            "events/s into PostgreSQL and Elasticsearch (x PostgreSQL alone)",
            lambda f: f"{f['recorded']:.0f} ({f['recorded'] / rows:.3f})",
        ),
        row("the log alone, events/s appended and read", lambda f: f"{f['append']:.0f}"),
        *(
            row(f"memory of {name}, MiB PSS", lambda f, name=name: f"{f['memory'][name]:.0f}")
            for name in figures[DRIVERS[0]]["memory"]
        ),
        "",
        f"Bare: `python s.py` {alone['p50']:.0f} / {alone['p99']:.0f} ms; {spawns:.0f} spawns/s, 2 at a time; "
        f"PostgreSQL {rows:.0f} rows/s in transactions of 500. {machine['cores']} cores, {machine['memory_gib']} GiB, "
        f"Python {machine['python']}, load before {machine['load_before']}; servers on the same machine.",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
