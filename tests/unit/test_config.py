"""Settings: what is wrong is named with its remedy, before anything starts."""

from __future__ import annotations

from pathlib import Path

import pytest

from ferris.config import Settings
from ferris.errors import ConfigError
from tasks.step import LAST_WORDS


@pytest.mark.parametrize(
    "name", ["FERRIS_FLOWER_URL", "FERRIS_KIBANA_URL", "FERRIS_GRAFANA_URL", "FERRIS_BROKER_API"]
)
@pytest.mark.parametrize("value", ["javascript:alert(1)", "flower:5555", "//elsewhere"])
def test_an_address_is_http(name: str, value: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=f"{name} does not begin with http"):
        Settings.from_env({"FERRIS_HOME": str(tmp_path), name: value})


@pytest.mark.parametrize("name", ["FERRIS_FLOWER_PASSWORD", "FERRIS_ADMIN_PASSWORD"])
def test_a_short_password_is_refused_and_not_repeated(name: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="at least 12 characters") as error:
        Settings.from_env({"FERRIS_HOME": str(tmp_path), name: "pass"})
    assert "'pass'" not in str(error.value)


def test_passwords_are_not_part_of_what_is_printed(tmp_path: Path) -> None:
    given = {
        "FERRIS_FLOWER_PASSWORD": "the flower's password",
        "FERRIS_ADMIN_PASSWORD": "the admin's password",
        "FERRIS_BROKER_API": "http://ferris:the-broker-password@rabbitmq:15672/api/",
    }
    settings = Settings.from_env({"FERRIS_HOME": str(tmp_path), **given})
    assert settings.flower_password == given["FERRIS_FLOWER_PASSWORD"]
    assert settings.admin_password == given["FERRIS_ADMIN_PASSWORD"]
    assert not any(value in repr(settings) for value in given.values())


def test_a_ceiling_lowers_the_defaults_too(tmp_path: Path) -> None:
    said = {"FERRIS_HOME": str(tmp_path), "FERRIS_CEILING_MEMORY": "1GB", "FERRIS_CEILING_CPU": "60"}
    found = Settings.from_env({**said, "FERRIS_CEILING_TIMEOUT": "600", "FERRIS_LIMIT_FILES": "100"})
    assert (found.limits.memory, found.limits.cpu, found.limits.files) == (1 << 30, 60.0, 100)
    assert found.default_timeout_seconds == 600.0
    with pytest.raises(ConfigError, match="FERRIS_CEILING_PROCESSES"):
        Settings.from_env({**said, "FERRIS_CEILING_PROCESSES": "many"})


def test_a_cancelled_script_that_ignores_it_has_ended_within_two_seconds(tmp_path: Path) -> None:
    """The next heartbeat tells of it, then SIGTERM, SIGKILL, and the pipes that a grandchild may still hold open."""
    settings = Settings.from_env({"FERRIS_HOME": str(tmp_path)})
    assert settings.heartbeat_seconds + settings.cancel_grace_seconds + LAST_WORDS < 2
