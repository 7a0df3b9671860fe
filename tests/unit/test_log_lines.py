"""Lines of the platform's own log: for people and as JSON, with what they are about, without secrets."""

from __future__ import annotations

import io
import json
import logging
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ferris.adapters import log_lines
from ferris.config import Settings

TOKEN = "an-executor's-token"
PASSWORD = "p@ss/word"


@pytest.fixture
def logger(tmp_path: Path) -> Iterator[Callable[[str], tuple[logging.Logger, io.StringIO]]]:
    """A logger with the platform's lines, and what it wrote."""
    made: list[tuple[logging.Logger, logging.Handler]] = []

    def make(form: str, name: str = "ferris.some") -> tuple[logging.Logger, io.StringIO]:
        settings = Settings.from_env(
            {
                "FERRIS_HOME": str(tmp_path),
                "FERRIS_LOG_FORMAT": form,
                "FERRIS_EXECUTOR_TOKEN": TOKEN,
                "FERRIS_DATABASE": "postgresql://ferris:p%40ss%2Fword@127.0.0.1/ferris",
                "FERRIS_CONFIG_STORE": "consul://a-consul-token@127.0.0.1:8500",
            }
        )
        out = io.StringIO()
        handler = logging.StreamHandler(out)
        handler.setFormatter(log_lines.formatter(settings))
        log = logging.getLogger(name)
        log.addHandler(handler)
        log.setLevel("DEBUG")
        log.propagate = False
        made.append((log, handler))
        return log, out

    yield make
    for log, handler in made:
        log.removeHandler(handler)
        log.propagate = True


def test_json_has_a_line_per_record_with_what_it_is_about(logger) -> None:
    log, out = logger("json")
    with log_lines.about(role="router", execution="e-1", flow=None), log_lines.about(flow="ABC_1"):
        log.warning("one\ntwo %s", "three")
    log.info("after")
    first, second = (json.loads(line) for line in out.getvalue().splitlines())
    assert list(first)[:6] == ["time", "level", "process", "role", "logger", "message"]
    assert first["time"].endswith("Z")
    assert first | {"time": ""} == {
        "time": "", "level": "warning", "process": "manage", "role": "router", "logger": "ferris.some",
        "message": "one\ntwo three", "execution": "e-1", "flow": "ABC_1",
    }  # fmt: skip
    assert "execution" not in second
    assert second["role"] == "manage"


def test_a_trace_is_part_of_the_json_line(logger) -> None:
    log, out = logger("json")
    try:
        raise ValueError(f"bad {TOKEN}")
    except ValueError:
        log.exception("it failed")
    [line] = out.getvalue().splitlines()
    assert "ValueError: bad ***" in json.loads(line)["exception"]


def test_text_is_one_line_for_people(logger) -> None:
    log, out = logger("text")
    with log_lines.about(role="recorder", execution="e-1"):
        log.error("bad\nFAKE line")
    [line] = out.getvalue().splitlines()
    assert line.split(" ", 2)[2] == "ERROR manage/recorder ferris.some: bad\\nFAKE line execution=e-1"


@pytest.mark.parametrize("form", ["json", "text"])
def test_no_secret_of_the_settings_is_written(logger, form: str) -> None:
    log, out = logger(form)
    with log_lines.about(flow=f"flow of {PASSWORD}"):
        log.error(
            "token %s, password %s as p%%40ss%%2Fword, consul a-consul-token", TOKEN, PASSWORD, exc_info=None
        )
    said = out.getvalue()
    for secret in (TOKEN, PASSWORD, "p%40ss%2Fword", "a-consul-token"):
        assert secret not in said
        assert json.dumps(secret)[1:-1] not in said
    assert said.count("***") == 5


def test_secrets_of_an_execution_are_veiled_while_it_runs(logger) -> None:
    log, out = logger("json")
    with log_lines.veiled(lambda text: text.replace("hidden", "***")):
        log.error("the hidden word")
    log.error("not hidden any more")
    assert [json.loads(line)["message"] for line in out.getvalue().splitlines()] == [
        "the *** word",
        "not hidden any more",
    ]


def test_client_libraries_leave_their_traces_out(logger) -> None:
    log, out = logger("text", "kafka.net.transport")
    try:
        raise ConnectionResetError("reset")
    except ConnectionResetError:
        log.error("closing socket", exc_info=sys.exc_info())
    assert len(out.getvalue().splitlines()) == 1
