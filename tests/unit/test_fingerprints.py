"""Errors of one kind have one fingerprint."""

from __future__ import annotations

import pytest

from ferris.fingerprints import LONGEST, error_kind, fingerprint


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("KeyError: 'order-17'", "KeyError: 'order-18'"),
        ("timeout after 30 s", "timeout after 31.5 s"),
        ("no row 1f0e3dad-9990-4a5b-8b9a-0a1b2c3d4e5f", "no row 2f0e3dad-9990-4a5b-8b9a-0a1b2c3d4e5e"),
        ("object at 0x7f3a2b>", "object at 0x7f3a2c>"),
        ("commit 9fceb02d0ae5 is gone", "commit 1fceb02d0ae7 is gone"),
        ("line 3:\n  failed", "line 4:   failed"),
        ('cannot open "a.csv"', 'cannot open "b.csv"'),
    ],
)
def test_numbers_ids_and_quoted_texts_do_not_count(one, other):
    assert fingerprint(one) == fingerprint(other)


def test_other_errors_have_others():
    assert fingerprint("KeyError: 'a'") != fingerprint("ValueError: 'a'")
    assert fingerprint("") != fingerprint("x")
    assert error_kind("deadbeef facade") == "deadbeef facade"  # words, not numbers


def test_a_long_error_is_short_and_quick():
    assert len(error_kind("'" * 100_000)) <= LONGEST
    assert len(error_kind("1 " * 100_000)) <= LONGEST
