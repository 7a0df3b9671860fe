"""A form that is sent after the session has ended: what was typed is there again once one has signed in."""

from __future__ import annotations

from typing import Any

from tests.browser.conftest import Viewer
from tests.browser.servers import Server


def test_what_was_typed_is_there_again_after_signing_in(console: Server, chromium: Any) -> None:
    viewer = Viewer(chromium, console)
    viewer.sign_in()  # a session of its own, which ends here
    page = viewer.page
    page.goto("/subscriptions/add/")
    page.get_by_label("Name").fill("half_written")
    page.get_by_label("Events of the type").fill("shop.order.*")
    page.get_by_label("URL").fill("https://example.org/hook")
    page.get_by_label("Secret headers").fill("X-Key: nobody else's")
    page.get_by_label("Signing secret").fill("whsec_c2VjcmV0IHNlY3JldCBzZWNyZXQgMjQ=")
    viewer.context.clear_cookies(name="ferris_session")
    page.get_by_role("main").get_by_role("button", name="Add").click()
    page.wait_for_url("**/sign-in/**")
    told = page.get_by_role("alert").inner_text()
    assert "what you sent was not done" in told
    assert "What you typed is kept in this tab" in told
    kept = page.evaluate("JSON.stringify(sessionStorage)")
    assert "half_written" in kept
    assert "nobody else's" not in kept
    assert "whsec_" not in kept

    page.get_by_label("User name").fill(console.user)
    page.get_by_label("Password").fill("not this one")
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_load_state()
    page.get_by_label("Password").fill(console.password)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url("**/subscriptions/add/")
    page.get_by_text("What you typed is here again").wait_for()
    assert page.get_by_label("Name").input_value() == "half_written"
    assert page.get_by_label("Events of the type").input_value() == "shop.order.*"
    assert page.get_by_label("Secret headers").input_value() == ""

    page.goto("/subscriptions/add/")
    assert page.get_by_label("Name").input_value() == "", "it is offered once"
    viewer.context.close()
