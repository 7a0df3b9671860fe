"""Every page: it renders with much, with little and with nothing, says where one is, and costs few queries."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from ferris_web import wiring
from ferris_web.executions.models import Step
from tests.web.console_fixtures import addresses
from tests.web.console_pages import page
from tests.web.console_rows import Rows

pytestmark = pytest.mark.walk

# The most that any page may need, however many rows it shows: session and user are two of them.
MOST_QUERIES = 24


def test_every_page_of_a_platform_in_use(rows: Rows, person: Client) -> None:
    titles = {}
    for address in addresses(rows):
        with CaptureQueriesContext(
            connection,
        ) as queries:
            shown = page(person, address)
        assert len(queries) <= MOST_QUERIES, (address, len(queries))
        assert not shown.unclosed, (address, shown.unclosed[:5])
        assert not shown.dangers, (address, shown.dangers[:5])
        assert not [name for name, count in shown.ids.items() if count > 1], (
            address,
            shown.ids.most_common(3),
        )
        assert shown.tags["h1"] == 1, address
        assert shown.tags["main"] == 1, address
        assert "#main" in shown.links, address
        assert not [i for i in shown.inputs if not i["named"] and i.get("id") not in shown.labelled], address
        title = re.search(r"<title>(.*?)</title>", shown.html, re.S)
        assert title, address
        assert re.fullmatch(r"\S.* · Ferris", title[1]), address
        titles[address.split("?")[0]] = title[1]
    assert len(set(titles.values())) > len(titles) * 0.8


def test_a_filter_that_nothing_fits_says_so(rows: Rows, person: Client) -> None:
    for address in ("/services/?q=zzz", "/executions/?service=zzz", "/events/?type=zzz", "/flows/?q=zzz"):
        assert "Nothing fits these filters" in page(person, address).html, address


def test_the_number_of_queries_does_not_grow_with_the_rows(rows: Rows, person: Client) -> None:
    """The same pages with a page of few rows and with many rows."""

    def cost(address: str) -> int:
        person.get(address)
        with CaptureQueriesContext(connection) as queries:
            person.get(address)
        return len(queries)

    assert cost("/executions/") <= cost("/executions/?service=quakes_load") + 1
    assert cost("/events/") <= cost("/events/?type=quakes.file.done") + 2
    assert cost("/flows/") <= cost(f"/flows/?q={rows.flow}") + 1
    assert cost("/services/") <= cost("/services/?q=hello") + 2
    assert cost(f"/flows/{rows.long_flow}/") <= cost(f"/flows/{rows.flow}/") + 1
    long, short = (rows.executions[name].pk for name in ("long-load", "load"))
    assert cost(f"/executions/{long}/") <= cost(f"/executions/{short}/") + 2


def test_lists_are_paged_without_gap_or_repetition(rows: Rows, person: Client) -> None:
    from ferris_web.executions.models import Execution

    seen: list[str] = []
    address = "/executions/"
    while address:
        shown = page(person, address)
        seen += re.findall(r'<tr id="x-([0-9a-f-]{36})"', shown.html)
        older = re.search(r'href="(\?[^"]+)" rel="next"', shown.html)
        address = "/executions/" + older[1].replace("&amp;", "&") if older else ""
    assert len(seen) == len(set(seen)) == Execution.objects.count()


def test_damaged_addresses_are_harmless(rows: Rows, person: Client) -> None:
    for address in (
        "/executions/?cursor=%00%ff&since=never&status=x&from=2026-13-99&until=x&q=%00",
        "/executions/?cursor=MjAyNi0xMS0yNFQwMDowMDowMCBu",
        "/events/?cursor=AAAA&type=*",
        "/events/send/?from=nothing",
        "/topics/ferris.control/?partition=99999&offset=99999999999999999",
        "/topics/ferris.control/?offset=-1",
        "/services/?page=99999",
        f"/executions/{rows.executions['load'].pk}/?lines=99999999999999&level=x&find=%00",
        "/objects/reports/?prefix=../../etc&after=x",
        "/projects/quakes/?run=x",
        "/services/make_report/run/?from=x",
    ):
        page(person, address)
    for address in (
        "/services/nothing/",
        "/services/make_report/files/?version=99",
        "/services/make_report/files/?path=../../../etc/passwd",
        "/executions/00000000-0000-0000-0000-000000000000/",
        "/flows/nothing/",
        "/flows/named/?name=%00",
        "/events/00000000-0000-0000-0000-000000000000/",
        "/event-types/nothing/",
        "/topics/nothing/",
        "/projects/nothing/",
        "/dead-letters/99999/",
        "/objects/nothing/",
        "/objects/reports/nothing.html",
    ):
        page(person, address, 404)


def test_names_that_fit_no_path_have_pages(rows: Rows, person: Client) -> None:
    from django.utils import timezone

    from ferris_web.catalog.models import EventType
    from ferris_web.console import addresses as urls
    from ferris_web.executions.models import Flow

    for name in ("a/b", "..", "a?b#c", "ünï", " ", "a" * 500, "named", "%2e%2e"):
        now = timezone.now()
        Flow.objects.create(pk=name, started_at=now, last_event_at=now, root_type=name)
        EventType.objects.create(name=name)
        for address in (urls.flow(name), urls.event_type(name)):
            assert "/.." not in address
            assert page(person, address).tags["h1"] == 1


def test_an_execution_that_is_not_dispatched_yet_is_awaited(rows: Rows, person: Client) -> None:
    pk = "00000000-0000-4000-8000-000000000001"
    assert "on its way" in page(person, f"/executions/{pk}/?new=1").text


def test_a_failure_says_why_and_what_to_do(rows: Rows, person: Client) -> None:
    for reason, words in {
        "script_failed": "ended with exit status 1",
        "timeout": "took longer than it may",
        "executor_lost": "stopped answering",
        "environment": "requirements.txt could not be installed",
        "package": "could not be fetched or unpacked",
        "no_scripts": "has no script to run",
        "isolation": "cannot isolate it as its manifest requires",
        "platform": "The platform itself failed",
        "skipped": "switched off",
        "pending": "Attempt 1 failed",
    }.items():
        text = page(person, f"/executions/{rows.executions[reason].pk}/").text
        assert words in text, reason
        assert text.index(words) < text.index("Steps"), f"{reason}: not on top"


def test_a_step_says_what_it_used_and_how_it_was_isolated(rows: Rows, person: Client) -> None:
    row = rows.executions["script_failed"]
    Step.objects.filter(execution=row, attempt=row.attempt).update(
        exit_reason="killed by the memory limit of 512 MB",
        wall_ms=1500,
        cpu_ms=250,
        memory_bytes=512 << 20,
        memory_of="execution",
        output_bytes=2048,
        isolation={"level": "best", "layers": ["limits"], "lacking": {"mounts": "<no> user namespaces"}},
    )
    text = page(person, f"/executions/{row.pk}/").text
    for words in (
        "killed by the memory limit of 512 MB",
        "1.5 s",
        "250 ms",
        "512.0 MiB",
        "execution",
        "2.0 KiB",
    ):
        assert words in text, words
    assert "without mounts: <no> user namespaces" in text


def test_an_event_says_why_services_did_not_run(rows: Rows, person: Client) -> None:
    from ferris_web.executions.models import Event

    small = Event.objects.filter(type="quakes.quake.detected", data__magnitude__lt=4.5).first()
    assert small is not None
    text = page(person, f"/events/{small.pk}/").text
    assert "data.magnitude is" in text
    assert '"numeric": [">=", 4.5]' in text


def test_the_log_is_filtered_and_searched(rows: Rows, person: Client) -> None:
    pk = rows.executions["script_failed"].pk
    whole = page(person, f"/executions/{pk}/log/").html
    assert whole.count('<li id="L') == 36
    assert '<span class="ansi-32">ok</span>' in whole
    errors = page(person, f"/executions/{pk}/log/?level=error").html
    assert errors.count('<li id="L') == 6
    found = page(person, f"/executions/{pk}/log/?find=CATALOGUE").html
    assert found.count('<li id="L') == 6
    few = page(person, f"/executions/{pk}/log/?lines=5").html
    assert few.count('<li id="L') == 5
    assert "Earlier lines are not shown." in few
    assert "Earlier lines" not in page(person, f"/executions/{pk}/log/?lines=36").html


def test_a_page_has_fewer_of_long_lines(rows: Rows, person: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    from ferris_web.console import logs

    pk = rows.executions["script_failed"].pk
    lines = [dataclasses.replace(line, message="x" * 16_000) for line in logs.lines_back(str(pk), piece=100)]
    monkeypatch.setattr(logs, "lines_back", lambda pk, piece: iter(lines))
    few = page(person, f"/executions/{pk}/log/").html
    assert few.count('<li id="L') == 12
    assert "Earlier lines" in few
    more = page(person, f"/executions/{pk}/log/?lines=2000").html  # as its link says
    assert more.count('<li id="L') == 36
    assert page(person, f"/executions/{pk}/log/?lines=1").html.count('<li id="L') == 1


def test_a_page_reads_no_more_of_a_long_log_than_it_shows(
    rows: Rows, person: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = rows.executions["script_failed"]
    written = [
        {
            "execution": str(row.pk), "attempt": 9, "seq": n + 1, "time": "2026-03-01T12:00:00.120Z", "step": "run.py",
            "stream": "stdout", "level": "error" if n % 20 == 0 else "info", "message": f"line {n}", "service": "one",
            "flow": row.flow_id,
        }
        for n in range(5000)
    ]  # fmt: skip
    wiring.ops_store().write("logs", written)
    read = lines_read(monkeypatch)
    shown = page(person, f"/executions/{row.pk}/log/").html
    assert shown.count('<li id="L') == 500
    assert "line 4500<" in shown
    assert "line 4999<" in shown
    assert sum(read) <= 501
    read.clear()
    errors = page(person, f"/executions/{row.pk}/log/?level=error&lines=50").html
    assert errors.count('<li id="L') == 50
    assert "line 4980<" in errors
    assert sum(read) <= 2000
    every = page(person, f"/executions/{row.pk}/log/?level=error").html
    assert every.count('<li id="L') == 256
    assert "Earlier lines" not in every


def lines_read(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many lines the store gives from now on, call by call."""
    given: list[int] = []
    store = wiring.ops_store()

    def counted(real: Callable[..., list[Any]]) -> Callable[..., list[Any]]:
        def read(*args: Any, **kwargs: Any) -> list[Any]:
            lines = real(*args, **kwargs)
            given.append(len(lines))
            return lines

        return read

    for name in ("logs", "last_logs"):
        monkeypatch.setattr(store, name, counted(getattr(store, name)))
    return given


def test_the_whole_log_is_downloaded(rows: Rows, person: Client) -> None:
    answer = person.get(f"/executions/{rows.executions['load'].pk}/log.txt")
    text = b"".join(answer.streaming_content).decode()
    assert text.count("\n") == 36
    assert answer["Content-Type"].startswith("text/plain")
    assert "attachment" in answer["Content-Disposition"]


def test_secrets_are_named_and_never_shown(rows: Rows, person: Client) -> None:
    for address in addresses(rows):
        html = person.get(address).content.decode()
        assert "s3cr3t" not in html, address
        assert "gAAAA" not in html, f"{address}: an encrypted value"
    assert "webhook" in page(person, "/services/quakes_alert/settings/").html


def test_a_long_flow_is_drawn_in_groups(rows: Rows, person: Client) -> None:
    shown = page(person, f"/flows/{rows.long_flow}/")
    assert shown.html.count('<rect class="box') < 60
    assert "40 events" in shown.text


def test_the_first_load_is_light(rows: Rows, person: Client) -> None:
    """Page, style, scripts and drawings of the heaviest usual pages, uncompressed."""
    from django.contrib.staticfiles import finders

    files = (
        "console/console.css",
        "console/console.js",
        "console/unsent.js",
        "console/log.js",
        "console/icons.svg",
        "console/favicon.svg",
    )
    static = sum(Path(finders.find(name)).stat().st_size for name in (*files, "django_htmx/htmx-4.min.js"))
    for address in ("/", "/executions/", f"/executions/{rows.executions['load'].pk}/"):
        assert static + len(person.get(address).content) < 300_000, address
