"""A session begins under a key that nobody knew before, and ends when it should: for all who have a copy of it."""

from __future__ import annotations

import pytest
from django.core.cache import cache
from django.core.management import call_command
from django.test import Client
from django.utils import timezone

from ferris_web.accounts.models import BrowserSession, User
from ferris_web.accounts.services import token_create
from tests.web.calling import Caller

pytestmark = pytest.mark.django_db
COOKIE = "ferris_session"
PASSWORD, OTHER = "a long password", "another long password"


def signed_in(client: Client | None = None, password: str = PASSWORD) -> Client:
    cache.clear()
    client = client or Client()
    client.post("/sign-in/", {"username": "ada", "password": password})
    return client


def with_cookie(key: str) -> Client:
    client = Client()
    client.cookies[COOKIE] = key
    return client


def is_in(client: Client) -> bool:
    return client.get("/account/").status_code == 200


@pytest.fixture(autouse=True)
def ada() -> User:
    return User.objects.create_user("ada", password=PASSWORD)


@pytest.mark.parametrize("planted", ["x" * 32, "abcdefghijklmnopqrstuvwxyz012345", "", "../../x", "\u00e4"])
def test_a_key_that_somebody_planted_is_never_used(planted: str) -> None:
    victim = signed_in(with_cookie(planted))
    assert is_in(victim)
    assert victim.cookies[COOKIE].value != planted
    assert not is_in(with_cookie(planted))


def test_a_key_from_before_the_sign_in_is_worth_nothing_after_it() -> None:
    """An attacker's own session, made by the platform, in the victim's browser."""
    attacker = Client()
    session = attacker.session
    session["something"] = 1
    session.save()
    planted = session.session_key
    victim = signed_in(with_cookie(planted))
    assert is_in(victim)
    assert not is_in(with_cookie(planted))
    assert victim.session.session_key != planted


def test_signing_in_as_somebody_else_takes_nothing_along() -> None:
    User.objects.create_user("eve", password=PASSWORD)
    client = signed_in()
    session = client.session
    session["of_ada"] = "hers"
    session.save()
    client.get("/sign-in/")
    client.post("/sign-out/")
    client.post("/sign-in/", {"username": "eve", "password": PASSWORD})
    assert client.get("/account/").context["user"].username == "eve"
    assert "of_ada" not in client.session


def test_signing_out_ends_every_copy_of_it() -> None:
    client = signed_in()
    copy = with_cookie(client.cookies[COOKIE].value)
    elsewhere = signed_in()
    assert is_in(copy)
    client.post("/sign-out/")
    assert not is_in(copy)
    assert is_in(elsewhere), "other browsers go on"
    assert not is_in(with_cookie(copy.cookies[COOKIE].value))


@pytest.mark.parametrize("by", ["administration", "command"])
def test_another_password_ends_all_of_them(by: str, ada: User, administrator: Client) -> None:
    first, second = signed_in(), signed_in()
    assert is_in(first)
    assert is_in(second)
    if by == "administration":
        said = {"password1": OTHER, "password2": OTHER, "usable_password": "true"}
        answer = administrator.post(f"/admin/accounts/user/{ada.pk}/password/", said)
        assert answer.status_code == 302, answer.content.decode()[:2000]
    else:
        import getpass

        asked = getpass.getpass
        getpass.getpass = lambda *a, **k: OTHER
        try:
            call_command("changepassword", "ada", verbosity=0)
        finally:
            getpass.getpass = asked
    assert not is_in(first)
    assert not is_in(second)
    assert is_in(signed_in(password=OTHER))
    assert not is_in(signed_in(password=PASSWORD))


def test_one_ends_a_browser_of_ones_own_and_nobody_elses() -> None:
    User.objects.create_user("eve", password=PASSWORD)
    mine, elsewhere = signed_in(), signed_in()
    row = BrowserSession.objects.get(session_key=elsewhere.session.session_key)
    eve = Client()
    cache.clear()
    eve.post("/sign-in/", {"username": "eve", "password": PASSWORD})
    eve.delete(f"/api/v1/sessions/{row.pk}/")
    assert is_in(elsewhere)
    assert mine.delete(f"/api/v1/sessions/{row.pk}/").status_code == 204
    assert not is_in(elsewhere)
    assert is_in(mine)


def test_a_session_ends_by_itself() -> None:
    client = signed_in()
    assert client.session.get_expiry_date() > timezone.now()
    from django.contrib.sessions.models import Session

    Session.objects.update(expire_date=timezone.now())
    assert not is_in(client)


def test_who_was_disabled_signs_in_anew_when_enabled_again(ada: User, administrator: Client) -> None:
    listed, token = signed_in(), token_create(ada)
    unlisted = signed_in()
    BrowserSession.objects.filter(session_key=unlisted.session.session_key).delete()
    form = f"/admin/accounts/user/{ada.pk}/change/"
    shown = administrator.get(form).context["adminform"].form.initial
    said = {name: shown[name] for name in ("username", "email", "first_name", "last_name")}
    assert administrator.post(form, said).status_code == 302
    assert not User.objects.get(username="ada").is_active
    assert not is_in(listed)
    assert Caller(token).get("/api/v1/sessions/").status_code == 401
    assert administrator.post(form, {**said, "is_active": "on"}).status_code == 302
    assert not is_in(listed)
    assert not is_in(unlisted)
    assert Caller(token).get("/api/v1/sessions/").json()["results"] == []
    assert is_in(signed_in())
