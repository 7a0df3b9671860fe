"""FERRIS_MFA_REQUIRED: who lacks a second factor gets nowhere but to where one sets it up."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from django.core.cache import cache
from django.test import Client, override_settings

from ferris.identity import Provider
from ferris_web import wiring
from ferris_web.accounts.models import User
from ferris_web.accounts.services import token_create
from tests.web.test_second_factors import code_of, with_app

pytestmark = pytest.mark.django_db

EVERYWHERE = ("/", "/services/", "/account/", "/help/", "/events/send/", "/live/", "/admin/", "/go/")
OPEN = ("/account/sign-in/", "/account/confirm/")


def required(of: str, **more: Any) -> Any:
    return override_settings(FERRIS=replace(wiring.config(), mfa_required=of, **more))


def browser(name: str, **more: Any) -> Client:
    cache.clear()
    client = Client()
    User.objects.create_user(name, password="a long password", **more)
    client.post("/sign-in/", {"username": name, "password": "a long password"})
    return client


def test_by_default_it_is_not() -> None:
    assert browser("ada").get("/account/").status_code == 200


def test_of_all() -> None:
    with required("all"):
        client = browser("ada")
        for address in EVERYWHERE:
            for answer in (client.get(address), client.post(address)):
                assert answer.status_code == 302, address
                assert answer["Location"] == "/account/sign-in/", address
        for address in OPEN:
            assert client.get(address).status_code == 200, address
        assert "is required here" in client.get("/account/sign-in/").content.decode()
        refused = client.get("/api/v1/services/")
        assert refused.status_code == 403
        assert "second factor is required" in refused.json()["detail"]
        assert client.post("/sign-out/").status_code == 302


def test_whoever_sets_one_up_goes_on() -> None:
    with required("all"):
        client = browser("ada")
        secret = client.get("/account/sign-in/app/").context["key"].replace(" ", "")
        client.post("/account/sign-in/app/", {"code": code_of(secret)})
        assert client.get("/account/").status_code == 200
        assert client.get("/api/v1/services/").status_code == 200


def test_of_administrators() -> None:
    with required("administrators"):
        assert browser("ada").get("/account/").status_code == 200
        admin = browser("sam", is_staff=True)
        assert admin.get("/admin/")["Location"] == "/account/sign-in/"
        with_app(User.objects.get(username="sam"))
        assert admin.get("/admin/").status_code == 200


def test_tokens_go_on_and_open_no_page() -> None:
    with required("all"):
        client = browser("ada")
        token = token_create(User.objects.get(username="ada"))
        program = Client(headers={"Authorization": f"Bearer {token}"})
        assert program.get("/api/v1/services/").status_code == 200
        both = {"Authorization": f"Bearer {token}"}
        assert client.get("/account/", headers=both).status_code == 302, "pages know sessions only"
        nonsense = {"Authorization": "Bearer nonsense"}
        assert client.get("/api/v1/services/", headers=nonsense).status_code == 401
        other = {"Authorization": "Basic YTpi"}
        assert client.get("/api/v1/services/", headers=other).status_code in (401, 403)


def test_who_was_asked_by_the_provider_is_not_asked_here() -> None:
    provider = Provider("https://id.example", "ferris", asks_second_factor=True)
    with required("all", providers=(provider,)):
        client = browser("ada")
        assert client.get("/account/").status_code == 302, "by password they are"
        session = client.session
        session["account_authentication_methods"] = [
            {"method": "socialaccount", "at": 0, "provider": "https://other.example"}
        ]
        session.save()
        assert client.get("/account/").status_code == 302, "by another provider as well"
        session["account_authentication_methods"] = [
            {"method": "socialaccount", "at": 0, "provider": provider.issuer}
        ]
        session.save()
        assert client.get("/account/").status_code == 200


def test_strangers_see_what_they_saw(client: Client) -> None:
    with required("all"):
        assert client.get("/health/live").status_code == 200
        assert client.get("/sign-in/").status_code == 200
        assert client.get("/services/")["Location"].startswith("/sign-in/?next=")
