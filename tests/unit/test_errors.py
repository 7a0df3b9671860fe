from __future__ import annotations

import pickle

import pytest

from ferris.errors import (
    BackendError,
    ConfigError,
    Conflict,
    EventError,
    FerrisError,
    ManifestError,
    NotFound,
)


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (
            ConfigError("FERRIS_PORT", "is 'x'", "set it to a number"),
            "FERRIS_PORT is 'x': set it to a number",
        ),
        (EventError("time", "is missing"), "time: is missing"),
        (ManifestError("manifest.json", "priority", "is 0"), "manifest.json: priority: is 0"),
        (ManifestError("manifest.json", "", "is empty"), "manifest.json: is empty"),
        (BackendError("event log", "is locked", "try again"), "event log is locked: try again"),
        (NotFound("no such thing"), "no such thing"),
        (Conflict("exists already"), "exists already"),
    ],
)
def test_errors_say_what_and_survive_a_process_boundary(error: FerrisError, text: str) -> None:
    assert str(error) == text
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again), vars(again)) == (type(error), text, vars(error))
