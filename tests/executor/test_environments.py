"""Environments from requirements.txt: built once, shared, with the resolver's own words when they cannot be."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ferris.retry import Retry
from tasks import environment
from tasks.environment import normalised, resolver_words
from tests.executor.control_server import Platform, lives, platform
from tests.wheels import wheel


@pytest.fixture(scope="module")
def ferris(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """Builds may write into the folder of the tests, to tell how far they are."""
    folder = tmp_path_factory.getbasetemp()
    made = platform(tmp_path_factory.mktemp("home"), FERRIS_SCRIPT_WRITES=str(folder))
    yield made
    made.executor.close()
    made.control.close()


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of wheels in place of a package index."""
    monkeypatch.setenv("UV_NO_INDEX", "1")
    monkeypatch.setenv("UV_FIND_LINKS", str(tmp_path))
    monkeypatch.setenv("UV_NO_CACHE", "1")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    return tmp_path


@pytest.fixture(autouse=True)
def _plain_environment_is_there(ferris: Platform) -> None:
    ferris.run({"main.py": ""})


def environments(ferris: Platform) -> set[str]:
    folder = ferris.settings.home / "cache" / "environments"
    return {path.name for path in folder.iterdir() if path.is_dir()}


def test_packages_are_installed_once_for_all_services(ferris: Platform, index: Path) -> None:
    wheel(index, "tiny_one", "1.0", {"tiny_one.py": "VALUE = 1\n"})
    before = environments(ferris)
    code = {
        "main.py": "import tiny_one, sys\nfrom ferris_ef import context\nprint(tiny_one.VALUE, sys.prefix)"
    }
    first = ferris.run({**code, "requirements.txt": "tiny_one==1.0\n"}, requirements="tiny_one==1.0\n")
    assert first.types[-1] == "execution.completed", first.lines
    built = environments(ferris) - before
    assert len(built) == 1
    assert first.text("stdout") == f"1 {ferris.settings.home}/cache/environments/{built.pop()}\n"
    assert any("tiny-one==1.0" in line["message"] for line in first.lines if line["stream"] == "platform")
    again = ferris.run(
        {**code, "requirements.txt": "tiny_one==1.0"}, requirements="# same\n\ntiny_one==1.0  # pin\n"
    )
    assert again.text("stdout") == first.text("stdout")
    assert again.text("platform") == ""


def test_another_version_is_another_environment(ferris: Platform, index: Path) -> None:
    for version in ("1.0", "2.0"):
        wheel(index, "tiny_two", version, {"tiny_two.py": f"VALUE = {version}\n"})
        text = f"tiny_two=={version}\n"
        result = ferris.run(
            {"main.py": "import tiny_two; print(tiny_two.VALUE)", "requirements.txt": text}, requirements=text
        )
        assert result.text("stdout") == f"{version}\n"


def test_a_build_that_fails_says_why_in_the_resolvers_words(ferris: Platform, index: Path) -> None:
    before = environments(ferris)
    text = "no_such_package_at_all==3\n"
    result = ferris.run({"main.py": "print('never')", "requirements.txt": text}, requirements=text)
    assert result.types == ["execution.started", "execution.failed"]
    assert result.last.data["reason"] == "environment"
    assert "no-such-package-at-all" in result.last.data["error"]
    assert "unsatisfiable" in result.last.data["error"]
    assert environments(ferris) == before
    retried = ferris.run(
        {"main.py": "", "requirements.txt": text}, requirements=text, retry=Retry(attempts=2, delay=30)
    )
    assert retried.types[-1] == "execution.retry_scheduled"


def test_a_line_that_makes_no_sense(ferris: Platform, index: Path) -> None:
    text = "this is ! no requirement\n"
    result = ferris.run({"main.py": "", "requirements.txt": text}, requirements=text)
    assert result.last.data["reason"] == "environment"
    assert "requirements.txt" in result.last.data["error"]


@pytest.mark.parametrize(
    "line", ["./{}", "{}", "wheels/{}", "tiny_own @ {}", "tiny_own@wheels/{} ; python_version > '3'"]
)
def test_a_wheel_inside_the_package(line: str, ferris: Platform, index: Path, tmp_path: Path) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    names = []
    for value in ("1", "2"):
        path = wheel(inside, "tiny_own", "1.0", {"tiny_own.py": f"VALUE = {value}\n"})
        files: dict[str, str | bytes] = {
            "main.py": "import tiny_own; print(tiny_own.VALUE)",
            path.name: path.read_bytes(),
            f"wheels/{path.name}": path.read_bytes(),
            "requirements.txt": line.format(path.name),
        }
        result = ferris.run(files, requirements=line.format(path.name), scripts=("main.py",))
        names.append(result.text("stdout") or result.text("platform"))
    assert names == ["1\n", "2\n"]  # the same line means another wheel in another package


def test_the_published_library_comes_first_when_it_is_asked_for(ferris: Platform, index: Path) -> None:
    files = {"fx_ef/__init__.py": "WHO = 'published'\n", "ferris_ef/__init__.py": "WHO = 'published'\n"}
    wheel(index, "fx_ef", "1.5.1", files)
    code = "import fx_ef, ferris_ef; print(fx_ef.WHO, ferris_ef.WHO)"
    result = ferris.run({"main.py": code, "requirements.txt": "fx-ef\n"}, requirements="fx-ef\n")
    assert result.text("stdout") == "published published\n"


@pytest.mark.parametrize(
    "asked",
    ["FX.EF", "fx--ef==1.5.1", "fx_ef [extra] ; python_version > '3'", "-r more.txt", "./fx_ef-1.5.1-py3-none-any.whl",
     "asks_for_it"],
)  # fmt: skip
def test_the_published_library_in_other_words(asked: str, ferris: Platform, index: Path) -> None:
    path = wheel(index, "fx_ef", "1.5.1", {"fx_ef/__init__.py": "WHO = 'published'\n"})
    wheel(index, "asks_for_it", "1.0", {}, "Requires-Dist: fx-ef>=1\n")
    files: dict[str, str | bytes] = {
        "main.py": "import fx_ef; from ferris_ef import context; print(fx_ef.WHO, context.package.name)",
        "more.txt": "fx-ef\n",
        path.name: path.read_bytes(),
        "requirements.txt": asked,
    }
    result = ferris.run(files, requirements=asked)
    assert result.text("stdout") == "published a_service\n", result.text("stderr")


@pytest.mark.parametrize("file", ["uv.toml", "pyproject.toml"])
def test_what_a_package_says_to_uv_is_not_heard(
    file: str, ferris: Platform, index: Path, tmp_path: Path
) -> None:
    """Others that ask for the same get the same environment: it is not for one of them to say where it comes from."""
    name = f"tiny_{file.partition('.')[0]}"
    own = tmp_path / "own"
    own.mkdir()
    path = wheel(own, name, "1.0", {f"{name}.py": "WHO = 'mine'\n"})
    wheel(index, name, "0.9", {f"{name}.py": "WHO = 'the index'\n"})
    said = f'find-links = ["{own}"]\n'
    files: dict[str, str | bytes] = {
        "main.py": f"import {name}; print({name}.WHO)",
        f"wheels/{path.name}": path.read_bytes(),
        file: said if file == "uv.toml" else f"[tool.uv]\n{said}",
        "requirements.txt": name,
    }
    result = ferris.run(files, requirements=name, scripts=("main.py",))
    assert result.text("stdout") == "the index\n", result.text("platform")


def test_many_executions_wait_for_one_build(ferris: Platform, index: Path) -> None:
    wheel(index, "tiny_many", "1.0", {"tiny_many.py": ""})
    orders = [
        ferris.order(
            {"main.py": "import tiny_many", "requirements.txt": "tiny_many"}, requirements="tiny_many"
        )
        for _ in range(4)
    ]
    threads = [ferris.start(order) for order in orders]
    for thread in threads:
        thread.join(60)
    results = [ferris.result(order.execution_id) for order in orders]
    assert [result.types[-1] for result in results] == ["execution.completed"] * 4
    assert sum("tiny-many==1.0" in result.text("platform") for result in results) == 1


def test_a_build_can_be_cancelled_and_leaves_nothing(ferris: Platform, index: Path) -> None:
    source = index / "slow-1.0"
    source.mkdir()
    build = '[build-system]\nrequires = []\nbuild-backend = "slow"\nbackend-path = ["."]\n'
    (source / "pyproject.toml").write_text(build + '[project]\nname = "slow"\nversion = "1.0"\n')
    (source / "slow.py").write_text(
        "import os, time\ndef build_wheel(*_, **__):\n"
        f"    open({str(index / 'started')!r}, 'w').write(str(os.getpid()))\n    time.sleep(600)\n"
    )
    subprocess.run(["tar", "-czf", str(index / "slow-1.0.tar.gz"), "-C", str(index), "slow-1.0"], check=True)
    text = f"slow @ file://{index}/slow-1.0.tar.gz\n"
    before = environments(ferris)
    order = ferris.order({"main.py": "", "requirements.txt": text}, requirements=text)
    thread = ferris.start(order)
    deadline = time.monotonic() + 60
    while not (index / "started").exists() or not (index / "started").read_text():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    ferris.control.stop[order.execution_id] = "cancelled"
    thread.join(60)
    assert not thread.is_alive()
    assert ferris.result(order.execution_id).types == ["execution.started", "execution.cancelled"]
    assert environments(ferris) == before
    assert not lives(int((index / "started").read_text()))


def test_packages_of_the_platform_are_not_seen_by_scripts(ferris: Platform) -> None:
    result = ferris.run(
        {"main.py": "import importlib.util as u; print(u.find_spec('django'), u.find_spec('celery'))"}
    )
    assert result.text("stdout") == "None None\n"


def test_an_unknown_python(ferris: Platform) -> None:
    result = ferris.run({"main.py": ""}, python="3.99")
    assert result.last.data["reason"] == "environment"
    assert "3.99" in result.last.data["error"]


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("", []),
        ("# only\n\n  # comments\n", []),
        ("a==1 # x\r\nb   >=  2\n", ["a==1", "b >= 2"]),
        ("a \\\n  --hash=sha256:1\n", ["a --hash=sha256:1"]),
        ("git+https://h/x#egg=y\n", ["git+https://h/x#egg=y"]),
    ],
)
def test_normalised(text: str, lines: list[str]) -> None:
    assert normalised(text) == lines


def test_resolver_words() -> None:
    said = [
        "Using Python 3.11",
        "  × No solution found when resolving dependencies:",
        "  ╰─▶ Because a was not found",
        "      so.",
    ]
    assert (
        resolver_words(said) == "No solution found when resolving dependencies: Because a was not found so."
    )
    assert resolver_words(["something else", "broke"]) == "something else broke"
    assert resolver_words([]) == ""


@pytest.mark.parametrize(
    "line",
    [
        "numpy", "numpy==2.0", "a-b.c_d[x, y] >= 1, < 2 ; python_version > '3'", "numpy (>=1)",
        "numpy~=1 --hash=sha256:ab", "numpy --hash=sha256:ab", "numpy!=1", "a @ https://host/a-1.0.whl",
        "https://host/a-1.0.whl", "git+https://host/a.git@main", "a@git+ssh://git@host/a",
    ],
)  # fmt: skip
def test_who_names_packages_of_the_index_shares_an_environment(line: str) -> None:
    one, other = (environment._wanted(f"colorama\n{line}", None, digest)[1] for digest in ("a", "b"))
    assert one == other


@pytest.mark.parametrize(
    "line",
    [
        "numpy.zip", "a-1.0-py3-none-any.whl", "wheels/a-1.0.tar.gz", "./a", "../a", "/srv/a", "a @ file:a.whl",
        "a @ a.whl", "a@./a", "numpy --find-links wheels", "numpy\r./a.whl", "file:///srv/a.whl", "-r more.txt",
        "-e .", "--find-links wheels", "git+file:///srv/a", "folder/", "A-1.ZIP ; python_version > '3'",
    ],
)  # fmt: skip
def test_who_names_files_has_one_of_its_own(line: str) -> None:
    one, other = (environment._wanted(f"colorama\n{line}", None, digest)[1] for digest in ("a", "b"))
    assert one != other
