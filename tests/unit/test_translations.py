"""The catalogues of translations: complete, with the placeholders and markup of the original, compiled as written."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog, Message

from ferris import notifying, pushing
from ferris.lanes import WHY
from ferris.precedence import PRIORITY_FROM
from ferris_web.catalog.starters import STARTERS
from ferris_web.console import script_words, words
from ferris_web.executions.checkup.readiness import NAMES
from ferris_web.locale import messages

_STATIC = Path(__file__).resolve().parents[2] / "ferris_web" / "console" / "static" / "console"
_PLACEHOLDERS = re.compile(r"%\(\w+\)[sd]|%%|\{\w+[^{}]*\}")
_TAGS = re.compile(r"</?\w+[^>]*>")


@pytest.fixture(scope="module")
def found() -> Catalog:
    return messages.template()


@pytest.mark.parametrize("language", messages.LANGUAGES)
def test_every_text_is_translated(found: Catalog, language: str) -> None:
    written = messages.read(language)
    of_code = {(one.id, one.context) for one in found if one.id}
    of_catalogue = {(one.id, one.context) for one in written if one.id}
    assert of_code == of_catalogue, "run make messages, and translate what it lists"
    assert messages.lacking(written) == []


@pytest.mark.parametrize("language", messages.LANGUAGES)
def test_what_is_compiled_is_what_is_written(language: str) -> None:
    assert messages.mo(language).read_bytes() == messages.compiled(messages.read(language)), (
        "run make messages"
    )


@pytest.mark.parametrize("language", messages.LANGUAGES)
def test_translations_hold_the_same_values_and_markup(language: str) -> None:
    wrong = [
        (original, told)
        for one in messages.read(language)
        if one.id
        for original, told in _pairs(one)
        if _of(_PLACEHOLDERS, original) != _of(_PLACEHOLDERS, told)
        or _of(_TAGS, original) != _of(_TAGS, told)
        or (original[:1].isspace(), original[-1:].isspace()) != (told[:1].isspace(), told[-1:].isspace())
    ]
    assert wrong == []


def _pairs(one: Message) -> list[tuple[str, str]]:
    if isinstance(one.id, str):
        return [(one.id, str(one.string))]
    return [(one.id[min(n, 1)], told) for n, told in enumerate(one.string)]


def _of(kind: re.Pattern[str], text: str) -> list[str]:
    return sorted(kind.findall(text))


def test_sentences_of_the_domain_are_known_to_who_translates_them() -> None:
    starters = [text for one in STARTERS.values() for text in (one.title, one.about)]
    told = [text for _name, text in (*notifying.KINDS, *pushing.FORMS)]
    assert {*WHY.values(), *PRIORITY_FROM.values(), *NAMES.values(), *starters, *told} <= words.SAID


def test_texts_of_scripts_come_with_the_page() -> None:
    said = {
        text
        for path in _STATIC.glob("*.js")
        for text in re.findall(r'\b(?:say|ferrisSay)\("((?:[^"\\]|\\.)*)"', path.read_text())
    }
    assert said == set(script_words.TEXTS)
