"""The dashboards in compose/ ask for what there is: metrics, labels, indices, fields."""

from __future__ import annotations

import json
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from prometheus_client import Counter, Gauge, Histogram
from prometheus_client.parser import text_string_to_metric_families

from ferris.adapters import elasticsearch_documents as documents
from ferris.config import EVENTS
from ferris.ports import OPS_KINDS, Record
from ferris_web import wiring
from ferris_web.api import metrics
from gateway import metrics as gateway_metrics
from tasks import metrics as tasks_metrics
from tests.web.console_fixtures import Rows

COMPOSE = Path(__file__).resolve().parents[2] / "compose"
GRAFANA = json.loads((COMPOSE / "grafana/ferris.json").read_text())
PROMETHEUS = yaml.safe_load((COMPOSE / "prometheus.yml").read_text())
PANELS = [panel for panel in GRAFANA["panels"] if panel["type"] != "row"]
KIBANA = [json.loads(line) for line in (COMPOSE / "kibana/ferris.ndjson").read_text().splitlines()]
VIEWS = {one["id"]: one["attributes"] for one in KIBANA if one["type"] == "index-pattern"}
_OF_PROMETHEUS = {"job", "instance", "le", "up"}


# ----------------------------------------------------------------------------------------------- Grafana


@pytest.fixture
def exposed(rows: Rows, administrator: Any) -> dict[str, set[str]]:
    """Every sample that /metrics gives, with the labels it has."""
    wiring.event_log().append(EVENTS, [Record(b"{}")])
    reader = wiring.event_log().subscribe("a-group", [EVENTS])
    reader.commit(reader.poll(1))  # a group has a lag once it has read
    reader.close()
    answer = administrator.get("/api/v1/executions/")
    metrics.observe(answer.wsgi_request, answer, 0.01)  # as the server does; the test's client goes past it
    answer = administrator.get("/metrics")
    assert answer.status_code == 200
    found: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(answer.content.decode()):
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    return found | counted(gateway_metrics) | counted(tasks_metrics)


def counted(module: ModuleType) -> dict[str, set[str]]:
    """What a gateway or an executor counts; without a sample as long as nothing has happened."""
    found = {}
    for metric in vars(module).values():
        if isinstance(metric, Counter | Gauge | Histogram):
            (family,) = metric.describe()
            end = {"counter": "_total", "histogram": "_bucket"}.get(family.type, "")
            found[family.name + end] = set(metric._labelnames)
    return found


def test_grafana_asks_for_metrics_and_labels_that_there_are(exposed: dict[str, set[str]]) -> None:
    for panel in PANELS:
        for target in panel["targets"]:
            text = re.sub(r'"[^"]*"', '""', target["expr"])
            names = set(re.findall(r"\bferris_\w+", text))
            assert names or "up{" in text, panel["title"]
            assert names <= exposed.keys(), panel["title"]
            known = set().union(*(exposed[name] for name in names), _OF_PROMETHEUS)
            asked = set(re.findall(r"(\w+)(?:=~|!~|!=|=)\"", text)) | set(
                re.findall(r"{{(\w+)}}", target["legendFormat"])
            )
            for labels in re.findall(r"\bby \(([^)]*)\)", text):
                asked |= set(labels.split(", "))
            assert asked <= known, panel["title"]


def test_grafana_shows_every_metric_of_the_platform(exposed: dict[str, set[str]]) -> None:
    text = json.dumps(GRAFANA)
    own = {name for name in exposed if name.startswith("ferris_") and not name.startswith("ferris_process_")}
    assert {name for name in own if not name.endswith(("_sum", "_count")) and name not in text} == set()


def test_grafana_panels_lie_beside_each_other() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in GRAFANA["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        assert place["x"] + place["w"] <= 24
        taken |= cells
    ids = [panel["id"] for panel in GRAFANA["panels"]]
    assert len(ids) == len(set(ids))
    variables = {variable["name"] for variable in GRAFANA["templating"]["list"]}
    used = set(re.findall(r"\$\{?(\w+)", json.dumps(PANELS))) - {"__rate_interval"}
    assert used == variables


def test_prometheus_finds_every_process() -> None:
    services = yaml.safe_load((COMPOSE / "compose.yaml").read_text())["services"]
    platform, *others = PROMETHEUS["scrape_configs"]
    (names,) = platform["dns_sd_configs"]
    port = str(names["port"])
    told = {
        name
        for name, one in services.items()
        if one.get("environment", {}).get("FERRIS_METRICS_PORT") == port
    }
    assert told == set(names["names"]) == {"web", "gateway", "executor"}
    for name in told:
        assert services[name]["environment"]["FERRIS_METRICS_HOST"] == "0.0.0.0"
        assert not any(port in published for published in services[name].get("ports", ())), (
            "it asks for no token"
        )
    for job in others:
        for static in job["static_configs"]:
            assert {target.partition(":")[0] for target in static["targets"]} <= services.keys()


# ------------------------------------------------------------------------------------------------ Kibana


def fields(view: str) -> dict[str, str]:
    """The fields of a data view's index template with their types."""
    (kind,) = (kind for kind, name in documents.NAMES.items() if f"ferris-{name}" == view)
    template = documents.template("ferris", kind)
    assert template["index_patterns"] == [VIEWS[view]["title"]]
    return {name: field["type"] for name, field in template["template"]["mappings"]["properties"].items()}


def view_of(one: dict[str, Any]) -> str:
    (found,) = (ref["id"] for ref in one["references"] if ref["type"] == "index-pattern")
    return str(found)


def test_kibana_has_a_view_of_every_kind_of_record() -> None:
    assert {f"ferris-{documents.NAMES[kind]}" for kind in OPS_KINDS} == VIEWS.keys()
    for view, attributes in VIEWS.items():
        assert fields(view)[attributes["timeFieldName"]] == "date"


def test_kibanas_objects_refer_to_each_other() -> None:
    there = {(one["type"], one["id"]) for one in KIBANA}
    assert len(there) == len(KIBANA)
    for one in KIBANA:
        assert {(ref["type"], ref["id"]) for ref in one["references"]} <= there, one["id"]
    (dashboard,) = (one for one in KIBANA if one["type"] == "dashboard")
    named = {
        f"{panel['panelIndex']}:{panel['panelRefName']}"
        for panel in json.loads(dashboard["attributes"]["panelsJSON"])
    }
    assert named == {ref["name"] for ref in dashboard["references"]}
    shown = {ref["id"] for ref in dashboard["references"]}
    assert {one["id"] for one in KIBANA if one["type"] == "visualization"} <= shown


@pytest.mark.parametrize(
    "one", [one for one in KIBANA if one["type"] in ("search", "visualization")], ids=lambda one: one["id"]
)
def test_kibana_asks_for_fields_that_there_are(one: dict[str, Any]) -> None:
    known = fields(view_of(one))
    attributes = one["attributes"]
    source = json.loads(attributes["kibanaSavedObjectMeta"]["searchSourceJSON"])
    assert set(re.findall(r"(\w+) :", source["query"]["query"])) <= known.keys()
    assert source["indexRefName"] in {ref["name"] for ref in one["references"]}
    if one["type"] == "search":
        assert set(attributes["columns"]) | {name for name, _ in attributes["sort"]} <= known.keys()
        return
    for aggregation in json.loads(attributes["visState"])["aggs"]:
        if field := aggregation["params"].get("field"):
            assert known[field] == ("date" if aggregation["type"] == "date_histogram" else "keyword")
