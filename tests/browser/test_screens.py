"""Every page at both widths and in both themes: nothing sticks out, all can be read, nothing is blocked or broken."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from ferris.lifecycle import Reason
from ferris_web.console import manual
from tests.browser.conftest import Viewer, Weight
from tests.browser.looking import VIEWS, hard_to_read, looked_at
from tests.browser.servers import Server, until

FIRST_LOAD = 300_000  # bytes on the wire of any page, with nothing kept from before
PAGES = {
    "dashboard": "/",
    "services": "/services/",
    "service": "/services/make_report/",
    "metrics": "/services/quakes_load/metrics/?view=tables",
    "run": "/services/make_report/run/",
    "files": "/services/make_report/files/?path=report.py",
    "settings": "/services/quakes_alert/settings/",
    "values": "/values/",
    "secrets": "/secrets/",
    "value-edit": "/services/quakes_alert/config/",
    "value-platform": "/platform/config/",
    "value-env": "/platform/ferris-env/",
    "value-history": "/services/quakes_alert/state/history/?at=2026-01-01T12:00",
    "value-change": "/services/quakes_alert/state/history/2/",
    "versions": "/services/make_report/versions/",
    "service-new": "/services/-/new/",
    "service-edit": "/services/make_report/edit/",
    "service-order": "/services/make_report/edit/order/",
    "projects": "/projects/",
    "project": "/projects/quakes/",
    "project-dashboard": "/projects/quakes/dashboard/?range=30d&view=tables",
    "project-add": "/projects/add/",
    "executions": "/executions/",
    "flows": "/flows/",
    "flow": "/flows/QUAKES2611/",
    "long-flow": "/flows/LONGFLOW26/?open=x",
    "map": "/map/",
    "diff": "/services/make_report/versions/1/",
    "events": "/events/",
    "send": "/events/send/",
    "event-types": "/event-types/",
    "event-type": "/event-types/quakes.quake.detected/",
    "schedules": "/schedules/",
    "topics": "/topics/",
    "topic": "/topics/ferris.control/",
    "consumers": "/consumers/",
    "backends": "/backends/",
    "dead-letters": "/dead-letters/",
    "failures": "/failures/?since=7d",
    "search": "/search/?since=7d",
    "views": "/views/executions/?status=failed",
    "backtest": "/backtest/?service=quakes_alert",
    "why-not": "/services/quakes_alert/why/",
    "buckets": "/objects/",
    "bucket": "/objects/reports/",
    "workers": "/workers/",
    "gatherings": "/gatherings/",
    "replays": "/replays/",
    "replay-new": "/replays/new/",
    "webhooks": "/webhooks/",
    "webhook": "/webhooks/github/",
    "webhook-add": "/webhooks/add/",
    "subscriptions": "/subscriptions/",
    "subscription": "/subscriptions/partner/",
    "subscription-add": "/subscriptions/add/",
    "charts": "/charts/?project=quakes",
    "chart-add": "/charts/add/?project=quakes",
    "project-charts": "/projects/quakes/dashboard/?range=30d&view=tables",
    "notifications": "/notifications/",
    "notification": "/notifications/pager/",
    "notification-add": "/notifications/add/",
    "event-maps": "/event-maps/",
    "event-map-new": "/event-maps/new/",
    "promises": "/flows/?promise=overdue",
    "late-flow": "/flows/LATEFLOW26/",
    "connections": "/connections/",
    "connection": "/connections/warehouse/",
    "help": "/help/",
    "help-page": "/help/flow-control/",
    "help-search": "/help/?q=retry",
    "api-docs": "/api/docs/",
    "api-operation": "/api/docs/services_run_create/",
    "account-sign-in": "/account/sign-in/",
    "account-confirm": "/account/confirm/",
    "not-found": "/nothing/",
    "nothing-fits": "/executions/?service=nothing",
}
# Pages whose address is behind links: the first link of a page, then that of the next.
BEHIND = {
    "execution": ("/executions/?service=quakes_load", "#results tbody th a"),
    "artifact-page": (
        "/executions/?service=quakes_load",
        "#results tbody th a",
        "#artifacts a >> text=report.html",
    ),
    "artifact-table": (
        "/executions/?service=quakes_load",
        "#results tbody th a",
        "#artifacts a >> text=quakes.csv",
    ),
    "artifact-picture": (
        "/executions/?service=quakes_load",
        "#results tbody th a",
        "#artifacts a >> text=chart.svg",
    ),
    "record": ("/search/?since=7d", "#results tbody th a"),
    "gathering": ("/gatherings/", "#results tbody th a"),
    "delivery": ("/subscriptions/partner/", "#deliveries tbody th a"),
    "replay": ("/replays/", "#results tbody th a"),
    "failed": ("/executions/?service=make_report&status=failed", "#results tbody th a"),
    "event": ("/events/?type=quakes.quake.detected", "#results tbody th a"),
    "dead-letter": ("/dead-letters/", "#results tbody th.full a"),
}


def opened(page: Any, name: str) -> None:
    """Go to one of the pages."""
    address, *links = BEHIND.get(name) or (PAGES[name],)
    page.goto(address)
    for link in links:
        before = page.url
        page.locator(link).first.click()
        page.wait_for_load_state()
        assert page.url != before


@pytest.mark.parametrize("name", [*PAGES, *BEHIND])
def test_a_page(name: str, reader: Viewer, weight: Weight, pictures: Path | None) -> None:
    opened(reader.page, name)
    assert weight.loaded() < FIRST_LOAD
    assert reader.page.title().endswith("· Ferris")
    looked_at(reader.page, name, pictures, by_axe=name != "long-flow")  # which is a flow, and takes its time


@pytest.mark.parametrize("name", [name for group in manual.contents() for name, _ in group.pages])
def test_a_page_of_the_documentation_is_light(name: str, reader: Viewer, weight: Weight) -> None:
    reader.page.goto(f"/help/{name}/")
    assert weight.loaded() < FIRST_LOAD


def test_the_check_of_contrast_sees_what_is_hard_to_read(
    console: Server, viewer_of: Callable[..., Any]
) -> None:
    page = viewer_of(console, color_scheme="light").page
    page.goto("/help/")
    page.evaluate("document.querySelector('h1').style.color = '#999'")
    assert len(hard_to_read(page)) == 1


def test_the_sign_in_page(console: Server, chromium: Any, pictures: Path | None) -> None:
    for width, scheme in VIEWS:
        context = chromium.new_context(
            base_url=console.url, viewport={"width": width, "height": 850}, color_scheme=scheme
        )
        page = context.new_page()
        page.goto("/executions/")
        assert page.url.endswith("/sign-in/?next=/executions/")
        assert page.evaluate("document.activeElement.id") == "id_username"
        assert hard_to_read(page) == []
        page.get_by_label("User name").fill("admin")
        page.get_by_label("Password").fill("wrong")
        page.get_by_role("button", name="Sign in").click()
        assert "correct username and password" in page.get_by_role("alert").inner_text()
        assert page.get_by_label("User name").input_value() == "admin"
        if pictures:
            page.screenshot(path=str(pictures / f"sign-in-{width}-{scheme}.png"))
        context.close()


def test_the_theme_is_chosen_and_kept(console: Server, viewer_of: Callable[..., Any]) -> None:
    page = viewer_of(console, color_scheme="light").page
    page.goto("/")
    toggle = page.get_by_role("button", name="Theme")
    colour = "getComputedStyle(document.documentElement).backgroundColor"
    light = page.evaluate(colour)
    toggle.click()
    assert page.evaluate(colour) == light, "light, chosen"
    toggle.click()
    dark = page.evaluate(colour)
    assert dark != light
    page.goto("/services/")
    assert page.evaluate(colour) == dark, "the server draws it dark at once"
    assert page.locator("html").get_attribute("data-theme") == "dark"
    page.get_by_role("button", name="Theme: dark").click()
    page.goto("/")
    assert page.evaluate(colour) == light


def test_the_keyboard_is_enough(console: Server, viewer_of: Callable[..., Any]) -> None:
    page = viewer_of(console).page
    page.goto("/executions/")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to content"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.name") == "q"
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.value") == "/", "within a field it is a character"
    page.goto("/flows/QUAKES2611/")
    box = page.locator(".graph a").nth(1)
    box.focus()
    assert box.evaluate("e => getComputedStyle(e.querySelector('.box')).strokeWidth") == "3px"
    page.keyboard.press("Enter")
    page.locator("#node").get_by_role("button", name="Run again").wait_for()
    assert "?node=" in page.url
    assert page.evaluate("document.activeElement.getAttribute('aria-current')") == "true", "it kept the focus"
    page.locator("#flow").dispatch_event("live")
    page.locator("#node").get_by_role("link", name="Open").click()
    page.wait_for_url("**/executions/**")
    assert "quakes_load" in page.locator("h1").inner_text()


def test_enter_goes_where_what_was_typed_leads(console: Server, viewer_of: Callable[..., Any]) -> None:
    page = viewer_of(console).page
    page.goto("/executions/")
    page.keyboard.press("Control+k")
    page.get_by_role("option", name="Dashboard").wait_for()
    page.keyboard.type("quakes_load")
    page.keyboard.press("Enter")  # before anything was found of it
    page.wait_for_url("**/services/quakes_load/")


def test_the_menu_of_a_phone(console: Server, viewer_of: Callable[..., Any]) -> None:
    page = viewer_of(console, viewport={"width": 390, "height": 844}).page
    page.goto("/")
    services = page.get_by_role("navigation", name="Main").get_by_role("link", name="Services")
    assert not services.is_visible()
    menu = page.get_by_role("button", name="Menu")
    menu.click()
    assert menu.get_attribute("aria-expanded") == "true"
    assert services.is_visible()
    page.keyboard.press("Escape")
    assert not services.is_visible()
    assert page.evaluate("document.activeElement.hasAttribute('data-menu')")
    menu.click()
    services.click()
    page.wait_for_url("**/services/")


def test_filters_are_in_the_address_and_kept_on_going_back(
    console: Server, viewer_of: Callable[..., Any]
) -> None:
    page = viewer_of(console).page
    page.goto("/executions/")
    page.get_by_label("Status").select_option("failed")
    page.wait_for_url("**/executions/?status=failed")
    assert page.locator("#results tbody .st-failed").count() > 5
    assert page.locator("#results tbody .st-completed").count() == 0
    field = page.get_by_label("Service")
    field.press_sequentially("make_report", delay=20)
    page.wait_for_url("**service=make_report**")
    assert field.evaluate("e => e === document.activeElement"), "the focus stays where one writes"
    assert field.input_value() == "make_report"
    failures = len(Reason)  # the seeded rows have one of each
    until(page, lambda: page.locator("#results tbody tr").count() == failures)
    assert f"{failures} executions" in page.locator("#announce").inner_text()
    page.locator("#results tbody th a").first.click()
    page.wait_for_url(re.compile(r"/executions/[0-9a-f-]{36}/"))
    page.go_back()
    page.wait_for_url("**status=failed**")
    assert page.get_by_label("Status").input_value() == "failed"
    assert page.get_by_label("Service").input_value() == "make_report"
    page.reload()
    assert page.locator("#results tbody tr").count() == failures


def test_pages_of_a_list(console: Server, viewer_of: Callable[..., Any]) -> None:
    page = viewer_of(console).page
    page.goto("/executions/?service=quakes_tally")
    first = page.locator("#results tbody tr").first.get_attribute("id")
    page.get_by_role("link", name="Older").click()
    page.wait_for_url("**cursor=**")
    assert page.locator(f"#{first}").count() == 0
    assert page.get_by_label("Service").input_value() == "quakes_tally"
    page.get_by_role("link", name="Newest", exact=True).click()
    page.locator(f"#{first}").wait_for()


def test_an_action_asks_first_and_can_be_left(console: Server, viewer_of: Callable[..., Any]) -> None:
    page = viewer_of(console).page
    page.goto("/dead-letters/")
    page.locator("th.full").get_by_role("link", name="hop limit").click()
    button = page.get_by_role("button", name="Send again")
    button.click()
    box = page.get_by_role("dialog")
    assert "counted anew" in box.inner_text()
    assert box.get_by_role("button", name="Back").evaluate("e => e === document.activeElement")
    page.keyboard.press("Escape")
    assert box.count() == 0
    assert button.evaluate("e => e === document.activeElement")


def test_times_say_both_zones(console: Server, viewer_of: Callable[..., Any]) -> None:
    page = viewer_of(console, timezone_id="Asia/Tokyo", locale="en-GB").page
    page.goto("/executions/")
    title = page.locator("#results tbody time").first.get_attribute("title")
    assert title
    utc, here = title.split("\n")
    assert utc.endswith("UTC")
    assert "GMT+9" in here or "JST" in here


def test_a_report_is_shown_and_its_script_does_not_run(
    console: Server, viewer_of: Callable[..., Any]
) -> None:
    viewer = viewer_of(console)
    viewer.page.goto("/objects/reports/?prefix=quakes/2026/")
    viewer.page.get_by_role("link", name="report.html", exact=True).click()
    viewer.page.wait_for_selector("text=Report")
    assert viewer.page.title() == "Quakes", "its script would have changed this"
    blocked = [problem for problem in viewer.problems if "sandboxed" in problem]
    assert blocked
    viewer.problems.clear()


def test_the_administration_works_under_the_same_policy(
    console: Server, viewer_of: Callable[..., Any]
) -> None:
    page = viewer_of(console).page
    for address in ("/admin/", "/admin/executions/execution/", "/admin/catalog/service/?active__exact=1"):
        assert page.goto(address).status == 200
    page.goto("/admin/executions/execution/?q=quakes_load")
    page.locator("#result_list th a").first.click()
    page.wait_for_selector("text=Flow")


def test_the_api_is_shown_and_can_be_tried(
    console: Server, viewer_of: Callable[..., Any], pictures: Path | None
) -> None:
    page = viewer_of(console).page
    page.goto("/api/docs/")
    page.get_by_label("Search the operations").fill("one project")
    page.wait_for_url("**/?q=one+project")
    page.get_by_role("link", name="GET /api/v1/projects/{name}/ One project").click()
    page.get_by_label("name").first.fill("qua'kes")
    assert "/api/v1/projects/qua'\\''kes/' \\\n" in page.locator("[data-curl]").inner_text()
    page.get_by_label("name").first.fill("quakes")
    page.get_by_role("button", name="Send").click()
    page.locator("[data-status]").get_by_text("200").wait_for()
    until(page, lambda: '"name": "quakes"' in page.locator("[data-answer]").inner_text())
    looked_at(page, "api-operation-tried", pictures)


def test_what_changes_something_is_sent_from_the_pages_of_the_api(
    console: Server, viewer_of: Callable[..., Any]
) -> None:
    page = viewer_of(console).page
    page.goto("/api/docs/secrets_update/")
    page.locator("#path-secret").fill("tried")
    page.get_by_label("Body").fill('{"value": 1}')
    page.get_by_role("button", name="Send").click()
    page.locator("[data-status]").get_by_text("204").wait_for()
    page.goto("/secrets/")
    page.get_by_role("rowheader", name="tried").wait_for()
    page.goto("/api/docs/secrets_destroy/")
    page.locator("#path-secret").fill("tried")
    page.get_by_role("button", name="Send").click()
    page.get_by_role("dialog").get_by_role("button", name="Send").click()
    page.locator("[data-status]").get_by_text("204").wait_for()


def test_the_keys_are_told_and_can_be_switched_off(
    console: Server, viewer_of: Callable[..., Any], pictures: Path | None
) -> None:
    page = viewer_of(console).page
    page.goto("/executions/")
    page.get_by_label("Service").press("?")
    box = page.get_by_role("dialog", name="Keyboard shortcuts")
    assert not box.is_visible(), "within a field it is a character"
    page.get_by_role("heading", level=1).click()
    page.keyboard.press("?")
    box.wait_for()
    looked_at(page, "keys", pictures)
    box.get_by_label("Single keys").uncheck()
    page.keyboard.press("Escape")
    page.goto("/services/")
    page.keyboard.press("?")
    page.keyboard.press("/")
    assert not box.is_visible()
    assert page.evaluate("document.activeElement === document.body")
    page.get_by_role("button", name="Keyboard shortcuts").click()
    box.get_by_label("Single keys").check()
    page.keyboard.press("Escape")
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.type") == "search"


def test_a_field_of_the_search_opens_with_its_values(console: Server, viewer_of: Callable[..., Any]) -> None:
    page = viewer_of(console, color_scheme="light").page
    page.goto("/search/?since=7d")
    page.locator(".fields summary", has_text="level").click()
    page.locator(".fields .values a", has_text="error").first.click()
    page.wait_for_url("**/search/?*level*")
    page.locator("svg.histogram").wait_for()


def test_a_refused_form_has_the_focus_where_the_mistake_is(
    console: Server, viewer_of: Callable[..., Any], pictures: Path | None
) -> None:
    page = viewer_of(console).page
    page.goto("/account/")
    page.get_by_label("What it is for").fill("a nightly job")
    page.get_by_role("group", name="It may").get_by_label("read").uncheck()
    page.get_by_role("button", name="Make a token").click()
    page.locator("#scopes-error").wait_for()
    assert page.evaluate("document.activeElement.id") == "scopes"
    assert page.get_by_label("What it is for").input_value() == "a nightly job"
    looked_at(page, "account-refused", pictures)


_TYPES = re.compile(r"/event-types/\?")


def _answered(status: int, route: Any) -> None:
    route.fulfill(status=status, body="no")


def test_a_part_that_cannot_be_fetched_says_so(
    console: Server, viewer_of: Callable[..., Any], pictures: Path | None
) -> None:
    viewer = viewer_of(console)
    page = viewer.page
    page.goto("/event-types/")
    said = page.locator("#failed")
    for status, words in ((500, "could not answer (500)"), (403, "not allowed"), (404, "not there any more")):
        page.route(_TYPES, partial(_answered, status))
        page.get_by_label("Name").press_sequentially("a")
        said.get_by_text(words).wait_for()
        page.unroute(_TYPES)
    looked_at(page, "part-failed", pictures)
    page.route(_TYPES, lambda route: route.abort())
    page.get_by_label("Name").press_sequentially("b")
    said.get_by_text("cannot be reached").wait_for()
    page.unroute(_TYPES)
    page.get_by_label("Name").press_sequentially("c")
    until(page, lambda: said.inner_text() == "")
    assert all("event-types" in problem for problem in viewer.problems), viewer.problems
    viewer.problems.clear()  # the browser's own word on what was refused here


_LIVE = re.compile(r"/live/")


def test_a_page_that_may_not_be_live_says_so_and_tries_again(
    console: Server, viewer_of: Callable[..., Any]
) -> None:
    viewer = viewer_of(console)
    page = viewer.page
    page.clock.install()
    page.route(_LIVE, partial(_answered, 429))
    page.goto("/executions/")
    stale = page.locator("[data-stale]")
    stale.get_by_text("too many pages are open").wait_for()
    page.unroute(_LIVE)
    page.clock.fast_forward(61_000)
    stale.wait_for(state="hidden")
    assert all("429" in problem for problem in viewer.problems), viewer.problems
    viewer.problems.clear()
