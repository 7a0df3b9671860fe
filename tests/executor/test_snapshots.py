"""What steps leave is kept when a later one fails, and a run that continues begins there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ferris.continuing import BUCKET, Continuation
from tests.executor.control_server import Platform, Result, platform

FIRST = (
    "import os\nprint('first ran')\nopen('made.csv', 'w').write('a,b')\nos.makedirs('out/empty')\n"
    "open('own.txt', 'w').write('changed')\n"
)
SECOND = (
    "import os\n"
    "print('second ran', open('made.csv').read(), open('own.txt').read(), sorted(os.listdir('out')))\n"
)
BREAKS = "open('half.csv', 'w').write('half')\nraise SystemExit(3)\n"
OWN = {"own.txt": "as packed"}


@pytest.fixture
def narrow(tmp_path: Path) -> Iterator[Platform]:
    made = platform(tmp_path / "home", FERRIS_SNAPSHOT_LIMIT="1000")
    yield made
    made.executor.close()
    made.control.close()


def snapshot(result: Result) -> dict[str, Any] | None:
    """As the report of the step that failed has it."""
    [failed] = [report for report in result.reports if report.type.endswith("step.failed")]
    return failed.data.get("snapshot")  # type: ignore[no-any-return]


def continuing(result: Result, step: int) -> dict[str, Any]:
    kept = snapshot(result)
    assert kept is not None
    return Continuation(str(result.reports[0].subject), 1, step, kept["day"]).to_json()


def printed(result: Result) -> list[str]:
    return [line["message"] for line in result.lines if line["stream"] == "stdout"]


def scripts_of(result: Result) -> list[str]:
    return [report.data["script"] for report in result.reports if report.type.endswith("step.started")]


def test_a_run_goes_on_with_what_earlier_steps_left(ferris: Platform) -> None:
    failed = ferris.run({"1.py": FIRST, "2.py": BREAKS, "3.py": "print(3)", **OWN})
    kept = snapshot(failed)
    assert kept is not None
    assert kept["files"] == 2
    mended = {"1.py": "raise SystemExit('not again')", "2.py": SECOND, "3.py": "print(3)", **OWN}
    again = ferris.run(mended, continues=continuing(failed, 1))
    assert again.types[-1] == "execution.completed"
    assert printed(again) == ["second ran a,b changed ['empty']", "3"]
    assert scripts_of(again) == ["2.py", "3.py"]


def test_what_the_failed_step_made_is_left_out(ferris: Platform) -> None:
    failed = ferris.run({"1.py": FIRST, "2.py": BREAKS, **OWN})
    listing = "import os\nprint(sorted(os.listdir('.')))\n"
    again = ferris.run({"1.py": "1", "2.py": listing, **OWN}, continues=continuing(failed, 1))
    assert printed(again) == ["['1.py', '2.py', 'made.csv', 'out', 'own.txt']"]


def test_a_run_that_continues_can_be_continued(ferris: Platform) -> None:
    files = {"1.py": FIRST, "2.py": "open('two.txt', 'w').write('2')", "3.py": BREAKS, **OWN}
    first = ferris.run({**files, "2.py": BREAKS})
    second = ferris.run(files, continues=continuing(first, 1))
    assert scripts_of(second) == ["2.py", "3.py"]
    last = "print(open('made.csv').read(), open('two.txt').read(), open('own.txt').read())"
    third = ferris.run({**files, "3.py": last}, continues=continuing(second, 2))
    assert printed(third) == ["a,b 2 changed"]


@pytest.mark.parametrize(
    ("first", "second", "said"),
    [
        (
            FIRST,
            "open('made.csv', 'a').write('more')\nraise SystemExit(1)",
            "2.py had changed 'made.csv' already",
        ),
        (
            FIRST,
            "import os\nos.remove('made.csv')\nraise SystemExit(1)",
            "2.py had changed 'made.csv' already",
        ),
        ("import os\nos.remove('own.txt')", BREAKS, "deleted 'own.txt'"),
        ("import os\nos.symlink('/etc/passwd', 'leads')", BREAKS, "it is a link"),
        ("open('s', 'w').write('correct-horse-battery')", BREAKS, "holds a secret"),
    ],
)
def test_what_cannot_be_kept_is_said(ferris: Platform, first: str, second: str, said: str) -> None:
    failed = ferris.run({"1.py": first, "2.py": second, **OWN}, secrets={"key": "correct-horse-battery"})
    kept = snapshot(failed)
    assert kept is not None
    assert said in kept["problem"]
    subject = str(failed.reports[0].subject)
    assert not [info for info in ferris.executor.objects.list(BUCKET) if subject in info.key]


def test_what_is_too_large_is_said(narrow: Platform) -> None:
    failed = narrow.run({"1.py": "open('big', 'w').write('x' * 2000)", "2.py": BREAKS})
    kept = snapshot(failed)
    assert kept is not None
    assert "more than the" in kept["problem"]
    assert snapshot(narrow.run({"1.py": "open('small', 'w').write('x')", "2.py": BREAKS}))["files"] == 1  # type: ignore[index]


def test_nothing_is_kept_of_one_script_or_of_a_first_step(ferris: Platform) -> None:
    assert snapshot(ferris.run({"1.py": BREAKS})) is None
    assert snapshot(ferris.run({"1.py": BREAKS, "2.py": "print(2)"})) is None


def test_what_is_no_longer_kept_fails_before_any_script(ferris: Platform) -> None:
    gone = Continuation("00000000-0000-0000-0000-000000000000", 1, 1, "2020-01-01").to_json()
    failed = ferris.run({"1.py": "print(1)", "2.py": "print(2)"}, continues=gone)
    assert failed.types[-1] == "execution.failed"
    assert "no longer kept" in failed.reports[-1].data["error"]
    assert printed(failed) == []
