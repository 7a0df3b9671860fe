"""The console in German, on a phone: words are longer there, and what scripts say is German too."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.browser.conftest import Viewer
from tests.browser.looking import found_by_axe, sticks_out
from tests.browser.servers import Server
from tests.browser.test_screens import BEHIND, PAGES, opened


@pytest.fixture(scope="module")
def german(chromium: Any, session_of: Any, console: Server) -> Iterator[Viewer]:
    """Somebody with a phone, who reads German."""
    viewer = Viewer(
        chromium,
        console,
        storage_state=session_of(console),
        viewport={"width": 390, "height": 850},
        color_scheme="light",
        locale="de-DE",
        has_touch=True,
    )
    yield viewer
    viewer.context.close()


@pytest.mark.parametrize("name", [*PAGES, *BEHIND])
def test_a_page_in_german_on_a_phone(name: str, german: Viewer, pictures: Path | None) -> None:
    opened(german.page, name)
    assert german.page.locator("html").get_attribute("lang") == "de"
    assert not sticks_out(german.page)
    if pictures:
        german.page.screenshot(path=str(pictures / f"{name}-390-de.png"), full_page=True)
    assert german.taken() == []


def test_the_language_is_chosen_with_the_keyboard(console: Server, viewer_of: Callable[..., Any]) -> None:
    page = viewer_of(console, locale="de-DE").page
    page.goto("/executions/")
    assert page.locator("h1").inner_text() == "Ausführungen"
    ago = page.locator("time[data-ago]").first
    page.wait_for_function("document.querySelector('time[data-ago]').dataset.zoned")
    assert re.fullmatch(r"(vor|in) \d+ (s|min|h|T)|gerade eben|\d+\. \w+\.? \d{4}", ago.inner_text())
    page.keyboard.press("Control+k")
    page.get_by_role("dialog", name="Gehe zu").get_by_role("combobox").fill("Warteschl")
    page.get_by_role("option", name="Leser und Warteschlangen").wait_for()
    page.keyboard.press("Escape")  # empties the field
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Farben: System").click()
    page.get_by_role("button", name="Farben: hell").click()
    page.get_by_role("button", name="Farben: dunkel").click()

    page.goto("/account/")
    assert found_by_axe(page) == []
    english = page.get_by_role("button", name="English")
    assert page.get_by_role("button", name="Wie der Browser sagt").get_attribute("aria-pressed") == "true"
    english.focus()
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="Your account", level=1).wait_for()
    assert page.locator("html").get_attribute("lang") == "en"
    assert page.url.endswith("/account/")
    assert page.get_by_role("button", name="English").get_attribute("aria-pressed") == "true"
    page.get_by_role("button", name="As the browser says").focus()
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="Ihr Konto", level=1).wait_for()
    assert page.locator("html").get_attribute("lang") == "de"


def test_signing_in_in_german(console: Server, chromium: Any, pictures: Path | None) -> None:
    context = chromium.new_context(
        base_url=console.url, viewport={"width": 390, "height": 850}, locale="en-GB"
    )
    page = context.new_page()
    page.goto("/sign-in/?next=/flows/")
    page.get_by_role("button", name="Deutsch").click()
    page.get_by_label("Benutzername").fill("admin")
    page.get_by_label("Passwort").fill("wrong")
    page.get_by_role("button", name="Anmelden", exact=True).click()
    assert "Groß-" in page.get_by_role("alert").inner_text()
    if pictures:
        page.screenshot(path=str(pictures / "sign-in-390-de.png"))
    page.get_by_label("Benutzername").fill(console.user)
    page.get_by_label("Passwort").fill(console.password)
    page.get_by_role("button", name="Anmelden", exact=True).click()
    page.wait_for_url("**/flows/")
    assert page.locator("h1").inner_text() == "Abläufe"
    context.close()
