"""How far a script is, while it runs, and the files that it leaves: seen in a browser."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.client import Client
from tests.browser.journeys import added
from tests.browser.servers import Server, until

WIDTHS = (1280, 390)
SCRIPT = r"""
import os, sys, time, zlib, struct
from ferris_ef import context

gate = context.params["gate"]
print("\x1b[1;32mbegun\x1b[0m \x1b[38;5;196mred\x1b[0m <b>not bold</b>", flush=True)
sys.stdout.write("loading 10%\rloading 60%\rloading 100%\n")
print("Password: ", end="", flush=True)
done = 0
while not os.path.exists(gate):
    done = min(done + 1, 90)
    context.progress(done, 100, "reading <i>quakes</i> of the last thirty days")
    time.sleep(0.05)
context.progress(100, 100, "written")

def png(width, height):
    row = lambda y: b"\0" + b"".join(bytes((x * 255 // width, y * 255 // height, 160)) for x in range(width))
    part = lambda kind, data: struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    rows = zlib.compress(b"".join(row(y) for y in range(height)))
    return b"\x89PNG\r\n\x1a\n" + part(b"IHDR", head) + part(b"IDAT", rows) + part(b"IEND", b"")

context.artifacts.put("charts/map.png", png(320, 200))
lines = [f"2026-03-0{n},Place {n},{n}.5" for n in range(1, 9)]
context.artifacts.put("quakes.csv", "\n".join(["time,place,magnitude", *lines]))
context.artifacts.put("report.html", "<h1>Report</h1><p>All is well.</p><script>parent.document.title = 'hacked'; "
    "document.body.innerHTML = 'hacked'</script><img src=x onerror=\"document.body.innerHTML='hacked'\">")
context.artifacts.put("summary.json", '{"rows": 8, "largest": {"place": "Place 8", "magnitude": 8.5}}')
"""


@pytest.fixture(scope="module")
def folder(api: Client, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A service on the platform that counts until a file appears."""
    folder = tmp_path_factory.mktemp("leaves")
    service = folder / "leaves_files"
    service.mkdir()
    (service / "manifest.json").write_text(json.dumps({"trigger_events": ["leaves.asked"]}))
    (service / "run.py").write_text(SCRIPT)
    added(api, "leaves", folder)
    return folder


def picture(page: Any, pictures: Path | None, name: str) -> None:
    if pictures:
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": 900})
            page.screenshot(path=str(pictures / f"{name}-{width}.png"), full_page=True)
        page.set_viewport_size({"width": WIDTHS[0], "height": 900})


def fits(page: Any) -> None:
    """Nothing is wider than the screen of a phone."""
    page.set_viewport_size({"width": 390, "height": 800})
    assert page.evaluate("() => document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    page.set_viewport_size({"width": WIDTHS[0], "height": 900})


def test_progress_is_seen_while_it_grows_and_files_when_it_ends(
    folder: Path, platform: Server, api: Client, viewer_of: Callable[..., Any], pictures: Path | None
) -> None:
    gate = folder / "gate"
    viewer = viewer_of(platform, viewport={"width": 1280, "height": 900})
    page, listed = viewer.page, viewer.tab()
    api.emit("leaves.asked", {"gate": str(gate)})
    page.goto("/executions/?service=leaves_files")
    page.get_by_role("link", name="leaves_files").last.click()
    bar = page.get_by_role("progressbar", name="Progress of leaves_files")
    bar.wait_for()
    first = bar.evaluate("bar => bar.value")
    until(page, lambda: page.locator("#progress progress").evaluate("bar => bar.value") > first)
    until(page, lambda: page.locator("#progress progress").evaluate("bar => bar.value") == 90)
    assert page.get_by_text("90 % (90 of 100)").is_visible()
    assert page.get_by_text("reading <i>quakes</i>").is_visible()
    log = page.locator("#log")
    log.get_by_text("loading 100%").wait_for()
    log.get_by_text("Password: …").wait_for()
    assert log.get_by_text("loading 10%", exact=True).count() == 0
    assert log.locator(".ansi-32.ansi-1").inner_text() == "begun"
    assert log.locator("b").count() == 0
    fits(page)
    picture(page, pictures, "progress")
    listed.goto("/executions/")
    assert listed.locator("tr", has_text="leaves_files").get_by_role("progressbar").first.is_visible()
    fits(listed)
    picture(listed, pictures, "progress-list")

    gate.touch()
    page.get_by_role("heading", name="Artifacts").wait_for()
    fits(page)
    picture(page, pictures, "artifacts")
    page.get_by_role("link", name="report.html", exact=True).click()
    frame = page.frame_locator("iframe")
    frame.get_by_role("heading", name="Report").wait_for()
    assert frame.get_by_text("All is well.").is_visible()
    assert "hacked" not in page.title()
    fits(page)
    picture(page, pictures, "artifact-page")
    # The refusals are what is wanted; the browser tells of them.
    assert all("sandbox" in said or "Content Security Policy" in said for said in viewer.problems), (
        viewer.problems
    )
    viewer.problems.clear()

    page.go_back()
    page.get_by_role("link", name="charts/map.png", exact=True).click()
    image = page.get_by_role("img", name="charts/map.png")
    until(page, lambda: image.evaluate("image => image.naturalWidth") == 320)
    picture(page, pictures, "artifact-image")
    page.go_back()
    page.get_by_role("link", name="quakes.csv", exact=True).click()
    page.get_by_role("cell", name="Place 8").wait_for()
    fits(page)
    picture(page, pictures, "artifact-table")
    with page.expect_download() as download:
        page.get_by_role("link", name="Download").click()
    assert Path(download.value.path()).read_text().startswith("time,place,magnitude")
