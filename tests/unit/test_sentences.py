"""What the domain says, recognised by its words and said in German; what others say stays as it is."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import textwrap
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from django.utils.translation import override

import ferris
from ferris import cron
from ferris.errors import BackendError, FerrisError, ManifestError
from ferris.manifest import parse_service
from ferris_web.console.sentences import Sentences, said
from ferris_web.locale import messages
from ferris_web.locale import sentences as found


@pytest.fixture(autouse=True)
def _german() -> Iterator[None]:
    with override("de"):
        yield


def _of(source: str, tmp_path: Path) -> list[str]:
    path = tmp_path / "some.py"
    path.write_text(textwrap.dedent(source))
    return list(found.spoken(path))


def test_a_sentence_is_found_where_it_is_said(tmp_path: Path) -> None:
    assert _of(
        '''
        """The docstring of a module is for its readers."""
        def look(name: str, many: int) -> str:
            """Also this one."""
            log.warning("a line of a log, with %s", name)
            if many:
                raise FerrisError(f"{name!r} has {many:g} things; expected {'one of few' if many > 1 else 'none'}")
            return "nothing to look at" + f" in {name}"
        ''',
        tmp_path,
    ) == ["{0} has {1} things; expected {2}", "one of few", "nothing to look at in {0}"]


def test_a_backend_says_its_name_with_what_is_wrong(tmp_path: Path) -> None:
    said = _of('BackendError(BACKEND, f"cannot reach {it} ({why})", "start it again")', tmp_path)
    assert said == ["{0} cannot reach {1} ({2})", "start it again"]


def test_what_is_no_sentence_is_not_translated(tmp_path: Path) -> None:
    source = """
        query = "SELECT a FROM b WHERE c = 1"
        header, name = "Content-Type", f"{one}/{two} {three}"
    """
    assert _of(source, tmp_path) == []


@pytest.mark.parametrize(
    ("english", "german"),
    [
        ("'x' never comes", "'x' kommt nie"),
        ("makes 2 promises", "gibt 2 Zusagen"),
        ("cron: 'x' never comes", "cron: 'x' kommt nie"),
        ("has 3 fields; expected at most 2", "hat 3 Felder; erwartet: höchstens 2"),
        (
            "This needs the role maintainer in the project shop; yours is viewer",
            "Das braucht die Rolle Maintainer für das Projekt shop; Ihre ist Betrachter",
        ),
        (
            "run.py ended with exit status 3: out of memory, the limit is 512 MB",
            "run.py endete mit Exit-Status 3: Der Speicher ging aus, die Grenze ist 512 MB",
        ),
        ("load.py ended with exit status 1: KeyError: 'x'", "load.py endete mit Exit-Status 1: KeyError: 'x'"),
        (
            "load.py was killed by the memory limit of 512 MB",
            "load.py: getötet: Die Speichergrenze von 512 MB war erreicht",
        ),
        ("Not a project.", "Not a project."),
        ("There is no project 'x'.", "Es gibt kein Projekt 'x'."),
        ("Nichts wurde geändert: there is no project 'x'.", "Nichts wurde geändert: es gibt kein Projekt 'x'."),
        ("execution 1 does not wait any more: it is in_progress", "Ausführung 1 wartet nicht mehr: Sie ist in Arbeit"),
        ("its filter is wrong: is missing; expected a list", "sein Filter ist falsch: fehlt; erwartet: eine Liste"),
    ],
)  # fmt: skip
def test_it_is_said_in_german(english: str, german: str) -> None:
    assert said(english) == german


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ValueError: is missing",
        "ZeroDivisionError: division by zero",
        "shop.errors.NoStock: none left for us",
        "Traceback (most recent call last):",
        "a description that somebody wrote",
        "ours went away with theirs",
        "x" * 3000,
        ": ".join(["a"] * 300),
    ],
)
def test_what_scripts_and_people_say_stays(text: str) -> None:
    assert said(text) == text


def test_english_pages_look_nothing_up() -> None:
    with override("en"):
        text = "'x' never comes"
        assert said(text) is text


def test_what_is_known_better_goes_before_what_fits_as_well() -> None:
    known = Sentences(
        {"is {0}; expected {1}": "ist {0}; erwartet: {1}", "is {0}; expected a text": "{0}? Kein Text"}
    )
    assert known.told("is 5; expected a text") == "5? Kein Text"
    assert known.told("is 5; expected a list") == "ist 5; erwartet: a list"


def test_errors_of_the_domain_in_german() -> None:
    with pytest.raises(cron.CronError) as wrong:
        cron.next_after("61 * * * *", "UTC", datetime(2026, 1, 1, tzinfo=UTC))
    assert said(str(wrong.value)) == (
        "'61 * * * *' ist kein Zeitplan: das Feld minute ist falsch; erwartet: 0-59, * oder */n"
    )
    away = BackendError("object store", "does not answer (Timeout)", "look at the way to the repository")
    assert said(str(away)) == "Objektspeicher antwortet nicht (Timeout): prüfen Sie den Weg zum Repository"
    mistake = ManifestError("manifest.json", "timeout", "is -1; expected a whole number from 1 to 5")
    assert said(str(mistake)) == "manifest.json: timeout: ist -1; erwartet: eine ganze Zahl von 1 bis 5"


def test_a_manifest_with_mistakes_of_many_kinds_in_german() -> None:
    manifest = b"""{"timeout": "long", "retry": {"attempts": 0}, "trigger_events": 5, "actve": true,
        "active": "perhaps", "schedule": [{"cron": "1 2"}], "limits": {"memory": "much"}, "concurrency": {"limit": 0},
        "priority": 99}"""
    notes = [
        message.text for message in parse_service({"manifest.json": manifest, "main.py": b"print()"}).messages
    ]
    assert len(notes) > 6
    assert [text for text in notes if said(text) == text or " expected " in str(said(text))] == []


def _errors(of: type[FerrisError]) -> Iterator[type[FerrisError]]:
    for child in of.__subclasses__():
        yield child
        yield from _errors(child)


def test_whatever_the_domain_raises_is_looked_at() -> None:
    for module in pkgutil.iter_modules(ferris.__path__):
        importlib.import_module(f"ferris.{module.name}")
    looked_at = set(found.sources())
    left_out = {found.TOP / name for name in found.QUIET}
    for error in _errors(FerrisError):
        path = Path(inspect.getfile(error))
        if found.TOP / "ferris" in path.parents:
            assert path in looked_at | left_out, f"nobody would translate what {error.__name__} says"


@pytest.mark.parametrize("language", messages.LANGUAGES)
def test_every_sentence_comes_back_as_its_translation(language: str) -> None:
    """Each pattern finds itself: no other takes its words for a value."""
    known = {str(one.id): str(one.string) for one in messages.read(language, messages.SENTENCES) if one.id}
    sentences = Sentences(known)
    lost = []
    for text, told in known.items():
        if sentences.told(found.HOLE.sub("'x'", text)) != found.HOLE.sub("'x'", told):
            lost.append((text, sentences.told(found.HOLE.sub("'x'", text))))
    assert lost == []


def test_the_finder_reads_the_code_it_says_it_reads() -> None:
    paths = list(found.sources())
    assert {path.relative_to(found.TOP).parts[0] for path in paths} == {
        "ferris",
        "gateway",
        "tasks",
        "ferris_web",
    }
    assert all(isinstance(ast.parse(path.read_text()), ast.Module) for path in paths)


@pytest.mark.parametrize(
    ("english", "german"),
    [
        (
            "has 1,200 labels; at most 500 are drawn",
            "hat 1,200 Beschriftungen; höchstens 500 werden gezeichnet",
        ),
        ("the signature fits no secret", "Signatur passt zu keinem Geheimnis"),
        ("there is no service 'event'", "es gibt keinen Dienst 'event'"),
    ],
)
def test_kinds_of_things_within_a_sentence_are_words_of_the_language(english: str, german: str) -> None:
    assert said(english) == german
