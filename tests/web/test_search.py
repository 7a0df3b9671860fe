"""Searching operational records: the page, the API, the command; and that nobody finds what is another's."""

from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from django.core.cache import cache
from django.test import Client, override_settings
from django.urls import reverse

from ferris.adapters import kibana
from ferris_web import wiring
from ferris_web.accounts.models import Membership, User
from ferris_web.catalog.models import Project, Service
from ferris_web.executions.models import Event, Execution
from ferris_web.executions.searching import over_time, search_for
from tests.web.console_fixtures import HOSTILE
from tests.web.console_pages import Page, page
from tests.web.console_rows import Rows

QUERIES = ("", "found", "found OR secret", "-nothing", "service:*", "NOT level:x", "execution:* OR flow:*")


def _page(client: Client, name: str, query: dict[str, str]) -> Page:
    return Page(client.get(reverse(f"console:{name}"), query).content.decode())


def _execution(project: str) -> Execution:
    runs = Execution.objects.filter(service__project__name=project).select_related("service", "event")
    other = Execution.objects.exclude(service__project__name=project).values("flow_id")
    return runs.exclude(flow_id__in=other).order_by("-created_at", "-pk")[0]


@pytest.fixture
def written(rows: Rows, db: None) -> dict[str, Execution]:
    """A line, an event and a report of each of two projects, of just now."""
    cache.clear()
    store, now = wiring.ops_store(), datetime.now(UTC)
    found = {name: _execution(name) for name in ("reports", "quakes")}
    for n, (name, run) in enumerate(found.items()):
        at = (now - timedelta(minutes=5 + n)).isoformat()
        named = {"service": run.service.name, "flow": run.flow_id, "execution": str(run.pk)}
        run.flow_row = Event.objects.filter(flow_id=run.flow_id)
        line = {
            **named, "attempt": 9, "seq": 1, "time": at, "step": "run.py", "stream": "stdout", "level": "error",
            "message": f"found a secret of {name} {HOSTILE}",
        }  # fmt: skip
        store.write("logs", [line])
        key = str(run.event.pk)
        event = {"key": key, "time": at, "type": run.event.type, "source": "x", "flow": run.flow_id}
        store.write("events", [{**event, "data": {"of": name, "n": n, "word": "found", "bad": HOSTILE}}])
        report = {"key": f"r-{name}", "time": at, "type": "ferris.execution.started", "source": "ferris"}
        store.write("lifecycle", [{**report, **named, "data": {"of": name, "word": "found"}}])
        store.write("metrics", [{**event, "data": {"of": name, "word": "found"}}])
    return found


def _member(project: str | None, role: str = "viewer") -> Client:
    person = User.objects.create_user(f"of-{project}", password="a long password")
    Membership.objects.filter(user=person).delete()
    if project:
        Membership.objects.create(user=person, project=Project.objects.get(name=project), role=role)
    client = Client()
    client.force_login(person)
    return client


def _key(kind: str, run: Execution, project: str) -> str:
    return {"logs": f"{run.pk}:{(9 << 40) + 1}", "lifecycle": f"r-{project}"}.get(kind, str(run.event.pk))


@pytest.mark.parametrize("kind", ["logs", "events", "lifecycle", "metrics"])
def test_nobody_finds_what_is_anothers(written, kind) -> None:
    client, nobody = _member("reports"), _member(None)
    theirs = written["quakes"]
    for query in (
        *QUERIES,
        f'flow:"{theirs.flow_id}"',
        f"service:{theirs.service.name}",
        "quakes",
        "data.of:quakes",
    ):
        if kind == "logs" and "data." in query:
            continue
        asked = {"query": query, "since": "1h"}
        found = client.get(f"/api/v1/search/{kind}/", asked).json()["results"]
        said = json.dumps([one.get("data") or one.get("message") for one in found])
        assert "secret of quakes" not in said, query
        assert '"of": "quakes"' not in said, query
        by = "execution" if kind == "logs" else "key"
        counts = client.get(f"/api/v1/search/{kind}/counts/", {**asked, "by": by}).json()["results"]
        assert not {str(theirs.pk), _key(kind, theirs, "quakes")} & {one["value"] for one in counts}, query
        file = b"".join(client.get(f"/api/v1/search/{kind}/file/", asked).streaming_content).decode()
        assert "secret of quakes" not in file, query
        assert '"of":"quakes"' not in file, query
        shown = client.get(reverse("console:search"), {"kind": kind, "q": query}).content.decode()
        assert _key(kind, theirs, "quakes") not in shown, query
        assert nobody.get(f"/api/v1/search/{kind}/", asked).json()["results"] == []
        assert nobody.get(f"/api/v1/search/{kind}/counts/", {**asked, "by": "day"}).json()["results"] == []
    assert client.get(f"/api/v1/search/{kind}/", {"query": "found", "since": "1h"}).json()["results"]
    for who, project, status in ((client, "reports", 200), (client, "quakes", 404), (nobody, "reports", 404)):
        key = _key(kind, written[project], project)
        assert who.get(f"/api/v1/search/{kind}/records/{key}/").status_code == status
        assert who.get(reverse("console:search-record"), {"kind": kind, "key": key}).status_code == status


def test_members_everywhere_and_administrators_find_all(written, administrator) -> None:
    for client in (administrator, _everywhere()):
        for kind in ("logs", "events", "lifecycle", "metrics"):
            found = client.get(f"/api/v1/search/{kind}/", {"query": "found", "since": "1h"}).json()["results"]
            assert len(found) >= 2


def _everywhere() -> Client:
    person = User.objects.create_user("everywhere", password="a long password")
    Membership.objects.filter(user=person).delete()
    Membership.objects.create(user=person, role="viewer")
    client = Client()
    client.force_login(person)
    return client


def test_who_is_not_signed_in_finds_nothing(client, db) -> None:
    for name in ("search", "search-histogram", "search-values", "search-export", "search-record"):
        assert client.get(reverse(f"console:{name}")).status_code == 302
    assert client.get("/api/v1/search/logs/").status_code == 401


def test_the_page_finds_counts_and_leads_on(written, administrator) -> None:
    answer = administrator.get(reverse("console:search"), {"q": "found level:error", "kind": "logs"})
    shown = Page(answer.content.decode())
    assert "found a secret of reports" in shown.text
    assert not shown.dangers
    assert [link for link in shown.links if "/search/record/" in link]
    chart = administrator.get(
        reverse("console:search-histogram"), {"q": "found", "since": "1h"}
    ).content.decode()
    assert "data-columns" in chart
    assert "from=" in chart
    values = administrator.get(reverse("console:search-values"), {"q": "found", "field": "service"})
    assert written["reports"].service.name in values.content.decode()
    more = [link for link in Page(values.content.decode()).links if "service%3A" in link]
    followed = page(administrator, more[0])
    assert "found a secret" in followed.text
    assert "that the tests do not know" not in followed.text


@pytest.mark.parametrize(
    ("kind", "query", "marks"),
    [
        ("logs", "found level:error", {"found", "error"}),
        ("logs", '"secret of reports" script', {"secret of reports", "script"}),
        ("logs", "script OR found -nothing", {"script", "found"}),
        ("logs", "level:error service:make_*", {"error", "make_report"}),
        ("events", "data.of:quakes", {"quakes"}),
        ("events", "data.n:<1 alert*", {"0", "alert"}),
        ("lifecycle", "type:ferris.execution.*", {"ferris.execution.started"}),
        ("metrics", "found", {"found"}),
    ],
)
def test_what_fits_is_marked(written, administrator, kind, query, marks) -> None:
    answer = administrator.get(reverse("console:search"), {"q": query, "kind": kind, "since": "1h"})
    said = answer.content.decode()
    assert set(re.findall("<mark>(.*?)</mark>", said)) == marks
    shown = Page(said)
    assert not shown.dangers
    assert not shown.unclosed
    assert "<mark>" not in _html(administrator, {"kind": kind, "since": "1h"})


def _html(client: Client, query: dict[str, str]) -> str:
    return client.get(reverse("console:search"), query).content.decode()


def test_marks_in_hostile_and_in_long_texts(written, administrator) -> None:
    run = written["reports"]
    line = {"execution": str(run.pk), "attempt": 9, "time": datetime.now(UTC).isoformat()}
    texts = (
        "<mark>needle</mark><script>needle()</script>",
        "&lt;needle&gt;&amp;",
        "x " * 2000 + "needle" + " y" * 2000,
        "needle " * 100_000,
        "y" * 1_000_000 + " needle",
    )
    wiring.ops_store().write(
        "logs", [{**line, "seq": n + 50, "message": text} for n, text in enumerate(texts)]
    )
    for query, expected in (
        ("needle", "&lt;mark&gt;<mark>needle</mark>&lt;/mark&gt;"),
        ('needle OR script OR "lt"', "&amp;<mark>lt</mark>;<mark>needle</mark>&amp;gt;"),
    ):
        said = _html(administrator, {"q": query, "since": "1h"})
        shown = Page(said)
        assert not shown.dangers
        assert not shown.unclosed
        assert "<script>needle" not in said
        assert expected in said
        assert "x <mark>needle</mark> y" in said, "a long line is cut around what was found"
        assert len(said) < 40_000


def test_a_wrong_query_is_pointed_at(written, administrator) -> None:
    shown = _page(administrator, "search", {"q": "found AND (level:error"})
    assert 'has a "(" that is not closed' in shown.text
    assert "at character 11" in shown.text
    assert administrator.get(reverse("console:search-histogram"), {"q": "("}).status_code == 200
    answer = administrator.get("/api/v1/search/logs/", {"query": "colour:red"})
    assert answer.status_code == 400
    assert "no field" in json.dumps(answer.json())
    assert answer.json()["type"].endswith("/problems/invalid-request/")  # a query is no event
    assert answer.json()["errors"][0]["field"] == "query"
    for query in ("kind=gossip", "since=soon", "cursor=zzz", "from=2026-02-31", "q=%00"):
        assert administrator.get(f"{reverse('console:search')}?{query}").status_code == 200
    assert administrator.get("/api/v1/search/gossip/").status_code == 404
    assert administrator.get("/api/v1/search/logs/", {"cursor": "zzz"}).status_code == 400
    assert administrator.get("/api/v1/search/logs/counts/").status_code == 400
    assert administrator.get("/api/v1/search/logs/counts/", {"by": "x') --"}).status_code == 400


HOSTILE_QUERIES = (
    "*" * 500, "a*" * 200, "x:*a*b*", "(" * 400, '"' + "a " * 400, "NOT " * 200, HOSTILE, "field:/.*(a+)+$/",
    '{"query":{"match_all":{}}}', "_exists_:x", "x' OR '1'='1", "data.x:$[0]",
)  # fmt: skip


@pytest.mark.parametrize("hostile", HOSTILE_QUERIES)
def test_hostile_queries_are_answered_or_refused(written, administrator, hostile) -> None:
    for kind in ("logs", "events"):
        answer = administrator.get(f"/api/v1/search/{kind}/", {"query": hostile})
        assert answer.status_code in (200, 400)
    assert not _page(administrator, "search", {"q": hostile, "kind": kind}).dangers


def test_pages_by_cursor_meet(written, administrator) -> None:
    seen: list[str] = []
    url = "/api/v1/search/logs/?limit=7&query=step:report.py"
    while url:
        said = administrator.get(url).json()
        seen += [f"{one['execution']}:{one['cursor']}" for one in said["results"]]
        url = said["next"]
    assert len(seen) == len(set(seen)) > 20
    first = _page(administrator, "search", {"q": "step:report.py", "since": "3650d"})
    older = next(link for link in first.links if "cursor=" in link)
    second = page(administrator, older)
    assert not set(_records(first)) & set(_records(second))


def _records(shown) -> list[str]:
    return [link for link in shown.links if "/search/record/" in link]


def test_the_file_has_what_the_page_has(written, administrator) -> None:
    answer = administrator.get(reverse("console:search-export"), {"q": "found", "format": "csv"})
    assert answer.headers["Content-Disposition"].startswith("attachment")
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    lines = list(csv.DictReader(io.StringIO(b"".join(answer.streaming_content).decode())))
    assert {one["service"] for one in lines} >= {run.service.name for run in written.values()}
    answer = administrator.get(
        reverse("console:search-export"), {"q": "found", "kind": "events", "format": "jsonl"}
    )
    read = [json.loads(line) for line in b"".join(answer.streaming_content).splitlines()]
    assert {one["data"]["of"] for one in read if "of" in one["data"]} == {"reports", "quakes"}
    for query in ({"q": "("}, {"format": "exe"}):
        assert administrator.get(reverse("console:search-export"), query).status_code == 400


def test_a_cell_is_no_formula(written, administrator) -> None:
    run = written["reports"]
    line = {
        "execution": str(run.pk), "attempt": 9, "seq": 2, "time": datetime.now(UTC).isoformat(),
        "message": "=HYPERLINK(formula)", "service": run.service.name,
    }  # fmt: skip
    wiring.ops_store().write("logs", [line])
    answer = administrator.get(reverse("console:search-export"), {"q": "formula", "format": "csv"})
    (read,) = csv.DictReader(io.StringIO(b"".join(answer.streaming_content).decode()))
    assert read["message"].startswith("'=")


def test_one_record_shows_all_and_leads_to_what_it_names(written, administrator) -> None:
    run = written["reports"]
    shown = _page(administrator, "search-record", {"kind": "logs", "key": _key("logs", run, "")})
    assert not shown.dangers
    assert f"/executions/{run.pk}/" in shown.links
    assert f"/services/{run.service.name}/" in shown.links
    assert any(run.flow_id in link for link in shown.links)
    shown = _page(administrator, "search-record", {"kind": "events", "key": str(run.event.pk)})
    assert f"/events/{run.event.pk}/" in shown.links
    for key in (
        "",
        "x",
        ":",
        "a:b",
        'x" OR key:*',
        "\0",
        f"{run.pk}:99999999999999999999999",
        "x" * 5000,
        f"{run.pk}:²",
    ):
        for kind in ("logs", "events", "gossip"):
            answer = administrator.get(reverse("console:search-record"), {"kind": kind, "key": key})
            assert answer.status_code == 404


def test_over_time(written, administrator, settings) -> None:
    admin = User.objects.filter(is_staff=True)[0]
    now = datetime.now(UTC)
    for asked_for, at_most in (
        ({"since": "1h"}, 61),
        ({"since": "3650d"}, 61),
        ({}, 61),
        ({"since": "15m"}, 16),
    ):
        from django.http import QueryDict

        from ferris_web.executions.searching import SEARCH

        query = QueryDict(mutable=True)
        query.update({"q": "found", **asked_for})
        made = over_time(search_for(admin, SEARCH.read(query, now)), now)
        assert made is not None
        assert made.total >= 2
        assert len(made.buckets) <= at_most
    query["q"] = "nothing-that-is-there"
    assert over_time(search_for(admin, SEARCH.read(query, now)), now) is None


def test_a_page_takes_a_fixed_number_of_queries(written, django_assert_max_num_queries) -> None:
    client = _member("reports")
    client.get(reverse("console:search"))
    with django_assert_max_num_queries(8):
        client.get(reverse("console:search"), {"kind": "events"})


def test_services_of_a_project_that_has_none_find_nothing(written) -> None:
    project = Project.objects.create(name="empty-one")
    assert not Service.objects.filter(project=project).exists()
    client = _member("empty-one")
    for kind in ("logs", "events"):
        assert client.get(f"/api/v1/search/{kind}/").json()["results"] == []
    assert "Nothing found" in _page(client, "search", {}).text


def test_kibana_opens_with_the_same_search(written, administrator, person) -> None:
    address = "https://kibana.example/"
    asked = {"q": "found level:error", "kind": "logs", "from": "2026-11-24T03:00:00Z"}
    assert "discover" not in _html(administrator, asked)
    with override_settings(FERRIS=replace(wiring.config(), kibana_url=address)):
        (link,) = _discover(administrator, asked)
        since = datetime(2026, 11, 24, 3, tzinfo=UTC)
        assert link == kibana.discover(address, "logs", "found level:error", since)
        for query in (HOSTILE, "\"')),x:(" + HOSTILE, *HOSTILE_QUERIES):
            shown = _page(administrator, "search", {"q": query})
            assert not shown.dangers
            assert not shown.unclosed
            (link,) = _discover(administrator, {"q": query})
            assert link.startswith(address + "app/discover#/?_g=(time:(")
        said = _html(administrator, {"q": "found-a*"})
        assert "Without the query, which Kibana cannot take" in said
        assert not _discover(person, asked)


def _discover(client: Client, query: dict[str, str]) -> list[str]:
    return [link for link in _page(client, "search", query).links if "discover" in link]
