"""What people with work to do come for, each at a desk in the light and on a phone in the dark, each ended by axe.

With those of test_journeys.py (why a service did not run, a secret, a file, a run cancelled): the main journeys.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.browser.journeys import seen_at
from tests.browser.servers import Server
from tests.web.folders import SourceFolder

EXAMPLES = Path(__file__).parents[2] / "examples"


def test_first_sign_in_to_first_flow(
    platform: Server, page: Any, screen: str, tmp_path: Path, picture: Callable[..., None]
) -> None:
    """Sign in, add the sample project, run its service with the form, read what it printed, see the flow."""
    shutil.copytree(EXAMPLES / "hello" / "hello_world", tmp_path / f"hello_{screen}")
    page.context.clear_cookies()
    page.goto("/projects/add/")
    page.get_by_label("User name").fill(platform.user)
    page.get_by_label("Password").fill("not this one")
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("alert").get_by_text("correct username and password").wait_for()
    picture("sign-in")
    page.get_by_label("Password").fill(platform.password)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url("**/projects/add/")
    page.get_by_label("Name").fill("first steps")
    page.get_by_label("Source").fill(str(tmp_path))
    page.get_by_role("button", name="Add and sync").click()
    if page.get_by_label("Name").count():  # a space is no part of a name; the form says so and keeps the rest
        assert page.get_by_label("Source").input_value() == str(tmp_path)
        page.get_by_label("Name").fill(f"first_{screen}")
        page.get_by_role("button", name="Add and sync").click()
    page.wait_for_url(f"**/projects/first_{screen}/")
    page.wait_for_selector("#result .badge:has-text('added')")  # a gateway does it meanwhile
    picture("synced")
    page.locator("#result").get_by_role("link", name=f"hello_{screen}").click()
    page.get_by_role("link", name="Run", exact=True).first.click()
    page.get_by_label("Name").fill("Grace")
    picture("run-form")
    page.get_by_role("button", name="Run now").click()
    page.wait_for_selector("h1 .st-completed")
    page.wait_for_selector("#log >> text=Grace")
    picture("first-run")
    page.get_by_role("link", name="The whole flow").click()
    page.wait_for_selector("h1 .st-completed")
    assert page.locator(".graph a").count() >= 2
    picture("first-flow")


def test_a_service_is_written_fails_and_is_mended(
    page: Any, screen: str, picture: Callable[..., None]
) -> None:
    """All in the console: new from a template, run, the reason of the failure, the mended text, retried."""
    name = f"typed_{screen}"
    page.goto("/services/-/new/")
    page.get_by_label("Project").fill(f"typing_{screen}")
    page.get_by_label("Name").fill(name)
    page.get_by_role("button", name="Make it").click()
    page.wait_for_url(f"**/services/{name}/edit/**")
    page.get_by_role("link", name="run.py").click()
    page.get_by_label("Content").fill("print('before')\nopen('absent.txt')\n")
    picture("editor")
    page.get_by_role("button", name="Save and run").click()
    page.wait_for_url(f"**/services/{name}/run/**")
    page.get_by_role("button", name="Run now").click()
    page.wait_for_selector("h1 .st-failed")
    failed = page.url
    note = page.locator(".note.error").first.inner_text()
    assert "run.py ended with exit status 1" in note
    assert "FileNotFoundError" in note
    picture("failure")
    page.goto(f"/services/{name}/edit/?path=run.py")
    page.get_by_label("Content").fill("print('mended')\n")
    page.get_by_label("What is changed, and why").fill("The file was never there")
    page.get_by_role("button", name="Show the difference").click()
    page.get_by_text("open('absent.txt')").first.wait_for()
    picture("difference")
    page.get_by_role("button", name="Save", exact=True).click()
    page.get_by_role("status").get_by_text("Saved as").first.wait_for()
    page.goto(failed)
    page.get_by_role("button", name="Retry").click()
    page.wait_for_selector("h1 .st-completed")
    page.wait_for_selector("#log >> text=mended")


def test_a_repository_is_previewed_synchronised_and_rolled_back(
    page: Any, screen: str, tmp_path: Path, picture: Callable[..., None]
) -> None:
    """What a branch would change is seen before it is live; what went live is taken back."""
    source, name = SourceFolder(tmp_path / "repository"), f"git_{screen}"
    source.service(f"kept_{screen}", {"trigger_events": ["journey.git"]})
    source.commit("the first")
    page.goto("/projects/add/")
    page.get_by_label("Name").fill(name)
    page.get_by_label("Source").fill(f"file://{source.root}")
    page.get_by_role("button", name="Add and sync").click()
    page.wait_for_selector("#result .badge:has-text('added')")

    source.git("checkout", "-q", "-b", "next")
    source.service(f"more_{screen}", {"trigger_events": ["journey.git"]})
    source.service(f"kept_{screen}", {"trigger_events": ["journey.git", "journey.more"]})
    source.commit("two of them")
    page.get_by_role("link", name=f"file://{source.root}").click()
    page.get_by_role("link", name="Preview a branch").click()
    page.get_by_label("Branch or tag").fill("next")
    page.get_by_role("button", name="Preview").click()
    result = page.locator("#result")
    result.get_by_text("two of them").wait_for()
    assert f"more_{screen}" in result.inner_text()
    assert "journey.more" in result.inner_text()
    picture("preview")
    page.goto("/services/?q=more_")
    assert page.get_by_role("link", name=f"more_{screen}").count() == 0, "a preview changes nothing"

    source.git("checkout", "-q", "main")
    source.git("merge", "-q", "next")
    page.goto(f"/projects/{name}/")
    page.get_by_role("button", name="Sync now").click()
    page.wait_for_selector(f"#result:has-text('more_{screen}') .badge:has-text('added')")
    picture("synchronised")
    page.get_by_role("link", name=f"file://{source.root}").click()
    page.get_by_role("link", name="Roll back").click()
    page.locator("tbody th a").first.wait_for()
    picture("commits")
    page.goto(f"/projects/{name}/")
    page.locator("a[href*='/syncs/']").last.click()
    page.get_by_role("link", name="Roll back to this commit").click()
    page.get_by_text("would change").first.wait_for()
    picture("rollback")
    page.get_by_role("button", name="Roll back").click()
    seen_at(page, f"/services/more_{screen}/", "text=/removed|gone|vanished|no longer/i")
    page.goto(f"/projects/{name}/")
    page.get_by_role("link", name=f"file://{source.root}").click()
    page.get_by_text("Kept at").wait_for()


def test_a_line_is_searched_for_and_its_record_opened(
    page: Any, screen: str, services: Callable[..., str], picture: Callable[..., None]
) -> None:
    services("search", needle=({}, "print('hay')\nprint('the needle 4711 is here')\nprint('hay')\n"))
    page.goto(f"/services/needle_{screen}/run/")
    page.get_by_role("button", name="Run now").click()
    page.wait_for_selector("h1 .st-completed")
    seen_at(page, f"/search/?q=needle+service:needle_{screen}", "#results tbody th a")
    picture("search")
    assert page.locator("#results tbody tr").count() == 1
    page.locator("#results tbody th a").click()
    page.get_by_text("the needle 4711 is here").first.wait_for()
    picture("record")
    page.get_by_role("link", name="Execution", exact=True).click()
    page.wait_for_selector("#log >> text=the needle 4711 is here")


def test_a_schedule_is_paused_and_run_by_hand(
    page: Any, screen: str, services: Callable[..., str], picture: Callable[..., None]
) -> None:
    services("clock", yearly=({"schedule": "0 0 1 1 *"}, "print('now, and not in January')\n"))
    page.goto(f"/schedules/?q=yearly_{screen}")
    row = page.get_by_role("row", name=f"yearly_{screen}")
    assert "0 0 1 1 *" in row.inner_text()
    picture("schedules")
    row.get_by_role("button", name="Pause").click()
    page.goto(f"/schedules/?q=yearly_{screen}")
    row.get_by_role("button", name="Go on").wait_for()
    row.get_by_role("link", name=f"yearly_{screen}").click()
    page.get_by_role("link", name="Run", exact=True).first.click()
    page.get_by_role("button", name="Run now").click()
    page.wait_for_selector("h1 .st-completed")
    page.wait_for_selector("#log >> text=now, and not in January")
    page.goto(f"/schedules/?q=yearly_{screen}")
    row.get_by_role("button", name="Go on").click()
    row.get_by_role("button", name="Pause").wait_for()
