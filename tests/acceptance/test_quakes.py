"""The sample pipeline on the real data: its report says what the file says, and is written exactly once."""

from __future__ import annotations

import collections
import csv
import io
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.client import Client, Visitor
from tests.acceptance.embedded import ROOT, Platform

FILE = ROOT / "examples" / "quakes" / "quakes_load" / "quakes.csv"
SERVICES = ("quakes_load", "quakes_alert", "quakes_blast", "quakes_tally", "quakes_report")


def rows(limit: int | None = None) -> list[dict[str, str]]:
    with FILE.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))[:limit]


def expected(limit: int | None = None) -> dict[str, Any]:
    """The report's numbers, computed from the file alone."""
    found = rows(limit)
    strong = [row for row in found if float(row["magnitude"]) >= 4.5]
    return {
        "total": len(found),
        "strong": len(strong),
        "alerts": sum(row["type"] == "earthquake" for row in strong),
        "highest": max(float(row["magnitude"]) for row in found),
        "types": dict(collections.Counter(row["type"] for row in found)),
        "hours": dict(collections.Counter(row["time"][:13] for row in found)),
    }


@pytest.fixture(scope="module")
def quakes(shared: Platform) -> Client:
    """The sample project, loaded as a user loads it."""
    shared.manage("project", "add", "quakes", str(ROOT / "examples" / "quakes"))
    shared.manage("sync", "quakes")
    return shared.client


def executions(numbers: dict[str, Any]) -> dict[str, int]:
    """How many executions of each service a load of so many quakes must have."""
    blasts = numbers["total"] - numbers["types"].get("earthquake", 0)
    return {
        "quakes_load": 1,
        "quakes_tally": numbers["total"] + 2,  # and one for the end of the file, one for the report
        "quakes_alert": numbers["alerts"],
        "quakes_report": 1,
        **({"quakes_blast": blasts} if blasts else {}),
    }


def check_report(shared: Platform, flow: list[dict[str, Any]], numbers: dict[str, Any]) -> str:
    """The report's files, as a person opens them, say these numbers; the page."""
    visitor = Visitor(shared.client, "admin", shared.password)
    report = next(row for row in flow if row["service"] == "quakes_report")
    address = shared.client.output(report["id"])[-1].partition("Report: ")[2]
    assert visitor.get("/objects/quakes/").status == 200
    assert shared.client.request("GET", address, token=None).status in (302, 401, 403)
    page = visitor.get(address)
    assert page.status == 200, (address, page.text[:300])
    assert page.headers["content-type"].startswith("text/html")
    table = visitor.get(address.replace("report.html", "report.csv"))
    assert table.headers["content-type"].startswith("text/")
    found = [
        (line["measure"], line["key"], line["value"]) for line in csv.DictReader(io.StringIO(table.text))
    ]
    values = {measure: value for measure, _, value in found}
    assert values["total"] == str(numbers["total"])
    assert values["magnitude 4.5 or more"] == str(numbers["strong"])
    assert float(values["highest magnitude"]) == numbers["highest"]
    assert {key: int(value) for measure, key, value in found if measure == "type"} == numbers["types"]
    hours = {key: int(value) for measure, key, value in found if measure == "hour" and value != "0"}
    assert hours == numbers["hours"]
    return page.text


@pytest.mark.timeout(500)
def test_the_whole_file_becomes_one_report(shared: Platform, quakes: Client) -> None:
    numbers = expected()
    assert (numbers["total"], numbers["strong"], numbers["highest"]) == (1707, 85, 6.4)
    wanted = executions(numbers)
    flow_id = quakes.emit("quakes.load.requested")
    flow = quakes.flow(flow_id, sum(wanted.values()), timeout=400)
    assert collections.Counter(row["service"] for row in flow) == wanted
    assert {row["status"] for row in flow} == {"completed"}
    assert {row["flow_id"] for row in flow} == {flow_id}
    page = check_report(shared, flow, numbers)
    for shown in ("1,707 quakes", "<strong>85</strong>", "<strong>6.4</strong>", "Hualian", "<svg", "<desc"):
        assert shown in page
    assert page.count("<circle") == 1707
    assert "http" not in page  # nothing is loaded from elsewhere
    state = quakes.get("/api/v1/services/quakes_tally/state/")
    assert state["loads"]["open"] == {}


def test_loads_at_the_same_time_do_not_mix(shared: Platform, quakes: Client) -> None:
    limits = (30, 45, 60)
    flows = [quakes.emit("quakes.load.requested", {"limit": limit}) for limit in limits]
    for flow_id, limit in zip(flows, limits, strict=True):
        numbers = expected(limit)
        wanted = executions(numbers)
        flow = quakes.flow(flow_id, sum(wanted.values()), timeout=90)
        assert collections.Counter(row["service"] for row in flow) == wanted
        assert {row["status"] for row in flow} == {"completed"}
        check_report(shared, flow, numbers)


def test_hello(shared: Platform) -> None:
    shared.manage("project", "add", "hello", str(ROOT / "examples" / "hello"))
    shared.manage("sync", "hello")
    client = shared.client
    wanted = client.run("hello_world", name="Ada")
    assert client.finished(wanted)["status"] == "completed"
    assert client.output(wanted) == ["Hello, Ada!"]


def test_the_samples_are_services_as_the_readme_shows(quakes: Client) -> None:
    names = {row["name"] for row in quakes.all("/api/v1/services/")}
    assert set(SERVICES) <= names
    assert all((Path(ROOT) / "examples" / "quakes" / name / "README.md").is_file() for name in SERVICES)
