"""Sign-in by OpenID Connect, with a real provider: whose account it becomes, and what must not work."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from allauth.socialaccount.models import SocialAccount
from django.contrib.auth.models import Group
from django.contrib.sessions.models import Session
from django.core.cache import cache
from django.test import Client, override_settings

from ferris_web import wiring
from ferris_web.accounts.models import AuditEntry, BrowserSession, Membership, User
from ferris_web.accounts.services import sessions_prune
from tests.web.identity_provider import IdentityProvider, ended, started

pytestmark = pytest.mark.django_db


@pytest.fixture(scope="module")
def running() -> Iterator[IdentityProvider]:
    provider, process = started()
    yield provider
    ended(process)


@pytest.fixture
def acme(running: IdentityProvider) -> Iterator[IdentityProvider]:
    cache.clear()
    with setup(running):
        yield running


def setup(provider: IdentityProvider, **changed: Any) -> Any:
    return override_settings(FERRIS=replace(wiring.config(), providers=(provider.settings(**changed),)))


def who(client: Client) -> str:
    """Who is signed in, as the account page says it; empty for nobody."""
    answer = client.get("/account/")
    return answer.context["user"].get_username() if answer.status_code == 200 else ""


# --- the way -----------------------------------------------------------------------------------------


def test_without_a_provider_there_is_no_way_to_one(client: Client) -> None:
    assert "Sign in with" not in client.get("/sign-in/").content.decode()
    assert client.get("/sign-in/provider/").status_code == 404
    assert client.get("/sign-in/provider/back/").status_code == 404


def test_the_page_names_the_provider_beside_the_password(acme: IdentityProvider, client: Client) -> None:
    text = client.get("/sign-in/?next=/events/").content.decode()
    assert "Sign in with Acme ID" in text
    assert "/sign-in/provider/?next=%2Fevents%2F" in text
    assert 'name="password"' in text


def test_whoever_comes_the_first_time_gets_an_account(acme: IdentityProvider, client: Client) -> None:
    acme.person("1", preferred_username="mia", name="Mia Moon", email="mia@acme.example", email_verified=True)
    answer = acme.sign_in(client, "1", next="/events/?source=a")
    assert (answer.status_code, answer["Location"]) == (302, "/events/?source=a")
    assert who(client) == "mia"
    mia = User.objects.get(username="mia")
    assert (mia.email, mia.first_name, mia.last_name) == ("mia@acme.example", "Mia", "Moon")
    assert not mia.has_usable_password()
    assert Membership.objects.get(user=mia).role == wiring.config().default_role
    assert BrowserSession.objects.filter(user=mia).count() == 1
    entry = AuditEntry.objects.get(action="sign-in.provider")
    assert (entry.actor, entry.said["new"], entry.said["issuer"]) == ("mia", True, acme.issuer)


def test_the_second_time_it_is_the_same_account(acme: IdentityProvider) -> None:
    acme.person("2", preferred_username="nils")
    acme.sign_in(Client(), "2")
    acme.person("2", preferred_username="another-name")
    client = Client()
    acme.sign_in(client, "2")
    assert who(client) == "nils"
    assert User.objects.filter(username="another-name").count() == 0


def test_a_link_belongs_to_the_issuer(acme: IdentityProvider) -> None:
    """Another provider may give the same subject to somebody else."""
    admin = User.objects.create_superuser("root")
    SocialAccount.objects.create(user=admin, provider="https://before.example", uid="3")
    acme.person("3", preferred_username="olga")
    client = Client()
    acme.sign_in(client, "3")
    assert who(client) == "olga"


def test_what_is_asked_of_the_provider(acme: IdentityProvider, client: Client) -> None:
    asked = parse_qs(urlsplit(client.get("/sign-in/provider/")["Location"]).query)
    assert asked["code_challenge_method"] == ["S256"]
    assert all(len(asked[name][0]) >= 16 for name in ("state", "nonce", "code_challenge"))
    assert asked["redirect_uri"] == ["http://testserver/sign-in/provider/back/"]
    assert asked["response_type"] == ["code"]
    again = parse_qs(urlsplit(client.get("/sign-in/provider/")["Location"]).query)
    assert again["state"] != asked["state"]
    assert again["nonce"] != asked["nonce"]


def test_signing_out_ends_it(acme: IdentityProvider, client: Client) -> None:
    acme.person("4", preferred_username="paul")
    acme.sign_in(client, "4")
    client.post("/sign-out/")
    assert who(client) == ""


def test_what_the_provider_gave_is_kept_nowhere(acme: IdentityProvider, client: Client) -> None:
    acme.person("5", preferred_username="quin", secret_claim="of no use here")
    acme.sign_in(client, "5")
    kept = SocialAccount.objects.get(uid="5").extra_data
    assert set(kept) == {"sub", "preferred_username", "groups"}
    sessions = [session.get_decoded() for session in Session.objects.all()]
    assert not any("access_token" in str(data) or "id_token" in str(data) for data in sessions)


# --- whose account -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["rosa", "ROSA"])
def test_a_name_takes_no_account_over(name: str, acme: IdentityProvider, client: Client) -> None:
    User.objects.create_user("rosa", password="a long password", email="rosa@acme.example")
    acme.person("6", preferred_username=name, email="rosa@acme.example", email_verified=True)
    answer = acme.sign_in(client, "6")
    assert answer.status_code == 409
    assert "sign in with its password" in answer.content.decode()
    assert who(client) == ""
    assert AuditEntry.objects.get(action="sign-in.refused").status == 403


@pytest.mark.parametrize("verified", [False, "yes", 1, None])
def test_an_address_that_is_not_verified_links_nothing(
    verified: Any, acme: IdentityProvider, client: Client
) -> None:
    User.objects.create_user("sven", password="a long password", email="sven@acme.example")
    acme.person("7", preferred_username="other", email="sven@acme.example", email_verified=verified)
    with setup(acme, link_by_email=True):
        acme.sign_in(client, "7")
    assert who(client) == "other"
    assert User.objects.get(username="other").email == ""


def test_a_verified_address_links_where_that_is_allowed(acme: IdentityProvider) -> None:
    User.objects.create_user("tara", password="a long password", email="Tara@acme.example")
    acme.person("8", preferred_username="t8", email="tara@acme.example", email_verified=True)
    with setup(acme, link_by_email=True):
        client = Client()
        acme.sign_in(client, "8")
        assert who(client) == "tara"
    assert AuditEntry.objects.get(action="sign-in.provider").said["linked_by_email"] is True
    User.objects.create_user("uma", password="a long password", email="uma@acme.example")
    acme.person("9", preferred_username="u9", email="uma@acme.example", email_verified=True)
    acme.sign_in(client := Client(), "9")
    assert who(client) == "u9", "not by default"


@pytest.mark.parametrize("of", ["administrator", "two people"])
def test_a_verified_address_links_neither_administrators_nor_one_of_two(
    of: str, acme: IdentityProvider, client: Client
) -> None:
    User.objects.create_user("vera", email="vera@acme.example", is_superuser=of == "administrator")
    if of == "two people":
        User.objects.create_user("vera2", email="vera@acme.example")
    acme.person("10", preferred_username="v10", email="vera@acme.example", email_verified=True)
    with setup(acme, link_by_email=True):
        acme.sign_in(client, "10")
    assert who(client) == "v10"


def test_only_known_people_where_newcomers_are_not_wanted(acme: IdentityProvider, client: Client) -> None:
    acme.person("11", preferred_username="wim")
    with setup(acme, newcomers=False):
        assert acme.sign_in(client, "11").status_code == 403
    assert not User.objects.filter(username="wim").exists()


@pytest.mark.parametrize(
    ("email", "verified", "status"),
    [("x@acme.example", True, 302), ("x@acme.example", False, 403), ("x@evil-acme.example", True, 403)],
)
def test_domains(email: str, verified: bool, status: int, acme: IdentityProvider, client: Client) -> None:
    acme.person("12", preferred_username="xena", email=email, email_verified=verified)
    with setup(acme, domains=("acme.example",)):
        assert acme.sign_in(client, "12").status_code == status


def test_a_disabled_account_stays_outside(acme: IdentityProvider) -> None:
    acme.person("13", preferred_username="yann")
    acme.sign_in(Client(), "13")
    User.objects.filter(username="yann").update(is_active=False)
    client = Client()
    answer = acme.sign_in(client, "13")
    assert answer.status_code == 403
    assert "disabled" in answer.content.decode()
    assert who(client) == ""


def test_somebody_connects_it_to_their_own_account(acme: IdentityProvider, client: Client) -> None:
    User.objects.create_user("zoe", password="a long password")
    client.post("/sign-in/", {"username": "zoe", "password": "a long password"})
    acme.person("14", preferred_username="z14")
    page = client.post("/account/sign-in/", {"do": "connect"})
    assert page.status_code == 200
    assert "no-store" in page["Cache-Control"]
    answer = client.get(acme.answer(page.context["address"], "14"))
    assert (answer.status_code, answer["Location"]) == (302, "/account/sign-in/")
    assert "z14" in client.get("/account/sign-in/").content.decode()
    other = Client()
    acme.sign_in(other, "14")
    assert who(other) == "zoe"
    number = SocialAccount.objects.get(uid="14").pk
    client.post("/account/sign-in/", {"do": "disconnect", "number": number})
    assert not SocialAccount.objects.filter(uid="14").exists()


def test_what_is_anothers_is_not_connected(acme: IdentityProvider, client: Client) -> None:
    acme.person("15", preferred_username="abel")
    acme.sign_in(Client(), "15")
    User.objects.create_user("ben", password="a long password")
    client.post("/sign-in/", {"username": "ben", "password": "a long password"})
    page = client.post("/account/sign-in/", {"do": "connect"})
    client.get(acme.answer(page.context["address"], "15"))
    assert SocialAccount.objects.get(uid="15").user.username == "abel"
    assert "belongs to somebody else" in client.get("/account/sign-in/").content.decode()


def test_connecting_asks_who_one_is_and_needs_a_form(acme: IdentityProvider) -> None:
    person = User.objects.create_user("cleo", password="a long password")
    client = Client(enforce_csrf_checks=True)
    client.force_login(person)
    assert client.post("/account/sign-in/", {"do": "connect"}).status_code == 403
    client = Client()
    client.force_login(person)
    answer = client.post("/account/sign-in/", {"do": "connect"})
    assert answer["Location"] == "/account/confirm/?next=%2Faccount%2Fsign-in%2F"
    assert client.post("/account/confirm/", {"password": "guess"}).status_code == 422
    said = {"password": "a long password", "next": "/account/sign-in/"}
    assert client.post("/account/confirm/", said)["Location"] == "/account/sign-in/"
    assert client.post("/account/sign-in/", {"do": "connect"}).status_code == 200


def test_the_only_way_in_is_not_disconnected(acme: IdentityProvider, client: Client) -> None:
    acme.person("16", preferred_username="dora")
    acme.sign_in(client, "16")
    number = SocialAccount.objects.get(uid="16").pk
    client.post("/account/sign-in/", {"do": "disconnect", "number": number})
    assert SocialAccount.objects.filter(uid="16").exists()


def test_nobody_disconnects_what_is_anothers(acme: IdentityProvider, client: Client) -> None:
    acme.person("17", preferred_username="emil")
    acme.sign_in(Client(), "17")
    User.objects.create_user("fay", password="a long password")
    client.post("/sign-in/", {"username": "fay", "password": "a long password"})
    number = SocialAccount.objects.get(uid="17").pk
    client.post("/account/sign-in/", {"do": "disconnect", "number": number})
    assert SocialAccount.objects.filter(uid="17").exists()


# --- groups ------------------------------------------------------------------------------------------


def test_groups_follow_the_provider_where_the_mapping_says_so(acme: IdentityProvider) -> None:
    mapping = (("dev", "Developers"), ("ops", "Operators"))
    night = Group.objects.create(name="Night shift")
    with setup(acme, groups=mapping):
        acme.person("18", preferred_username="gus", groups=["dev", "unknown"])
        acme.sign_in(Client(), "18")
        gus = User.objects.get(username="gus")
        gus.groups.add(night)
        acme.person("18", preferred_username="gus", groups=["ops"])
        acme.sign_in(Client(), "18")
    assert set(gus.groups.values_list("name", flat=True)) == {"Operators", "Night shift"}
    said = AuditEntry.objects.filter(action="sign-in.provider").latest("id").said
    assert (said["joined"], said["left"]) == (["Operators"], ["Developers"])
    with setup(acme, groups=mapping):
        acme.person("18", preferred_username="gus")  # the claim is gone
        acme.sign_in(Client(), "18")
    assert set(gus.groups.values_list("name", flat=True)) == {"Night shift"}


def test_administrators_by_a_group(acme: IdentityProvider) -> None:
    acme.person("19", preferred_username="hal", realm={"roles": ["boss"]})
    with setup(acme, admin_group="boss", groups_claim="realm.roles"):
        acme.sign_in(Client(), "19")
        hal = User.objects.get(username="hal")
        assert hal.is_superuser
        assert hal.is_staff
        assert not hal.memberships.exists()
        acme.person("19", preferred_username="hal", realm={"roles": []})
        acme.sign_in(Client(), "19")
    hal.refresh_from_db()
    assert not hal.is_superuser
    assert not hal.is_staff


def test_an_administrator_made_by_hand_stays_one(acme: IdentityProvider) -> None:
    acme.person("20", preferred_username="ida")
    acme.sign_in(Client(), "20")
    User.objects.filter(username="ida").update(is_superuser=True, is_staff=True)
    with setup(acme, admin_group="boss"):
        acme.sign_in(Client(), "20")
    assert User.objects.get(username="ida").is_superuser


# --- attacks -----------------------------------------------------------------------------------------


def test_an_answer_for_another_browser_is_refused(acme: IdentityProvider, client: Client) -> None:
    acme.person("21", preferred_username="jack")
    answer = acme.answer(Client().get("/sign-in/provider/")["Location"], "21")
    refused = client.get(answer)
    assert refused.status_code == 403
    assert "Begin again" in refused.content.decode()
    assert not User.objects.filter(username="jack").exists()


@pytest.mark.parametrize("query", ["", "?code=x", "?state=x&code=y", "?error=access_denied", "?state=%00"])
def test_an_answer_that_nobody_asked_for(query: str, acme: IdentityProvider, client: Client) -> None:
    client.get("/sign-in/provider/")
    assert client.get(f"/sign-in/provider/back/{query}").status_code == 403
    assert AuditEntry.objects.count() == 0, "a stranger does not fill the log"


def test_an_answer_works_once(acme: IdentityProvider, client: Client) -> None:
    acme.person("22", preferred_username="kim")
    answer = acme.answer(client.get("/sign-in/provider/")["Location"], "22")
    assert client.get(answer).status_code == 302
    client.post("/sign-out/")
    assert client.get(answer).status_code == 403
    assert who(client) == ""


def test_a_code_that_was_used_is_refused_by_the_provider(acme: IdentityProvider, client: Client) -> None:
    acme.person("23", preferred_username="lea")
    used = parse_qs(urlsplit(acme.answer(client.get("/sign-in/provider/")["Location"], "23")).query)
    client.get("/sign-in/provider/back/", {name: values[0] for name, values in used.items()})
    client.post("/sign-out/")
    fresh = parse_qs(urlsplit(client.get("/sign-in/provider/")["Location"]).query)["state"][0]
    answer = client.get("/sign-in/provider/back/", {"state": fresh, "code": used["code"][0]})
    assert answer.status_code == 502
    assert who(client) == ""


def test_a_code_of_another_sign_in_is_refused_by_its_nonce(acme: IdentityProvider, client: Client) -> None:
    """Code injection: a code that somebody else got, in one's own state."""
    acme.person("24", preferred_username="max")
    stolen = parse_qs(urlsplit(acme.answer(Client().get("/sign-in/provider/")["Location"], "24")).query)
    mine = parse_qs(urlsplit(client.get("/sign-in/provider/")["Location"]).query)["state"][0]
    answer = client.get("/sign-in/provider/back/", {"state": mine, "code": stolen["code"][0]})
    assert answer.status_code == 502
    assert who(client) == ""


@pytest.mark.parametrize(
    "target", ["https://evil.example/", "//evil.example", "/\\evil.example", "javascript:x"]
)
def test_it_leads_nowhere_else(target: str, acme: IdentityProvider, client: Client) -> None:
    acme.person("25", preferred_username="nora")
    assert acme.sign_in(client, "25", next=target)["Location"] == "/"
    assert client.get("/sign-in/provider/", {"next": target})["Location"] == "/"


def test_the_session_gets_another_key(acme: IdentityProvider, client: Client) -> None:
    acme.person("26", preferred_username="otto")
    begun = client.get("/sign-in/provider/")
    before = client.cookies["ferris_session"].value
    client.get(acme.answer(begun["Location"], "26"))
    assert client.cookies["ferris_session"].value != before
    thief = Client()
    thief.cookies["ferris_session"] = before
    assert who(thief) == ""


def test_a_person_who_says_no(acme: IdentityProvider, client: Client) -> None:
    state = parse_qs(urlsplit(client.get("/sign-in/provider/")["Location"]).query)["state"][0]
    answer = client.get("/sign-in/provider/back/", {"state": state, "error": "access_denied"})
    assert answer.status_code == 403
    assert "did not let Acme ID" in answer.content.decode()


@pytest.mark.parametrize("subject", ["s" * 300, "a b<script>", "ü" * 60])
def test_odd_people(subject: str, acme: IdentityProvider, client: Client) -> None:
    """Claims that no provider should send: an account or a refusal, and never a failure of ours."""
    claims: dict[str, Any] = {
        "preferred_username": "odd\0",
        "name": ["x"],
        "email": {"a": 1},
        "groups": ["g\0", 7],
    }
    acme.person(subject, **claims)
    assert acme.sign_in(client, subject).status_code in (302, 502)
    assert bool(who(client)) == User.objects.filter(username="odd").exists()


def test_sessions_that_are_over_are_forgotten(acme: IdentityProvider, client: Client) -> None:
    acme.person("27", preferred_username="pia")
    acme.sign_in(client, "27")
    Client().get("/sign-in/provider/")  # begun, and left
    over = Client()
    acme.sign_in(over, "27")
    now = datetime.now(UTC)
    Session.objects.exclude(pk=client.session.session_key).update(expire_date=now - timedelta(seconds=1))
    assert sessions_prune(now) == 2
    assert [row.session_key for row in BrowserSession.objects.all()] == [client.session.session_key]
    assert who(client) == "pia"


def test_beginning_is_limited(
    acme: IdentityProvider, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ferris_web.console.views.session.LIMIT_PER_ADDRESS", 3)
    for _ in range(3):
        assert client.get("/sign-in/provider/").status_code == 302
    assert client.get("/sign-in/provider/").status_code == 429


# --- what is set up wrong ----------------------------------------------------------------------------


@pytest.mark.parametrize("issuer", ["http://localhost:9", "{}/elsewhere", "{}/#"])
def test_a_wrong_issuer(issuer: str, acme: IdentityProvider, client: Client) -> None:
    from ferris_web.executions.checkup import checkup

    with setup(acme, issuer=issuer.format(acme.issuer)):
        assert client.get("/sign-in/").status_code == 200, "passwords go on"
        answer = client.get("/sign-in/provider/")
        assert answer.status_code == 503
        assert "Acme ID cannot be used" in answer.content.decode()
        finding = next(one for one in checkup(datetime.now(UTC)) if one.part == "sign-in")
    assert finding.level == "failure"
    assert "FERRIS_OIDC_ISSUER" in finding.remedy
