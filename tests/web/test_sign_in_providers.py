"""Several providers at once, each by its own rules, and signing out at them: with real ones."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from allauth.socialaccount.models import SocialAccount
from django.contrib.sessions.models import Session
from django.core.cache import cache
from django.test import Client, override_settings

from ferris_web import wiring
from ferris_web.accounts.models import User
from tests.web.identity_provider import IdentityProvider, ended, started
from tests.web.test_sign_in_provider import who

pytestmark = pytest.mark.django_db
ACME, PARTNER = "/sign-in/provider/", "/sign-in/provider/partner/"


@pytest.fixture(scope="module")
def running() -> Iterator[tuple[IdentityProvider, IdentityProvider]]:
    begun = [started(), started()]
    yield begun[0][0], begun[1][0]
    for _, process in begun:
        ended(process)


@pytest.fixture
def both(running: Any) -> Iterator[tuple[IdentityProvider, IdentityProvider]]:
    cache.clear()
    with setup(running):
        yield running


def setup(both: Any, acme: dict[str, Any] | None = None, partner: dict[str, Any] | None = None) -> Any:
    providers = (
        both[0].settings(**(acme or {})),
        both[1].settings(name="Partner", key="partner", client_id="of-partner", **(partner or {})),
    )
    return override_settings(FERRIS=replace(wiring.config(), providers=providers))


def test_each_has_its_button_its_client_and_its_address(both: Any, client: Client) -> None:
    text = client.get("/sign-in/?next=/events/").content.decode()
    assert f'href="{ACME}?next=%2Fevents%2F"' in text
    assert f'href="{PARTNER}?next=%2Fevents%2F"' in text
    assert text.index("Sign in with Acme ID") < text.index("Sign in with Partner")
    for address, provider, client_id in ((ACME, both[0], "ferris"), (PARTNER, both[1], "of-partner")):
        asked = client.get(address)["Location"]
        assert asked.startswith(provider.issuer + "/")
        query = parse_qs(urlsplit(asked).query)
        assert query["client_id"] == [client_id]
        assert query["redirect_uri"] == [f"http://testserver{address}back/"]
    assert client.get("/sign-in/provider/nobody/").status_code == 404
    assert client.get("/sign-in/provider/nobody/back/").status_code == 404


def test_the_same_subject_at_two_is_two_people(both: Any) -> None:
    both[0].person("1", preferred_username="anna")
    both[1].person("1", preferred_username="boris")
    first, second = Client(), Client()
    both[0].sign_in(first, "1")
    both[1].sign_in(second, "1", at=PARTNER)
    assert (who(first), who(second)) == ("anna", "boris")
    assert set(SocialAccount.objects.values_list("provider", flat=True)) == {one.issuer for one in both}


def test_groups_are_managed_by_whose_mapping_names_them(both: Any) -> None:
    """Who comes by one provider keeps what the other has said."""
    acme, partner = (
        {"groups": (("dev", "Developers"),)},
        {"groups": (("crew", "Operators"),), "newcomers": False},
    )
    both[0].person("2", preferred_username="carla", groups=["dev", "crew"])
    both[1].person("22", preferred_username="carla2", groups=["crew"])
    with setup(both, acme, partner):
        client = Client()
        assert both[1].sign_in(client, "22", at=PARTNER).status_code == 403, "newcomers come by Acme only"
        both[0].sign_in(client, "2")
        carla = User.objects.get(username="carla")
        assert set(carla.groups.values_list("name", flat=True)) == {"Developers"}
        page = client.post("/account/sign-in/", {"do": "connect", "provider": "partner"})
        client.get(both[1].answer(page.context["address"], "22"))
        again = Client()
        both[1].sign_in(again, "22", at=PARTNER)
        assert who(again) == "carla"
        assert set(carla.groups.values_list("name", flat=True)) == {"Developers", "Operators"}
        text = client.get("/account/confirm/").content.decode()
        assert f"{ACME}?again=1" in text
        assert f"{PARTNER}?again=1" in text


def test_an_answer_of_one_is_none_of_the_other(both: Any, client: Client) -> None:
    """Mix-up: state and code of Acme at Partner's address."""
    both[0].person("3", preferred_username="dirk")
    both[1].person("3", preferred_username="erik")
    answer = both[0].answer(client.get(ACME)["Location"], "3")
    assert client.get(answer.replace("/back/", "/partner/back/")).status_code == 403
    assert who(client) == ""


def test_a_provider_taken_out_of_the_settings_lets_nobody_in(both: Any, client: Client) -> None:
    both[1].person("4", preferred_username="fritz")
    both[1].sign_in(Client(), "4", at=PARTNER)
    begun = client.get(PARTNER)["Location"]
    answer = both[1].answer(begun, "4")
    with override_settings(FERRIS=replace(wiring.config(), providers=wiring.config().providers[:1])):
        assert client.get(answer).status_code == 404
        assert client.get("/account/").status_code == 302


def test_the_provider_asks_for_pkce(both: Any, client: Client) -> None:
    """What stands in the way of a stolen code: neither left out, nor anybody else's."""
    both[0].person("5", preferred_username="gerd")
    asked = client.get(ACME)["Location"]
    query = {name: values[0] for name, values in parse_qs(urlsplit(asked).query).items()}
    plain = {name: value for name, value in query.items() if not name.startswith("code_challenge")}
    place = asked.partition("?")[0]
    bare = requests.post(place, params=plain, data={"sub": "5"}, allow_redirects=False, timeout=5)
    assert bare.status_code >= 400 or "code=" not in bare.headers["Location"]
    code = parse_qs(urlsplit(both[0].answer(asked, "5")).query)["code"][0]
    given = {
        "grant_type": "authorization_code", "code": code, "redirect_uri": query["redirect_uri"],
        "client_id": "ferris", "client_secret": "of the client",
    }  # fmt: skip
    for verifier in ({}, {"code_verifier": "x" * 43}):
        told = requests.post(f"{both[0].issuer}/oauth2/token", data={**given, **verifier}, timeout=5)
        assert told.status_code == 400, told.text


# --- signing out --------------------------------------------------------------------------------------


def way_out(answer: Any) -> dict[str, list[str]]:
    return parse_qs(urlsplit(answer.context["address"]).query)


def test_signing_out_ends_the_session_at_the_provider_too(both: Any, client: Client) -> None:
    both[1].person("6", preferred_username="hans")
    with setup(both, partner={"signs_out": True}):
        both[1].sign_in(client, "6", at=PARTNER)
        kept = str([session.get_decoded() for session in Session.objects.all()])
        assert "eyJ" not in kept, "the ID token lies encrypted"
        answer = client.post("/sign-out/?next=https://evil.example/", {"next": "//evil.example"})
        assert answer.status_code == 200
        assert "no-store" in answer["Cache-Control"]
        assert who(client) == ""
        assert answer.context["address"].startswith(f"{both[1].issuer}/oauth2/end_session?")
        assert way_out(answer)["post_logout_redirect_uri"] == ["http://testserver/sign-in/"]
        assert way_out(answer)["client_id"] == ["of-partner"]
        assert "evil.example" not in answer.content.decode()
        there = requests.get(answer.context["address"], allow_redirects=False, timeout=5)
        assert (there.status_code, there.headers["Location"]) == (302, "http://testserver/sign-in/")
        assert client.post("/sign-out/").status_code == 302, "there is nothing left to end"


def test_who_did_not_come_by_it_is_not_led_there(both: Any, client: Client) -> None:
    User.objects.create_user("ines", password="a long password")
    both[0].person("7", preferred_username="jana")
    with setup(both, partner={"signs_out": True}):
        client.post("/sign-in/", {"username": "ines", "password": "a long password"})
        assert client.post("/sign-out/")["Location"] == "/sign-in/"
        both[0].sign_in(client, "7")
        assert client.post("/sign-out/")["Location"] == "/sign-in/", "Acme is not asked to"


def test_a_sign_in_that_came_to_nothing_leaves_nothing(both: Any, client: Client) -> None:
    """Somebody stops at the second factor; another one signs in by password in the same browser."""
    from tests.web.test_second_factors import with_app

    both[1].person("8", preferred_username="karl")
    User.objects.create_user("lena", password="a long password")
    with setup(both, partner={"signs_out": True}):
        both[1].sign_in(Client(), "8", at=PARTNER)
        with_app(User.objects.get(username="karl"))
        assert both[1].sign_in(client, "8", at=PARTNER)["Location"] == "/sign-in/second-factor/"
        client.post("/sign-in/", {"username": "lena", "password": "a long password"})
        assert who(client) == "lena"
        assert client.post("/sign-out/")["Location"] == "/sign-in/"


@pytest.mark.parametrize(
    "said", [None, "http://evil.example/out", "javascript:alert(1)", 7, "https://[", "//x"]
)
def test_a_provider_that_names_no_safe_place(
    said: Any, both: Any, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ferris_web.accounts import oidc

    both[1].person("9", preferred_username="mona")
    with setup(both, partner={"signs_out": True}):
        both[1].sign_in(client, "9", at=PARTNER)
        known = oidc.description(wiring.config().providers[1])
        monkeypatch.setattr(oidc, "description", lambda provider: {**known, "end_session_endpoint": said})
        assert client.post("/sign-out/")["Location"] == "/sign-in/"
    assert who(client) == ""


def test_a_provider_that_is_away_keeps_nobody(both: Any, client: Client) -> None:
    both[1].person("10", preferred_username="nele")
    with setup(both, partner={"signs_out": True}):
        both[1].sign_in(client, "10", at=PARTNER)
        cache.clear()
        session = client.session
        session["provider_session"] = {**session["provider_session"], "provider": "http://localhost:9"}
        session.save()
        with setup(both, partner={"signs_out": True, "issuer": "http://localhost:9"}):
            assert client.post("/sign-out/")["Location"] == "/sign-in/"
    assert who(client) == ""
