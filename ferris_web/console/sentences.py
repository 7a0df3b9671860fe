"""Sentences of the domain in the viewer's language, recognised by their words.

`ferris/` and what runs on it know no language: their errors, findings and reasons are English, and are stored, logged
and sent like that. A page that is not English looks each sentence up among those that the code can make
(`locale/sentences.py` finds them) and says it anew, with the same values. So it does not matter how a sentence got
to the page, nor when it was written; what is not recognised, as the words of somebody's script, stays as it is.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache, lru_cache
from pathlib import Path
from typing import Final

from django.utils.translation import get_language, gettext

from ferris_web.console.words import NAMES, WITHIN, word

FOLDER: Final = Path(__file__).resolve().parents[1] / "locale"
_HOLE: Final = re.compile(r"\{(\d+)\}")
_EXCEPTION: Final = re.compile(r"[\w.]*(Error|Exception|Warning|Exit|Interrupt)\b")
"""Begins what Python says of an exception of a script: its words are looked for elsewhere, and stay."""
_SCRIPT: Final = re.compile(r"(\S+\.(?:py|sql)) (.+)", re.DOTALL)
_HUNG: Final = ":;, "
_LONGEST, _DEEPEST, _PARTS = 2000, 3, 5


def said(text: object) -> object:
    """It in the viewer's language, if it is a sentence of ours; else itself, unchanged."""
    language = (get_language() or "en").partition("-")[0]
    if language == "en" or not text:
        return text
    english = str(text)
    found = gettext(english) if english in NAMES else _said(language, english)
    return text if found is None else found


@lru_cache(maxsize=4096)
def _said(language: str, text: str) -> str | None:
    sentences = _sentences(language)
    return None if sentences is None or len(text) > _LONGEST else sentences.told(text)


@cache
def _sentences(language: str) -> Sentences | None:
    path = FOLDER / language / "LC_MESSAGES" / "sentences.json"
    return Sentences(json.loads(path.read_text())) if path.is_file() else None


Reading = tuple[int, str]
"""A way to understand a text: how many of its letters are known, and the text said in the language."""


class Sentences:
    """What the code can say, and how it is said in a language: `{0} is missing` -> `{0} fehlt`."""

    def __init__(self, translations: Mapping[str, str]) -> None:
        # What the code hangs on another sentence (`: out of memory`) may be met as what stands behind the colon.
        hung = {text.lstrip(_HUNG): told.lstrip(_HUNG) for text, told in translations.items()}
        translations = {**hung, **translations}
        self._whole = {text: told for text, told in translations.items() if not _HOLE.search(text)}
        with_values = sorted(set(translations) - set(self._whole))
        self._with_values = [(_longest(text), text, translations[text]) for text in with_values]

    def told(self, text: str) -> str | None:
        """The text said in this language, None when nothing of it is known."""
        read = self._read(text, _DEEPEST)
        return read and read[1]

    def _read(self, text: str, deeper: int) -> Reading | None:
        """Of all ways to read it the one that knows most of it: others take known words for somebody's."""
        if text in self._whole:
            return len(text), self._whole[text]
        if deeper < 0 or _EXCEPTION.match(text):
            return None
        return max(self._readings(text, deeper - 1), key=lambda reading: reading[0], default=None)

    def _readings(self, text: str, deeper: int) -> Iterator[Reading]:
        for words, sentence, told in self._with_values:
            if words in text and (found := _pattern(sentence).fullmatch(text)):
                values = [self._value(value, deeper) for value in found.groups()]
                own = len(_HOLE.sub("", sentence))
                yield (
                    own + sum(known for known, _value in values),
                    _filled(told, [value for _, value in values]),
                )
        if text.endswith(".") and (read := self._read(text[:-1], deeper)):
            yield read[0], f"{read[1]}."
        if text[:1].isupper() and (read := self._read(text[0].lower() + text[1:], deeper)):
            yield read[0], read[1][:1].upper() + read[1][1:]
        # `manifest.json: cron: is missing`, `Kafka does not answer: start it`, `… exit status 1: KeyError: 'x'`
        for colon in list(re.finditer(r": ", text))[:_PARTS]:
            head, tail = text[: colon.start()], text[colon.end() :]
            if _EXCEPTION.fullmatch(head.rpartition(" ")[2]):
                continue
            before, after = self._read(head, deeper), self._read(tail, deeper)
            if before or after:
                (known, first), (more, second) = before or (0, head), after or (0, tail)
                yield known + more, f"{first}: {second}"
        if script := _SCRIPT.fullmatch(text):  # `load.py ended with …`, `load.py was killed by …`
            if read := self._read(script[2], deeper):
                yield read[0], f"{script[1]} {read[1]}"
            if read := self._read(script[2].removeprefix("was "), deeper):
                yield read[0], f"{script[1]}: {read[1]}"
        parts = text.split("; ")
        if 1 < len(parts) <= _PARTS:
            several = [self._read(part, deeper) or (0, part) for part in parts]
            if known := sum(known for known, _part in several):
                yield known, "; ".join(part for _known, part in several)

    def _value(self, value: str, deeper: int) -> Reading:
        """What stands in a hole, which may be a sentence again, or the state or the kind of something."""
        bare = value.strip()
        if bare in WITHIN:
            return len(bare), word(bare)
        known, told = (self._read(bare, deeper) if " " in bare else None) or (0, bare)
        return known, value.replace(bare, told, 1)


def _filled(sentence: str, values: Sequence[str]) -> str:
    return _HOLE.sub(lambda hole: values[int(hole[1])], sentence)


def _longest(text: str) -> str:
    return max(_HOLE.split(text)[::2], key=len)


@cache
def _pattern(text: str) -> re.Pattern[str]:
    parts = _HOLE.split(text)
    return re.compile(
        "".join("(.*?)" if n % 2 else re.escape(part) for n, part in enumerate(parts)), re.DOTALL
    )
