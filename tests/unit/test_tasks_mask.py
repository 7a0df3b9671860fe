"""No secret in any line, in whatever form it usually travels."""

from __future__ import annotations

import base64
import html
import io
import json
import random
import shlex
import urllib.parse
from typing import Any

import markupsafe
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


ODD = "pä(ss)!w'rd*a:b@c&<d>;e=/f,$ #~|Z"


@pytest.mark.parametrize(
    "shown",
    [
        pytest.param(urllib.parse.quote(ODD, safe="!'()*~"), id="encodeURIComponent of browsers"),
        pytest.param(urllib.parse.quote(ODD, safe=";,/?:@&=+$#!'()*~"), id="encodeURI"),
        pytest.param(
            urllib.parse.quote(ODD, safe="!#$%&'()*+,/:;=?@[]~"), id="requests, in the URL of its errors"
        ),
        pytest.param(urllib.parse.quote(urllib.parse.quote(ODD, safe=""), safe=""), id="a URL in a URL"),
        pytest.param(json.dumps(ODD).replace("\\u00e4", "\\u00E4"), id="JSON of Java"),
        pytest.param(
            json.dumps(ODD, ensure_ascii=False).translate({ord(c): f"\\u{ord(c):04x}" for c in "<>&"}),
            id="JSON of Go",
        ),
        pytest.param(
            json.dumps(ODD).translate({ord(c): f"\\u{ord(c):04X}" for c in "<>&"}),
            id="JSON of Django, in HTML",
        ),
        pytest.param(str(markupsafe.escape(ODD)), id="HTML of Jinja"),
        pytest.param(ODD.encode("latin-1").decode("utf-8", "replace"), id="Latin-1"),
        pytest.param(shlex.quote(ODD), id="Python's words for a shell"),
        pytest.param("'" + ODD.replace("'", "'\\''") + "'", id="what a shell says of its words"),
    ],
)
def test_forms_of_other_libraries(shown: str) -> None:
    masked = Masker([ODD]).text(f"before {shown} after")
    assert "***" in masked
    for piece in ("ss", "rd", "e=", "|Z", "%7CZ"):
        assert piece not in masked, masked


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
        SECRET.encode().hex().upper(),
        urllib.parse.quote(SECRET).lower(),
        json.dumps(json.dumps({"k": SECRET})),
        json.dumps(json.dumps({"k": SECRET}, ensure_ascii=False), ensure_ascii=False),
        repr(json.dumps(SECRET)),
        json.dumps(SECRET).replace("/", "\\/"),
        repr(SECRET.encode()),
        html.escape(SECRET),
        html.escape(SECRET, quote=False),
        urllib.parse.quote(base64.b64encode(SECRET.encode()).decode(), safe="="),
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


@pytest.mark.parametrize("before", range(4))
@pytest.mark.parametrize("behind", range(4))
@pytest.mark.parametrize("secret", ["abcdef", "p\u00e4ssword-1", "x" * 50 + "?>~" * 3])
def test_base64_wherever_the_secret_stands_in_it(secret: str, before: int, behind: int) -> None:
    text = b"\x07" * before + secret.encode() + b"\xf0" * behind
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        shown = encode(text).decode()
        masked = Masker([secret]).text(shown)
        assert "***" in masked
        kept = [len(part) for part in masked.split("***")]
        # What is left beside the mask says less than one character of the secret at either end.
        assert sum(kept) <= len(shown) - (len(secret.encode()) * 8 // 6) + 2


def test_a_long_secret_in_mimes_base64() -> None:
    secret = "".join(chr(33 + n * 7 % 90) for n in range(400))
    out = lines_of(Masker([secret]), [base64.encodebytes(secret.encode())])
    assert set(out) == {"***"}


def test_forms_that_overlap_leave_nothing_between_them() -> None:
    masker = Masker(["alpha-beta", "beta-gamma", "gamma"])
    assert masker.text("<alpha-beta-gamma>") == "<***>"
    assert masker.text("alpha-beta alpha-beta, gamma") == "*** ***, ***"


@pytest.mark.parametrize(
    ("text", "at"),
    [("nothing", 7), ("half a ses", 7), ("sesame", 0), ("s", 0), ("", 0), ("sesame open", 7), ("x sesam", 2)],
)
def test_where_a_secret_may_have_begun(text: str, at: int) -> None:
    assert Masker(["sesame-street", "opens"]).open_end(text) == at


def test_a_beginning_of_a_line_is_shown_after_a_while_but_no_part_of_a_secret() -> None:
    out: list[str] = []
    timers: list[Any] = []
    lines = Lines(Masker(["sesame-street"]), out.append, lambda _, call: timers.append(call))
    lines.feed(b"asking sesame-")
    timers.pop()()
    assert out == ["asking  \u2026"]
    lines.feed(b"street now: ")
    timers.pop()()
    lines.feed(b"yes\n")
    assert out == ["asking  \u2026", "*** now:  \u2026", "yes"]
    assert len(timers) <= 1


def test_a_file_is_searched_across_the_borders_of_what_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasks.mask._CHUNK", 7)
    masker = Masker(["sesame-street"])
    for before in range(20):
        assert masker.found_in(io.BytesIO(b"." * before + b"sesame-street..."))
        assert not masker.found_in(io.BytesIO(b"." * before + b"sesame-stree+..."))
    assert not Masker([]).found_in(io.BytesIO(b"x"))


def test_many_secrets_cost_little_where_there_is_none() -> None:
    masker = Masker([f"secret number {n} of many" for n in range(50)])
    assert (
        masker.text("a line of a script that says nothing " * 20)
        == "a line of a script that says nothing " * 20
    )
