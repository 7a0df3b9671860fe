"""One platform for the whole session, and ways to get one of one's own.

`--stack=embedded` is the only stack of this release; another one needs a class with the methods of
`tests.acceptance.embedded.Platform`, and an entry in `STACKS`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.acceptance import embedded
from tests.acceptance.client import Client
from tests.acceptance.clocked import SERVICES as CLOCKED
from tests.acceptance.services import Project

STACKS = {"embedded": embedded.Platform}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--stack", choices=sorted(STACKS), default="embedded", help="what the acceptance suite boots"
    )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.slow)
            item.add_marker(pytest.mark.timeout(240))
    items.sort(key=lambda item: item.path == here / "test_schedule.py")  # the others keep their order


@pytest.fixture(scope="session")
def make_platform(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[..., embedded.Platform]]:
    """Makes platforms with an empty home each, not started; keyword arguments are FERRIS_ settings."""
    made = []

    def make(**settings: str) -> embedded.Platform:
        platform = STACKS[request.config.getoption("--stack", "embedded")](
            tmp_path_factory.mktemp("home") / "home", **settings
        )
        made.append(platform)
        return platform

    yield make
    for platform in made:
        if platform.running():
            platform.kill_all()


@pytest.fixture(scope="session")
def session(
    make_platform: Callable[..., embedded.Platform], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[embedded.Platform, Project]]:
    """The session's platform, and on it from the beginning what the clock will start (test_schedule.py)."""
    platform = make_platform()
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


@pytest.fixture
def own(make_platform: Callable[..., embedded.Platform]) -> Iterator[embedded.Platform]:
    """A platform of the test's own, started; to be killed, stopped and started again at will."""
    platform = make_platform()
    platform.start()
    yield platform
    if platform.running():
        platform.stop()


@pytest.fixture
def client(shared: embedded.Platform) -> Client:
    return shared.client


@pytest.fixture
def project(client: Client, tmp_path: Path) -> Project:
    """An empty project folder on the shared platform."""
    return Project(client, tmp_path)
