"""The figures as text, ratios first, in the form in which other products were measured."""

from __future__ import annotations

from typing import Any

from tests.bench import isolation


def render(figures: dict[str, Any]) -> str:
    """A Markdown table of ratios, some of figures, and what they are about."""
    parts = (_ratios, _platform, _starts, _events, lambda found: isolation.lines(found["isolation"]), _notes)
    return "\n\n".join("\n".join(part(figures)) for part in parts)


def _ratios(figures: dict[str, Any]) -> list[str]:
    latency, spawns, runs = figures["latency"], figures["spawns"], figures["executions"]
    alone = latency["bare"]
    matching = figures["matching"]
    starts = [
        f"| first line warm / fresh ({name}), p50 | {found['warm']['p50'] / found['fresh']['p50']:.2f} |"
        for name, found in figures["starts"]["first"].items()
    ]
    return [
        "| ratio | |",
        "|---|---|",
        f"| first line / bare `python script.py`, p50 | {latency['sent']['p50'] / alone['p50']:.2f} |",
        f"| first line / bare `python script.py`, p99 | {latency['sent']['p99'] / alone['p99']:.2f} |",
        f"| executions/s / bare spawns/s, 1 at a time | {runs['trivial'] / spawns[1]:.2f} |",
        f"| executions/s / bare spawns/s, 2 parallel | {runs['trivial'] / spawns[2]:.2f} |",
        f"| executions/s / Celery tasks/s that each run the script as a subprocess, 2 parallel | "
        f"{runs['trivial'] / figures['celery']:.2f} |",
        *starts,
        *(
            f"| matching with {n:,} services / with 10, in one process | {matching[n] / matching[10]:.2f} |"
            for n in matching
            if n > 10
        ),
        f"| events/s through the router with {figures['services']:,} services / with 10 | "
        f"{figures['journal_many']['routed'] / figures['journal']['routed']:.2f} |",
    ]


def _platform(figures: dict[str, Any]) -> list[str]:
    latency, spawns, runs, idle = (figures[name] for name in ("latency", "spawns", "executions", "idle"))
    count = latency["n"]
    memory = f"{idle['pss_mib']:.0f} MiB ({idle['rss_mib']:.0f}), {idle['processes']}"
    return [
        "| | first line p50 / p99 (n) | throughput, trivial work | idle PSS (RSS), processes | idle CPU |",
        "|---|---|---|---|---|",
        f"| `python script.py` | {_pair(latency['bare'])} ({count}) | {spawns[1]:.0f}/s | - | - |",
        f"| same, 2 parallel | - | {spawns[2]:.0f}/s | - | - |",
        f"| Celery task that runs it as a subprocess, 2 threads | - | {figures['celery']:.0f}/s | - | - |",
        f"| Ferris, embedded, event by HTTP -> script | {_pair(latency['sent'])} ({count}) "
        f"| {runs['trivial']:.0f}/s | {memory} | {idle['cpu_percent']:.1f} |",
        f"| same, from the answer 202 on | {_pair(latency['accepted'])} ({count}) | - | same | same |",
        f"| same, script imports `ferris_ef` | - | {runs['with_library']:.0f}/s | same | same |",
    ]


def _starts(figures: dict[str, Any]) -> list[str]:
    starts = figures["starts"]
    rows = [
        f"| {name} | {_pair(found['warm'])} | {_pair(found['fresh'])} | {_pair(found['bare'])} |"
        for name, found in starts["first"].items()
    ]
    return [
        f"| the script imports | warm, p50 / p99 ({starts['n']}) | fresh | bare `python script.py` |",
        "|---|---|---|---|",
        *rows,
        "",
        f"A fork server without work: PSS {starts['server_pss_mib']:.0f} MiB.",
    ]


def _events(figures: dict[str, Any]) -> list[str]:
    journal, ready, storm, why = (figures[name] for name in ("journal", "ready", "storm", "why"))
    tested = (
        why["backtest_one_type"]["events_per_cpu_second"],
        why["backtest_everything"]["events_per_cpu_second"],
    )
    return [
        "| | |",
        "|---|---|",
        *(_table(services, table) for services, table in figures["tables"].items()),
        f"| events accepted by HTTP, batches of 100, durable | {journal['accepted']:,.0f}/s |",
        f"| events through the router into the journal, none wanted, 10 services | {journal['routed']:,.0f}/s |",
        f"| same, {figures['services']:,} services | {figures['journal_many']['routed']:,.0f}/s |",
        f"| a storm of {storm['events']:,} events through a filter, concurrency by key and batches, every count exact: "
        f"routed; {sum(storm['executions'].values()):,} executions claimed and ended "
        f"| {storm['routed_per_second']:,.0f}/s; {storm['ended_per_second']:,.0f}/s |",
        f"| why, with {why['events']:,} events in the journal and {why['services']:,} services, CPU time: one service; "
        f"the first 50 that an event concerned | {_spread(why['why_one_ms'])}; {_spread(why['why_page_of_50_ms'])} |",
        f"| backtest over them, of one type; of every event | {tested[0]:,.0f}/s; {tested[1]:,.0f}/s of CPU time |",
        f"| past events replayed and routed, none wanted | {figures['replay']:,.0f}/s |",
        f"| services synced | {figures['services'] / figures['sync_seconds']:,.0f}/s |",
        f"| time to ready, first start / again | {ready['first']:.1f} s / {ready['again']:.1f} s |",
    ]


def _table(services: int, table: dict[str, float]) -> str:
    return (
        f"| events matched, {services:,} services of mixed filters, in one process; to build the table, to change ten "
        f"services of it, its memory | {table['events_per_second']:,.0f}/s; {table['build_seconds']:.2f} s, "
        f"{table['change_seconds'] * 1000:.1f} ms, {table['bytes_per_service'] * services / 2**20:.1f} MiB |"
    )


def _notes(figures: dict[str, Any]) -> list[str]:
    about = figures["machine"]
    return [
        f"Machine: {about['cores']} cores, {about['memory_gib']} GiB, {about['system']}, Python {about['python']}, "
        f"load before {about['load_before']}; the driver on the same cores.",
        '"First line" = `time.time()` as first statement of the script, minus the time just before the event was '
        "posted; one event at a time. Milliseconds. By imports: from the order to the runner to the first output.",
        f"PSS = sum over the platform's processes; CPU = % of one core over {figures['idle']['seconds']:g} s idle.",
    ]


def _spread(values: dict[str, float]) -> str:
    return f"{values['p50']:.1f} ms, at most {values['max']:.1f}"


def _pair(values: dict[str, float]) -> str:
    return f"{values['p50']:.1f} / {values['p99']:.1f} ms"
