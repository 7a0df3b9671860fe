"""Charts of what services leave and what an address answers: what is fetched, and kept."""

from __future__ import annotations

import io
import json
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.utils.translation import override

from ferris.artifacts import BUCKET
from ferris.config import CHANGES
from ferris_web import wiring
from ferris_web.catalog.models import Service
from ferris_web.catalog.secrets import secret_set
from ferris_web.executions.models import Artifact, Execution
from ferris_web.executions.services import charts
from ferris_web.executions.services.chart_answers import (
    answers_note,
    artifacts_look,
    ask,
    questions_claim,
)
from gateway.asker import Asker
from gateway.charter import Charter
from gateway.notices import Notices
from gateway.roller import ROLLED
from tests.web.charts.charting import HERE, made, now, orders, shown, whole
from tests.web.receivers import Receiver

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("backends")]


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


def _asked(at: datetime, networks: Any = HERE) -> list[str]:
    questions, _ = questions_claim(at, 8)
    answers = [(one, ask(one, networks)) for one in questions]
    answers_note(answers, at)
    return [answer.problem for _, answer in answers]


def test_a_series_without_a_name_is_numbered_in_the_viewers_language(shop: Service) -> None:
    chart = made(source="artifact", service=shop, artifact="chart.json", kind="table")
    _left(
        shop,
        b'{"labels": ["a"], "series": [{"values": [1]}, {"values": [2]}, {"name": "series 9", "values": [3]}]}',
    )
    artifacts_look(now())
    with override("de"):
        assert [one.name for one in shown(chart).drawn.series] == ["Reihe 1", "Reihe 2", "series 9"]
    with override("en"):
        assert [one.name for one in shown(chart).drawn.series] == ["series 1", "series 2", "series 9"]


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
    asker.turn()  # rests until the answer has come
    asker.close()  # and settles it
    assert shown(fetched).drawn.series[0].values == (1,)
    assert [record.value for record in watching.poll(10, timeout=60)] == [ROLLED, ROLLED]
    for one in (watching, charter, notices):
        one.close()
