"""One platform for the whole session, and ways to get one of one's own.

`--stack=embedded` (what it is without the option) boots `manage.py ferris`; `--stack=real` boots every server of
the real stack once, and for each platform the processes of compose.yaml. A test marked `embedded` is about the
supervisor, one marked `real_stack` about servers; each is left out on the other stack.
"""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests import memory
from tests.acceptance import embedded, real
from tests.acceptance.client import Client
from tests.acceptance.clocked import SERVICES as CLOCKED
from tests.acceptance.servers import Servers
from tests.acceptance.services import Project

STACKS = ("embedded", "real")
_BOOT = 6  # a test that starts or kills platforms takes about as long as so many that only use one
_JAVA = "-XX:TieredStopAtLevel=1"  # of servers that run for minutes (java_options in compose/native)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--stack", choices=STACKS, default="embedded", help="what the acceptance suite boots")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    stack = config.getoption("--stack", "embedded")
    others = {"embedded": "real_stack", "real": "embedded"}[stack]
    left_out = [item for item in items if here in item.path.parents and item.get_closest_marker(others)]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.slow)
            item.add_marker(pytest.mark.timeout(400 if stack == "embedded" else 600))
    # First what kills servers, while no other platform stands on them, then what waits for minutes, beside which others
    # work; the longest of those first, so that no worker is left alone with one; last what the clock starts.
    order = {here / "test_real_kill.py": -2, here / "test_ways_out.py": -1, here / "test_schedule.py": 1}
    lengths = Counter[Path]()
    for item in items:
        lengths[item.path] += (
            _BOOT if {"make_platform", "own"} & set(getattr(item, "fixturenames", ())) else 1
        )
    items.sort(key=lambda item: (order.get(item.path, 0), -lengths[item.path], item.path))


@contextmanager
def started() -> Iterator[Servers]:
    """Servers in a home of their own."""
    home = Path(tempfile.mkdtemp(prefix="ferris-stack-", dir=memory.folder()))
    home.chmod(0o755)  # the servers' account passes through
    made = Servers(home, java=_JAVA)
    try:
        made.up()
        yield made
    finally:
        made.down()
        shutil.rmtree(home, ignore_errors=True)


_SHARED = pytest.StashKey[tuple[ExitStack, Servers]]()


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """With several workers (`-n`), the process that hands out the tests starts the servers for all of them."""
    if node.config.getoption("--stack") != "real":
        return
    if _SHARED not in node.config.stash:
        stack = ExitStack()
        node.config.stash[_SHARED] = stack, stack.enter_context(started())
    _, servers = node.config.stash[_SHARED]
    node.workerinput["servers"] = [str(servers.home), servers.ports]


def pytest_sessionfinish(session: pytest.Session) -> None:
    if _SHARED in session.config.stash:
        session.config.stash[_SHARED][0].close()


@pytest.fixture(scope="session")
def servers(request: pytest.FixtureRequest) -> Iterator[Servers]:
    """The servers of the real stack, all started."""
    given = getattr(request.config, "workerinput", {}).get("servers")
    if given:
        yield Servers(Path(given[0]), given[1], _JAVA)
        return
    with started() as made:
        yield made


Make = Callable[..., embedded.Platform]


@pytest.fixture(scope="session")
def new_platform(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Make:
    """Makes platforms with an empty home each, not started; keyword arguments are FERRIS_ settings. Who makes one
    ends it."""
    on_servers = request.config.getoption("--stack", "embedded") == "real"

    def make(**settings: str) -> embedded.Platform:
        home = tmp_path_factory.mktemp("home") / "home"
        if on_servers:
            return real.Platform(request.getfixturevalue("servers"), home, **settings)
        return embedded.Platform(home, **settings)

    return make


@pytest.fixture
def make_platform(new_platform: Make) -> Iterator[Make]:
    """The same; what of them still runs is ended with the test, for the machine is shared with those that come."""
    made = []

    def make(**settings: str) -> embedded.Platform:
        made.append(new_platform(**settings))
        return made[-1]

    yield make
    for platform in made:
        if platform.running():
            platform.kill_all()


@pytest.fixture(scope="session")
def session(
    new_platform: Make, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[embedded.Platform, Project]]:
    """The session's platform, and on it from the beginning what the clock will start (test_schedule.py)."""
    platform = new_platform()
    platform.start()
    clocked = Project(platform.client, tmp_path_factory.mktemp("clocked"))
    clocked.load(CLOCKED)
    clocked.emit("TAG.ask")
    yield platform, clocked
    assert platform.stop() == 0, platform.said()[-4000:]


@pytest.fixture(scope="session")
def shared(session: tuple[embedded.Platform, Project]) -> embedded.Platform:
    """The platform that most tests use at the same time; nobody kills it."""
    return session[0]


@pytest.fixture(scope="session")
def scheduled(session: tuple[embedded.Platform, Project]) -> Project:
    """The services that the clock starts."""
    return session[1]


@pytest.fixture(scope="module")
def to_kill(new_platform: Make) -> Iterator[embedded.Platform]:
    """The platform that the tests of one file have, one after the other; it may reach receivers on this machine."""
    platform = new_platform(FERRIS_ALLOW_PRIVATE="127.0.0.0/8")
    yield platform
    if platform.running():
        platform.stop()


@pytest.fixture
def own(to_kill: embedded.Platform) -> embedded.Platform:
    """A platform that runs and that nobody else uses at this moment; to be killed, stopped and started again at will.
    What earlier tests of the file left on it is there, under names of theirs."""
    if not to_kill.running():
        to_kill.start()
    return to_kill


@pytest.fixture
def client(shared: embedded.Platform) -> Client:
    return shared.client


@pytest.fixture
def project(client: Client, tmp_path: Path) -> Project:
    """An empty project folder on the shared platform."""
    return Project(client, tmp_path)
