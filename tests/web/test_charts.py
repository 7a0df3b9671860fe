"""Charts that people define: what is counted, once; what is fetched, and kept; who may do what."""

from __future__ import annotations

import io
import json
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import jsonschema
import pytest
from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import dateformat, translation

from ferris import chart_json
from ferris.artifacts import BUCKET
from ferris.charts import Chart as Drawing
from ferris.charts import Series
from ferris.config import CHANGES, ROOT
from ferris.public_addresses import networks
from ferris_web import wiring
from ferris_web.accounts.models import Membership, User
from ferris_web.accounts.services import token_create
from ferris_web.catalog.models import Project, Service
from ferris_web.catalog.secrets import secret_set
from ferris_web.console.plots import Plot, plot
from ferris_web.executions.charted import TRIED, Charted, charted, tried
from ferris_web.executions.figures import PERIODS
from ferris_web.executions.models import Artifact, Chart, ChartEntry, ChartSum, Execution
from ferris_web.executions.services import charts
from ferris_web.executions.services.chart_answers import (
    answers_note,
    artifacts_look,
    ask,
    questions_claim,
)
from ferris_web.executions.services.chart_counting import AT_ONCE, entries_piece, fill_piece
from gateway.asker import Asker
from gateway.charter import Charter
from gateway.notices import Notices
from gateway.roller import ROLLED
from tests.web.calling import Caller, problem_of
from tests.web.console_pages import page
from tests.web.platform import dispatch, event, service
from tests.web.receivers import Receiver

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("backends")]

HERE = networks(["127.0.0.0/8"])
DAY = PERIODS["24h"]


@pytest.fixture
def shop() -> Service:
    """Listens to orders."""
    return service("charge", "shop.order", project="shop")


def now() -> datetime:
    return datetime.now(UTC)


def made(project: str | None = "shop", past: bool = True, **given: Any) -> Chart:
    owner = None if project is None else Project.objects.get(name=project)
    said = {"title": "Orders", "kind": "bar", "source": "events", "event_type": "shop.order", **given}
    return charts.chart_save(said, now=now(), project=owner, past=past)


def orders(*totals: Any, at: datetime | None = None, **more: Any) -> list[Any]:
    batch = [event("shop.order", {"total": total, **more}, id=uuid4().hex) for total in totals]
    dispatch(*batch, now=at or now())
    return batch


def shown(chart: Chart, at: datetime | None = None) -> Charted:
    [found] = charted([charts.chart_get(chart.pk)], DAY, at or now())
    return found


def whole(chart: Chart) -> float:
    return sum(value or 0 for one in shown(chart).drawn.series for value in one.values)


def fill(at: datetime) -> int:
    read = 0
    while piece := fill_piece(at).read:
        read += piece
    return read


# --- events ------------------------------------------------------------------------------------------


def test_what_comes_counts_once_whatever_is_done_twice(shop: Service) -> None:
    chart = made(aggregate="sum", value_path="data.total", group_path="data.shop")
    batch = orders(3, 4, shop="north") + orders(5, shop="south") + orders("none", True, shop="north")
    dispatch(*batch, now=now())  # the router reads them again
    assert ChartEntry.objects.count() == 5
    with pytest.raises(RuntimeError), connection.execute_wrapper(_dies_at("DELETE")):
        entries_piece()  # killed between the sums and their end
    assert entries_piece() == 5
    assert entries_piece() == 0
    dispatch(*batch, now=now())
    assert entries_piece() == 0
    found = shown(chart)
    assert {one.name: sum(v or 0 for v in one.values) for one in found.drawn.series} == {
        "north": 7,
        "south": 5,
    }
    assert (found.left_out, found.row.feed.counted) == (2, 3)
    assert ChartSum.objects.filter(span="day").count() == 2


def _dies_at(word: str) -> Any:
    def wrap(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if sql.startswith(word):
            raise RuntimeError("killed")
        return execute(sql, params, many, context)

    return wrap


def test_the_past_and_what_comes_meanwhile_count_once_each(shop: Service) -> None:
    begin = now() - timedelta(hours=30)
    for n in range(3):
        orders(*[1] * 150, at=begin + timedelta(hours=n))
    chart = made()
    orders(1, 1)
    assert entries_piece() == 2
    assert shown(chart).filled == 0.0
    later = now() + timedelta(seconds=1)
    assert fill_piece(later).read == AT_ONCE  # of 450
    assert 0 < shown(chart).filled < 1
    with pytest.raises(RuntimeError), connection.execute_wrapper(_dies_at("UPDATE")):
        fill_piece(later)
    assert fill(later) == 150
    waits = fill_piece(later).again  # what the router may still have under way with the older catalog
    assert waits > later
    assert fill(waits) == 0
    assert fill_piece(waits).again is None
    assert shown(chart).filled is None
    assert charts.chart_get(chart.pk).feed.counted == 452
    assert sum(ChartSum.objects.filter(span="day").values_list("count", flat=True)) == 452
    live = made(past=False)
    assert fill(waits + timedelta(minutes=1)) == 0
    orders(1)
    entries_piece()
    assert (whole(live), whole(chart)) == (1, whole(chart))


def test_a_chart_that_asks_for_something_else_begins_anew(shop: Service) -> None:
    chart = made(group_path="data.shop")
    orders(1, 2, shop="north")
    entries_piece()
    same = charts.chart_save({"kind": "pie", "title": "New"}, now=now(), chart=chart)
    assert same.feed.counted == 2
    orders(9)  # with an entry that was written for what the chart was
    charts.chart_save({"aggregate": "most", "value_path": "data.total"}, now=now(), chart=chart)
    assert entries_piece() == 1
    assert ChartSum.objects.count() == 0
    fill(now() + timedelta(minutes=1))
    assert charts.chart_get(chart.pk).feed.counted == 3
    charts.chart_remove(chart)
    assert ChartSum.objects.count() == 0
    orders(1)
    assert not ChartEntry.objects.exists()


def test_a_project_counts_the_events_of_its_flows_and_the_platform_all(shop: Service) -> None:
    service("other", "bank.*", project="bank")
    mine, platform = made(event_type="*"), made(None, event_type="*")
    bank = event("bank.paid", id="b")
    dispatch(bank, event("nobody.listens", id="n"), now=now())
    orders(1)
    entries_piece()
    assert (whole(mine), whole(platform)) == (1, 3)
    project = Project.objects.get(name="shop")
    draft = charts.chart_draft(
        {"title": "x", "kind": "kpi", "source": "events", "event_type": "*"}, project=project
    )
    assert tried(draft, DAY, now() + timedelta(seconds=1)).drawn.series[0].values == (1,)
    assert TRIED == 2_000


def test_groups_are_bounded_and_a_view_takes_few_queries(shop: Service) -> None:
    chart = made(group_path="data.total", groups_shown=3)
    orders(*range(60))
    entries_piece()
    assert len(charts.chart_get(chart.pk).feed.groups) == 50
    assert [one.name for one in shown(chart).drawn.series] == ["0", "1", "10", "other"]
    assert whole(chart) == 60
    for kind in ("pie", "table", "kpi", "line"):
        made(kind=kind)
    rows = list(charts.chart_list(Project.objects.get(name="shop")))
    with CaptureQueriesContext(
        connection,
    ) as queries:
        charted(rows, DAY, now())
    assert len(queries) == 1


# --- what is fetched ---------------------------------------------------------------------------------


def _left(of: Service, content: bytes, name: str = "chart.json") -> Execution:
    [batch] = orders(1)
    row = Execution.objects.get(event_id=batch.key)
    row.status = "completed"
    row.save()
    artifact = Artifact.objects.create(
        execution=row, attempt=1, step=0, script="run.py", name=name, content_type="application/json",
        size=len(content), day="2026-01-01", created_at=now(),
    )  # fmt: skip
    wiring.object_store().put(BUCKET, artifact.key, io.BytesIO(content))
    return row


def test_what_a_service_leaves_is_drawn_and_what_is_bad_leaves_the_last_good(shop: Service) -> None:
    chart = made(source="artifact", service=shop, artifact="chart.json", kind="pie")
    assert shown(chart).pending
    _left(shop, b'{"labels": ["a", "<b>"], "series": [{"name": "x", "values": [1, 2]}], "unit": "kg"}')
    assert artifacts_look(now()) == 1
    assert artifacts_look(now()) == 0
    found = shown(chart)
    assert (found.drawn.labels, found.drawn.unit, found.problem) == (("a", "<b>"), "kg", "")
    _left(shop, b'{"labels": ["a"], "series": [{"values": [1, 2]}]}')
    artifacts_look(now())
    later = shown(chart)
    assert later.drawn == found.drawn
    assert "series[0].values has 2 values for 1 labels" in later.problem
    assert later.failing_since is not None
    assert later.of == found.of
    _left(shop, b"{}", "another.json")
    artifacts_look(now())
    assert "left no chart.json" in shown(chart).problem


@pytest.fixture
def allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "FERRIS", replace(settings.FERRIS, allow_private=HERE))


def _asked(at: datetime, networks: Any = HERE) -> list[str]:
    questions, _ = questions_claim(at, 8)
    answers = [(one, ask(one, networks)) for one in questions]
    answers_note(answers, at)
    return [answer.problem for _, answer in answers]


@pytest.mark.usefixtures("allowed")
def test_a_url_is_asked_now_and_then_with_a_secret_that_shows_nowhere(
    shop: Service, receiver: Receiver
) -> None:
    secret_set("project", "stock", "Bearer s3cr3t-value", project=shop.project)
    receiver.answers = lambda got: (
        200, {}, json.dumps({"value": 7, "unit": got.headers["authorization"]}).encode()
    )  # fmt: skip
    url = receiver.url + "?key=1"
    chart = made(
        source="url", url=url, every_minutes=5, header="Authorization", header_secret="stock", kind="kpi"
    )
    at = now()
    assert _asked(at) == [""]
    assert _asked(at + timedelta(minutes=4)) == []
    found = shown(chart)
    assert (found.drawn.series[0].values, found.drawn.unit) == ((7,), "•••")
    assert receiver.got[0].path == "/hook?key=1"
    assert receiver.got[0].headers["authorization"] == "Bearer s3cr3t-value"
    for answer, told in [
        ((503, {}, b"Bearer s3cr3t-value"), "HTTP 503"),
        ((302, {"Location": "http://169.254.169.254/"}, b""), "a redirect, which is not followed"),
        ((200, {}, b"Bearer s3cr3t-value"), "the answer: is no JSON"),
        ((200, {}, b"[" + b"1," * 200_000 + b"1]"), "the answer is longer than 256 KiB"),
        ((200, {}, b'{"value": NaN}'), "NaN is no number"),
    ]:
        receiver.answers = lambda got, answer=answer: answer
        at += timedelta(minutes=5)
        [problem] = _asked(at)
        assert told in problem
        assert "s3cr3t" not in problem
    later = shown(chart)
    assert later.drawn == found.drawn
    assert later.of == found.of
    assert later.failing_since == found.of + timedelta(minutes=5)
    receiver.answers = lambda got: (200, {}, b'{"value": 8}')
    _asked(at + timedelta(minutes=5))
    assert (shown(chart).drawn.series[0].values, shown(chart).problem) == ((8,), "")
    assert len(receiver.got) == 7


@pytest.mark.usefixtures("allowed")
def test_an_answer_to_what_was_asked_before_a_change_is_dropped(shop: Service, receiver: Receiver) -> None:
    chart = made(source="url", url=receiver.url, kind="kpi")
    receiver.answers = lambda got: (200, {}, b'{"value": 1}')
    [question], _ = questions_claim(now(), 8)
    assert questions_claim(now(), 8)[0] == []  # another gateway
    charts.chart_save({"url": receiver.url + "2"}, now=now(), chart=chart)
    assert answers_note([(question, ask(question, HERE))], now()) == 0
    assert shown(chart).pending


def test_a_url_leads_nowhere_inside(shop: Service, receiver: Receiver) -> None:
    with pytest.raises(ValidationError, match="not allowed"):
        made(source="url", url=receiver.url, kind="kpi")
    made(source="url", url=f"http://localhost:{receiver.port}/", kind="kpi")
    [problem] = _asked(now(), ())
    assert "not allowed; an administrator can allow" in problem
    assert receiver.got == []


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"source": "files"}, "source"),
        ({"event_type": ""}, "event_type"),
        ({"event_type": "a.*.b"}, "event_type"),
        ({"filter": {"data": {"a": []}}}, "filter"),
        ({"cesql": "data.total >"}, "cesql"),
        ({"aggregate": "sum"}, "value_path"),
        ({"aggregate": "sum", "value_path": "data..x"}, "value_path"),
        ({"group_path": "data"}, ""),
        ({"group_path": "Data.x"}, "group_path"),
        ({"groups_shown": 21}, "groups_shown"),
        ({"kind": "donut"}, "kind"),
        ({"title": "a\0b"}, "title"),
        ({"source": "metrics"}, "service"),
        ({"source": "url", "url": "ftp://example.org"}, "url"),
        ({"source": "url", "url": "https://u:p@example.org"}, "url"),
        ({"source": "url", "url": "https://example.org", "header": "X"}, "header_secret"),
        ({"source": "url", "url": "https://example.org", "header": "Host", "header_secret": "a"}, "header"),
        (
            {"source": "url", "url": "https://example.org", "header": "X", "header_secret": "a"},
            "header_secret",
        ),
        ({"source": "url", "url": "https://example.org", "every_minutes": 0}, "every_minutes"),
    ],
)
def test_what_cannot_be_names_its_field(shop: Service, given: dict[str, Any], field: str) -> None:
    if not field:
        made(**given)
        return
    with pytest.raises(ValidationError) as caught:
        made(**given)
    assert set(caught.value.message_dict) == {field}


# --- over HTTP ---------------------------------------------------------------------------------------


def _caller(role: str, project: str = "shop") -> Caller:
    person = User.objects.create_user(
        f"{role}-{project}", password="a long password", is_staff=role == "root"
    )
    Membership.objects.filter(user=person).delete()
    if role != "root":
        Membership.objects.create(user=person, role=role, project=Project.objects.get(name=project))
    return Caller(token_create(person))


def test_the_api_makes_changes_orders_shows_and_removes(shop: Service) -> None:
    maintainer, viewer = _caller("maintainer"), _caller("viewer")
    service("other", "bank.*", project="bank")
    stranger = _caller("maintainer", "bank")
    said = {"project": "shop", "title": "=Revenue", "kind": "table", "source": "events", "event_type": "shop.order",
            "aggregate": "sum", "value_path": "data.total", "group_path": "data.shop"}  # fmt: skip
    assert viewer.post("/api/v1/charts/", said).status_code == 403
    assert stranger.post("/api/v1/charts/", said).status_code == 404
    assert maintainer.post("/api/v1/charts/", {**said, "project": None}).status_code == 403
    answer = maintainer.post("/api/v1/charts/", {**said, "value_path": ""})
    assert problem_of(answer, 400)["errors"][0]["field"] == "value_path"
    first = maintainer.post("/api/v1/charts/", said).json()
    second = maintainer.post("/api/v1/charts/", {
        "project": "shop", "title": "Stock", "kind": "kpi", "source": "url", "url": "https://example.org/a?key=b",
    }).json()  # fmt: skip
    place = f"/api/v1/charts/{first['id']}/"
    assert stranger.get(place).status_code == 404
    assert stranger.all("/api/v1/charts/") == []
    assert [one["url"] for one in viewer.all("/api/v1/charts/?project=shop")] == [None, None]
    assert second["url"] == "https://example.org/a?key=b"
    tag = viewer.get(place).headers["ETag"]
    own = maintainer.get(place).headers["ETag"]
    assert tag != own  # what may be secret is not in it
    assert maintainer("PUT", place, {"title": "x"}, If_Match='"old"').status_code == 412
    assert maintainer("PUT", place, {"title": "=Revenue by shop"}, If_Match=own).status_code == 200
    assert viewer("PUT", place, {"title": "x"}).status_code == 403
    assert (
        maintainer.post("/api/v1/charts/order/", {"project": "shop", "charts": [second["id"]]}).status_code
        == 204
    )
    assert [one["title"] for one in viewer.all("/api/v1/charts/?project=shop")] == [
        "Stock",
        "=Revenue by shop",
    ]
    orders(4, shop="=cmd()")
    entries_piece()
    data = viewer.get(place + "data/?range=7d").json()
    assert (data["labels"], data["series"][0]) == (["=cmd()"], {"name": "sum", "values": [4.0]})
    csv = viewer.get(place + "data/?format=csv")
    assert csv.content == b"Group,sum,events\r\n'=cmd(),4.0,1\r\n"
    assert stranger.get(place + "data/").status_code == 404
    tried = maintainer.post("/api/v1/charts/preview/", {**said, "kind": "kpi", "range": "24h"}).json()
    assert tried["series"] == [{"name": "sum", "values": [4.0]}]
    assert stranger.post("/api/v1/charts/preview/", said).status_code == 404
    assert viewer.delete(place).status_code == 403
    assert maintainer.delete(place).status_code == 204
    assert maintainer.get(place).status_code == 404
    assert _caller("root").post("/api/v1/charts/", {**said, "project": None}).status_code == 201
    assert len(viewer.all("/api/v1/charts/")) == 1  # the platform's is for members everywhere


# --- in the console ----------------------------------------------------------------------------------


def _browser(role: str, project: str = "shop") -> Client:
    _caller(role, project)
    client = Client()
    client.force_login(User.objects.get(username=f"{role}-{project}"))
    return client


def test_what_a_chart_says_itself_is_in_the_viewers_language_and_english_over_the_api(shop: Service) -> None:
    orders(4, shop="other")
    orders(5)
    grouped = {"aggregate": "sum", "value_path": "data.total", "group_path": "data.shop", "groups_shown": 1}
    table, lines = made(kind="table", **grouped), made(kind="line", period="30d", title="Lines", **grouped)
    made(source="artifact", service=shop, artifact="a.json", kind="table", title="File")
    while entries_piece():
        pass
    fill(now() + timedelta(minutes=1))
    maintainer = _browser("maintainer")
    plots = maintainer.get("/projects/shop/dashboard/", HTTP_ACCEPT_LANGUAGE="de").context["charts"]
    assert plots[0].head == ["Gruppe", "Summe", "Ereignisse"]
    assert [row[0].text for row in plots[0].rows] == ["keine", "andere"]
    assert plots[1].head == ["Tag, UTC", "keine", "andere"]
    with translation.override("de"):
        assert plots[1].rows[-1][0].text == dateformat.format(now(), "d. M")
    assert plots[2].head == ["Bezeichnung"]
    for language in ("de", "en"):
        answers = [
            Caller(token_create(User.objects.get(username="maintainer-shop"))).get(
                f"/api/v1/charts/{one.pk}/data/", HTTP_ACCEPT_LANGUAGE=language
            ).json()
            for one in (table, lines)
        ]  # fmt: skip
        assert [one["name"] for one in answers[0]["series"]] == ["sum", "events"]
        assert answers[0]["labels"] == ["none", "other"]
        assert [one["name"] for one in answers[1]["series"]] == ["none", "other"]
        assert answers[1]["labels"][-1] == f"{now():%d %b}"


def test_secrets_tell_which_charts_send_them_and_when_to_who_sees_these(
    shop: Service, receiver: Receiver
) -> None:
    secret_set("project", "stock", "s3cr3t", project=shop.project)
    secret_set("project", "idle", "s3cr3t", project=shop.project)
    secret_set("platform", "stock", "s3cr3t")
    secret_set("service", "stock", "s3cr3t", service=shop)
    sent = {
        "source": "url",
        "kind": "table",
        "url": f"http://localhost:{receiver.port}/",
        "header": "X-Key",
        "header_secret": "stock",
    }
    made(**sent, title="Stock <b>")
    made(None, **sent, title="All stock")
    maintainer, root = _caller("maintainer"), _caller("root")
    User.objects.filter(username="root-shop").update(is_superuser=True)
    address = "/api/v1/projects/shop/secrets/"

    def told(caller: Caller, place: str) -> dict[str, list[tuple[str, bool]]]:
        found = caller.get(place).json()["results"]
        return {
            f"{one['scope']} {one['name']}": [(c["title"], c["asked_at"] is not None) for c in one["charts"]]
            for one in found
        }

    assert told(maintainer, address) == {"project stock": [("Stock <b>", False)], "project idle": []}
    questions, _ = questions_claim(now(), 9)
    answers_note([(one, ask(one, HERE)) for one in questions], now())
    assert told(maintainer, address)["project stock"] == [("Stock <b>", True)]
    known = "/api/v1/known-secrets/"
    assert told(root, known) == {
        "project idle": [],
        "project stock": [("Stock <b>", True)],
        "platform stock": [("All stock", True)],
        "service stock": [],
    }
    assert told(maintainer, known)["platform stock"] == []  # the platform's charts are not theirs
    assert set(told(root, f"{known}?unused=true")) == {"project idle", "service stock"}
    browser = Client()
    browser.force_login(User.objects.get(username="root-shop"))
    for place in ("/secrets/", "/projects/shop/"):
        shown = page(browser, place)
        assert "sent as X-Key by the chart Stock <b>" in " ".join(shown.text.split())
        assert shown.dangers == []
    assert "All stock" in page(browser, "/secrets/").text
    unused = browser.get("/secrets/?use=unused").context["page"].rows
    assert [(one.scope, one.name) for one in unused] == [("project", "idle"), ("service", "stock")]


def test_the_schema_of_chart_json_is_served_to_everybody_and_the_form_leads_there(shop: Service) -> None:
    answer = Client().get("/schemas/chart.json")
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "application/schema+json")
    schema = answer.json()
    assert schema["$id"] == "http://testserver/schemas/chart.json"
    assert {name: said for name, said in schema.items() if name != "$id"} == chart_json.SCHEMA
    jsonschema.Draft202012Validator.check_schema(schema)
    told = (ROOT / "docs/dashboards.md").read_text().split("### Chart JSON")[1]
    examples = [json.loads(text) for text in re.findall(r"```json\n(.*?)```", told, re.DOTALL)]
    assert len(examples) == 2
    for said in examples:
        jsonschema.validate(said, schema)
        assert chart_json.drawn(said).series
    assert Client().post("/schemas/chart.json").status_code == 405
    maintainer = _browser("maintainer")
    for source in ("artifact", "url"):
        form = page(maintainer, f"/charts/add/?project=shop&source={source}")
        assert 'href="/schemas/chart.json"' in form.html
        assert 'href="/help/dashboards/#chart-json"' in form.html


def test_a_chart_is_tried_saved_ordered_changed_and_removed_in_the_console(shop: Service) -> None:
    maintainer, viewer = _browser("maintainer"), _browser("viewer")
    service("other", "bank.*", project="bank")
    stranger = _browser("maintainer", "bank")
    assert "No charts yet" in page(maintainer, "/charts/?project=shop").text
    assert "Add one:" in page(maintainer, "/projects/shop/dashboard/").text
    add = "/charts/add/?project=shop"
    assert stranger.get(add).status_code == 404
    assert viewer.get(add).status_code == 403
    assert maintainer.get("/charts/add/").status_code == 403  # of the platform
    for source in ("events", "metrics", "artifact", "url"):
        shape = page(maintainer, f"{add}&source={source}")
        assert all(one["named"] or one.get("id") in shape.labelled for one in shape.inputs)
    orders(4, 5, shop="<b>north</b>")
    said = {"title": "Revenue <b>", "kind": "pie", "source": "events", "event_type": "shop.order", "aggregate": "sum",
            "value_path": "data.total", "group_path": "data.shop", "groups_shown": "5",
            "filter": "", "past": "on"}  # fmt: skip
    wrong = maintainer.post(add, {**said, "filter": "{", "groups_shown": "x"})
    assert wrong.status_code == 422
    assert "line 1, column" in wrong.content.decode()
    tried = maintainer.post(add, {**said, "do": "try"}).content.decode()
    assert "&lt;b&gt;north&lt;/b&gt;" in tried
    assert "<b>north" not in tried
    assert not Chart.objects.exists()
    nothing_yet = maintainer.post(add, {**said, "value_path": "", "do": "try"})
    assert nothing_yet.status_code == 200
    assert "No preview yet:" in nothing_yet.content.decode()
    assert maintainer.post(add, said).url == "/charts/?project=shop"
    second = made(source="artifact", service=shop, artifact="a.json", kind="kpi")
    fill(now() + timedelta(minutes=1))
    first = Chart.objects.get(title="Revenue <b>")
    dashboard = page(viewer, "/projects/shop/dashboard/")
    assert "<b>north</b>" in dashboard.text
    assert "has not completed an execution that left a.json" not in dashboard.text  # a figure says none
    assert dashboard.dangers == []
    assert "Add a chart" not in dashboard.text
    both = {"project": "shop", "chart": [str(first.pk), str(second.pk)]}
    assert viewer.post("/charts/?project=shop", both).status_code == 403
    maintainer.post("/charts/?project=shop", {**both, "move": f"down:{first.pk}"})
    assert list(charts.chart_list(shop.project)) == [second, first]
    maintainer.post("/charts/?project=shop", both)
    assert list(charts.chart_list(shop.project)) == [first, second]
    assert "Revenue <b>" in page(viewer, "/charts/?project=shop").text
    place = f"/charts/{first.pk}/"
    assert stranger.get(place).status_code == 404
    assert viewer.get(place).status_code == 403
    assert "data.total" in page(maintainer, place).html
    maintainer.post(place, {**said, "title": "Orders", "aggregate": "count"})
    assert charts.chart_get(first.pk).title == "Orders"
    assert viewer.post(f"{place}remove/").status_code == 403
    assert maintainer.post(f"{place}remove/").status_code == 302
    assert not Chart.objects.filter(pk=first.pk).exists()


# --- the gateway's roles, and drawing ----------------------------------------------------------------


@pytest.mark.usefixtures("allowed")
def test_the_gateways_roles_count_and_ask_and_say_so(shop: Service, receiver: Receiver) -> None:
    log = wiring.event_log()
    notices, watching = Notices(log), log.tail([CHANGES])
    charter, asker = Charter(log, notices), Asker(log, notices, HERE, alone=True)
    receiver.answers = lambda got: (200, {}, b'{"value": 1}')
    counted, fetched = made(), made(source="url", url=receiver.url, kind="kpi")
    orders(1, 2)
    charter.wake()
    charter.turn()
    assert whole(counted) == 2
    for _ in range(10):
        asker.turn()  # rests until the answer has come
        if not shown(fetched).pending:
            break
    assert shown(fetched).drawn.series[0].values == (1,)
    assert [record.value for record in watching.poll(10, timeout=5)] == [ROLLED, ROLLED]
    for one in (watching, charter, asker, notices):
        one.close()


def test_what_is_below_zero_and_below_one_is_drawn_where_it_is() -> None:
    def drawn(kind: str, *values: float | None) -> Plot:
        return plot(Drawing(kind, "x", [str(n) for n, _ in enumerate(values)], [Series("s", values)]), "x")

    line = drawn("line", 4, -4, None)
    assert [text for _, text in line.grid] == ["-4", "0", "4"]
    assert line.lines[0].path == "M120.0 18.0 L360.0 132.0"
    bars = drawn("bar", 4, -2)
    up, down = (column.bars[0] for column in bars.columns)
    assert up.y + up.height == pytest.approx(down.y, abs=0.2)
    assert up.height == pytest.approx(2 * down.height, abs=0.2)
    assert [text for _, text in drawn("line", 0.03).grid] == ["0.02", "0.04"]
    assert drawn("pie", 3, -1).legend == [("c c1", "0", "100%")]
    assert drawn("line", 0, 0).empty
