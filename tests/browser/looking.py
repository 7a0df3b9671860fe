"""What a page is looked at for: by axe, for contrast, and for what sticks out, at both widths and in both themes."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

axe = pytest.importorskip(
    "axe_playwright_python", reason="axe is not installed (make test-browser installs it)"
)

VIEWS = [(width, scheme) for width in (1280, 390) for scheme in ("light", "dark")]
KEPT = [(1280, "light"), (390, "dark")]  # as pictures, each of which takes a third of a second
AXE = (Path(axe.__file__).parent / "axe.min.js").read_text()
# Contrast is looked at by our own check, in both themes. The lines of a log stand as close as in a terminal.
FOUND_BY_AXE = """axe.run({exclude: ["#log .at"]}, {
    resultTypes: ["violations"],
    runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
    rules: {"color-contrast": {enabled: false}},
}).then(found => found.violations.flatMap(one => one.nodes.map(node => `${one.id}: ${node.html.slice(0, 200)}`)))"""
CONTRAST = (Path(__file__).parent / "contrast.js").read_text()


def found_by_axe(page: Any) -> list[str]:
    """What axe would have mended."""
    if not page.evaluate("'axe' in window"):
        page.evaluate(AXE)
    return list(page.evaluate(FOUND_BY_AXE))


def hard_to_read(page: Any) -> list[str]:
    """Texts with too little contrast."""
    return list(page.evaluate(CONTRAST))


def sticks_out(page: Any) -> bool:
    """Whether the page is wider than its screen."""
    return bool(page.evaluate("document.documentElement.scrollWidth - innerWidth") > 0)


def looked_at(page: Any, name: str, pictures: Path | None, *, by_axe: bool = True) -> None:
    """A page follows width and theme by rules of style alone, so that what was loaded once is looked at at both widths
    and in both themes; then it is as it was. Axe does not look at colours: it looks once at each width."""
    before = page.viewport_size
    for width, scheme in VIEWS:
        page.set_viewport_size({"width": width, "height": 850})
        page.emulate_media(color_scheme=scheme)
        seen = f"{name} {width} {scheme}"
        assert not sticks_out(page), f"{seen} sticks out"
        assert hard_to_read(page) == [], seen
        background = page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
        assert (sum(map(int, re.findall(r"\d+", background)[:3])) < 200) == (scheme == "dark"), seen
        if by_axe and scheme == "light":
            assert found_by_axe(page) == [], seen
        if pictures and (width, scheme) in KEPT:
            page.screenshot(path=str(pictures / f"{name}-{width}-{scheme}.png"), full_page=True)
    page.set_viewport_size(before)
    page.emulate_media(color_scheme="null")
