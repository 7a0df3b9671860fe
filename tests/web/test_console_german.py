"""The console in German: every page, nothing left in English; what programs read and what is stored stays English."""

from __future__ import annotations

import re

import pytest
from django.test import Client

from ferris_web.accounts.models import AuditEntry
from ferris_web.catalog.models import Subscription, SyncRun, WebhookDelivery
from ferris_web.console import words
from ferris_web.executions import crews
from ferris_web.executions.models import BulkJob, Delivery, Execution, Replay
from ferris_web.locale import messages
from ferris_web.locale.sentences import HOLE
from tests.web.console_fixtures import addresses
from tests.web.console_pages import Page, page
from tests.web.console_rows import Rows

pytestmark = [pytest.mark.walk, pytest.mark.once]

_NUMERIC = re.compile(
    r" (?:x|y|x1|x2|y1|y2|cx|cy|r|rx|dy|d|width|height|viewBox|transform|points|value|min|max|step|data-[a-z-]+)"
    r'="[^"]*?\d,\d'
)
_GERMAN = {"HTTP_ACCEPT_LANGUAGE": "de-AT,de;q=0.9,en;q=0.5"}
_WORDS = 4  # shorter texts may be names, or stand in what people wrote


def _english() -> list[str]:
    """Texts that must not be on a German page: those of the console, and what the domain says, between its values."""
    texts = [
        one.id
        for one in messages.read("de")
        if isinstance(one.id, str) and one.id != one.string and not re.search(r"[<%{]", one.id)
    ]
    for one in messages.read("de", messages.SENTENCES):
        if one.id and one.id != one.string:
            texts += [part.strip() for part in HOLE.split(str(one.id)) if part.strip() not in str(one.string)]
    return [text for text in texts if len(text.split()) >= _WORDS]


@pytest.mark.timeout(600)
def test_every_page_in_german(rows: Rows, person: Client) -> None:
    person.defaults.update(_GERMAN)
    english = _english()
    assert len(english) > 1000
    found = {}
    for address in addresses(rows):
        shown = page(person, address)
        assert '<html lang="de"' in shown.html, address
        assert not shown.unclosed, (address, shown.unclosed[:5])
        if not address.startswith(("/help/", "/api/docs/")):  # documentation is English, and says so
            text = " ".join(shown.text.split())
            if wrong := [said for said in english if said in text]:
                found[address] = wrong
        drawn = re.sub(r"<(time|pre|code)\b.*?</\1>", "", shown.html, flags=re.S)
        assert _NUMERIC.findall(drawn) == [], address
    assert found == {}, found


_BY_ADDRESS = {
    "/search/?q=%28load": 'hat eine "(", die nicht geschlossen wird',
    "/executions/?since=soon": "erwartet: eine Zeit wie",
}
_BY_FORM = {
    "/webhooks/add/": (
        {
            "name": "a b",
            "kind": "hmac",
            "project": "",
            "secret": "x",
            "algorithm": "md5",
            "headers": "Host: a",
        },
        "algorithm ist 'md5'; erwartet: eines von",
    ),
    "/subscriptions/add/": (
        {"name": "x", "project": "quakes", "event_type": "a b", "url": "ftp://x", "filter": '{"data": 5}'},
        "beginnt nicht mit https:// oder http://",
    ),
    "/notifications/add/": (
        {"name": "x", "project": "quakes", "kind": "failures", "times": "3", "targets": "syslog://x"},
        "enthält ein Ziel syslog://, das nicht zu den erlaubten gehört",
    ),
    "/charts/add/?project=quakes": (
        {
            "title": "x",
            "kind": "pie",
            "source": "events",
            "event_type": "a",
            "aggregate": "sum",
            "filter": '{"data": 1}',
        },
        "fehlt: wo die Zahl steht, von der sum gezeigt wird",
    ),
    "/event-maps/new/": (
        {"map": '{"a": "a"}', "strategy": "mapped", "do": "try"},
        "bildet 'a' auf sich selbst ab; wählen Sie einen anderen Zieltyp",
    ),
    "/backtest/": (
        {"service": "quakes_alert", "triggers": '[{"event_type": "a", "cesql": "1 +"}]', "since": "7d"},
        "cesql",
    ),
    "/projects/quakes/repositories/add/": (
        {"source": "https://user:pass@example.org/x.git"},
        "lassen Sie Benutzer",
    ),
}


def test_what_is_wrong_is_said_in_german(rows: Rows, administrator: Client) -> None:
    administrator.defaults.update(_GERMAN)
    english = _english()
    found, unsaid = {}, {}
    for address, german in _BY_ADDRESS.items():
        answer = administrator.get(address)
        _compare(address, answer.content.decode(), german, english, found, unsaid)
    for address, (form, german) in _BY_FORM.items():
        answer = administrator.post(address, form, follow=True)
        _compare(address, answer.content.decode(), german, english, found, unsaid)
    assert (found, unsaid) == ({}, {}), (found, unsaid)


def _compare(
    address: str,
    html: str,
    german: str,
    english: list[str],
    found: dict[str, object],
    unsaid: dict[str, object],
) -> None:
    shown = " ".join(Page(html).text.split())
    if wrong := [said for said in english if said in shown]:
        found[address] = wrong
    if german not in shown:
        unsaid[address] = shown[-2500:]


def test_the_language_is_asked_by_the_browser_and_chosen_by_the_person(client: Client) -> None:
    answer = client.get("/sign-in/", **_GERMAN)
    assert answer.headers["Content-Language"] == "de"
    assert {"Accept-Language", "Cookie"} <= set(re.split(r",\s*", answer.headers["Vary"]))
    assert "Bei Ferris anmelden" in answer.content.decode()
    assert Page(answer.content.decode()).dangers == []

    chosen = client.post("/language/", {"language": "en", "next": "/sign-in/?next=/flows/"}, **_GERMAN)
    assert chosen["Location"] == "/sign-in/?next=/flows/"
    assert "Sign in to Ferris" in client.get("/sign-in/", **_GERMAN).content.decode()

    elsewhere = client.post("/language/", {"language": "xx", "next": "https://example.org/"}, **_GERMAN)
    assert not elsewhere["Location"].startswith("https:")
    assert "Sign in to Ferris" in client.get("/sign-in/", **_GERMAN).content.decode(), "nothing was chosen"


def test_the_language_is_again_what_the_browser_says(rows: Rows, person: Client) -> None:
    person.defaults.update(_GERMAN)
    assert _pressed(person) == ["Wie der Browser sagt"]
    person.post("/language/", {"language": "en", "next": "/account/"})
    assert _pressed(person) == ["English"]
    assert person.get("/language/", {"language": "", "next": "/account/"}).status_code == 302
    assert _pressed(person) == ["English"], "only what is posted changes it"

    back = person.post("/language/", {"language": "", "next": "/account/"})
    assert back["Location"] == "/account/"
    assert "ferris_language" not in person.cookies or not person.cookies["ferris_language"].value
    assert _pressed(person) == ["Wie der Browser sagt"]
    person.cookies["ferris_language"] = "xx"
    assert _pressed(person) == ["Wie der Browser sagt"]


def _pressed(client: Client) -> list[str]:
    """Which language the page of the account says was chosen."""
    shown = client.get("/account/").content.decode()
    found = re.findall(r'<button[^>]*name="language"[^>]*aria-pressed="true"[^>]*>([^<]*)<', shown)
    return [name.strip() for name in found]


def test_programs_are_answered_in_english(rows: Rows, person: Client) -> None:
    person.defaults.update(_GERMAN)
    assert page(person, "/executions/").tags["h1"] == 1  # a thread that spoke German just now
    answer = person.get("/api/v1/executions/", {"status": "nonsense"})
    assert answer.status_code == 400
    assert "expected" in answer.content.decode()
    assert "Content-Language" not in answer.headers
    assert "Accept-Language" not in answer.headers.get("Vary", "")
    assert person.get("/api/v1/nothing-there/").json()["title"] == "Not found"


def test_what_is_stored_is_english(rows: Rows, person: Client) -> None:
    person.defaults.update(_GERMAN)
    name = rows.executions["load"].service.name
    assert person.post(f"/services/{name}/pause/").status_code == 302
    shown = person.get(f"/services/{name}/").content.decode()
    assert "pausiert" in shown
    entry = AuditEntry.objects.order_by("-pk")[0]
    assert "pause" in entry.action
    assert "pausier" not in f"{entry.action} {entry.said} {entry.before} {entry.after}"


def test_what_is_stored_is_shown_in_words_that_are_known() -> None:
    """`|words` and `|badge` show these values; one that is not known would stay English."""
    statuses = (SyncRun.Status, Replay.Status, Delivery.Status, BulkJob.Status, Subscription.Status)
    stored = {
        *(value for of in (*statuses, SyncRun.Cause, WebhookDelivery.Outcome) for value in of.values),
        *(status for status, _ in Execution._meta.get_field("status").flatchoices),
        *crews.STATES,
    }
    assert {value.replace("_", " ") for value in stored} - words.KNOWN == set()
