"""The long lists: one definition of filters for console and API, histogram, export, what is to come."""

from __future__ import annotations

import codecs
import csv
import io
import json
import re
from datetime import UTC, datetime, timedelta

import pytest
from django.core.cache import cache
from django.http import QueryDict
from django.test import Client
from django.urls import reverse

from ferris_web.executions.listings import DEAD_LETTERS, EVENTS, EXECUTIONS, FLOWS, LISTINGS, SERVICES
from ferris_web.executions.models import DeadLetter, Event, Execution
from tests.web.console_pages import page
from tests.web.console_rows import Rows

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def _asked(listing, text):
    return listing.read(QueryDict(text), NOW)


def test_what_is_asked_is_read_or_refused_at_its_field() -> None:
    asked = _asked(
        EXECUTIONS, "q=A_01&status=failed,open&trigger=manual&since=24h&until=2026-03-01T11:00:00Z"
    )
    assert not asked.errors
    assert asked.values["status"] == ("failed", "open")
    assert asked.values["since"] == NOW - timedelta(days=1)
    assert EXECUTIONS.of(asked.to_json()).values == asked.values
    wrong = _asked(EXECUTIONS, "status=lost&since=soon&service=%00&until=2026-13-01")
    assert set(wrong.errors) == {"status", "since", "service", "until"}
    assert "failed" in wrong.errors["status"]
    assert "24h" in wrong.errors["since"]
    assert _asked(EXECUTIONS, "from=2026-03-02&until=2026-03-01").errors["until"]
    assert _asked(EXECUTIONS, "from=2026-03-01T10:00:00 01:00").values["since"].hour == 9
    assert _asked(SERVICES, "runs=true").values == _asked(SERVICES, "state=active").values
    assert _asked(FLOWS, "overdue=false").values == {}
    assert _asked(EXECUTIONS, "since=99999d").values or _asked(EXECUTIONS, "since=99999d").errors
    assert _asked(EXECUTIONS, "unknown=1&q=").values == {}


def test_the_api_refuses_what_is_wrong_and_takes_what_the_console_takes(rows: Rows, api) -> None:
    answer = api.get("/api/v1/executions/?status=lost&since=soon")
    assert answer.status_code == 400
    assert {error["field"] for error in answer.json()["errors"]} == {"status", "since"}
    count = Execution.objects.filter(status="failed", reason="timeout").count()
    assert len(api.get("/api/v1/executions/?status=failed&reason=timeout").json()["results"]) == count > 0
    assert len(api.get("/api/v1/events/?matched=none&type=reports.*").json()["results"]) == (
        Event.objects.filter(matched=0, type__startswith="reports.").count()
    )
    assert len(api.get("/api/v1/dead-letters/?sent=no").json()["results"]) == DeadLetter.objects.count()
    assert api.get("/api/v1/dead-letters/?sent=yes").json()["results"] == []


def test_an_error_stands_at_its_field_and_nothing_is_shown(rows: Rows, person: Client) -> None:
    shown = page(person, "/executions/?status=lost&from=never")
    assert 'id="f-status-error">is &#x27;lost&#x27;' in shown.html
    assert shown.html.count('aria-invalid="true"') == 2
    assert "<tr id=" not in shown.html


def test_filters_are_in_the_address_and_cleared_at_once(rows: Rows, person: Client) -> None:
    for listing in LISTINGS.values():
        address = reverse(f"console:{listing.name}")
        assert " data-clear hidden" in page(person, address).html, listing.name
        shown = page(person, f"{address}?q=x")
        assert f'href="{address}?all=1" data-clear>' in shown.html, listing.name
        assert 'value="x"' in shown.html, listing.name


def test_a_histogram_counts_by_outcome_and_each_column_is_a_filter(rows: Rows, person: Client) -> None:
    cache.clear()
    answer = person.get("/lists/executions/histogram/?since=24h&service=make_report")
    chart = answer.context["chart"]
    since = datetime.now(UTC) - timedelta(days=1)
    found = Execution.objects.filter(service__name="make_report", created_at__gte=since)
    assert chart.total == found.count() > 0
    assert {text: n for _, text, n in chart.legend}["failed"] == found.filter(status="failed").count()
    assert len(chart.columns) <= 61
    amount = 0
    for column in chart.columns:
        assert "service=make_report" in column.href
        assert "since=24h" not in column.href
        if column.bars:
            amount += len(person.get(column.href).context["page"])
    assert amount == chart.total
    for name in ("events", "flows", "dead-letters"):
        assert person.get(f"/lists/{name}/histogram/").context["chart"].total > 0, name
    assert person.get("/lists/services/histogram/").context["chart"] is None
    assert person.get("/lists/executions/histogram/?status=lost").context["chart"] is None
    assert person.get("/lists/executions/histogram/?service=nobody").context["chart"] is None
    assert person.get("/lists/nothing/histogram/").status_code == 404


@pytest.mark.parametrize("since", ["1h", "24h", "7d", "30d"])
def test_each_time_below_a_histogram_stands_below_its_column(rows: Rows, person: Client, since: str) -> None:
    html = person.get(f"/lists/executions/histogram/?since={since}").content.decode()
    begun = re.findall(r'data-from="([^"]+)"', html)
    told = re.findall(r'<text x="([0-9.]+)%"[^>]*>([^<]+)</text>', html)
    assert 3 <= len(told) <= 6  # as many as a phone's width has room for
    for place, said in told:
        start = datetime.fromisoformat(begun[round(float(place) / 100 * len(begun))])
        assert said == (f"{start:%H:%M}" if ":" in said else f"{start:%d %b}"), (place, said)


def test_a_histogram_is_one_query_and_kept_for_a_moment(
    rows: Rows, person: Client, django_assert_max_num_queries
) -> None:
    cache.clear()
    with django_assert_max_num_queries(6):
        person.get("/lists/executions/histogram/")
    with django_assert_max_num_queries(3):
        person.get("/lists/executions/histogram/")


def test_a_list_is_had_as_csv_and_as_json_lines(rows: Rows, person: Client) -> None:
    for name, model in (("executions", Execution), ("events", Event), ("dead-letters", DeadLetter)):
        text = b"".join(person.get(f"/lists/{name}/export/?format=jsonl").streaming_content)
        assert len([json.loads(line) for line in text.splitlines()]) == model.objects.count(), name
    answer = person.get("/lists/executions/export/?format=csv&status=failed")
    assert answer["Content-Disposition"].startswith('attachment; filename="ferris-executions-')
    lines = list(csv.DictReader(io.StringIO(b"".join(answer.streaming_content).decode("utf-8-sig"))))
    assert len(lines) == Execution.objects.filter(status="failed").count()
    assert {line["status"] for line in lines} == {"failed"}
    assert [line["created_at"] for line in lines] == sorted((x["created_at"] for x in lines), reverse=True)
    for name in ("flows", "services"):
        assert b"".join(person.get(f"/lists/{name}/export/?format=csv").streaming_content).count(b"\n") > 1
    assert person.get("/lists/executions/export/?format=xls").status_code == 400
    assert b"status" in person.get("/lists/executions/export/?status=lost").content


def test_a_spreadsheet_knows_the_letters_of_what_people_save(rows: Rows, administrator: Client) -> None:
    """By a mark at the beginning, which programs do not get: to them it were part of the first name."""
    for address in ("lists/executions/export/", "search/export/", "audit/export/"):
        for form, begins in (("csv", True), ("jsonl", False)):
            text = b"".join(administrator.get(f"/{address}?format={form}"))
            assert text.startswith(codecs.BOM_UTF8) == begins, address
            assert text.count(codecs.BOM_UTF8) == begins, address
    assert b"".join(administrator.get("/api/v1/lists/executions/file/?form=csv")).startswith(b"id,")


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@x", "\tx", "\r=x"])
def test_no_cell_is_a_formula(rows: Rows, person: Client, text: str) -> None:
    pk = Execution.objects.filter(status="failed").first().pk
    Execution.objects.filter(pk=pk).update(error=text)
    answer = person.get("/lists/executions/export/?format=csv&status=failed")
    body = b"".join(answer.streaming_content).decode("utf-8-sig")
    errors = {line["id"]: line["error"] for line in csv.DictReader(io.StringIO(body, newline=""))}
    assert errors[str(pk)] == "'" + text


def test_an_export_is_read_in_pages(rows: Rows, person: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ferris_web.executions.listings.export._AT_ONCE", 7)
    text = b"".join(person.get("/lists/executions/export/?format=jsonl").streaming_content)
    ids = [json.loads(line)["id"] for line in text.splitlines()]
    assert ids == [
        str(pk) for pk in Execution.objects.order_by("-created_at", "-id").values_list("pk", flat=True)
    ]


def test_what_the_clock_will_start_is_in_the_list(rows: Rows, person: Client) -> None:
    name = rows.schedule.service.name
    assert "All that is to come" in page(person, "/executions/").html
    shown = page(person, f"/executions/?status=scheduled&service={name}")
    assert rows.schedule.cron in shown.html
    assert "All that is to come" not in page(person, "/executions/?status=failed").html


def test_nobody_sees_lists_without_signing_in(rows: Rows, client: Client) -> None:
    for address in ("/lists/executions/histogram/", "/lists/executions/export/"):
        assert client.get(address).status_code == 302


def test_every_list_can_be_filtered_by_all_its_fields(rows: Rows, api) -> None:
    """No filter reads a list as a whole, or fails."""
    for listing in (EXECUTIONS, EVENTS, FLOWS, DEAD_LETTERS, SERVICES):
        for one in listing.fields:
            value = one.options[0][0] if one.options else "1h" if one.kind == "moment" else "x.*"
            answer = api.get(f"/api/v1/{listing.name}/?{one.name}={value}")
            assert answer.status_code == 200, (listing.name, one.name, answer.content)


def test_a_file_and_a_histogram_hold_only_what_one_may_see(rows: Rows, client: Client) -> None:
    from ferris_web.accounts.models import Membership, User
    from ferris_web.catalog.models import Project

    ben = User.objects.create_user("ben", password="a long password")
    Membership.objects.filter(user=ben).delete()
    client.force_login(ben)
    assert b"".join(client.get("/lists/executions/export/?format=jsonl").streaming_content) == b""
    Membership.objects.create(user=ben, project=Project.objects.get(name="reports"), role="viewer")
    text = b"".join(client.get("/lists/executions/export/?format=jsonl").streaming_content)
    theirs = Execution.objects.filter(service__project__name="reports")
    assert {json.loads(line)["project"] for line in text.splitlines()} == {"reports"}
    assert len(text.splitlines()) == theirs.count()
    recent = theirs.filter(created_at__gte=datetime.now(UTC) - timedelta(hours=24)).count()
    chart = client.get("/lists/executions/histogram/?since=24h").context["chart"]
    assert chart.total == recent > 0
    assert '<option value="quakes"' not in page(client, "/executions/").html
    assert b"".join(client.get("/api/v1/lists/executions/file/").streaming_content) == text
    cache.clear()
    spans = client.get("/api/v1/lists/executions/histogram/?since=24h").json()
    assert spans["total"] == recent == sum(sum(span["counts"].values()) for span in spans["spans"])
    empty = client.get("/api/v1/lists/executions/histogram/?service=nothing").json()
    assert (empty["since"], empty["total"], empty["spans"]) == (None, 0, [])
    for wrong, status in (
        ("services/histogram/", 404),
        ("nothing/file/", 404),
        ("events/file/?form=xls", 400),
    ):
        assert client.get(f"/api/v1/lists/{wrong}").status_code == status
    assert client.get("/api/v1/lists/executions/histogram/?status=lost").status_code == 400
