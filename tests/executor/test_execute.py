"""One execution from its claim to its last report, with real processes."""

from __future__ import annotations

from tests.executor.control_server import Platform


def test_a_script_runs_and_everything_is_reported(ferris: Platform) -> None:
    result = ferris.run(
        {"main.py": "import sys, json\nprint('hello', json.loads(sys.argv[1])['n'])"}, params={"n": 3}
    )
    assert result.types == ["execution.started", "step.started", "step.completed", "execution.completed"]
    assert [(line["stream"], line["level"], line["message"]) for line in result.lines] == [
        ("stdout", "info", "hello 3")
    ]


def test_the_first_script_that_starts_reports_which_configuration_its_attempt_was_given(
    ferris: Platform,
) -> None:
    marks = {"service": "a mark"}
    result = ferris.run({"a.py": "", "b.py": ""}, scripts=("a.py", "b.py"), config_marks=marks)
    started = [event.data for event in result.reports if event.type == "ferris.step.started"]
    assert [said.get("config") for said in started] == [marks, None]
