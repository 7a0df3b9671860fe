"""The catalogues of translations: complete, with the placeholders and markup of the original, compiled as written."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog, Message

from ferris import differences
from ferris_web.catalog.starters import STARTERS
from ferris_web.console import script_words, synced, words
from ferris_web.executions.checkup.readiness import NAMES
from ferris_web.locale import messages

_STATIC = Path(__file__).resolve().parents[2] / "ferris_web" / "console" / "static" / "console"
_PLACEHOLDERS = {
    messages.DJANGO: re.compile(r"%\(\w+\)[sd]|%%|\{\w+[^{}]*\}"),
    messages.SENTENCES: re.compile(r"\{\d+\}"),
}
_TAGS = re.compile(r"</?\w+[^>]*>")


_EACH = pytest.mark.parametrize(
    ("language", "domain"),
    [(language, domain) for language in messages.LANGUAGES for domain in messages.DOMAINS],
)


@pytest.fixture(scope="module")
def found() -> dict[str, Catalog]:
    return {domain: messages.template(domain) for domain in messages.DOMAINS}


@_EACH
def test_every_text_is_translated(found: dict[str, Catalog], language: str, domain: str) -> None:
    written = messages.read(language, domain)
    of_code = {(one.id, one.context) for one in found[domain] if one.id}
    of_catalogue = {(one.id, one.context) for one in written if one.id}
    assert of_code == of_catalogue, "run make messages, and translate what it lists"
    assert messages.lacking(written) == []


@_EACH
def test_what_is_compiled_is_what_is_written(language: str, domain: str) -> None:
    assert messages.mo(language, domain).read_bytes() == messages.compiled(
        messages.read(language, domain), domain
    ), "run make messages"


@_EACH
def test_translations_hold_the_same_values_and_markup(language: str, domain: str) -> None:
    wrong = [
        (original, told)
        for one in messages.read(language, domain)
        if one.id
        for original, told in _pairs(one)
        if _of(_PLACEHOLDERS[domain], original) != _of(_PLACEHOLDERS[domain], told)
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


def test_names_that_are_no_sentences_are_known_to_who_translates_them() -> None:
    starters = [text for one in STARTERS.values() for text in (one.title, one.about)]
    assert {*NAMES.values(), *starters} <= words.NAMES


def test_texts_of_scripts_come_with_the_page() -> None:
    said = {
        text
        for path in _STATIC.glob("*.js")
        for text in re.findall(r'\b(?:say|ferrisSay)\("((?:[^"\\]|\\.)*)"', path.read_text())
    }
    assert said == set(script_words.TEXTS)


def test_words_of_differences_are_known_to_who_shows_them() -> None:
    said = {text for name, text in vars(differences).items() if name.startswith(("TRIGGER", "NOTHING"))}
    assert said == set(synced.WORDS)
