"""What people come for, on a whole platform: from an empty home to a flow, from a failure to its mending."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.client import Client
from tests.browser.journeys import added, synced, write
from tests.browser.servers import Server, until

SLOW = """
import itertools, sys, time
from ferris_ef import context
rounds = int(context.params.get("rounds", 400))
for n in itertools.count():
    if n >= rounds and not context.state.get("held"):
        break
    print(f"round {n} <b>\\x1b[32mgoes on\\x1b[0m</b>")
    if n == 3:
        context.logging.error("something <script>alert(1)</script> odd")
    if n % 5 == 0 and n < rounds:
        context.events.send("journey.round", data={"n": n, "note": "<img src=x onerror=alert(1)>"})
    sys.stdout.flush()
    time.sleep(0.05)
"""
PARAMETERS = {
    "fields": [
        {"type": "int", "name": "rounds", "label": "Rounds", "min": 1, "max": 1000, "default": 400},
        {"type": "file", "name": "notes", "label": "Notes", "data": {"bucket": "journey-notes"}},
    ]
}


@pytest.fixture(scope="module")
def folder(api: Client, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project on the platform: one service that takes its time, two that its events trigger."""
    folder = tmp_path_factory.mktemp("journeys")
    write(folder, "journey_slow", {"output_events": ["journey.round"]}, SLOW, parameters=PARAMETERS)
    few = {"event_type": "journey.round", "filter": {"data": {"n": [{"numeric": ["<", 6]}]}}}
    write(folder, "journey_few", {"trigger_events": [few]}, "print('one of few')")
    none = {"event_type": "journey.round", "filter": {"data": {"n": [{"numeric": [">", 5000]}]}}}
    write(folder, "journey_none", {"trigger_events": [none]}, "print('never')")
    added(api, "journeys", folder)
    return folder


def run_slow(page: Any, rounds: int) -> None:
    page.goto("/services/journey_slow/run/")
    page.get_by_label("Rounds").fill(str(rounds))
    page.get_by_role("button", name="Run now").click()
    page.wait_for_url("**/executions/**")
    page.wait_for_selector("h1 .badge")


@pytest.fixture
def let_end(folder: Path, api: Client) -> Iterator[Callable[[], None]]:
    """The slow script goes on until this is called, however slowly a page comes to look at it."""

    def hold(held: bool) -> None:
        api.call("PUT", "/api/v1/services/journey_slow/state/", {"held": held})

    hold(True)
    yield lambda: hold(False)
    hold(False)


def test_a_run_is_watched_live(
    let_end: Callable[[], None], platform: Server, viewer_of: Callable[..., Any]
) -> None:
    """The log grows, the flow grows, the list learns of it; nothing is reloaded by hand."""
    viewer = viewer_of(platform)
    listed = viewer.tab()
    listed.goto("/executions/")
    page = viewer.page
    run_slow(page, 160)
    flow = viewer.tab()
    flow.goto(page.locator("dd a[href^='/flows/']").get_attribute("href"))
    lines = page.locator("#log li")
    until(page, lambda: lines.count() > 20)
    seen = lines.count()
    until(page, lambda: lines.count() > seen + 10)
    log = page.locator("#log")
    assert log.evaluate("e => e.scrollHeight - e.scrollTop - e.clientHeight < 30"), "the end is in view"
    assert "round 0 <b>goes on</b>" in lines.first.inner_text()
    assert lines.first.locator(".ansi-32").inner_text() == "goes on"

    follow = page.get_by_role("button", name="Follow")
    log.hover()
    page.mouse.wheel(0, -2000)
    until(page, lambda: follow.get_attribute("aria-pressed") == "false")
    top = log.evaluate("e => e.scrollTop")
    seen = lines.count()
    until(page, lambda: lines.count() > seen + 5)
    assert log.evaluate("e => e.scrollTop") <= top + 1, "who reads is not moved"
    follow.click()
    assert log.evaluate("e => e.scrollHeight - e.scrollTop - e.clientHeight < 30")

    flow.wait_for_selector(".graph a[aria-label*='journey_few'][aria-label*='completed']")
    flow.wait_for_selector("h1 .st-in_progress")
    new = listed.locator("[data-new] button")
    new.wait_for()
    assert re.fullmatch(r"\d+\+? new", new.inner_text().strip())
    new.click()
    listed.wait_for_selector("#results tr:has-text('journey_slow') .st-in_progress")

    let_end()
    page.wait_for_selector("h1 .st-completed", timeout=30_000)
    flow.wait_for_selector("h1 .st-completed")
    listed.wait_for_selector("#results tr:has-text('journey_slow') .st-completed")
    until(page, lambda: lines.count() >= 161)
    page.locator("#caused").get_by_text("32 events").wait_for()
    flow.locator(".graph a[aria-label*='32 times']").wait_for()  # many events are one box


def test_the_topics_page_keeps_itself_up_to_date(
    platform: Server, api: Client, viewer_of: Callable[..., Any]
) -> None:
    """How many records there are, and how far readers are behind: nothing is reloaded by hand."""
    page = viewer_of(platform).page
    page.goto("/topics/")
    row = page.locator("#topics tr", has_text="ferris.events")
    before = row.inner_text()
    api.emit("journey.unheard")
    until(page, lambda: row.inner_text() != before)


def test_the_log_is_searched(folder: Path, platform: Server, page: Any) -> None:
    run_slow(page, 30)
    page.wait_for_selector("h1 .st-completed")
    page.get_by_label("Which lines").select_option("error")
    until(page, lambda: page.locator("#log li").count() == 1)
    assert "<script>alert(1)</script> odd" in page.locator("#log li").inner_text()
    page.get_by_label("Which lines").select_option("")
    field = page.get_by_label("Search in the log")
    field.press_sequentially("round 2", delay=30)
    until(page, lambda: page.locator("#log li").count() == 11)
    assert field.evaluate("e => e === document.activeElement")
    place = page.locator("#log li a").nth(2)
    place.click()
    assert page.evaluate("location.hash").startswith("#L")
    with page.expect_download() as download:
        page.get_by_role("link", name="All", exact=True).click()
    assert Path(download.value.path()).read_text().count("round ") == 30


def test_a_run_is_cancelled(folder: Path, platform: Server, page: Any) -> None:
    run_slow(page, 1000)
    page.wait_for_selector("h1 .st-in_progress")
    page.get_by_role("button", name="Cancel").click()
    box = page.get_by_role("dialog")
    assert "SIGTERM" in box.inner_text()
    box.get_by_role("button", name="Cancel the execution").click()
    page.wait_for_selector("h1 .st-cancelled")
    assert page.get_by_role("button", name="Retry").is_visible()


def test_no_press_does_something_else_than_it_was_meant_for(
    folder: Path, platform: Server, page: Any, api: Client
) -> None:
    """Cancel becomes Retry under the pointer once the run has ended: neither the press nor the answer retries."""
    run_slow(page, 1000)
    page.wait_for_selector("h1 .st-in_progress")
    posted: list[str] = []
    page.on("request", lambda request: posted.append(request.url) if request.method == "POST" else None)
    page.get_by_role("button", name="Cancel").click()
    box = page.get_by_role("dialog")
    pk = page.url.split("/executions/")[1].split("/")[0]
    # Whoever presses at the very moment at which the form becomes another one.
    page.evaluate(
        """() => new MutationObserver(([change]) => setTimeout(() => change.target.requestSubmit()))
            .observe(document.body, {subtree: true, attributeFilter: ["action"]})"""
    )
    assert api.request("POST", f"/api/v1/executions/{pk}/cancel/").status == 202
    page.wait_for_selector("#state form[action$='/retry/']")
    page.wait_for_timeout(200)
    box.get_by_role("button", name="Cancel the execution").click()
    assert "Nothing was done" in box.inner_text()
    box.get_by_role("button", name="Back").click()
    assert posted == []
    page.wait_for_timeout(600)
    page.get_by_role("button", name="Retry").click()  # who sees it can do it
    page.wait_for_selector("h1 .st-in_progress")
    assert page.url.split("/executions/")[1].split("/")[0] != pk
    page.get_by_role("button", name="Cancel").click()
    page.get_by_role("dialog").get_by_role("button", name="Cancel the execution").click()
    page.wait_for_selector("h1 .st-cancelled")


def test_why_a_service_did_not_run(folder: Path, platform: Server, page: Any) -> None:
    page.goto("/events/send/?type=journey.round")
    page.get_by_label("Data (JSON)").fill('{"n": 100')
    page.get_by_role("button", name="Send").click()
    assert "no JSON" in page.locator("#data-error").inner_text()
    page.get_by_label("Data (JSON)").fill('{"n": 100}')
    page.get_by_role("button", name="Send").click()
    page.wait_for_selector("text=No service was triggered")
    page.locator(".graph a").click()
    page.locator("#node").get_by_role("link", name="Open").click()
    page.wait_for_selector("text=What it did not trigger, and why")
    reason = page.get_by_role("row", name="journey_few")
    assert "data.n is 100" in reason.inner_text()
    assert '["<", 6]' in reason.inner_text()
    page.get_by_role("link", name="Send again or edited").click()
    page.get_by_label("Data (JSON)").fill('{"n": 1}')
    page.get_by_role("button", name="Send").click()
    page.wait_for_selector("h1 .st-completed")
    assert page.locator(".graph a[aria-label*='journey_few']").count() == 1


def test_a_failure_is_understood_and_mended(folder: Path, platform: Server, page: Any, screen: str) -> None:
    """Write a service, see it fail, read why, mend it, synchronise, run again with other values."""
    name = f"fails_{screen}"
    write(folder, name, {}, "import json\nprint('before')\nopen('absent.txt')\n")
    page.goto("/projects/journeys/")
    page.get_by_role("button", name="Sync now").click()
    page.wait_for_selector(f"#result >> text={name}")
    page.goto(f"/services/{name}/run/")
    page.get_by_label("Data").fill('{"who": "<b>Ada</b>"}')
    page.get_by_role("button", name="Run now").click()
    page.wait_for_selector("h1 .st-failed")
    note = page.locator(".note.error").inner_text()
    assert "run.py ended with exit status 1" in note
    assert "FileNotFoundError" in note
    assert "and sync the project" in note
    write(folder, name, {}, "import sys, json\nprint('mended', json.loads(sys.argv[1])['who'])\n")
    page.goto("/projects/journeys/")
    page.get_by_role("button", name="Sync now").click()
    page.wait_for_selector(f"#result:has-text('{name}') .badge:has-text('changed')")
    page.goto(f"/executions/?service={name}&status=failed")
    page.locator("#results tbody th a").first.click()
    page.get_by_role("link", name="Run with changes").click()
    data = page.get_by_label("Data")
    assert json.loads(data.input_value()) == {"who": "<b>Ada</b>"}
    page.get_by_role("button", name="Run now").click()
    page.wait_for_selector("h1 .st-completed")
    page.wait_for_selector("#log >> text=mended <b>Ada</b>")
    page.goto(f"/executions/?service={name}&status=failed")
    page.locator("#results tbody th a").first.click()
    page.get_by_role("button", name="Retry").click()
    page.wait_for_selector("h1 .st-completed")
    assert "retried" in page.locator("dl.facts").first.inner_text()


def test_a_file_reaches_the_script(folder: Path, platform: Server, page: Any) -> None:
    page.goto("/services/journey_slow/run/")
    page.get_by_label("Rounds").fill("100000")
    page.get_by_label("Notes").set_input_files(
        {"name": "notes.txt", "mimeType": "text/plain", "buffer": b"kept"}
    )
    page.get_by_role("button", name="Run now").click()
    assert "from 1 to 1000" in page.locator(".error").last.inner_text()
    assert page.get_by_label("Rounds").input_value() == "100000"
    page.get_by_label("Rounds").fill("1")
    page.get_by_label("Notes").set_input_files(
        {"name": "notes.txt", "mimeType": "text/plain", "buffer": b"kept"}
    )
    page.get_by_role("button", name="Run now").click()
    page.wait_for_selector("h1 .st-completed")
    page.goto("/objects/journey-notes/")
    page.get_by_role("row").nth(1).get_by_role("link").first.click()
    page.get_by_role("link", name="notes.txt", exact=True).click()
    page.wait_for_selector("text=kept")
    page.go_back()  # from the file itself to a page of ours


def test_a_secret_is_set_and_masked(folder: Path, api: Client, page: Any) -> None:
    write(
        folder,
        "journey_secret",
        {},
        "from ferris_ef import context\nprint('it is', context.secrets.get('door'))\n",
    )
    synced(api, "journeys")
    page.goto("/services/journey_secret/settings/")
    page.get_by_label("Name").fill("door")
    page.get_by_label("Value", exact=True).fill("open-sesame-42")
    page.get_by_role("button", name="Set the secret").click()
    page.wait_for_selector("text=Secret door was set")
    assert "open-sesame" not in page.content()
    page.goto("/services/journey_secret/run/")
    page.get_by_role("button", name="Run now").click()
    page.wait_for_selector("h1 .st-completed")
    page.wait_for_selector("#log >> text=it is")
    assert "open-sesame" not in page.content()


def test_signing_out(platform: Server, chromium: Any) -> None:
    from tests.browser.conftest import Viewer

    viewer = Viewer(chromium, platform)
    viewer.sign_in()
    viewer.page.get_by_role("button", name="Sign out").click()
    viewer.page.wait_for_url("**/sign-in/")
    viewer.page.goto("/services/")
    assert "/sign-in/" in viewer.page.url
    viewer.context.close()


def test_a_session_that_ends_meanwhile(platform: Server, chromium: Any) -> None:
    """A page that is open asks to sign in at its next look, and comes back."""
    from tests.browser.conftest import Viewer

    viewer = Viewer(chromium, platform)
    viewer.sign_in()
    viewer.page.goto("/services/")
    viewer.context.clear_cookies()
    viewer.page.get_by_label("Name or description").press_sequentially("hello")
    viewer.page.wait_for_url("**/sign-in/?next=/services/**")
    viewer.page.get_by_label("User name").fill(platform.user)
    viewer.page.get_by_label("Password").fill(platform.password)
    viewer.page.get_by_role("button", name="Sign in").click()
    viewer.page.wait_for_url("**/services/**")
    viewer.context.close()


def test_a_page_that_nobody_sees_holds_no_connection(
    folder: Path, platform: Server, viewer_of: Callable[..., Any]
) -> None:
    """Browsers have six connections to a server: many open pages must not use them up."""
    viewer = viewer_of(platform)
    run_slow(viewer.page, 60)
    hide = "h => { Object.defineProperty(document, 'hidden', {value: h, configurable: true});"
    hide += " document.dispatchEvent(new Event('visibilitychange')) }"
    lines = viewer.page.locator("#log li")
    until(viewer.page, lambda: lines.count() > 5)
    viewer.page.evaluate(hide, True)
    viewer.page.wait_for_timeout(300)
    seen = lines.count()
    viewer.page.wait_for_timeout(500)
    assert lines.count() == seen, "no line comes to a hidden page"
    viewer.page.evaluate(hide, False)
    viewer.page.wait_for_selector("h1 .st-completed")
    until(viewer.page, lambda: lines.count() >= 61)
    rounds = [text for text in lines.locator(".msg").all_inner_texts() if text.startswith("round ")]
    assert rounds == [f"round {n} <b>goes on</b>" for n in range(60)], "none is missing, none came twice"
