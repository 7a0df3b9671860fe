"""What scripts print, as lines: any bytes, any length, with levels, within a limit."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tasks.mask import Masker
from tasks.output import LONGEST_LINE, Budget, Levels, Lines


def lines_of(*chunks: bytes) -> list[str]:
    out: list[str] = []
    lines = Lines(Masker([]), out.append)
    for chunk in chunks:
        lines.feed(chunk)
    lines.finish()
    return out


@pytest.mark.parametrize(
    ("chunks", "expected"),
    [
        ([b""], []),
        ([b"a\nb\n"], ["a", "b"]),
        ([b"a\n\nb"], ["a", "", "b"]),
        ([b"no", b" newl", b"ine"], ["no newline"]),
        ([b"a\r\nb\r\n"], ["a", "b"]),
        ([b"a\r", b"\nb"], ["a", "b"]),
        ([b"10%\r20%\r100%\ndone"], ["100%", "done"]),
        ([b"10%\r20%\r"], ["20%"]),
        ([b"%d%%\r" % n for n in range(100_000)], ["99999%"]),
        (["ä😀".encode()[:1], "ä😀".encode()[1:4], "ä😀".encode()[4:]], ["ä😀"]),
        ([b"\xff\xfe\n", b"ok \xc3"], ["\ufffd\ufffd", "ok \ufffd"]),
        ([b"a\0b\x1b[31mred\n"], ["a\0b\x1b[31mred"]),
        ([b"form\x0cfeed \xe2\x80\xa8 separator\n"], ["form\x0cfeed \u2028 separator"]),
    ],
)
def test_bytes_become_lines(chunks: list[bytes], expected: list[str]) -> None:
    assert lines_of(*chunks) == expected


@pytest.mark.parametrize("end", [b"", b"\n"])
@pytest.mark.parametrize("size", [1, 1000, 65536])
def test_long_lines_are_divided(end: bytes, size: int) -> None:
    text = ("0123456789" * 10_000).encode() + end
    out = lines_of(*(text[start : start + size] for start in range(0, len(text), size)))
    assert all(line.endswith(" …") for line in out[:-1])
    assert not out[-1].endswith(" …")
    assert max(map(len, out)) == LONGEST_LINE + 2
    assert "".join(line.removesuffix(" …") for line in out) == "0123456789" * 10_000


@pytest.mark.parametrize(
    ("line", "level"),
    [
        ("plain text", "info"),
        ("ERROR: bad", "error"),
        ("[ERROR] bad", "error"),
        ("[warn] careful", "warning"),
        ("WARNING:root:careful", "warning"),
        ("2026-01-31 09:30:00,123 INFO x", "info"),
        ("2026-01-31 09:30:00,123 - DEBUG - x", "debug"),
        ("2026-01-31T09:30:00.5Z [critical] x", "critical"),
        ("[2026-01-31 09:30:00 +0000] [12] x", "info"),
        ("  FATAL | x", "critical"),
        ("\x1b[1m\x1b[31mERROR\x1b[0m x", "error"),
        ("2026-01-31 09:30:00 \x1b[33mWARN\x1b[0m x", "warning"),
        ("ERRORS were found", "info"),
        ("error: in lower case", "info"),
        ("INFORMATION", "info"),
        ("Error handling is described here", "info"),
        ("", "info"),
    ],
)
def test_levels(line: str, level: str) -> None:
    assert Levels("info").of(line) == level


def test_a_traceback_is_an_error_up_to_its_last_line() -> None:
    levels = Levels("warning")
    text = "before\nTraceback (most recent call last):\n  File x\n    1 / 0\n    ~~^~~\nZeroDivisionError: x\nafter"
    assert [levels.of(line) for line in text.split("\n")] == ["warning", *["error"] * 5, "warning"]


def test_the_budget_keeps_head_and_tail() -> None:
    out: list[object] = []
    budget = Budget(100, out.append)
    first = [budget.add(10, n) for n in range(30)]
    assert out == list(range(7))
    assert first.index(False) == 7
    assert first.count(False) == 1
    assert list(budget.tail()) == [28, 29]
    assert (budget.dropped_lines, budget.dropped_bytes) == (21, 210)


def test_nothing_is_dropped_within_the_budget() -> None:
    out: list[object] = []
    budget = Budget(100, out.append)
    assert all(budget.add(10, n) for n in range(7))
    assert list(budget.tail()) == []
    assert out == list(range(7))


def test_order_is_kept_when_a_small_line_follows_one_that_did_not_fit() -> None:
    out: list[object] = []
    budget = Budget(100, out.append)
    budget.add(70, "a")
    budget.add(20, "b")
    budget.add(1, "c")
    assert out == ["a"]
    assert list(budget.tail()) == ["b", "c"]


def test_a_progress_bar_is_shown_now_and_then_and_at_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    out: list[str] = []
    timers: list[Callable[[], None]] = []
    lines = Lines(Masker([]), out.append, lambda _, call: timers.append(call))

    def pass_time() -> None:
        for call in [timers.pop() for _ in timers[:]]:
            call()

    for n in range(1000):
        lines.feed(b"\r%d%% |###" % n)
        pass_time()
    assert out == []  # less than ten seconds have passed
    monkeypatch.setattr("tasks.output.REDRAW_SECONDS", 0.0)
    pass_time()
    assert out == ["998% |###"]
    pass_time()
    assert out == ["998% |###"]  # nothing new
    lines.feed(b"\r1000% |###\n")
    pass_time()
    lines.finish()
    assert out == ["998% |###", "1000% |###"]
    assert len(timers) <= 1
