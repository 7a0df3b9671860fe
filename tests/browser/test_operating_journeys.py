"""What went wrong is found and put right: a dead letter, and many executions at once."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from ferris.event_schemas import LEARN
from tests.acceptance.client import Client, event
from tests.acceptance.client import until as happened
from tests.browser.journeys import by_menu, seen_at, write
from tests.browser.servers import until

SENDS = """
from ferris_ef import context
context.events.send("{type}", data={{"total": {total}, "customer": "Ada"}})
"""
SPILLS = """
from ferris_ef import context
for n in range(7):
    context.events.send("{type}", data={{"total": "many", "customer": f"number {{n}}"}})
context.events.send("{type}", data={{"total": 1.5, "customer": "right"}})
"""
BILLS = "from ferris_ef import context\nprint('billed', context.params['total'])\n"
FAILS = """
import os, sys
from ferris_ef import context
print("order", context.params["n"])
sys.exit(0 if os.path.exists({gate!r}) else "the till is closed")
"""
WAITS = "import time\nprint('on its way', flush=True)\ntime.sleep(600)\n"


@pytest.fixture
def known_type(api: Client) -> str:
    """A type of events of one test's own whose data are known: so many have come, each with a number for its total."""
    name = f"order.placed.{uuid4().hex[:8]}"
    sent = api.send_batch([event(name, {"total": n + 0.5, "customer": "Grace"}) for n in range(LEARN)])
    assert sent.status == 202, sent.text
    path = f"/api/v1/event-types/{name}/"
    happened(
        lambda: (found := api.request("GET", path)).status == 200 and not found.json["learning"],
        60,
        "learning",
    )
    return name


def test_a_dead_letter_is_read_mended_and_sent_again(
    page: Any,
    screen: str,
    api: Client,
    services: Callable[..., str],
    known_type: str,
    tmp_path: Path,
    picture: Callable[..., None],
) -> None:
    """A type is made strict; a sender breaks it; its dead letters are found, the sender is mended, one letter is mended
    and sent again, the other thrown away."""
    wrong = SENDS.format(type=known_type, total='"seven"')
    sender = f"till_{screen}"
    project = services("letters", till=({}, wrong), bill=({"trigger_events": [known_type]}, BILLS))
    by_menu(page, "Event types")
    page.get_by_label("Name").press_sequentially(known_type)
    page.get_by_role("link", name=known_type).click()
    page.get_by_role("button", name="Make it strict").click()
    page.get_by_role("dialog").get_by_role("button", name="Enforce it").click()
    page.get_by_role("button", name="Strict no more").wait_for()

    for _ in range(2):
        assert api.finished(api.run(sender))["status"] == "completed"
    letters = f"/dead-letters/?reason=schema&event_type={known_type}"
    seen_at(page, letters, "#results tbody th.full >> nth=1")
    by_menu(page, "Dead letters")
    picture("dead-letter-groups")
    group = page.get_by_role("row").filter(has_text=known_type).first
    group.get_by_role("link", name="schema").click()
    page.wait_for_url("**event_type=**")
    assert page.locator("#results tbody tr").count() == 2
    page.locator("#results tbody th a").first.click()
    reason = page.locator(".note.error").inner_text()
    assert "data.total" in reason
    assert "number" in reason
    picture("dead-letter")

    page.get_by_role("link", name=sender).click()  # who sent it
    page.get_by_role("link", name="Files", exact=True).click()
    page.get_by_text('"seven"').first.wait_for()
    write(tmp_path, sender, {}, SENDS.format(type=known_type, total=8))
    page.goto(f"/projects/{project}/")
    page.get_by_role("button", name="Sync now").click()
    page.wait_for_selector("#result .badge:has-text('changed')")

    page.goto(letters)
    page.locator("#results tbody th a").first.click()
    page.get_by_text("Mend it, then send it").click()
    field = page.get_by_label("The whole event (JSON)")
    field.fill(field.input_value().replace('"total": "seven"', '"total": "eight"'))
    page.get_by_role("button", name="Send the mended event").click()
    page.get_by_role("main").get_by_text("was not sent").wait_for()
    field = page.get_by_label("The whole event (JSON)")
    assert field.is_visible(), "what was written is there to be mended further"
    assert json.loads(field.input_value())["data"]["total"] == "eight"
    picture("dead-letter-refused")
    field.fill(field.input_value().replace('"total": "eight"', '"total": 8'))
    page.get_by_role("button", name="Send the mended event").click()
    page.get_by_text("was sent again").wait_for()
    picture("dead-letter-sent")
    page.locator("dl.facts a[href^='/flows/']").click()
    page.wait_for_selector("h1 .st-completed")
    page.locator(".graph a[aria-label*='bill_'][aria-label*='completed']").wait_for()
    picture("dead-letter-flow")

    page.goto(f"{letters}&sent=no")
    assert page.locator("#results tbody tr").count() == 1
    page.locator("#results tbody th a").first.click()
    page.get_by_role("button", name="Delete").click()
    box = page.get_by_role("dialog")
    assert "cannot be had back" in box.inner_text()
    picture("dead-letter-delete")
    box.get_by_role("button", name="Delete it").click()
    page.get_by_text("was deleted").wait_for()
    page.goto(f"{letters}&sent=no")
    assert page.locator("#results tbody tr").count() == 0


def test_much_is_done_at_once(
    page: Any,
    screen: str,
    api: Client,
    services: Callable[..., str],
    tmp_path: Path,
    picture: Callable[..., None],
) -> None:
    """All failures of a service are retried once their cause is gone; all that wait are cancelled. Each after a
    confirmation that counts, watched to its end."""
    gate = tmp_path / "open"
    services(
        "bulk",
        closed=({"trigger_events": [f"asked.{screen}"]}, FAILS.format(gate=str(gate))),
        waits=({"trigger_events": [f"waits.{screen}"], "concurrency": 1}, WAITS),
    )
    assert api.send_batch([event(f"asked.{screen}", {"n": n}) for n in range(12)]).status == 202
    assert api.send_batch([event(f"waits.{screen}") for _ in range(5)]).status == 202
    happened(
        lambda: len(api.executions(service=f"closed_{screen}", status="failed")) == 12, 90, "12 failures"
    )

    by_menu(page, "Executions")
    page.get_by_label("Service").press_sequentially(f"closed_{screen}")
    page.get_by_label("Status").select_option("failed")
    until(page, lambda: page.locator("#results tbody tr").count() == 12)
    picture("bulk-list")
    gate.touch()
    tools = page.locator(".all-that-fits")
    tools.get_by_role("link", name="Retry").click()
    body = page.get_by_role("main").inner_text()
    assert "12 of the executions fit and can be retried by you" in body
    assert f"closed_{screen}" in body
    picture("bulk-confirm")
    page.get_by_role("button", name="Retry 12").click()
    page.wait_for_url("**/bulk/**")
    page.locator("#job .st-completed").wait_for()
    assert "12 of 12 retried" in page.locator("#job").inner_text()
    picture("bulk-job")
    page.get_by_role("link", name="To the list").click()
    page.wait_for_url("**/executions/**")
    assert page.get_by_label("Service").input_value() == f"closed_{screen}", "the list with its filter"
    page.get_by_label("Status").select_option("completed")
    until(page, lambda: page.locator("#results tbody .st-completed").count() == 12)

    page.get_by_label("Status").select_option("")
    page.get_by_label("Service").fill(f"waits_{screen}")
    until(page, lambda: page.locator("#results tbody tr").count() == 5)
    tools.get_by_role("link", name="Cancel").click()
    page.get_by_role("link", name="Back", exact=True).click()
    assert page.get_by_label("Service").input_value() == f"waits_{screen}"
    tools.get_by_role("link", name="Cancel").click()
    page.get_by_role("button", name="Cancel 5").click()
    page.locator("#job .st-completed").wait_for()
    assert "5 of 5 cancelled" in page.locator("#job").inner_text()
    page.get_by_role("link", name="To the list").click()
    until(page, lambda: page.locator("#results tbody .st-cancelled").count() == 5)
    picture("bulk-cancelled")


def test_dead_letters_are_thrown_away_together(
    page: Any,
    screen: str,
    api: Client,
    services: Callable[..., str],
    known_type: str,
    picture: Callable[..., None],
) -> None:
    """Seven events that fit no schema are put aside; all of them, and no others, are deleted after a confirmation that
    counts."""
    made = api.request("PATCH", f"/api/v1/event-types/{known_type}/", {"strict": True})
    assert made.status == 200, made.text
    services("spills", spill=({}, SPILLS.format(type=known_type)))
    assert api.finished(api.run(f"spill_{screen}"))["status"] == "completed"
    seen_at(page, f"/dead-letters/?reason=schema&event_type={known_type}", "#results tbody th.full >> nth=6")

    by_menu(page, "Dead letters")
    page.get_by_role("row").filter(has_text=known_type).first.get_by_role("link", name="schema").click()
    page.wait_for_url("**event_type=**")
    page.locator("#results tbody th a").first.click()
    assert page.locator("h1").inner_text() == "The data of this event do not fit the schema of its type"
    assert "send it again" in page.locator(".note.error").inner_text()
    picture("dead-letter-words")
    page.go_back()

    page.locator(".all-that-fits").get_by_role("link", name="Delete").click()
    said = page.get_by_role("main").inner_text()
    assert "7 of the dead letters fit" in said
    picture("dead-letters-delete")
    page.get_by_role("link", name="Back", exact=True).click()
    assert page.locator("#results tbody tr").count() == 7, "nothing happened yet"
    page.locator(".all-that-fits").get_by_role("link", name="Delete").click()
    page.get_by_role("button", name="Delete 7").click()
    page.wait_for_url("**/bulk/**")
    page.locator("#job .st-completed").wait_for()
    assert "7 of 7 deleted" in page.locator("#job").inner_text()
    page.get_by_role("link", name="To the list").click()
    page.wait_for_url("**event_type=**")
    assert page.locator("#results tbody tr").count() == 0
