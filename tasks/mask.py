"""Keeps secrets out of whatever leaves an execution: exact values, and the encodings they usually travel in."""

from __future__ import annotations

import base64
import html
import json
import re
import urllib.parse
from collections.abc import Iterable, Iterator
from typing import Any, BinaryIO, Final

from ferris.json_values import texts_in

MASK: Final = "***"
SHORTEST: Final = 4
"""Shorter values are not masked: they would blot out half of every log. They get a warning instead."""

BY_CHANCE: Final = 8
_CHUNK: Final = 1024 * 1024
_BASE64_LINE: Final = 57
"""Bytes that one line of MIME's base64 holds."""
_PLAIN: Final = re.compile(r"[A-Za-z0-9_.~-]*")
"""What URLs, JSON, Python and HTML spell as it is."""
_LOWER: Final = re.compile("%[0-9A-F]{2}")
_SAFE: Final = ("", "/", "!'()*", "!#$&'()*+,/:;=?@[]~", "!#$&'()*+,/:;=?@")
"""What is left as it is in URLs: by Python twice, browsers' encodeURIComponent, requests, encodeURI."""
_UNICODE: Final = re.compile(r"\\u([0-9a-f]{4})")
_NO_HTML: Final = tuple(
    {ord(character): f"\\u{ord(character):{digits}}" for character in "<>&"} for digits in ("04x", "04X")
)
"""JSON that may stand in HTML, as Go and Django write it."""


class Masker:
    """Replaces every form of every given secret. `too_short` says whether a value was left alone."""

    def __init__(self, secrets: Iterable[Any]) -> None:
        self._forms: tuple[str, ...] = ()
        self.longest = 0
        self.too_short = False
        self.learn(list(secrets))

    def learn(self, secret: Any) -> None:
        """Mask this JSON value from now on, too. From any thread, but not from two at once."""
        forms = set(self._forms)
        for text in _texts(secret):
            if len(text) < SHORTEST:
                self.too_short = self.too_short or bool(text)
            else:
                forms.update(form for form in _forms(text) if len(form) >= SHORTEST)
        self._forms = tuple(sorted(forms, key=len, reverse=True))
        self.longest = len(self._forms[0]) if self._forms else 0

    def text(self, text: str) -> str:
        """The text without secrets."""
        found = [form for form in self._forms if form in text]
        if not found:
            return text
        if len(found) == 1:
            return text.replace(found[0], MASK)
        return _covered(text, found)

    def holds(self, text: str) -> bool:
        """True when there is a secret in the text."""
        return any(form in text for form in self._forms)

    def open_end(self, text: str) -> int:
        """Where at the text's end something begins that may be the first part of a secret; else the text's length."""
        at = len(text)
        for form in self._forms:
            for length in range(min(len(form) - 1, len(text)), len(text) - at, -1):
                if text.endswith(form[:length]):
                    at = len(text) - length
                    break
        return at

    def found_in(self, source: BinaryIO, shortest: int = SHORTEST) -> bool:
        """True when the bytes of a file, from where it stands, hold a secret in any of its forms of that length.

        What is refused for it asks for `BY_CHANCE`: shorter ones stand in many a file that says no secret.
        """
        forms = [form.encode("utf-8", "surrogatepass") for form in self._forms if len(form) >= shortest]
        if not forms:
            return False
        kept, before = max(map(len, forms)) - 1, b""
        while chunk := source.read(_CHUNK):
            window = before + chunk
            if any(form in window for form in forms):
                return True
            before = window[-kept:]
        return False

    def cut(self, text: str, at: int) -> int:
        """Where to cut a long text near `at` so that no secret is divided: at or somewhat behind it."""
        moved = True
        while moved:
            moved = False
            for form in self._forms:
                start = text.find(form, max(0, at - len(form) + 1))
                if -1 < start < at < start + len(form):
                    at, moved = start + len(form), True
        return at

    def value(self, value: Any) -> tuple[Any, bool]:
        """A JSON value without secrets, and whether there were any. Keys are looked at too."""
        if not self._forms:
            return value, False
        masked = self._value(value)
        return (masked, True) if masked != value else (value, False)

    def _value(self, value: Any) -> Any:
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {self.text(key): self._value(inner) for key, inner in value.items()}
        if isinstance(value, list):
            return [self._value(inner) for inner in value]
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return MASK if repr(value) in self._forms else value
        return value


def _covered(text: str, forms: Iterable[str]) -> str:
    """The text with a mask over each stretch that forms cover; what overlaps is one stretch."""
    spans = []
    for form in forms:
        start = text.find(form)
        while start >= 0:
            spans.append((start, start + len(form)))
            start = text.find(form, start + len(form))
    shown, at, covered = [], 0, 0
    for start, end in sorted(spans):
        if start >= covered:
            shown += [text[at:start], MASK]
        covered = at = max(covered, end)
    return "".join([*shown, text[at:]])


def _texts(value: Any) -> Iterator[str]:
    """Every text and number inside JSON values; of texts of several lines, each line too."""
    for text in texts_in(value):
        yield text
        lines = text.splitlines()
        if len(lines) > 1:
            yield from (line.strip() for line in lines)


def _forms(text: str) -> Iterator[str]:
    yield text
    raw = text.encode("utf-8", "surrogatepass")
    for shift in range(3):
        yield from _inner_base64(raw, shift)
    for spelled in (base64.b64encode(raw).decode(), base64.urlsafe_b64encode(raw).decode()):
        if len(spelled) >= SHORTEST + 4:
            yield spelled
    if len(raw) > _BASE64_LINE:
        yield from base64.encodebytes(raw).decode().splitlines()
    yield raw.hex()
    yield raw.hex().upper()
    if _PLAIN.fullmatch(text):
        return
    yield from _in_urls(raw)
    yield from _in_json(text)
    yield repr(text)[1:-1]
    yield repr(raw)[2:-1]
    for quotes in (
        ("&quot;", "&#x27;"),
        ("&#34;", "&#39;"),
        ('"', "'"),
    ):  # Python's and Django's, Jinja's, none
        yield html.escape(text, quote=False).replace('"', quotes[0]).replace("'", quotes[1])
    for instead in ("'\"'\"'", "'\\''"):  # in the words of a shell: shlex, bash
        yield text.replace("'", instead)
    yield text.encode("latin-1", "replace").decode("utf-8", "replace")  # as its bytes are shown then


def _in_urls(raw: bytes) -> Iterator[str]:
    for safe in _SAFE:
        quoted = urllib.parse.quote(raw, safe=safe)
        for spelled in (quoted, _LOWER.sub(lambda found: found[0].lower(), quoted)):
            yield spelled
            yield spelled.replace("%20", "+")
    yield urllib.parse.quote(urllib.parse.quote(raw, safe=""), safe="")  # a URL in a URL


def _in_json(text: str) -> Iterator[str]:
    for plain in (json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1]):
        for spelled in (plain, *map(plain.translate, _NO_HTML)):
            yield spelled
            yield _UNICODE.sub(lambda found: "\\u" + found[1].upper(), spelled)
            yield spelled.replace("/", "\\/")
            yield json.dumps(spelled)[1:-1]  # JSON inside JSON
            yield json.dumps(spelled, ensure_ascii=False)[1:-1]
            yield repr(spelled)[1:-1]


def _inner_base64(raw: bytes, shift: int) -> Iterator[str]:
    """What base64 makes of the value with `shift` other bytes before it: the part that depends on it alone."""
    encoded = base64.b64encode(b"\0" * shift + raw)
    first = -(-shift * 8 // 6)
    last = (shift + len(raw)) * 8 // 6
    core = encoded[first:last].decode()
    if len(core) >= SHORTEST + 2:
        yield core
        yield core.replace("+", "-").replace("/", "_")
