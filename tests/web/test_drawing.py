"""Charts, graphs and maps that are written as text: every name in them is somebody else's."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser

import pytest
from django.http import QueryDict

from ferris.causality import EVENT, EXECUTION, Cause, Node, Tree
from ferris.charts import Chart, Series
from ferris_web.console import drawing, graphs, systemmap
from ferris_web.console.flowgraph import layout
from ferris_web.console.plots import Plot, plot
from ferris_web.executions.system_map import SENDS, Bond

HOSTILE = "\"><script>alert(1)</script>&'"
BEGUN = datetime(2026, 11, 1, tzinfo=UTC)


class Read(HTMLParser):
    """What a browser would see: elements with their attributes, and texts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture
def hostile() -> Plot:
    chart = Chart("bar", HOSTILE, [HOSTILE, "b"], [Series(HOSTILE, [3, HOSTILE], HOSTILE)])
    return plot(chart, "key", [f"?a={HOSTILE}"], series_links=[[f"?b={HOSTILE}"]])


def test_names_of_a_chart_stay_text(hostile: Plot) -> None:
    for text in (drawing.columns(hostile), drawing.rows(hostile), drawing.rows_heard(hostile)):
        read = Read(text)
        assert not read.all("script")
        assert HOSTILE in "".join(read.texts)
    bars = Read(drawing.columns(hostile))
    assert [one["href"] for one in bars.all("a")] == [f"?a={HOSTILE}"]
    assert f"fill-{HOSTILE}" in [one["class"] for one in bars.all("rect")]
    assert [one["href"] for one in Read(drawing.rows(hostile)).all("a")] == [f"?a={HOSTILE}", f"?b={HOSTILE}"]


def test_a_table_that_is_heard_has_no_links(hostile: Plot) -> None:
    assert not Read(drawing.rows_heard(hostile)).all("a")


def test_names_of_a_flow_stay_text() -> None:
    event = Node("e", EVENT, HOSTILE, BEGUN, flow=HOSTILE)
    runs = [
        Node(f"r{n}", EXECUTION, HOSTILE, BEGUN, (Cause("e", "triggered"),), "failed", BEGUN, BEGUN)
        for n in range(12)
    ]
    alone = Node("x", EXECUTION, "alone", BEGUN, (), "in_progress", BEGUN + timedelta(seconds=2))
    drawn = layout(Tree([event, *runs, alone]), chosen="x")
    read = Read(graphs.flow_boxes(drawn, BEGUN, QueryDict("open=r1&node=e&type=%22%3E%3Cb%3E")))
    assert not read.all("script")
    assert not read.all("b")
    links = {one["href"]: one for one in read.all("a")}
    assert set(links) == {f"?open=r1&type=%22%3E%3Cb%3E&node={key}" for key in ("e", "r0", "x")}
    many = links["?open=r1&type=%22%3E%3Cb%3E&node=r0"]
    assert many["aria-label"] == f"execution of {HOSTILE}, 12 times, 12 failed"
    assert [one["aria-current"] for one in links.values() if "aria-current" in one] == ["true"]
    assert "…" in read.texts
    assert " · waited 2.0 s" in read.texts


def test_names_of_the_map_stay_text() -> None:
    drawn = systemmap.layout([Bond("a_service", SENDS, HOSTILE, declared=True, seen=2, project=HOSTILE)])
    read = Read(graphs.map_lines(drawn) + graphs.map_places(drawn))
    assert not read.all("script")
    assert [one["aria-label"] for one in read.all("a")] == ["service a_service", f"event type {HOSTILE}"]
    assert [one["class"] for one in read.all("path")] == ["edge is-both"]
