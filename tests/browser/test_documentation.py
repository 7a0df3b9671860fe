"""The pictures in `docs/`: taken here with `make screens`, of the platform that the other tests look at."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.browser.servers import ROOT, Server, until
from tests.browser.test_screens import opened

PICTURES = ROOT / "ferris_web" / "console" / "static" / "console" / "pictures" / "screens"
SHOWN = {
    "dashboard": "console.md",
    "map": "console.md",
    "failed": "tutorial.md",
    "flow": "tutorial.md",
    "event": "tutorial.md",
    "search": "search.md",
}


@pytest.mark.parametrize("name", SHOWN)
def test_a_picture_of_the_documentation(
    name: str, console: Server, viewer_of: Callable[..., Any], request: pytest.FixtureRequest
) -> None:
    page = viewer_of(console, viewport={"width": 1280, "height": 800}, color_scheme="light").page
    opened(page, name)
    if page.locator("[data-histogram]").count():  # comes after the rows
        until(page, lambda: page.locator("[data-histogram] svg").count() > 0)
    browser = page.context.new_cdp_session(page)  # Playwright itself takes no WebP, which is a third of a PNG
    taken = b64decode(browser.send("Page.captureScreenshot", {"format": "webp", "quality": 80})["data"])
    kept = PICTURES / f"{name}.webp"
    if request.config.getoption("--documentation"):
        PICTURES.mkdir(exist_ok=True)
        kept.write_bytes(taken)
    assert kept.is_file(), "make screens takes it"
    assert f"pictures/screens/{name}.webp" in (Path(ROOT) / "docs" / SHOWN[name]).read_text()


def test_no_picture_is_left_of_what_is_not_shown() -> None:
    assert {path.stem for path in PICTURES.glob("*")} == set(SHOWN)
