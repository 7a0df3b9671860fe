"""Names and places of artifacts."""

from __future__ import annotations

import pytest

from ferris.artifacts import content_type_of, key_of, name_problem


@pytest.mark.parametrize(
    "name", ["a", "report.html", "charts/2026/a b.png", "é/ü.csv", ".hidden", "a..b", "a" * 200]
)
def test_names_that_are_kept(name: str) -> None:
    assert name_problem(name) == ""


@pytest.mark.parametrize(
    "name",
    ["", "/etc/passwd", "../x", "a/../b", "a//b", "a/", "./a", "a\\b", "a\nb", "a\0b", "a" * 256, "x" * 201 + "/y",
     "\u202egnp.exe", "\udc80", "/".join(["ü" * 90] * 3)],
)  # fmt: skip
def test_names_that_are_refused(name: str) -> None:
    assert name_problem(name)


@pytest.mark.parametrize(
    ("name", "stated", "expected"),
    [
        ("a.csv", None, "text/csv"),
        ("a.html", None, "text/html"),
        ("a", None, "application/octet-stream"),
        ("a", "Text/Plain; charset=latin1", "text/plain"),
        ("a.png", "no type\r\nX-Evil: 1", "image/png"),
    ],
)
def test_what_a_file_is(name: str, stated: str | None, expected: str) -> None:
    assert content_type_of(name, stated) == expected


def test_the_key_of_the_same_artifact_is_the_same() -> None:
    assert key_of("2026-03-01", "e", 1, 0, "a/b") == "2026-03-01/e/1/0/a/b"
