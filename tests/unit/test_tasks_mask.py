"""No secret in any line, in whatever form it usually travels."""

from __future__ import annotations

import base64
import json
import random
import urllib.parse
from typing import Any

import pytest

from tasks.mask import Masker
from tasks.output import LONGEST_LINE, Lines

SECRET = 'p4ß w"ord/+\\?x'


def lines_of(masker: Masker, chunks: list[bytes]) -> list[str]:
    out: list[str] = []
    lines = Lines(masker, out.append)
    for chunk in chunks:
        lines.feed(chunk)
    lines.finish()
    return out


@pytest.mark.parametrize(
    "shown",
    [
        SECRET,
        json.dumps(SECRET),
        json.dumps(SECRET, ensure_ascii=False),
        repr(SECRET),
        repr({"a": SECRET}),
        urllib.parse.quote(SECRET),
        urllib.parse.quote(SECRET, safe=""),
        urllib.parse.quote_plus(SECRET),
        urllib.parse.urlencode({"q": SECRET}),
        base64.b64encode(SECRET.encode()).decode(),
        base64.urlsafe_b64encode(SECRET.encode()).decode(),
        base64.b64encode(f"user:{SECRET}".encode()).decode(),
        base64.b64encode(f"me:{SECRET}@host".encode()).decode(),
        base64.b64encode(f"x{SECRET}yz".encode()).decode(),
        SECRET.encode().hex(),
    ],
)
def test_every_form_is_masked(shown: str) -> None:
    masked = Masker([{"deep": [SECRET]}]).text(f"before {shown} after")
    assert "***" in masked
    assert masked.startswith("before ")
    assert masked.endswith(" after")
    for piece in (SECRET, SECRET[:8], SECRET.encode().hex()[6:20]):
        assert piece not in masked


@pytest.mark.parametrize("value", [123456, 12.75, "true-secret", ["aaaa", {"k": "bbbb"}]])
def test_secrets_of_any_json_type(value: Any) -> None:
    masker = Masker([value])
    for text in ("123456", "12.75", "true-secret", "aaaa", "bbbb"):
        if text in json.dumps(value):
            assert masker.text(f"<{text}>") == "<***>"


def test_each_line_of_a_secret_of_several_lines() -> None:
    key = "-----BEGIN KEY-----\nMIIEpAIBAAKCAQEA\n  c0ffee==  \n-----END KEY-----\n"
    masked = lines_of(Masker([key]), [f"here: {key}".encode()])
    assert "MIIE" not in "".join(masked)
    assert "c0ffee" not in "".join(masked)


def test_short_values_are_left_alone_and_said_to_be() -> None:
    masker = Masker(["abc", ""])
    assert masker.text("abc") == "abc"
    assert masker.too_short
    assert not Masker(["abcd", "", None, True]).too_short


def test_longer_secrets_win_over_those_inside_them() -> None:
    assert Masker(["sesame", "open sesame now"]).text("open sesame now, sesame") == "***, ***"


def test_a_secret_learned_later() -> None:
    masker = Masker([])
    assert masker.text("late-secret") == "late-secret"
    masker.learn({"value": "late-secret"})
    assert masker.text("late-secret") == "***"


def test_event_data() -> None:
    masker = Masker(["sesame", 123456])
    data = {"a": ["x sesame y", 1, None, True], "sesame": {"b": 123456}, "c": 123456.0}
    assert masker.value(data) == ({"a": ["x *** y", 1, None, True], "***": {"b": "***"}, "c": 123456.0}, True)
    clean = {"a": [1, 2.5, "text"]}
    assert masker.value(clean) == (clean, False)


@pytest.mark.parametrize("seed", range(30))
def test_split_anywhere_even_across_the_parts_of_a_long_line(seed: int) -> None:
    choose = random.Random(seed)
    secret = "S3CR3T" * choose.randint(1, 30)
    text = ""
    while len(text) < 5 * LONGEST_LINE:
        text += choose.choice(["a", "é", secret, "S3CR3", "x" * choose.randint(1, 5000), "T" * 5])
        text += choose.choice(["", "", "\n"]) if seed % 2 else ""
    content = text.encode()
    cuts = sorted(choose.randrange(len(content)) for _ in range(choose.randint(0, 40)))
    chunks = [content[start:end] for start, end in zip([0, *cuts], [*cuts, len(content)], strict=True)]
    out = lines_of(Masker([secret]), chunks)
    assert not any(secret in line for line in out)
    joined = "".join(line.removesuffix(" …") for line in out)
    assert joined == text.replace(secret, "***").replace("\n", "")
    assert max(map(len, out)) <= LONGEST_LINE + 2 * len(secret) + 2
