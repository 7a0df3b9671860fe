"""What an executor logs about an execution is in that execution's own log, and nothing else is."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from tests.executor.control_server import Platform


def test_a_fault_of_the_executor_is_told_in_the_executions_log(
    ferris: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> None:
        logging.getLogger("tasks.package").debug("too fine")
        logging.getLogger("urllib3").error("somebody else's")
        raise RuntimeError("the disk says the-secret-word")

    monkeypatch.setattr(ferris.executor.packages, "copy", broken)
    result = ferris.run({"main.py": "print(1)"}, secrets={"WORD": "the-secret-word"})
    assert result.types[-1] == "execution.failed"
    lines = [line for line in result.lines if line["stream"] == "platform"]
    assert [line["level"] for line in lines] == ["error", "error"], lines  # the fault, and what came of it
    assert "failed in the executor: RuntimeError: the disk says ***" in lines[0]["message"]
    logging.getLogger("tasks.execute").error("of no execution")
    assert "of no execution" not in str(ferris.run({"main.py": "print(1)"}).lines)
