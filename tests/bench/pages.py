"""`python -m tests.bench.pages [--rounds N] [--only TEXT] [--look-closer MS]`: what each page costs on the platform of
FERRIS_HOME.

Meant for one that `make seed-large` has filled; any other will do. Walks every address of console and API that is read
by GET, and every list with each of its filters, as an administrator, as a member of the smallest project and as a
viewer of the largest. Measures in this process, with nothing cached: time on the clock, CPU time, queries and bytes.
The three accounts are made for it and removed. With --look-closer, pages that took less than so many ms of CPU three
times are measured no further. Prints a Markdown table, the slowest first, with what the first load
takes; writes build/pages.json. Of files the way to their first part is measured. Not walked: what follows live, and
what the platform has none of.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import re
import statistics
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

ROOT = Path(__file__).resolve().parents[2]
_NOT_PAGES = re.compile(r"(sign-.*|language|go|live|hook|problems?|metrics)(-log)?$|.*-stream$")
_PERIODS = ("24h", "7d", "30d")
_SHOWN = 40
_GLANCES = 3


@dataclass(frozen=True)
class Cost:
    """What one address cost one caller."""

    who: str
    address: str
    status: int
    queries: int
    wall_p50: float
    wall_p95: float
    cpu_p50: float
    cpu_p95: float
    bytes: int
    packed: int
    rounds: int


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.pages", description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--only", default="", help="addresses that hold this text")
    parser.add_argument("--who", default="", help="callers whose name holds this text")
    parser.add_argument(
        "--look-closer", type=float, default=0.0, metavar="MS", help="than three times, from there on"
    )
    options = parser.parse_args()
    os.environ["DJANGO_SETTINGS_MODULE"] = "ferris_web.settings"
    os.environ["FERRIS_API_RATE"] = "0"
    import django

    django.setup()
    import ferris_web.asgi  # noqa: F401 - as the web process comes up

    costs = list(measure(options.rounds, options.only, options.who, options.look_closer))
    costs.sort(key=lambda cost: -cost.cpu_p95)
    if not costs:
        raise SystemExit("no page was answered: is --only right, and the platform filled?")
    print(rendered(costs))
    out = ROOT / "build"
    out.mkdir(exist_ok=True)
    (out / "pages.json").write_text(json.dumps([asdict(cost) for cost in costs], indent=1) + "\n")


def rendered(costs: list[Cost]) -> str:
    """The slowest, and how many are slow."""
    lines = [
        "| page | as | queries | p50 ms | p95 ms | CPU p50 | CPU p95 | kB | kB packed |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for one in costs[:_SHOWN]:
        lines.append(
            f"| `{one.address}` | {one.who} | {one.queries} | {one.wall_p50:.0f} | {one.wall_p95:.0f} | "
            f"{one.cpu_p50:.0f} | {one.cpu_p95:.0f} | {one.bytes / 1000:.0f} | {one.packed / 1000:.0f} |"
        )
    most = max(costs, key=lambda one: one.queries)
    heavy = max(costs, key=lambda one: one.bytes)
    lines += [
        "",
        "| as | pages | CPU p50: median, 19 of 20 within | p95 of 100 ms or more: CPU, clock |",
        "|---|---|---|---|",
        *(
            _summed(who, [one for one in costs if one.who == who])
            for who in dict.fromkeys(one.who for one in costs)
        ),
        "",
        f"Most queries: {most.queries} (`{most.address}`). Largest: {heavy.bytes / 1000:.0f} kB (`{heavy.address}`). "
        f"Each was measured {min(one.rounds for one in costs)} times at least, the slow ones "
        f"{max(one.rounds for one in costs)} times.",
        first_load(),
    ]
    return "\n".join(lines)


def _summed(who: str, costs: list[Cost]) -> str:
    usual = [one.cpu_p50 for one in costs]
    by_cpu, by_clock = sum(one.cpu_p95 >= 100 for one in costs), sum(one.wall_p95 >= 100 for one in costs)
    middle, most = statistics.median(usual), _part(usual, 0.95)
    return f"| {who} | {len(costs)} | {middle:.0f}, {most:.0f} ms | {by_cpu}, {by_clock} |"


def first_load() -> str:
    """What a browser fetches for the first page beside the page itself, as it is served."""
    from django.contrib.staticfiles import finders

    names = (
        "console/console.css", "console/console.js", "console/lists.js", "console/icons.svg", "console/favicon.svg",
        "django_htmx/htmx-4.min.js",
    )  # fmt: skip
    files = [Path(finders.find(name)).read_bytes() for name in names]
    whole, packed = sum(map(len, files)), sum(len(gzip.compress(one)) for one in files)
    return f"Style, scripts and drawings of the first load: {whole / 1000:.0f} kB, {packed / 1000:.0f} kB packed."


def measure(rounds: int, only: str, who: str, closer: float) -> Iterator[Cost]:
    from django.test import Client

    from ferris_web.accounts.models import Membership, User
    from ferris_web.catalog.models import Project

    ranked = _projects_by_size()
    callers = (
        ("administrator", None),
        ("member of a small project", ranked[0]),
        ("viewer of a large one", ranked[-1]),
    )
    for name, project in callers:
        if who not in name:
            continue
        User.objects.filter(username=f"bench-{name.split()[0]}").delete()  # of one that was killed
        user = User.objects.create_user(f"bench-{name.split()[0]}", is_staff=project is None)
        try:
            Membership.objects.filter(user=user).delete()  # what FERRIS_DEFAULT_ROLE gave
            if project is not None:
                role = "maintainer" if name.startswith("member") else "viewer"
                Membership.objects.create(user=user, project_id=project, role=role)
            client = Client(raise_request_exception=False, SERVER_NAME="127.0.0.1")
            client.force_login(user)
            found = Project.objects.get(pk=project if project is not None else ranked[-1])
            for address in dict.fromkeys(addresses(_samples(found, whole=project is None))):
                if only in address and (cost := _cost(client, name, address, rounds, closer)):
                    yield cost
        finally:
            user.delete()


def _cost(client: Any, who: str, address: str, rounds: int, closer: float) -> Cost | None:
    from django.core.cache import cache
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    cache.clear()
    with CaptureQueriesContext(connection) as queries:
        answer = client.get(address)
        body = _begun(answer)
    asked = len(queries)
    if answer.status_code != 200 or body is None:
        if answer.status_code not in (301, 302, 403, 404, 405):
            print(f"{who}: {address}: {answer.status_code}", flush=True)
        return None
    walls, cpus = [], []
    for done in range(rounds):
        if done == _GLANCES and max(cpus) < closer:
            break
        cache.clear()
        wall, cpu = time.perf_counter(), time.process_time()
        _begun(client.get(address))
        walls.append((time.perf_counter() - wall) * 1000)
        cpus.append((time.process_time() - cpu) * 1000)
    return Cost(
        who, address, answer.status_code, asked, _part(walls, 0.5), _part(walls, 0.95), _part(cpus, 0.5),
        _part(cpus, 0.95), len(body), len(gzip.compress(body)), len(cpus),
    )  # fmt: skip


def _begun(answer: Any) -> bytes | None:
    """What was answered; of a file its first part; None of what goes on by itself."""
    if not answer.streaming:
        return bytes(answer.content)
    if answer.is_async:
        return None
    first = next(iter(answer.streaming_content), b"")
    answer.close()
    return bytes(first)


def _part(values: list[float], part: float) -> float:
    return sorted(values)[min(len(values) - 1, round(part * (len(values) - 1)))]


def _projects_by_size() -> list[int]:
    """Those that ran something in the last 90 days, by how much."""
    from django.db.models import Sum

    from ferris_web.executions.models import Rollup

    days = Rollup.objects.filter(span="day", service=None, project__isnull=False).order_by()
    return [pk for pk, _ in days.values_list("project").annotate(n=Sum("count")).order_by("n")]


def _samples(project: Any, *, whole: bool) -> dict[str, Any]:
    """Something of each kind that lies in the project: what addresses name. The busiest service, the largest flow."""
    from ferris_web.catalog.models import Schedule
    from ferris_web.executions.models import DeadLetter, Event, Execution, Flow, Standing

    busiest = Standing.objects.filter(project=project, period="30d").order_by("-count")[0].service
    runs = Execution.objects.filter(service=busiest).select_related("event").order_by("-created_at", "-id")
    run = runs.filter(status="failed").first() or runs[0]
    flows = list(runs.values_list("flow_id", flat=True)[:1000])
    flow = Flow.objects.filter(pk__in=flows).order_by("-sequence", "pk")[0]
    letter = DeadLetter.objects.filter(flow_id__in=flows).order_by("pk").first()
    if whole:
        flow = Flow.objects.order_by("-started_at").filter(sequence__gte=100).first() or flow
        letter = DeadLetter.objects.first()
    schedule = Schedule.objects.filter(service__project=project).first()
    rare = Event.objects.filter(flow_id__in=flows).order_by("received_at").last()
    return {
        "projects": project.name, "services": busiest.name, "executions": run.pk, "flows": flow.pk,
        "events": run.event_id, "event-types": run.event.type, "dead-letters": letter and letter.pk,
        "schedules": schedule and schedule.pk, "lanes": "default", "topics": "ferris.events", "help": "tutorial",
        "correlation": run.correlation_id, "source": "/by/hand", "subject": rare.subject if rare else "x",
        "reason": run.reason or "timeout", "letter": letter.reason if letter else "schema",
    }  # fmt: skip


def addresses(samples: dict[str, Any]) -> Iterator[str]:
    """Every route that can be filled in, then the lists with their filters."""
    from ferris_web.api import urls as api_urls
    from ferris_web.console import urls as console_urls

    for pattern in (*console_urls.urlpatterns, *api_urls.urlpatterns):
        text = "/" + str(pattern.pattern)
        if pattern.name and not _NOT_PAGES.match(pattern.name):
            yield from _filled(text, pattern.name, samples)
    yield from _variants(samples)


def _filled(text: str, name: str, samples: dict[str, Any]) -> Iterator[str]:
    from ferris_web.executions.listings import LISTINGS

    kind = text.removeprefix("/api/v1").split("/")[1]
    if "<" not in text:
        yield text
    elif kind in ("lists", "views"):
        yield from (re.sub("<[^>]*>", listing, text) for listing in LISTINGS) if text.count("<") == 1 else ()
    elif samples.get(kind) is not None:
        address = re.sub("<[^>]*>", str(samples[kind]), text, count=1)
        if "<" not in address:
            yield address
        elif "<int:number>" in address:
            yield address.replace("<int:number>", "1")


def _variants(samples: dict[str, Any]) -> Iterator[str]:
    from ferris_web import keyset
    from ferris_web.executions.listings import LISTINGS

    for listing in LISTINGS.values():
        queries: list[dict[str, str]] = [{}]
        for one in listing.fields:
            values = [value for value, _ in one.options] or _values(one.name, listing.name, samples)
            queries += [{one.name: str(value)} for value in values]
        rows = listing.model._default_manager.order_by(*listing.order)
        for row in rows[rows.count() // 2 :][:1]:
            queries.append({"cursor": keyset.written(row, listing.order)})
        for query in queries:
            yield f"/{listing.name}/?{urlencode(query)}"
            yield f"/api/v1/{listing.name}/?{urlencode(query)}"
            for period in ("", *_PERIODS) if listing.time else ():
                if not query.keys() & {"since", "until", "cursor"}:
                    asked = urlencode(query | ({"since": period} if period else {}))
                    yield f"/lists/{listing.name}/histogram/?{asked}"
    for period in ("", "1h", "24h", "7d", "30d"):
        yield f"/failures/?since={period}"
        yield f"/api/v1/failures/{'?since=' + _ago(period) if period else ''}"
    yield f"/failures/?service={samples['services']}&since="
    for period in (*_PERIODS, "90d"):
        yield f"/?range={period}"
        yield f"/projects/{samples['projects']}/dashboard/?range={period}"
        yield f"/services/{samples['services']}/metrics/?range={period}"


def _ago(period: str) -> str:
    from django.utils import timezone

    hours = int(period[:-1]) * (24 if period.endswith("d") else 1)
    return f"{timezone.now() - timedelta(hours=hours):%Y-%m-%dT%H:%M:%SZ}"


def _values(name: str, listing: str, samples: dict[str, Any]) -> list[Any]:
    known: dict[str, list[Any]] = {
        "correlation_id": [samples["correlation"], samples["flows"], samples["executions"], "NONE000001"],
        "flow_id": [samples["flows"], "NONE000001"],
        "service": [samples["services"]],
        "project": [samples["projects"], "small"],
        "source": [samples["source"], "/orders", "/nobody"],
        "subject": [samples["subject"], "nobody"],
        "type": [samples["event-types"], "orders.*", f"{samples['event-types']}.noted", "none.*", "none"],
        "event_type": [samples["event-types"], "orders.*", "none"],
        "root_type": [samples["event-types"], "orders.*", "none.*", "none"],
        "reason": [samples["letter" if listing == "dead-letters" else "reason"], "nothing"],
        "topic": ["ferris.events", "ferris.logs"],
        "query": ["invoice", "zzz"],
        "tag": ["daily", "none"],
        "since": ["24h", "7d", "30d"],
        "until": [_ago("7d")],
    }
    return known.get(name, [])


if __name__ == "__main__":
    main()
