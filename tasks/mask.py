"""Keeps secrets out of whatever leaves an execution: exact values, and the encodings they usually travel in."""

from __future__ import annotations

import base64
import json
import urllib.parse
from collections.abc import Iterable, Iterator
from typing import Any, BinaryIO, Final

MASK: Final = "***"
SHORTEST: Final = 4
"""Shorter values are not masked: they would blot out half of every log. They get a warning instead."""

_CHUNK: Final = 1024 * 1024


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
        for form in self._forms:
            if form in text:
                text = text.replace(form, MASK)
        return text

    def found_in(self, source: BinaryIO) -> bool:
        """True when the bytes of a file, from where it stands, hold a secret in any of its forms."""
        forms = [form.encode("utf-8", "surrogatepass") for form in self._forms]
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


def _texts(value: Any) -> Iterator[str]:
    """Every text and number inside JSON values; of texts of several lines, each line too."""
    if isinstance(value, str):
        yield value
        lines = value.splitlines()
        if len(lines) > 1:
            yield from (line.strip() for line in lines)
    elif isinstance(value, dict):
        for inner in value.values():
            yield from _texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner)
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        yield repr(value)


def _forms(text: str) -> Iterator[str]:
    yield text
    raw = text.encode("utf-8", "surrogatepass")
    for shift in range(3):
        yield from _inner_base64(raw, shift)
    yield raw.hex()
    for safe in ("", "/"):
        quoted = urllib.parse.quote(raw, safe=safe)
        yield quoted
        yield quoted.replace("%20", "+")
    yield json.dumps(text)[1:-1]
    yield json.dumps(text, ensure_ascii=False)[1:-1]
    yield repr(text)[1:-1]


def _inner_base64(raw: bytes, shift: int) -> Iterator[str]:
    """What base64 makes of the value with `shift` other bytes before it: the part that depends on it alone."""
    encoded = base64.b64encode(b"\0" * shift + raw)
    first = -(-shift * 8 // 6)
    last = (shift + len(raw)) * 8 // 6
    core = encoded[first:last].decode()
    if len(core) >= SHORTEST + 2:
        yield core
        yield core.replace("+", "-").replace("/", "_")
