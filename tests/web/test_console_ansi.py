"""Log lines with terminal sequences in them become harmless HTML."""

from __future__ import annotations

import pytest

from ferris_web.console.ansi import as_html


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("plain <b>&", "plain &lt;b&gt;&amp;"),
        ("\x1b[31mred\x1b[0m not", '<span class="ansi-31">red</span> not'),
        (
            "\x1b[1;32mboth\x1b[22mgreen\x1b[39mnone",
            '<span class="ansi-32 ansi-1">both</span><span class="ansi-32">green</span>none',
        ),
        ("\x1b[m\x1b[4mline\x1b[24m", '<span class="ansi-4">line</span>'),
        ("\x1b[31m<script>\x1b[m", '<span class="ansi-31">&lt;script&gt;</span>'),
        ("\x1b[38;5;9mx", '<span class="ansi-91">x</span>'),
        ("\x1b[38;5;196mx", '<span class="ansi-31">x</span>'),
        ("\x1b[38;2;20;200;30mx", '<span class="ansi-32">x</span>'),
        ("\x1b[38:2:20:20:230mx", '<span class="ansi-34">x</span>'),
        ("\x1b[48;5;31mx", "x"),
        ("\x1b[38;5;31;1mx", '<span class="ansi-36 ansi-1">x</span>'),
        ("\x1b[38;5mx\x1b[38mx\x1b[99999999999mx", '<span class="ansi-30">x</span>' * 3),
        ("\x1b[2K\x1b[1Aup\x1b[?25l", "up"),
        ("\x1b]0;title\x07x\x1b]8;;http://evil\x1b\\link\x1b]8;;\x1b\\", "xlink"),
        ("\x1bPdevice\x1b\\x\x1bcx\x1b", "xx"),
        ("bell\x07 nul\0 tab\t \x9b31m", "bell nul tab\t 31m"),
    ],
)  # fmt: skip
def test_sequences(text: str, html: str) -> None:
    assert as_html(text) == html


def test_many_sequences_take_no_time_to_speak_of() -> None:
    assert "x" in as_html("\x1b[" * 100_000 + "\x1b]" * 100_000 + "x\x07" + "\x1b[31m" * 1000 + "x")
