"""A service made and edited in a browser: keys of the editor, the order by buttons and by drag."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.browser.conftest import Viewer
from tests.browser.journeys import SCREENS
from tests.browser.looking import looked_at
from tests.browser.servers import Server, until


def test_a_service_is_made_and_edited(console: Server, viewer_of: Callable[..., Any]) -> None:
    page = viewer_of(console).page
    page.goto("/services/-/new/")
    page.get_by_label("Project").fill("by_hand")
    page.get_by_label("Name").fill("typed_here")
    page.get_by_role("button", name="Make it").click()
    page.wait_for_url("**/services/typed_here/edit/")

    page.goto("/services/typed_here/edit/?new=1")
    page.get_by_label("Path").fill("two.py")
    area = page.get_by_label("Content")
    area.click()
    page.keyboard.type("if True:\n")
    page.keyboard.press("Tab")
    page.keyboard.type("print(2)\n")
    assert area.input_value() == "if True:\n    print(2)\n"
    assert page.locator(".gutter").inner_text().split() == ["1", "2", "3"]
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Shift+Tab")
    assert area.input_value() == "if True:\nprint(2)\n"
    page.keyboard.press("Escape")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "message", "the text is left by keys"
    area.fill("print(2)\n")
    page.keyboard.press("Control+s")
    page.wait_for_url("**/edit/?path=two.py")
    assert "Saved as v2" in page.get_by_role("status").first.inner_text()

    page.get_by_role("link", name="manifest.json").click()
    page.get_by_label("Content").fill('{\n  "entrypoint": "run.py",\n  "priority": 99\n}')
    page.get_by_role("button", name="Save", exact=True).click()
    page.get_by_role("link", name="manifest.json, line 3").click()
    chosen = "(() => { const a = document.activeElement; return a.value.slice(a.selectionStart, a.selectionEnd); })()"
    assert page.evaluate(chosen) == '  "priority": 99'


def test_the_text_is_coloured_and_several_files_are_saved_together(
    console: Server, viewer_of: Callable[..., Any], pictures: Path | None
) -> None:
    page = viewer_of(console).page
    page.goto("/services/-/new/")
    page.get_by_label("Project").fill("by_hand")
    page.get_by_label("Name").fill("coloured_here")
    page.get_by_role("button", name="Make it").click()
    page.wait_for_url("**/services/coloured_here/edit/")
    page.goto("/services/coloured_here/edit/?path=run.py")
    area = page.get_by_label("Content")
    page.wait_for_selector(".editor.coloured .colours .hljs-keyword")
    layer = page.locator(".colours")
    hostile = "# <img src=x onerror=alert(1)>\nimport os\n"
    area.click()
    page.keyboard.press("Control+a")
    page.keyboard.insert_text(hostile)
    until(page, lambda: layer.inner_text().strip() == hostile.strip())
    assert layer.locator("img").count() == 0
    assert layer.locator(".hljs-comment").inner_text().startswith("# <img")
    page.keyboard.type("x")
    page.keyboard.press("Control+z")
    assert area.input_value() == hostile, "undo is the browser's own"
    look = "['fontSize', 'lineHeight', 'fontFamily', 'tabSize', 'paddingTop', 'paddingLeft'].map((n) => c[n]).join()"
    one = f"((s) => {{ const c = getComputedStyle(document.querySelector(s)); return {look}; }})"
    same = f"{one}('.colours') === {one}('#content')"
    assert page.evaluate(same), "each letter stands on its colour"
    assert page.locator("[aria-current=page] .unsaved").is_visible()

    page.get_by_role("link", name="README.md").click()
    page.get_by_text("Saved with it, as one version").wait_for()
    page.wait_for_selector(".editor.coloured .colours .hljs-section")
    area.fill("# Coloured\n")
    looked_at(page, "editor-drafts", pictures)
    page.get_by_role("button", name="run.py").first.click()
    until(page, lambda: "onerror" in page.get_by_label("Content").input_value())
    page.get_by_role("button", name="Show the difference").click()
    said = page.get_by_role("main").inner_text()
    assert "+# Coloured" in said
    assert "+import os" in said
    looked_at(page, "editor-difference", pictures)
    page.get_by_label("What is changed").fill("both")
    page.keyboard.press("Enter")
    page.get_by_text("Saved as v2").wait_for()
    assert page.locator(".unsaved:visible").count() == 0


def test_scripts_are_ordered(console: Server, viewer_of: Callable[..., Any]) -> None:
    page = viewer_of(console).page
    page.goto("/services/-/new/")
    page.get_by_label("Project").fill("by_hand")
    page.get_by_label("Name").fill("ordered_here")
    page.get_by_role("button", name="Make it").click()
    page.goto("/services/ordered_here/edit/?new=1")
    page.get_by_label("Path").fill("two.py")
    page.get_by_label("Content").fill("print(2)\n")
    page.get_by_role("button", name="Save", exact=True).click()
    page.wait_for_url("**/edit/?path=two.py")

    page.goto("/services/ordered_here/edit/order/")
    page.get_by_role("button", name="Add two.py").click()
    names = page.locator("ol.order .mono")
    assert names.all_inner_texts() == ["run.py", "two.py"]
    page.get_by_role("button", name="Up two.py").focus()
    page.keyboard.press("Enter")
    assert names.all_inner_texts() == ["two.py", "run.py"]
    assert page.evaluate("document.activeElement.value") == "up:two.py", "it kept the focus"
    page.locator("ol.order li").nth(0).drag_to(page.locator("ol.order li").nth(1))
    assert names.all_inner_texts() == ["run.py", "two.py"]
    page.get_by_role("button", name="Save the order").click()
    page.wait_for_load_state()
    assert "Saved as v3" in page.get_by_role("status").first.inner_text()
    assert names.all_inner_texts() == ["run.py", "two.py"]


_KEPT = "Object.keys(localStorage).filter((name) => name.startsWith('ferris-draft:')).length"


def _made(page: Any, name: str) -> None:
    page.goto("/services/-/new/")
    page.get_by_label("Project").fill("by_hand")
    page.get_by_label("Name").fill(name)
    page.get_by_role("button", name="Make it").click()
    page.wait_for_url(f"**/services/{name}/edit/")


def _kept(page: Any, amount: int) -> None:
    until(page, lambda: page.evaluate(_KEPT) == amount)


@pytest.mark.parametrize("screen", SCREENS)
def test_what_was_not_saved_outlives_the_page(
    screen: str, console: Server, viewer_of: Callable[..., Any], pictures: Path | None
) -> None:
    viewer = viewer_of(console, **SCREENS[screen])
    page, name = viewer.page, f"kept_{screen}"
    _made(page, name)
    page.goto(f"/services/{name}/edit/?path=run.py")
    page.get_by_label("Content").fill("print('not saved')\n")
    page.get_by_role("link", name="README.md").click()
    page.get_by_text("Saved with it, as one version").wait_for()
    page.get_by_label("Content").fill("# Not saved either\n")
    _kept(page, 2)
    page.close()  # as a browser that crashes: nobody is asked

    page = viewer.tab()
    page.goto(f"/services/{name}/edit/?path=run.py")
    note = page.locator("[data-kept]")
    note.wait_for()
    assert {"run.py", "README.md"} <= set(note.locator("[data-kept-paths]").inner_text().split(", "))
    assert not page.locator("[data-kept-moved]").is_visible()
    looked_at(page, f"editor-kept-{screen}", pictures)
    note.get_by_role("button", name="Restore it").click()
    page.get_by_text("Saved with it, as one version").wait_for()
    assert page.get_by_label("Content").input_value() == "print('not saved')\n"
    assert not note.is_visible()
    page.get_by_role("button", name="Save all").click()
    page.get_by_text("Saved as v2").wait_for()
    _kept(page, 0)
    page.reload()
    assert page.get_by_label("Content").input_value() == "print('not saved')\n"
    assert not note.is_visible()

    page.get_by_label("Content").fill("print('never mind')\n")
    _kept(page, 1)
    page.get_by_label("Content").fill("print('not saved')\n")
    _kept(page, 0)
    page.get_by_label("Content").fill("print('discarded')\n")
    _kept(page, 1)
    page.close()
    page = viewer.tab()
    page.goto(f"/services/{name}/edit/?path=run.py")
    page.get_by_role("button", name="Discard it").click()
    _kept(page, 0)
    page.reload()
    page.get_by_label("Content").wait_for()
    assert not page.locator("[data-kept]").is_visible()


@pytest.mark.parametrize("screen", SCREENS)
def test_what_was_kept_overwrites_nobody(
    screen: str, console: Server, viewer_of: Callable[..., Any], pictures: Path | None
) -> None:
    viewer = viewer_of(console, **SCREENS[screen])
    page, name = viewer.page, f"overtaken_{screen}"
    _made(page, name)
    page.goto(f"/services/{name}/edit/?path=run.py")
    page.get_by_label("Content").fill("print('mine')\n")
    _kept(page, 1)
    page.close()
    other = viewer_of(console).page  # somebody else's browser, which knows nothing of it
    other.goto(f"/services/{name}/edit/?path=run.py")
    assert not other.locator("[data-kept]").is_visible()
    other.get_by_label("Content").fill("print('theirs')\n")
    other.get_by_role("button", name="Save", exact=True).click()
    other.get_by_text("Saved as v2").wait_for()

    page = viewer.tab()
    page.goto(f"/services/{name}/edit/?path=run.py")
    page.get_by_text("The service has been changed since").wait_for()
    page.get_by_role("button", name="Restore it").click()
    page.get_by_role("heading", name="What was changed meanwhile").wait_for()
    said = page.get_by_role("main").inner_text()
    assert "+print('theirs')" in said
    assert "+print('mine')" in said
    assert page.get_by_label("Content").input_value() == "print('mine')\n"
    looked_at(page, f"editor-overtaken-{screen}", pictures)
    page.get_by_role("button", name="Save over it").click()
    page.get_by_text("Saved as v3").wait_for()
    _kept(page, 0)


def test_signing_out_leaves_nothing_of_what_was_kept(
    console: Server, chromium: Any, viewer_of: Callable[..., Any]
) -> None:
    name = "left_behind"
    _made(viewer_of(console).page, name)
    viewer = Viewer(chromium, console)
    viewer.sign_in()  # a session of its own, which is ended here
    page = viewer.page
    page.goto(f"/services/{name}/edit/?path=run.py")
    page.get_by_label("Content").fill("print('a thought')\n")
    _kept(page, 1)
    page.on("dialog", lambda dialog: dialog.accept())
    page.goto("/services/")
    page.get_by_role("button", name="Sign out").click()
    page.wait_for_load_state()
    _kept(page, 0)
    assert viewer.taken() == []
    viewer.context.close()
