"""A project is set up for those who work with it: members and tokens, notifications, charts."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from tests.acceptance.client import Client
from tests.browser.conftest import Viewer
from tests.browser.journeys import SCREENS, by_menu, seen_at
from tests.browser.looking import found_by_axe, hard_to_read, sticks_out
from tests.browser.servers import Server, until
from tests.web.receivers import Receiver, receiver

__all__ = ["receiver"]

PASSWORD = "a long enough pass phrase"


def test_a_member_is_added_and_uses_a_token(
    platform: Server,
    page: Any,
    screen: str,
    api: Client,
    services: Callable[..., str],
    chromium: Any,
    picture: Callable[..., None],
) -> None:
    """A person is made and becomes operator of a project; they see and do what that allows and no more; they make a
    token that may read, use it, and end it."""
    project = services("crew", chore=({}, "print('done')"))
    other = services("secret", hidden=({}, "print('not for you')"))
    name = f"grace_{screen}"
    by_menu(page, "Administration")
    page.goto("/admin/accounts/user/add/")
    page.get_by_label("Username").fill(name)
    page.get_by_label("Password:", exact=True).fill(PASSWORD)
    page.get_by_label("Password confirmation").fill(PASSWORD)
    page.get_by_role("button", name="Save", exact=True).click()

    page.goto(f"/projects/{project}/")
    page.get_by_role("link", name="Members").click()
    add = page.locator("section").filter(has=page.get_by_role("heading", name="Add a person or a group"))
    add.get_by_label("Name").fill(f"nobody_{screen}")
    add.get_by_label("Role").select_option("operator")
    add.get_by_role("button", name="Add").click()
    page.locator(".field .error").get_by_text(f"nobody_{screen}").wait_for()
    picture("member-unknown")
    assert page.evaluate("document.activeElement.id") == "name", "the focus is where the mistake is"
    assert add.get_by_label("Name").input_value() == f"nobody_{screen}", "what was written is kept"
    assert add.get_by_label("Role").input_value() == "operator"
    add.get_by_label("Name").fill(name)
    add.get_by_role("button", name="Add").click()
    page.get_by_text(f"{name} is operator of {project} now").wait_for()
    picture("members")

    viewer = Viewer(chromium, Server(platform.url, name, PASSWORD, platform.home), **SCREENS[screen])
    viewer.sign_in()
    hers = viewer.page
    by_menu(hers, "Projects", project)
    assert hers.get_by_role("button", name="Sync now").count() == 0
    hers.get_by_role("link", name=f"chore_{screen}").first.click()
    picture("member-service", hers)
    assert hers.get_by_role("link", name="Edit", exact=True).count() == 0
    hers.get_by_role("link", name="Run", exact=True).first.click()
    hers.get_by_role("button", name="Run now").click()
    hers.wait_for_selector("h1 .st-completed")
    assert hers.goto(f"/projects/{other}/").status == 404
    assert hers.goto(f"/services/hidden_{screen}/").status == 404
    assert hers.goto("/projects/add/").status == 403
    picture("member-refused", hers)

    hers.goto("/")
    by_menu(hers, "Your account")
    assert hers.get_by_role("row", name=project).inner_text().split() == [project, "operator"]
    hers.get_by_label("What it is for").fill("a report")
    hers.get_by_role("checkbox", name=project).check()
    hers.get_by_label("Days until it expires").fill("7")
    picture("token-form", hers)
    hers.get_by_role("button", name="Make a token").click()
    token = hers.locator(".note.warning code").inner_text()
    assert token.startswith("ferris_")
    row = hers.get_by_role("row", name="a report")
    assert "read" in row.inner_text()
    assert project in row.inner_text()
    picture("token", hers)
    program = Client(platform.url, token)
    assert [one["project"] for one in program.executions()] == [project]
    assert program.request("POST", f"/api/v1/services/chore_{screen}/run/", {}).status == 403, (
        "it may only read"
    )
    assert program.request("GET", f"/api/v1/services/hidden_{screen}/").status == 404
    by_menu(hers, "Your account")
    assert token not in hers.content(), "it is shown once"
    assert "never" not in row.locator("td").nth(1).inner_text(), "it was used"
    row.get_by_role("button", name="End").click()
    hers.get_by_role("dialog").get_by_role("button", name="End it").click()
    hers.get_by_text("opens nothing any more").wait_for()
    assert program.request("GET", "/api/v1/executions/").status == 401
    assert found_by_axe(hers) == []
    assert hard_to_read(hers) == []
    assert not sticks_out(hers)
    viewer.context.close()
    assert not viewer.problems


def test_a_notification_tells_of_a_failure(
    page: Any,
    screen: str,
    services: Callable[..., str],
    receiver: Receiver,
    picture: Callable[..., None],
) -> None:
    """A rule is made, tried, and tells of a failure; what it sent is in its log, and has come."""
    project = services("told", breaks=({}, "raise SystemExit('the paper is out')"))
    page.goto(f"/projects/{project}/")
    page.get_by_role("main").get_by_role("link", name="Notifications").click()
    page.get_by_role("link", name="Add a rule").click()
    assert page.get_by_label("Project").input_value() == project
    page.get_by_label("Name").fill(f"pager_{screen}")
    page.get_by_label("So many times").fill("1")
    page.get_by_label("Targets").fill("file:///etc/passwd")
    page.get_by_role("button", name="Add", exact=True).click()
    page.locator("p.error").first.wait_for()
    picture("notification-refused")
    assert page.get_by_label("So many times").input_value() == "1"
    page.get_by_label("Targets").fill(f"json://127.0.0.1:{receiver.port}/pager")
    page.get_by_role("button", name="Add", exact=True).click()
    page.wait_for_url(f"**/notifications/pager_{screen}/")
    page.get_by_role("button", name="Send a sample").click()
    page.locator("#messages .st-sent").wait_for()
    assert len(receiver.got) == 1
    picture("notification-sample")

    page.goto(f"/services/breaks_{screen}/run/")
    page.get_by_role("button", name="Run now").click()
    page.wait_for_selector("h1 .st-failed")
    by_menu(page, "Notifications", f"pager_{screen}")
    page.locator("#messages tbody tr").filter(has_text=f"breaks_{screen}").locator(".st-sent").wait_for()
    picture("notification-sent")
    page.locator("#messages summary").first.click()
    picture("notification-read")
    assert f"breaks_{screen}" in page.locator("#messages pre").first.inner_text()
    told = json.loads(receiver.got[-1].body)
    assert f"breaks_{screen}" in json.dumps(told)
    assert "script failed" in told["message"]


COUNTS = """
from ferris_ef import context
for shop, total in (("north", 30), ("south", 12.5)):
    context.metrics.put("orders.total", total, unit="EUR", labels={"shop": shop})
    context.events.send("SOLD", data={"shop": shop, "total": total})
"""


def test_charts_are_made_put_in_order_and_removed(
    page: Any, screen: str, api: Client, services: Callable[..., str], picture: Callable[..., None]
) -> None:
    """Two charts on a project's dashboard: one of a service's metrics, one of its events; filled, put in order by the
    mouse and by keys, removed."""
    sold = f"sold.{screen}"
    project = services("shop", sells=({"output_events": [sold]}, COUNTS.replace("SOLD", sold)))
    assert api.finished(api.run(f"sells_{screen}"))["status"] == "completed"
    by_menu(page, "Projects", project, "Dashboard")
    page.get_by_role("link", name="Add a chart").click()
    picture("chart-empty")
    page.get_by_label("Title").fill("Orders by shop")
    page.get_by_label("Event type").fill(sold)
    page.get_by_label("Shown is").select_option("sum")
    page.get_by_label("Of the number at").fill("data.total")
    page.get_by_label("Grouped by").fill("data.shop")
    page.keyboard.press("Tab")
    preview = page.locator("#preview")
    until(page, lambda: "north" in preview.inner_text())
    picture("chart-events")
    page.get_by_role("button", name="Save", exact=True).click()
    page.get_by_text("The chart Orders by shop is saved").wait_for()
    page.get_by_role("link", name="Add a chart").click()
    page.get_by_role("link", name="Metrics of a service").click()
    page.get_by_label("Title").fill("Money")
    page.get_by_label("Drawn as").select_option("kpi")
    page.get_by_label("Metric").fill("orders.total")
    page.get_by_label("Shown is").select_option("sum")
    page.get_by_role("button", name="Try it").click()
    until(page, lambda: "42.5" in preview.inner_text())
    picture("chart-metric")
    page.get_by_role("button", name="Save", exact=True).click()
    page.get_by_text("The chart Money is saved").wait_for()
    page.get_by_role("link", name="Dashboard", exact=True).last.click()
    orders = page.locator("section.plot", has=page.get_by_role("heading", name="Orders by shop"))
    until(page, lambda: "north" in orders.inner_text())
    money = page.locator("section.plot", has=page.get_by_role("heading", name="Money"))
    until(page, lambda: "42.5" in money.inner_text())
    picture("charts")

    page.get_by_role("link", name="Order", exact=True).click()
    names = page.locator("ol.order a")
    assert names.all_inner_texts() == ["Orders by shop", "Money"]
    item = page.locator("ol.order li")
    if screen.startswith("desk"):
        item.nth(1).drag_to(item.nth(0))
    else:
        page.get_by_role("button", name="Up Money").tap()
    assert names.all_inner_texts() == ["Money", "Orders by shop"]
    picture("charts-order")
    page.get_by_role("button", name="Save the order").click()
    page.get_by_text("The order is saved").wait_for()
    assert names.all_inner_texts() == ["Money", "Orders by shop"]
    page.get_by_role("button", name="Down Money").focus()
    page.keyboard.press("Enter")
    assert names.all_inner_texts() == ["Orders by shop", "Money"]
    page.get_by_role("button", name="Save the order").click()
    page.get_by_text("The order is saved").wait_for()
    assert names.all_inner_texts() == ["Orders by shop", "Money"]

    names.first.click()
    page.get_by_role("button", name="Remove").click()
    box = page.get_by_role("dialog")
    assert "with what it has added up" in box.inner_text()
    box.get_by_role("button", name="Remove it").click()
    page.get_by_text("The chart Orders by shop was removed").wait_for()
    assert names.all_inner_texts() == ["Money"]
    seen_at(page, f"/projects/{project}/dashboard/", "section.plot:has-text('Money')")
    assert page.get_by_role("heading", name="Orders by shop").count() == 0
