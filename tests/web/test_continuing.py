"""Executions that go on from the step at which an earlier one failed."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone

from ferris import events
from ferris.artifacts import day_of
from ferris.config import EVENTS
from ferris.continuing import EXTENSION, Continuation, changed
from ferris.errors import Conflict, EventError
from ferris_web import wiring
from ferris_web.catalog.models import Service
from ferris_web.executions.continuing import continuation_of, taken_of
from ferris_web.executions.models import Execution
from ferris_web.executions.services import events_accept, execution_claim, reports_apply, retry_request
from tests.web.calling import Caller, problem_of
from tests.web.console_pages import page
from tests.web.platform import dispatch, event, report, service

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("backends")]

SCRIPTS = ["load.py", "sum.py", "send.py"]


def scripts_set(row: Service, scripts: list[str], number: int) -> None:
    assert row.version is not None
    manifest = {**row.version.manifest, "scripts": scripts}
    row.version = row.versions.create(number=number, digest=str(number) * 64, manifest=manifest)
    row.save()


@pytest.fixture
def target() -> Service:
    row = service("many", "a.happened")
    scripts_set(row, SCRIPTS, 2)
    return row


def failed(target: Service, step: int = 1, snapshot: dict[str, Any] | None = None) -> Execution:
    """An execution whose step of that index failed."""
    now = timezone.now()
    (bell,) = dispatch(event(data={"n": 1}), now=now)
    assert not isinstance(execution_claim(bell.execution_id, "w", now), str)
    said = {"snapshot": snapshot} if snapshot else {}
    reports = [report(bell.execution_id, "execution.started")]
    for index in range(step + 1):
        end = "step.failed" if index == step else "step.completed"
        about = {"step": index, "script": SCRIPTS[index]}
        reports.append(report(bell.execution_id, "step.started", **about))
        reports.append(
            report(bell.execution_id, end, exit_code=1, **about, **(said if index == step else {}))
        )
    reports.append(report(bell.execution_id, "execution.failed", reason="script_failed", error="no"))
    reports_apply(reports, now)
    return Execution.objects.select_related("service__version", "version", "event").get(pk=bell.execution_id)


def kept(**more: Any) -> dict[str, Any]:
    return {"day": day_of(timezone.now()), "size": 10, "files": 1, **more}


def asked() -> Execution:
    """The execution that was asked for last, dispatched."""
    record = wiring.event_log().browse(EVENTS, limit=1000)[-1]
    (bell,) = dispatch(
        events.from_record(record.value, record.headers, now=timezone.now()), now=timezone.now()
    )
    return Execution.objects.select_related("version", "event").get(pk=bell.execution_id)


def test_it_goes_on_where_the_earlier_one_failed(target: Service) -> None:
    first = failed(target, 1, kept())
    retry_request(first, actor="ada", now=timezone.now(), from_failed_step=True)
    again = asked()
    order = execution_claim(again.pk, "w", timezone.now())
    assert not isinstance(order, str)
    assert order.continues == Continuation(str(first.pk), 1, 1, kept()["day"]).to_json()
    assert order.params == {"n": 1}
    assert order.scripts == tuple(SCRIPTS)
    taken = taken_of(again)
    assert taken is not None
    assert (taken.execution, taken.scripts) == (str(first.pk), ("load.py",))
    assert taken_of(first) is None
    plain = retry_request(first, actor="ada", now=timezone.now())
    assert plain.execution_id != again.pk
    order = execution_claim(asked().pk, "w", timezone.now())
    assert not isinstance(order, str)
    assert order.continues is None


@pytest.mark.parametrize(
    ("step", "snapshot", "said"),
    [
        (0, None, "first step failed"),
        (1, None, "nothing is kept"),
        (1, {"problem": "sum.py had changed 'a.csv' already"}, "had changed 'a.csv'"),
        (1, {"day": "2020-01-01", "size": 1, "files": 1}, "no longer kept"),
    ],
)
def test_why_it_cannot(target: Service, step: int, snapshot: dict[str, Any] | None, said: str) -> None:
    row = failed(target, step, snapshot)
    assert said in str(continuation_of(row, timezone.now()))
    with pytest.raises(Conflict, match="cannot be run again from the step that failed"):
        retry_request(row, actor="ada", now=timezone.now(), from_failed_step=True)
    assert wiring.event_log().browse(EVENTS, limit=10) == []


def test_scripts_that_are_others_now(target: Service) -> None:
    row = failed(target, 1, kept())
    retry_request(row, actor="ada", now=timezone.now(), from_failed_step=True)
    scripts_set(target, ["load.py", "sum.py"], 3)  # what comes later may be another
    row.service.refresh_from_db()
    assert not isinstance(continuation_of(row, timezone.now()), str)
    scripts_set(target, ["new.py", *SCRIPTS], 4)
    row.service.refresh_from_db()
    assert "others now" in str(continuation_of(row, timezone.now()))
    late = asked()  # asked for before that sync, dispatched after it
    assert execution_claim(late.pk, "w", timezone.now()) == "no order could be made"
    late.refresh_from_db()
    assert late.status == "failed"
    assert "others now" in late.error


def test_one_script_and_what_did_not_fail(target: Service) -> None:
    row = failed(target, 1, kept())
    row.status = "completed"
    assert "completed" in str(continuation_of(row, timezone.now()))
    row.version.manifest["scripts"] = ["one.py"]
    assert "no more than one script" in str(continuation_of(row, timezone.now()))


def test_the_rule_of_scripts() -> None:
    assert not changed(["a", "b", "c"], ["a", "b"], 1)
    assert changed(["a", "b"], ["a"], 1)
    assert changed(["a", "b"], [], 1)


@pytest.mark.parametrize("text", ["", "a/b/c/d", "x/1/2", None, 7, "x/1/2/3/4"])
def test_what_is_no_continuation(text: Any) -> None:
    assert Continuation.of(text) is None


def test_nobody_outside_asks_for_it_by_an_event() -> None:
    made = event(extensions={EXTENSION: "x/1/1/2026-01-01"})
    with pytest.raises(EventError, match=EXTENSION):
        events_accept([made], now=timezone.now())


def test_over_the_api(target: Service, api: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ferris_web.api.views.executions.wait_visible", lambda *a, **k: None)
    row, other = failed(target, 1, kept()), failed(target, 0)
    found = api.get(f"/api/v1/executions/{row.pk}/").json()
    assert (found["from_failed_step"], found["continues"]) == (None, None)
    refused = api.get(f"/api/v1/executions/{other.pk}/").json()["from_failed_step"]
    assert "first step" in refused
    address = f"/api/v1/executions/{row.pk}/retry/"
    assert api.post(address, {"from_failed_step": True}).status_code == 202
    assert api.get(f"/api/v1/executions/{asked().pk}/").json()["continues"] == {
        "execution": str(row.pk),
        "scripts": ["load.py"],
    }
    problem_of(api.post(address, {"from_failed_step": True, "parameters": {"n": 2}}), 400)
    assert (
        refused
        in problem_of(api.post(f"/api/v1/executions/{other.pk}/retry/", {"from_failed_step": True}), 409)[
            "detail"
        ]
    )


def test_in_the_console(target: Service, person: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ferris_web.executions.services.wait_visible", lambda *a, **k: None)
    row, other = failed(target, 1, kept()), failed(target, 1, {"problem": "it was too large"})
    assert "Retry from step 2" in page(person, f"/executions/{row.pk}/").text
    shown = page(person, f"/executions/{other.pk}/").text
    assert "Retry from step" not in shown
    assert "it was too large" in shown
    assert person.post(f"/executions/{row.pk}/retry/", {"from": "failed"}).status_code == 302
    again = page(person, f"/executions/{asked().pk}/")
    assert "Taken from that one: load.py" in again.text
    assert f"/executions/{row.pk}/" in again.links


def test_from_the_command_line(target: Service, capsys: pytest.CaptureFixture[str]) -> None:
    row, other = failed(target, 1, kept()), failed(target, 0)
    call_command("retry", str(row.pk), "--from-failed-step")
    assert UUID(capsys.readouterr().out.split()[-1]) == asked().pk
    with pytest.raises(CommandError, match="1 not run again"):
        call_command("retry", str(other.pk), "--from-failed-step")
    with pytest.raises(CommandError, match="ids of executions"):
        call_command("retry", "--from-failed-step")


def test_what_old_executions_left_goes_with_the_artifacts(target: Service) -> None:
    from ferris_web.executions.services import artifacts_prune

    place = Continuation("e", 1, 1, "2020-01-01")
    wiring.object_store().put("ferris-artifacts", place.key, b"x", "application/gzip")
    artifacts_prune(timezone.now() - timedelta(days=30))
    assert wiring.object_store().stat("ferris-artifacts", place.key) is None
