"""Links to Kibana's Discover: the same search in Lucene's language, and nothing leaves its parameter."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

from ferris.adapters import elasticsearch_documents as documents
from ferris.adapters.kibana import Untranslatable, discover, lucene
from ferris.errors import EventError
from ferris.ports import OPS_KINDS

VIEWS = Path(__file__).parents[2] / "compose/kibana/ferris.ndjson"
KIBANA = "https://kibana.example/s/ours/"
_TOKEN = re.compile(r"!?\(|\)|,|'(?:[^'!]|!.)*'|[\w]+:")


def rison(text: str) -> Any:
    """What Kibana reads from a state: lists, objects, texts."""
    found, at = _value(text, 0)
    assert at == len(text), text[at:]
    return found


def _value(text: str, at: int) -> tuple[Any, int]:
    token = _TOKEN.match(text, at)
    assert token is not None, text[at:]
    at = token.end()
    if token[0].startswith("'"):
        return re.sub("!(.)", r"\1", token[0][1:-1]), at
    listed: list[Any] = []
    named: dict[str, Any] = {}
    while text[at] != ")":
        if token[0] == "(":
            name = re.compile(r"(\w+):").match(text, at)
            assert name is not None, text[at:]
            named[name[1]], at = _value(text, name.end())
        else:
            one, at = _value(text, at)
            listed.append(one)
        at += text[at] == ","
    return (named if token[0] == "(" else listed), at + 1


def opened(url: str) -> dict[str, Any]:
    """The states in an address, as Kibana takes them from its fragment."""
    parts = urlsplit(url)
    assert (parts.scheme, parts.netloc, parts.path) == ("https", "kibana.example", "/s/ours/app/discover")
    assert not parts.query
    path, _, query = parts.fragment.partition("?")
    assert path == "/"
    pairs = [pair.partition("=") for pair in query.split("&")]
    assert [name for name, _, _ in pairs] == ["_g", "_a"]
    return {name: rison(unquote(value)) for name, _, value in pairs}


def test_an_address_has_the_time_the_records_and_the_query() -> None:
    since, until = datetime(2026, 11, 24, 3, tzinfo=UTC), datetime(2026, 11, 25, 3, tzinfo=UTC)
    said = opened(discover(KIBANA, "logs", "it's level:error", since, until))
    assert said["_g"] == {"time": {"from": "2026-11-24T03:00:00Z", "to": "2026-11-25T03:00:00Z"}}
    assert said["_a"]["query"]["language"] == "lucene"
    assert said["_a"]["query"]["query"] == lucene("logs", "it's level:error")
    assert said["_a"]["dataSource"] == {"dataViewId": "ferris-logs", "type": "dataView"}
    assert said["_a"]["sort"] == [["time", "desc"]]
    bare = opened(discover(KIBANA, "metrics", ""))
    assert bare["_g"] == {"time": {"from": "now-24h", "to": "now"}}
    assert bare["_a"]["query"]["query"] == ""


@pytest.mark.parametrize("kind", OPS_KINDS)
def test_the_data_views_are_those_that_are_loaded(kind: str) -> None:
    views = {one["id"]: one for one in map(json.loads, VIEWS.read_text().splitlines())}
    source = opened(discover(KIBANA, kind, ""))["_a"]["dataSource"]["dataViewId"]
    assert views[source]["type"] == "index-pattern"
    assert views[source]["attributes"]["title"] == f"ferris-{documents.NAMES[kind]}-*"


@pytest.mark.parametrize(
    ("kind", "query", "said"),
    [
        ("logs", "", ""),
        ("logs", "Connection", 'ferris_words:"connection"'),
        ("logs", '"Résumé refused"', 'ferris_words:"resume refused"'),
        ("logs", "conn*", "ferris_words:conn*"),
        ("logs", "host-a", 'ferris_words:"host a"'),
        ("logs", "a b", '(ferris_words:"a" AND ferris_words:"b")'),
        ("logs", "a OR -b", '(ferris_words:"a" OR (*:* AND NOT ferris_words:"b"))'),
        ("logs", "level:error", '(level:"ERROR" OR level:"Error" OR level:"error")'),
        ("logs", "service:quakes_l*", "service:quakes_l*"),
        ("logs", 'step:"a \\ b"', 'step:"a \\\\ b"'),
        ("logs", "step:a/b?*", "step:a\\/b\\?*"),
        ("logs", "step:x<a>*", "step:x?a?*"),
        ("logs", "step:*", "_exists_:step"),
        ("logs", "attempt:2", "attempt:2"),
        ("logs", "attempt:>=2", 'attempt:["2" TO *}'),
        ("logs", "attempt:<2.5", 'attempt:{* TO "2.5"}'),
        ("events", "type:order.*", "type:order\\.*"),
        ("events", "data.mag:5.50", '(ferris_facts:"data.mag=5.5" OR ferris_facts:"data.mag=5.50")'),
        ("events", "data.of:a*b", "ferris_facts:data\\.of\\=a*b"),
        ("events", "data.of:*", "ferris_facts:data\\.of\\=*"),
        (
            "events",
            "data.mag:>5",
            f'ferris_numbers:{{"{documents.number("data.mag", 5)}" TO "data.mag=g"}}',
        ),
    ],
)  # fmt: skip
def test_a_query_in_lucenes_language(kind: str, query: str, said: str) -> None:
    assert lucene(kind, query) == said


def test_what_cannot_be_said_there() -> None:
    with pytest.raises(Untranslatable, match="phrase"):
        lucene("logs", "host-a*")
    with pytest.raises(EventError, match="not closed"):
        lucene("logs", '"open')


@pytest.mark.parametrize(
    "hostile",
    [
        "&_g=(x:1)", "#/x", "')),query:(language:kuery", "!'!!'!", "%27%29&_a=", "<script>", "a+b a/b?c=d#e", "\\",
        "\u2028\U0001f600", "*:*) OR (*:*", "*) OR _exists_:x",
    ],
)  # fmt: skip
def test_hostile_texts_stay_inside(hostile: str) -> None:
    for query in (
        f'step:"{hostile}"',
        f"service:x*{hostile.split()[0].replace('*', '')}",
        f'"{hostile}x"',
    ):
        try:
            wanted = lucene("logs", query)
        except EventError:
            continue
        url = discover(KIBANA, "logs", query)
        assert not set(url) & set('"<>#\\ \n') - {"#"}
        assert url.count("#") == 1
        assert opened(url)["_a"]["query"]["query"] == wanted
        quotes = re.sub(r"\\.", "", wanted)
        assert quotes.count('"') % 2 == 0
        outside = re.sub(r'"[^"]*"', "", quotes)
        assert "_exists_" not in outside
        assert " OR " not in outside
