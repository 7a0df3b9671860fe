"""Charts over HTTP and in the console: who may do what, and what cannot be."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from typing import Any

import jsonschema
import pytest
from django.core.exceptions import ValidationError
from django.test import Client
from django.utils import dateformat, translation

from ferris import chart_json
from ferris.charts import Chart as Drawing
from ferris.charts import Series
from ferris.config import ROOT
from ferris_web.accounts.models import User
from ferris_web.accounts.services import token_create
from ferris_web.catalog.models import Service
from ferris_web.catalog.secrets import secret_set
from ferris_web.console.plots import Plot, plot
from ferris_web.executions.models import Chart
from ferris_web.executions.services import charts
from ferris_web.executions.services.chart_answers import (
    answers_note,
    ask,
    questions_claim,
)
from ferris_web.executions.services.chart_counting import entries_piece
from tests.web.calling import Caller, problem_of
from tests.web.charts.callers import browser_as, caller_as
from tests.web.charts.charting import HERE, fill, made, now, orders
from tests.web.console_pages import page
from tests.web.platform import service
from tests.web.receivers import Receiver

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("backends")]


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


def test_the_api_makes_changes_orders_shows_and_removes(shop: Service) -> None:
    maintainer, viewer = caller_as("maintainer"), caller_as("viewer")
    service("other", "bank.*", project="bank")
    stranger = caller_as("maintainer", "bank")
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
    assert caller_as("root").post("/api/v1/charts/", {**said, "project": None}).status_code == 201
    assert len(viewer.all("/api/v1/charts/")) == 1  # the platform's is for members everywhere


def test_what_a_chart_says_itself_is_in_the_viewers_language_and_english_over_the_api(shop: Service) -> None:
    orders(4, shop="other")
    orders(5)
    grouped = {"aggregate": "sum", "value_path": "data.total", "group_path": "data.shop", "groups_shown": 1}
    table, lines = made(kind="table", **grouped), made(kind="line", period="30d", title="Lines", **grouped)
    made(source="artifact", service=shop, artifact="a.json", kind="table", title="File")
    while entries_piece():
        pass
    fill(now() + timedelta(minutes=1))
    maintainer, asked = browser_as("maintainer"), now()
    plots = maintainer.get("/projects/shop/dashboard/", HTTP_ACCEPT_LANGUAGE="de").context["charts"]
    assert plots[0].head == ["Gruppe", "Summe", "Ereignisse"]
    assert [row[0].text for row in plots[0].rows] == ["keine", "andere"]
    assert plots[1].head == ["Tag, UTC", "keine", "andere"]
    with translation.override("de"):
        today = {dateformat.format(at, "d. M") for at in (asked, now())}  # midnight may pass between them
    assert plots[1].rows[-1][0].text in today
    assert plots[2].head == ["Bezeichnung"]
    for language in ("de", "en"):
        asked = now()
        answers = [
            Caller(token_create(User.objects.get(username="maintainer-shop"))).get(
                f"/api/v1/charts/{one.pk}/data/", HTTP_ACCEPT_LANGUAGE=language
            ).json()
            for one in (table, lines)
        ]  # fmt: skip
        assert [one["name"] for one in answers[0]["series"]] == ["sum", "events"]
        assert answers[0]["labels"] == ["none", "other"]
        assert [one["name"] for one in answers[1]["series"]] == ["none", "other"]
        assert answers[1]["labels"][-1] in {f"{at:%d %b}" for at in (asked, now())}


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
    maintainer, root = caller_as("maintainer"), caller_as("root")
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
    maintainer = browser_as("maintainer")
    for source in ("artifact", "url"):
        form = page(maintainer, f"/charts/add/?project=shop&source={source}")
        assert 'href="/schemas/chart.json"' in form.html
        assert 'href="/help/dashboards/#chart-json"' in form.html


def test_a_chart_is_tried_saved_ordered_changed_and_removed_in_the_console(shop: Service) -> None:
    maintainer, viewer = browser_as("maintainer"), browser_as("viewer")
    service("other", "bank.*", project="bank")
    stranger = browser_as("maintainer", "bank")
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
