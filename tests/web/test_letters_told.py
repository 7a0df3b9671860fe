"""A dead letter says in plain words what happened and what to do; a service says which charts it feeds."""

from __future__ import annotations

from django.test import Client
from django.utils import timezone

from ferris_web.catalog.models import Project, Service
from ferris_web.console import letters
from ferris_web.executions.models import DeadLetter
from ferris_web.executions.services.charts import chart_save
from gateway.deadletter import REASONS
from tests.web.console_pages import page
from tests.web.console_rows import Rows


def test_each_reason_has_words() -> None:
    assert set(letters.TOLD) == set(REASONS)


def test_a_letter_is_headed_by_what_happened(rows: Rows, administrator: Client) -> None:
    for number, reason in enumerate((*REASONS, "of_a_later_release")):
        row = DeadLetter.objects.create(
            topic="ferris.events", partition=0, offset=9000 + number, reason=reason, detail="more of it",
            value=b"x", created_at=timezone.now(),
        )  # fmt: skip
        found = page(administrator, f"/dead-letters/{row.pk}/")
        heading = found.html.split("<h1>")[1].split("</h1>")[0]
        assert heading[0].isupper()
        assert "_" not in heading
        assert len(heading.split()) >= 4, heading
        assert str(letters.told(reason).then) in found.text
        assert "more of it" in found.text


def test_a_service_lists_the_charts_it_feeds(rows: Rows, administrator: Client, person: Client) -> None:
    service = Service.objects.get(name="quakes_load")
    hidden = {"source": "metrics", "service": service, "metric": "m", "title": "Of all of us", "kind": "line"}
    chart_save(hidden, now=timezone.now())
    found = page(administrator, "/services/quakes_load/settings/")
    charts = found.html.split('id="charts"')[1]
    for title in ("Magnitude", "Of all of us"):
        assert title in charts
    assert "Asked" not in charts
    assert "quakes.magnitude" in charts
    assert "/projects/quakes/dashboard/" in found.links
    none = page(administrator, "/services/make_report/settings/")
    assert "None. A chart draws" in none.text


def test_charts_of_other_projects_stay_hidden(rows: Rows, db: None) -> None:
    from ferris_web.executions.services.charts import charts_fed

    service = Service.objects.get(name="quakes_load")
    mine = frozenset((service.project_id,))
    assert {chart.title for chart in charts_fed(service, mine)} == {"Magnitude"} | {
        chart.title for chart in charts_fed(service, None) if chart.project_id == service.project_id
    }
    assert not charts_fed(service, frozenset((Project.objects.get(name="reports").pk,)))
