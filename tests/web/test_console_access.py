"""Who may see what: every route asks for a signed-in user, every change for a form of ours."""

from __future__ import annotations

from dataclasses import replace

import pytest
from django.core.cache import cache
from django.test import Client, override_settings
from django.urls import URLPattern
from django.urls.converters import (
    IntConverter,
    PathConverter,
    SlugConverter,
    StringConverter,
    UUIDConverter,
)

from ferris_web import wiring
from ferris_web.console import urls
from ferris_web.console.views.session import LIMIT_PER_NAME

_OPEN = {"language", "sign-in", "sign-in-provider", "sign-in-provider-back", "second-factor", "sign-out"}
_VALUES = {
    UUIDConverter: "00000000-0000-4000-8000-000000000000",
    IntConverter: "1",
    PathConverter: "a/b",
    StringConverter: "x",
    SlugConverter: "x",
}
_CHANGES = [
    "/services/x/run/",
    "/services/x/pause/",
    "/lanes/x/",
    "/workers/x/",
    "/services/x/resume/",
    "/services/x/secrets/",
    "/projects/add/",
    "/projects/x/sync/",
    "/projects/x/secrets/",
    "/projects/x/repositories/add/",
    "/projects/x/repositories/1/",
    "/projects/x/repositories/1/key/",
    "/projects/x/repositories/1/push/",
    "/projects/x/repositories/1/rollback/",
    "/projects/x/repositories/1/follow/",
    "/projects/x/repositories/1/remove/",
    "/connections/add/",
    "/connections/x/",
    "/connections/x/test/",
    "/connections/x/remove/",
    "/executions/00000000-0000-4000-8000-000000000000/cancel/",
    "/executions/00000000-0000-4000-8000-000000000000/retry/",
    "/executions/00000000-0000-4000-8000-000000000000/priority/",
    "/events/send/",
    "/dead-letters/1/redrive/",
    "/account/sign-in/",
    "/account/confirm/",
    "/account/sign-in/app/",
    "/account/sign-in/passkey/",
    "/sign-out/",
]


def _address(route: URLPattern) -> str:
    text = str(route.pattern)
    for name, converter in route.pattern.converters.items():
        for kind, value in _VALUES.items():
            if type(converter) is kind:
                text = text.replace(f"<{_NAMES[kind]}:{name}>", value)
    return "/" + text


_NAMES = {
    UUIDConverter: "uuid", IntConverter: "int", PathConverter: "path", StringConverter: "str", SlugConverter: "slug",
}  # fmt: skip
_ROUTES = [route for route in urls.urlpatterns if route.name not in _OPEN]


@pytest.fixture(autouse=True)
def _fresh(db: None) -> None:
    cache.clear()


@pytest.mark.parametrize("route", _ROUTES, ids=lambda r: r.name)
def test_a_stranger_sees_nothing(route: URLPattern, client: Client) -> None:
    address = _address(route)
    assert "<" not in address
    for answer in (client.get(address), client.post(address)):
        assert answer.status_code == 302, address
        assert answer["Location"].startswith("/sign-in/?next="), address


@pytest.mark.parametrize("address", _CHANGES)
def test_a_change_needs_a_form_of_ours(address: str) -> None:
    from ferris_web.accounts.models import User

    client = Client(enforce_csrf_checks=True)
    client.force_login(User.objects.create_user("ada"))
    answer = client.post(address, {"name": "x"})
    assert answer.status_code == 403
    assert "form has expired" in answer.content.decode()


def test_changes_are_never_made_by_get(person: Client) -> None:
    for address in _CHANGES:
        if address.rsplit("/", 2)[1] in ("cancel", "retry", "redrive", "sync", "secrets", "sign-out"):
            assert person.get(address).status_code == 405, address


def test_signing_in_leads_to_where_one_wanted_to_go(client: Client) -> None:
    from ferris_web.accounts.models import User

    User.objects.create_user("ada", password="a long password")
    form = {"username": "ada", "password": "a long password", "next": "/executions/?status=failed"}
    before = client.get("/sign-in/").cookies.get("ferris_session")
    answer = client.post("/sign-in/", form)
    assert answer["Location"] == "/executions/?status=failed"
    session = answer.cookies["ferris_session"]
    assert session["httponly"]
    assert session["samesite"] == "Lax"
    assert before is None or before.value != session.value


@pytest.mark.parametrize(
    ("came", "back"),
    [
        ("http://testserver/services/orders/?tab=runs", "/services/orders/?tab=runs"),
        ("https://evil.example/services/", ""),
        ("", ""),
    ],
)
def test_what_is_sent_after_the_session_has_ended_is_said_to_be_not_done(
    came: str, back: str, client: Client
) -> None:
    """The address it was sent to takes forms alone: after the sign-in comes the page that the form was on."""
    from ferris_web.accounts.models import User

    User.objects.create_user("ada", password="a long password")
    page = client.post("/services/orders/pause/", headers={"Referer": came}, follow=True)
    assert "was not done" in page.content.decode()
    assert page.context["next"] == back
    form = {"username": "ada", "password": "a long password", "next": back}
    assert client.post(page.redirect_chain[-1][0], form)["Location"] == (back or "/")
    assert "was not done" not in Client().get("/services/orders/", follow=True).content.decode()


@pytest.mark.parametrize(
    "target",
    [
        "https://evil.example/",
        "//evil.example",
        "/\\evil.example",
        "javascript:alert(1)",
        "http:///evil.example",
    ],
)
def test_signing_in_leads_nowhere_else(target: str, client: Client) -> None:
    from ferris_web.accounts.models import User

    User.objects.create_user("ada", password="a long password")
    form = {"username": "ada", "password": "a long password", "next": target}
    assert client.post("/sign-in/", form)["Location"] == "/"
    assert client.get("/sign-in/", {"next": target})["Location"] == "/"


def test_wrong_passwords_are_refused_after_some(client: Client) -> None:
    from ferris_web.accounts.models import User

    User.objects.create_user("ada", password="a long password")
    wrong = {"username": "Ada", "password": "guess"}
    for _ in range(LIMIT_PER_NAME):
        cache.clear()  # as in another web process, or after a restart
        answer = client.post("/sign-in/", wrong)
        assert answer.status_code == 200
        assert "Please enter a correct" in answer.content.decode()
    right = {"username": "ada", "password": "a long password"}
    answer = client.post("/sign-in/", right)
    assert answer.status_code == 429
    assert "Too many failed attempts" in answer.content.decode()
    assert answer["Retry-After"] == "300"
    elsewhere = Client(REMOTE_ADDR="192.0.2.7")
    assert elsewhere.post("/sign-in/", right).status_code == 302, "nobody is locked out from elsewhere"


def test_signing_in_forgets_earlier_mistakes(client: Client) -> None:
    from ferris_web.accounts.models import User

    User.objects.create_user("ada", password="a long password")
    for _ in range(3):
        for _ in range(LIMIT_PER_NAME - 1):
            client.post("/sign-in/", {"username": "ada", "password": "guess"})
        answer = client.post("/sign-in/", {"username": "ada", "password": "a long password"})
        assert answer.status_code == 302


def test_a_guessed_name_looks_like_a_wrong_password(client: Client) -> None:
    from ferris_web.accounts.models import User

    User.objects.create_user("ada", password="a long password")
    texts = [
        client.post("/sign-in/", {"username": name, "password": "guess"}).content.decode()
        for name in ("ada", "bob")
    ]
    assert all("Please enter a correct username and password" in text for text in texts)


def test_signing_out_ends_the_session(person: Client) -> None:
    assert person.get("/").status_code == 200
    assert person.post("/sign-out/")["Location"] == "/sign-in/"
    assert person.get("/").status_code == 302


def test_a_disabled_person_is_out_at_once(person: Client) -> None:
    from ferris_web.accounts.models import User

    User.objects.update(is_active=False)
    assert person.get("/").status_code == 302


def test_every_answer_forbids_inline_script(person: Client) -> None:
    for address, status in (("/", 200), ("/sign-out/", 405), ("/nothing/", 404), ("/services/x/", 404)):
        answer = person.get(address)
        assert answer.status_code == status
        policy = dict(part.split(" ", 1) for part in answer["Content-Security-Policy"].split("; "))
        assert policy["script-src"] == policy["style-src"] == "'self'"
        assert policy["default-src"] == policy["object-src"] == policy["base-uri"] == "'none'"
        assert "unsafe" not in answer["Content-Security-Policy"]
        assert answer["X-Content-Type-Options"] == "nosniff"
        assert answer["X-Frame-Options"] == "SAMEORIGIN"


def test_errors_show_pages_of_ours(person: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "nothing at this address" in person.get("/nothing/").content.decode()
    from ferris_web.console.views import dashboard

    def broken(*args: object, **kwargs: object) -> None:
        raise RuntimeError("a secret of the code")

    monkeypatch.setattr(dashboard.overview, "open_counts", broken)
    person.raise_request_exception = False
    answer = person.get("/")
    assert answer.status_code == 500
    assert "Something went wrong" in answer.content.decode()
    assert "a secret of the code" not in answer.content.decode()


def test_a_backend_that_is_away_is_named(person: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    from ferris.errors import BackendError
    from ferris_web import wiring

    def away() -> None:
        raise BackendError("the event log", "does not answer", "start it")

    monkeypatch.setattr(wiring, "event_log", away)
    answer = person.get("/topics/")
    assert answer.status_code == 503
    assert "the event log" in answer.content.decode()
    assert person.get("/").status_code == 200, "the dashboard shows what it can"


def test_administration_signs_in_by_the_console(
    client: Client, person: Client, administrator: Client
) -> None:
    stranger = Client()
    answer = stranger.get("/admin/", follow=True)
    assert answer.redirect_chain[-1][0].startswith("/sign-in/?next=")
    assert person.get("/admin/login/").status_code == 403
    assert administrator.get("/admin/").status_code == 200
    assert (
        stranger.post("/admin/login/", {"username": "root", "password": "a long password"}).status_code == 302
    )
    assert stranger.get("/admin/", follow=True).redirect_chain[-1][0].startswith("/sign-in/")


def test_monitors_are_linked_for_staff_where_the_settings_name_them(
    person: Client, administrator: Client
) -> None:
    flower, kibana = "https://flower.example/", "https://kibana.example/app"
    assert "Flower" not in administrator.get("/").content.decode()
    with override_settings(FERRIS=replace(wiring.config(), flower_url=flower)):
        text = administrator.get("/").content.decode()
    assert f'href="{flower}"' in text
    assert "Kibana" not in text
    with override_settings(FERRIS=replace(wiring.config(), flower_url=flower, kibana_url=kibana)):
        assert f'href="{kibana}"' in administrator.get("/").content.decode()
        assert ".example" not in person.get("/").content.decode()
