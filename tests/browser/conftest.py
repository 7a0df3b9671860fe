"""A real Chromium for the console's tests. Without one they are skipped, or fail with --browser-required."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.client import Client
from tests.browser.journeys import SCREENS, added, write
from tests.browser.looking import found_by_axe, hard_to_read, sticks_out
from tests.browser.servers import Server, seeded_console, whole_platform

sync_api = pytest.importorskip(
    "playwright.sync_api", reason="playwright is not installed (make develop installs it)"
)

_PROGRAMS = ("/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome")
# What the browser itself says about pages that are meant to be refused.
# A sandboxed file has no origin, so that even the site's icon is refused to it.
_EXPECTED = ("the server responded with a status of 4", "ERR_BLOCKED_BY_RESPONSE.NotSameOrigin")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--browser-required",
        action="store_true",
        help="fail, instead of skipping, where there is no Chromium",
    )
    parser.addoption(
        "--documentation", action="store_true", help="take the pictures of docs/ anew (make screens)"
    )
    parser.addoption("--screenshots", metavar="FOLDER", help="keep a picture of every page in this folder")


@pytest.fixture(scope="session")
def chromium(request: pytest.FixtureRequest) -> Iterator[sync_api.Browser]:
    """The browser of Debian's package, or the one that CHROMIUM names."""
    found = (
        [os.environ["CHROMIUM"]] if os.environ.get("CHROMIUM") else [p for p in _PROGRAMS if shutil.which(p)]
    )
    if not found:
        reason = "there is no Chromium here: apt-get install chromium, or name one in CHROMIUM"
        if request.config.getoption("--browser-required", default=False):
            pytest.fail(reason)
        pytest.skip(reason)
    with sync_api.sync_playwright() as playwright:
        # Chromium has no sandbox for root, as which containers often run tests; the pages are our own.
        rights = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = playwright.chromium.launch(executable_path=found[0], args=rights)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def console(chromium: sync_api.Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The console over seeded rows."""
    with seeded_console(tmp_path_factory.mktemp("console")) as server:
        yield server


@pytest.fixture(scope="session")
def platform(chromium: sync_api.Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A whole platform."""
    with whole_platform(tmp_path_factory.mktemp("platform")) as server:
        yield server


class Viewer:
    """Somebody at a screen who is signed in. Whatever goes wrong in the browser is remembered."""

    def __init__(self, browser: sync_api.Browser, server: Server, **context: object) -> None:
        self.server = server
        self.context = browser.new_context(base_url=server.url, **context)
        self.context.set_default_timeout(40_000)
        self.page = self.tab()

    def tab(self) -> sync_api.Page:
        """Another page, watched like the first."""
        page = self.context.new_page()
        self.problems: list[str] = getattr(self, "problems", [])
        page.on("pageerror", lambda error: self.problems.append(f"{page.url}: {error}"))
        page.on("console", lambda said: self._heard(page, said))
        return page

    def _heard(self, page: sync_api.Page, said: sync_api.ConsoleMessage) -> None:
        if said.type in ("error", "warning") and not any(text in said.text for text in _EXPECTED):
            self.problems.append(f"{page.url}: {said.text}")

    def taken(self) -> list[str]:
        """What went wrong since this was asked last."""
        found, self.problems[:] = list(self.problems), []
        return found

    def sign_in(self) -> None:
        self.page.goto("/sign-in/")
        self.page.get_by_label("User name").fill(self.server.user)
        self.page.get_by_label("Password").fill(self.server.password)
        self.page.get_by_role("button", name="Sign in").click()
        self.page.wait_for_url(self.server.url + "/")


@pytest.fixture(scope="session")
def session_of(chromium: sync_api.Browser) -> object:
    """The cookies of a signed-in session, once per server."""
    known: dict[str, object] = {}

    def cookies(server: Server) -> object:
        if server.url not in known:
            viewer = Viewer(chromium, server)
            viewer.sign_in()
            known[server.url] = viewer.context.storage_state()
            viewer.context.close()
        return known[server.url]

    return cookies


@pytest.fixture
def viewer_of(chromium: sync_api.Browser, session_of: object) -> Iterator[object]:
    """Makes viewers of a server; at the end nothing may have gone wrong in their browsers."""
    made: list[Viewer] = []

    def make(server: Server, **context: object) -> Viewer:
        viewer = Viewer(chromium, server, storage_state=session_of(server), **context)  # type: ignore[operator]
        made.append(viewer)
        return viewer

    yield make
    for viewer in made:
        viewer.context.close()
    assert not [problem for viewer in made for problem in viewer.problems]


@pytest.fixture(scope="session")
def _reader(chromium: sync_api.Browser, session_of: Any, console: Server) -> Iterator[Viewer]:
    viewer = Viewer(chromium, console, storage_state=session_of(console))
    yield viewer
    viewer.context.close()


@pytest.fixture
def reader(_reader: Viewer) -> Iterator[Viewer]:
    """One who reads page after page of the console in one window; nothing may have gone wrong there."""
    yield _reader
    assert _reader.taken() == []


class Weight:
    """What the page that was opened last took, bytes on the wire, as if nothing were kept from before."""

    def __init__(self, page: sync_api.Page) -> None:
        self._page = page
        self._took: dict[str, int] = {}
        self._under_way: set[str] = set()
        self._loader = ""
        browser = page.context.new_cdp_session(page)
        self._frame = browser.send("Page.getFrameTree")["frameTree"]["frame"]["id"]
        browser.on("Network.requestWillBeSent", self._asked)
        browser.on("Network.loadingFinished", self._got)
        browser.on("Network.loadingFailed", lambda said: self._under_way.discard(said["requestId"]))
        browser.send("Network.enable")
        browser.send("Network.setCacheDisabled", {"cacheDisabled": True})

    def _asked(self, said: dict[str, Any]) -> None:
        if said.get("frameId") != self._frame:  # what a script left, shown in a frame of its own
            return
        if said["requestId"] == said["loaderId"]:  # another page
            self._loader = said["loaderId"]
            self._took.clear()
            self._under_way.clear()
        if said["loaderId"] == self._loader and said.get("type") != "EventSource":  # which has no end
            self._under_way.add(said["requestId"])

    def _got(self, said: dict[str, Any]) -> None:
        if said["requestId"] in self._under_way:  # and not of the page before
            self._took[said["requestId"]] = said["encodedDataLength"]
            self._under_way.discard(said["requestId"])

    def loaded(self) -> int:
        self._page.wait_for_load_state("load")
        for _ in range(600):  # what the browser counted is told after what it loaded
            self._page.wait_for_timeout(50)
            if not self._under_way:
                break
        assert not self._under_way
        assert len(self._took) > 3, "style and scripts came with it"
        return sum(self._took.values())


@pytest.fixture(scope="session")
def _weight(_reader: Viewer) -> Weight:
    return Weight(_reader.page)


@pytest.fixture
def weight(reader: Viewer, _weight: Weight) -> Weight:
    """Of the reader's pages."""
    return _weight


@pytest.fixture(scope="session")
def pictures(request: pytest.FixtureRequest) -> Path | None:
    """Where to keep pictures of pages, when that is wanted."""
    folder = request.config.getoption("--screenshots", default=None)
    if folder is None:
        return None
    Path(folder).mkdir(parents=True, exist_ok=True)
    return Path(folder)


# --- journeys: what people do most, at a desk and on a phone -----------------------------------------


@pytest.fixture(scope="session")
def api(platform: Server) -> Client:
    """A program beside the platform, that may all: for what a journey finds there already."""
    return Client(platform.url, platform.manage("token", platform.user).strip())


@pytest.fixture(params=SCREENS)
def screen(request: pytest.FixtureRequest) -> str:
    """Where the journey is done; it also tells the rows of the same journey on two screens apart."""
    return str(request.param)


@pytest.fixture
def page(screen: str, platform: Server, viewer_of: Callable[..., Any]) -> Iterator[Any]:
    """A page of the whole platform, on that screen; where the journey ends, it is looked at."""
    seen = viewer_of(platform, **SCREENS[screen]).page
    yield seen
    assert found_by_axe(seen) == []
    assert hard_to_read(seen) == []
    assert not sticks_out(seen)


@pytest.fixture
def picture(page: Any, screen: str, pictures: Path | None) -> Callable[..., None]:
    """Keeps a picture of a step of the journey, when that is wanted; of its own page, or of another."""

    def take(step: str, seen: Any = page) -> None:
        if pictures:
            seen.screenshot(path=str(pictures / f"journey-{step}-{screen}.png"), full_page=True)

    return take


@pytest.fixture
def services(api: Client, screen: str, tmp_path: Path) -> Callable[..., str]:
    """Adds a project of these services to the platform; its name."""

    def add(project: str, **made: tuple[dict[str, Any], str]) -> str:
        for name, (manifest, script) in made.items():
            write(tmp_path, f"{name}_{screen}", manifest, script)
        return added(api, f"{project}_{screen}", tmp_path)

    return add
