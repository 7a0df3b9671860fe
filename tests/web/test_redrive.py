"""Groups of dead letters and of failures: counted, sent on their way once, whoever dies in the middle."""

from __future__ import annotations

import io
import json
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.utils import timezone

from ferris import events
from ferris.config import DEAD_LETTER, EVENTS
from ferris.ports import Record
from ferris_web import wiring
from ferris_web.executions.failures import FailureGroup, LetterGroup, failure_groups, letter_groups
from ferris_web.executions.models import DeadLetter, Execution
from ferris_web.executions.models import Event as EventRow
from ferris_web.executions.services import dead_letters_redrive, failures_retry
from gateway import deadletter
from tests.web.calling import problem_of
from tests.web.console_pages import Page, page
from tests.web.platform import NOW, dispatch, event, service

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("backends")]


def letter(value: Any, reason: str = "not_dispatched", offset: int = 0, **said: Any) -> DeadLetter:
    raw = events.encode(value) if isinstance(value, events.Event) else value
    known = {"event_type": value.type, "event_id": value.id} if isinstance(value, events.Event) else {}
    return DeadLetter.objects.create(
        topic=EVENTS, offset=offset, reason=reason, detail="why", value=raw, created_at=NOW, **known, **said
    )


def on_the_log() -> list[events.Event]:
    found = wiring.event_log().browse(EVENTS, offset=0, limit=500)
    return [events.from_record(record.value, record.headers, now=NOW) for record in found]


def route() -> None:
    """The router reads the whole log, as often as it is called."""
    dispatch(*on_the_log())


def failed(name: str, error: str, count: int = 1, reason: str = "script_failed") -> list[Execution]:
    made = [event(f"{name}.go", {"n": n}) for n in range(count)]
    dispatch(*made)
    rows = Execution.objects.filter(event__in=[e.key for e in made])
    for n, row in enumerate(rows):
        row.status, row.reason, row.error = "failed", reason, error.replace("#", str(n))
        row.finished_at = row.created_at
        row.save()
    return list(rows)


# --- dead letters --------------------------------------------------------------------------------------


def test_groups_of_dead_letters() -> None:
    for n in range(3):
        letter(event("a.happened", id=str(n)), offset=n)
    letter(event("b.happened", id="4"), offset=4)
    letter(b"{", "unreadable", offset=5)
    found = {(g.reason, g.event_type): (g.count, g.waiting) for g in letter_groups(LetterGroup())}
    assert found == {
        ("not_dispatched", "a.happened"): (3, 3),
        ("not_dispatched", "b.happened"): (1, 1),
        ("unreadable", ""): (1, 1),
    }


def test_a_group_is_sent_in_pieces_and_what_holds_no_event_stays() -> None:
    for n in range(5):
        letter(event(id=str(n)) if n != 2 else b"{", offset=n)
    group = LetterGroup(reason="not_dispatched")
    first = dead_letters_redrive(group, now=NOW, most=3)
    assert (first.sent, first.refused) == (2, 1)
    rest = dead_letters_redrive(group, now=NOW, most=3, after=first.following or "")
    assert (rest.sent, rest.refused, rest.following) == (2, 0, None)
    assert [e.id for e in on_the_log()] == ["0", "1", "3", "4"]
    again = dead_letters_redrive(group, now=NOW)
    assert (again.sent, again.refused) == (0, 1)
    assert len(on_the_log()) == 4


def test_killed_between_the_log_and_the_row_nothing_runs_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    service("mailer", "a.happened")
    letter(event(id="1"))
    dead_letters_redrive(LetterGroup(reason="not_dispatched"), now=NOW)
    DeadLetter.objects.update(redriven_at=None)  # as if the process had died before the row was written
    dead_letters_redrive(LetterGroup(reason="not_dispatched"), now=NOW)
    assert len(on_the_log()) == 2
    route()
    assert Execution.objects.count() == 1
    assert EventRow.objects.get().copies == 1
    DeadLetter.objects.update(redriven_at=None)
    assert dead_letters_redrive(LetterGroup(reason="not_dispatched"), now=NOW).sent == 1
    assert len(on_the_log()) == 2  # the journal has it: handled


def test_what_comes_back_meanwhile_is_not_taken_again() -> None:
    letter(event(id="1", hops=200), "hop_limit")
    group = LetterGroup(reason="hop_limit", until=NOW + timedelta(seconds=1))
    first = dead_letters_redrive(group, now=NOW, most=1)
    DeadLetter.objects.create(
        topic=EVENTS, offset=9, reason="hop_limit", detail="", value=events.encode(event(id="1", hops=200)),
        created_at=NOW + timedelta(minutes=1),
    )  # fmt: skip
    assert dead_letters_redrive(group, now=NOW, most=1, after=first.following or "").sent == 0
    assert on_the_log()[0].hops == 0


def test_an_event_in_binary_mode_can_be_sent_again() -> None:
    headers = {"ce_specversion": b"1.0", "ce_id": b"7", "ce_source": b"/s", "ce_type": b"a.happened"}
    wiring.event_log().append(
        EVENTS, [Record(b'{"n": 1}', None, {**headers, "content-type": b"application/json"})]
    )
    [record] = wiring.event_log().browse(EVENTS, offset=0, limit=1)
    deadletter.put_aside(
        wiring.event_log(), [deadletter.Letter(record, "not_dispatched", "why", "a.happened", "7")]
    )
    [aside] = wiring.event_log().browse(DEAD_LETTER, offset=0, limit=1)
    deadletter.row(aside).save()
    assert dead_letters_redrive(LetterGroup(reason="not_dispatched"), now=NOW).sent == 1
    assert [(e.id, e.data) for e in on_the_log()] == [("7", {"n": 1})] * 2


def test_a_single_one_is_mended(api: Any) -> None:
    row = letter(event(id="1", data={"n": 1}, hops=3))
    url = f"/api/v1/dead-letters/{row.pk}/redrive/"
    document = events.as_dict(event(id="1", data={"n": 2}))
    for name, value in (("id", "2"), ("source", "/other"), ("type", "ferris.execution.requested")):
        assert name in json.dumps(problem_of(api.post(url, {"event": {**document, name: value}}), 400))
    document["ferrishops"] = 0  # the platform's own: what it was stays
    assert api.post(url, {"event": document}).status_code == 202
    [sent] = on_the_log()
    assert (sent.id, sent.data, sent.hops) == ("1", {"n": 2}, 3)
    assert DeadLetter.objects.get().redriven_at


def test_bytes_that_are_no_event_become_one_that_could_come_from_outside(api: Any) -> None:
    url = f"/api/v1/dead-letters/{letter(b'{', 'unreadable').pk}/redrive/"
    problem_of(api.post(url), 409)
    good = {"specversion": "1.0", "id": "1", "source": "/s", "type": "a.happened"}
    problem_of(api.post(url, {"event": {**good, "ferrisservice": "mailer"}}), 400)
    problem_of(api.post(url, {"event": {**good, "type": "ferris.execution.requested"}}), 400)
    assert api.post(url, {"event": good}).status_code == 202
    assert [e.id for e in on_the_log()] == ["1"]


# --- failed executions ---------------------------------------------------------------------------------


def test_groups_of_failures_by_service_reason_and_kind_of_error() -> None:
    service("mailer", "mailer.go")
    service("ledger", "ledger.go")
    failed("mailer", "ValueError: row # of 'a#' is odd", 3)
    failed("mailer", "timeout after # s", 2, "timeout")
    failed("ledger", "ValueError: row # of 'a#' is odd")
    found = failure_groups(FailureGroup())
    assert {(g.service, g.reason, g.error): g.count for g in found.groups} == {
        ("mailer", "script_failed", "ValueError: row <n> of <text> is odd"): 3,
        ("mailer", "timeout", "timeout after <n> s"): 2,
        ("ledger", "script_failed", "ValueError: row <n> of <text> is odd"): 1,
    }
    assert failure_groups(FailureGroup(), most_read=2).truncated
    kind = next(g.kind for g in found.groups if g.service == "ledger")
    assert len(failure_groups(FailureGroup(kind=kind)).groups) == 2


def test_each_failure_is_retried_once_whoever_asks_and_however_often() -> None:
    service("mailer", "mailer.go")
    rows = failed("mailer", "ValueError: #", 5)
    group = FailureGroup(service="mailer", until=timezone.now())
    first = failures_retry(group, actor="ada", now=NOW, most=3)
    assert first.sent == 3
    failures_retry(group, actor="bob", now=NOW, most=3)  # as after a kill: the first piece again
    failures_retry(group, actor="bob", now=NOW, most=3, after=first.following or "")
    route()
    retried = Execution.objects.filter(trigger_type="retried")
    assert {row.parent_id for row in retried} == {row.pk for row in rows}
    assert retried.count() == 5
    assert {row.flow_id for row in retried} == {row.flow_id for row in rows}
    assert failure_groups(group).groups == []
    assert failures_retry(group, actor="ada", now=NOW).sent == 0


def test_only_the_kind_that_was_asked_for_is_retried() -> None:
    service("mailer", "mailer.go")
    failed("mailer", "ValueError: #", 2)
    failed("mailer", "KeyError: #", 2)
    kind = next(g.kind for g in failure_groups(FailureGroup()).groups if g.error.startswith("Key"))
    assert failures_retry(FailureGroup(kind=kind), actor="ada", now=NOW).sent == 2


def test_a_service_that_does_not_run_is_refused() -> None:
    mailer = service("mailer", "mailer.go")
    failed("mailer", "x")
    mailer.active = False
    mailer.save()
    piece = failures_retry(FailureGroup(service="mailer"), actor="ada", now=NOW)
    assert (piece.sent, piece.refused) == (0, 1)


# --- API, commands, console ----------------------------------------------------------------------------


def test_the_api_groups_and_works_through_groups(api: Any) -> None:
    service("mailer", "mailer.go")
    failed("mailer", "ValueError: #", 3)
    for n in range(3):
        letter(event(id=str(n)), offset=n)
    [letters] = api.get("/api/v1/dead-letters/groups/").json()["results"]
    assert (letters["reason"], letters["count"], letters["waiting"]) == ("not_dispatched", 3, 3)
    [failures] = api.get("/api/v1/failures/?service=mailer").json()["results"]
    assert (failures["count"], failures["error"]) == (3, "ValueError: <n>")
    for url, body in (
        ("/api/v1/dead-letters/redrive/", {"reason": "not_dispatched"}),
        ("/api/v1/failures/retry/", {"service": "mailer", "kind": failures["kind"]}),
    ):
        sent, cursor = 0, None
        while True:
            piece = api.post(url, {**body, "limit": 2, **({"cursor": cursor} if cursor else {})}).json()
            sent, cursor = sent + piece["sent"], piece["next"]
            if cursor is None:
                break
        assert sent == 3
        problem_of(api.post(url, {}), 400)
        problem_of(api.post(url, {**body, "cursor": "x"}), 400)
        problem_of(api.post(url, {**body, "limit": 0}), 400)
    assert api.get("/api/v1/dead-letters/groups/").json()["results"][0]["waiting"] == 0


def run(*arguments: str) -> tuple[int, str]:
    out = io.StringIO()
    try:
        call_command(*arguments, stdout=out, stderr=out)
    except SystemExit as ended:
        return int(ended.code or 0), out.getvalue()
    except CommandError as error:
        return error.returncode, str(error)
    return 0, out.getvalue()


def test_the_commands_say_how_many_before_they_send() -> None:
    service("mailer", "mailer.go")
    failed("mailer", "ValueError: #", 2)
    letter(event(id="1"))
    letter(b"{", offset=1)
    assert "not_dispatched, a.happened, from ferris.events: 1, 1 waiting" in run("redrive")[1]
    status, said = run("redrive", "--reason", "not_dispatched")
    assert (status, "2 dead letters" in said, "--yes" in said) == (2, True, True)
    assert run("redrive", "--reason", "not_dispatched", "--dry-run")[0] == 0
    assert on_the_log() == []
    status, said = run("redrive", "--reason", "not_dispatched", "--yes")
    assert (status, said.strip()) == (1, "1 sent, 1 hold no event that could be sent")
    assert run("redrive", "--reason", "not_dispatched", "--since", "1h", "--yes")[0] == 0  # they are older
    assert run("redrive", "--since", "soon")[0] == 2
    assert "mailer, script_failed" in run("retry")[1]
    assert run("retry", "--service", "mailer")[0] == 2
    assert run("retry", "--service", "mailer", "--yes") == (0, "2 retried\n")


def test_the_console_sends_a_group_piece_by_piece(person: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from ferris_web.console.views import failures as view

    monkeypatch.setattr(view, "dead_letters_redrive", lambda *a, **k: dead_letters_redrive(*a, most=2, **k))
    for n in range(3):
        letter(event(id=str(n)), offset=n)
    assert "Send all again" in page(person, "/dead-letters/").text
    form = {"reason": "not_dispatched", "topic": EVENTS, "event_type": "a.happened", "total": "3"}
    answer = Page(person.post("/dead-letters/redrive/", form).content.decode())
    assert "2 of 3 sent on their way again" in answer.text
    hidden = {field["name"]: field["value"] for field in _hidden(answer)}
    hidden.pop("csrfmiddlewaretoken", None)
    last = Page(person.post("/dead-letters/redrive/", hidden).content.decode())
    assert "3 of 3 sent on their way again . That was all." in last.text.replace("again.", "again .")
    assert len(on_the_log()) == 3
    assert person.post("/dead-letters/redrive/", {}).status_code == 400
    assert person.post("/dead-letters/redrive/", {"reason": "x", "after": "y"}).status_code == 400


def _hidden(found: Page) -> list[dict[str, str]]:
    import re

    return [
        {"name": name, "value": value}
        for name, value in re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', found.html)
    ]


def test_the_console_retries_failures_of_a_kind_and_mends_a_letter(person: Any, administrator: Any) -> None:
    service("mailer", "mailer.go")
    failed("mailer", "ValueError: #", 2)
    Execution.objects.update(created_at=timezone.now())
    shown = page(person, "/failures/").text
    assert "ValueError: <n>" in shown
    assert "ValueError: <n>" in page(administrator, "/failures/?since=7d").text
    kind = failure_groups(FailureGroup()).groups[0].kind
    done = person.post("/failures/retry/", {"service": "mailer", "kind": kind, "total": "2"})
    assert "2 of 2 retried" in Page(done.content.decode()).text
    assert person.get("/failures/retry/").status_code == 405
    row = letter(event(id="1", data={"n": 1}))
    assert "Mend it" in page(person, f"/dead-letters/{row.pk}/").text
    mended = json.dumps(events.as_dict(event(id="1", data={"n": 2})))
    person.post(f"/dead-letters/{row.pk}/redrive/", {"event": mended})
    assert on_the_log()[-1].data == {"n": 2}
    before = len(on_the_log())
    refused = person.post(f"/dead-letters/{row.pk}/redrive/", {"event": '{"written": 1,'})
    assert refused.status_code == 422
    shown = Page(refused.content.decode())
    assert "is no JSON" in shown.text
    assert "{&quot;written&quot;: 1," in shown.html, "what was written is there to be mended further"
    assert len(on_the_log()) == before


def test_a_dead_letter_is_deleted_in_the_console(person: Any) -> None:
    kept, gone = letter(b"{", "unreadable"), letter(b"[", "unreadable", offset=1)
    assert "cannot be had back" in page(person, f"/dead-letters/{gone.pk}/").html
    assert person.get(f"/dead-letters/{gone.pk}/delete/").status_code == 405
    assert person.post(f"/dead-letters/{gone.pk}/delete/")["Location"] == "/dead-letters/"
    assert "was deleted" in page(person, "/dead-letters/").text
    assert person.post(f"/dead-letters/{gone.pk}/delete/").status_code == 404
    assert list(DeadLetter.objects.values_list("pk", flat=True)) == [kept.pk]


def test_a_dead_letter_is_deleted_over_http(api: Any) -> None:
    kept, gone = letter(b"{", "unreadable"), letter(b"[", "unreadable", offset=1)
    assert api.delete(f"/api/v1/dead-letters/{gone.pk}/").status_code == 204
    problem_of(api.delete(f"/api/v1/dead-letters/{gone.pk}/"), 404)
    assert list(DeadLetter.objects.values_list("pk", flat=True)) == [kept.pk]


def test_a_dead_letter_names_who_sent_it(person: Any) -> None:
    service("mailer", "mailer.go")
    [sender] = failed("mailer", "ValueError: 1")
    row = letter(event(id="1", data=1, causation_id=str(sender.pk)))
    assert ">mailer</a>" in page(person, f"/dead-letters/{row.pk}/").html
    stranger = letter(event(id="2", data=1, causation_id="not of ours"), offset=1)
    assert ">mailer</a>" not in page(person, f"/dead-letters/{stranger.pk}/").html
