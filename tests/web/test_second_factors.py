"""Second factors: an authenticator app and recovery codes, and what must not get around them."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value
from cryptography.fernet import Fernet
from django.contrib.sessions.models import Session
from django.core.cache import cache
from django.core.management import call_command
from django.test import Client

from ferris_web import wiring
from ferris_web.accounts import second_factors
from ferris_web.accounts.models import AuditEntry, User
from ferris_web.accounts.second_factors import WRONG_CODES, FactorAdapter

pytestmark = pytest.mark.django_db

PASSWORD = "a long password"


@pytest.fixture(autouse=True)
def _fresh() -> None:
    cache.clear()


@pytest.fixture
def ada() -> User:
    return User.objects.create_user("ada", password=PASSWORD)


def with_app(user: User) -> list[str]:
    """Give that person an app whose codes up to a minute ago are over; their recovery codes."""
    codes = second_factors.recovery_codes(user)
    sealed = second_factors.app_key()
    Authenticator.objects.create(user=user, type="totp", data={"secret": sealed})
    return codes


def code(user: User, later: int = 0) -> str:
    """What their app shows now, or so many steps later."""
    sealed = Authenticator.objects.get(user=user, type="totp").data["secret"]
    return code_of(FactorAdapter().decrypt(sealed), later)


def code_of(secret: str, later: int = 0) -> str:
    return format_hotp_value(hotp_value(secret, int(datetime.now(UTC).timestamp()) // 30 + later))


def wrong(user: User) -> str:
    """A code that is none of those that count now."""
    right = {code(user, step) for step in (-2, -1, 0, 1, 2)}
    return next(
        text for text in ("000000", "111111", "222222", "333333", "444444", "555555") if text not in right
    )


def password(client: Client, **more: str) -> Any:
    return client.post("/sign-in/", {"username": "ada", "password": PASSWORD, **more})


def inside(client: Client) -> bool:
    return client.get("/account/").status_code == 200


# --- signing in --------------------------------------------------------------------------------------


def test_without_one_the_password_is_enough(ada: User, client: Client) -> None:
    assert password(client)["Location"] == "/"
    assert inside(client)


def test_with_one_it_is_not(ada: User, client: Client) -> None:
    with_app(ada)
    assert password(client, next="/events/")["Location"] == "/sign-in/second-factor/"
    assert not inside(client)
    assert client.get("/api/v1/services/").status_code == 401
    assert client.get("/admin/").status_code == 302
    assert "One more step, ada" in client.get("/sign-in/second-factor/").content.decode()
    assert client.post("/sign-in/second-factor/", {"code": code(ada)})["Location"] == "/events/"
    assert inside(client)
    assert AuditEntry.objects.filter(actor="ada", action="console:second-factor", status=302).exists()


def test_nobody_is_asked_who_gave_no_password(ada: User, client: Client) -> None:
    with_app(ada)
    assert client.get("/sign-in/second-factor/")["Location"] == "/sign-in/"
    assert client.post("/sign-in/second-factor/", {"code": code(ada)})["Location"] == "/sign-in/"
    assert not inside(client)


def test_a_code_counts_once(ada: User) -> None:
    with_app(ada)
    used = code(ada)
    first, second = Client(), Client()
    password(first)
    password(second)
    assert first.post("/sign-in/second-factor/", {"code": used}).status_code == 302
    cache.clear()  # another web process
    assert second.post("/sign-in/second-factor/", {"code": used}).status_code == 422
    assert not inside(second)
    assert second.post("/sign-in/second-factor/", {"code": code(ada, -1)}).status_code == 422, (
        "nor one before"
    )
    assert second.post("/sign-in/second-factor/", {"code": code(ada, 1)}).status_code == 302


def test_a_recovery_code_counts_once(ada: User) -> None:
    codes = with_app(ada)
    client = Client()
    password(client)
    assert client.post("/sign-in/second-factor/", {"code": f" {codes[0]} "}).status_code == 302
    assert "9 left" in client.get("/").content.decode()
    again = Client()
    password(again)
    assert again.post("/sign-in/second-factor/", {"code": codes[0]}).status_code == 422


def test_guessing_ends(ada: User) -> None:
    """In all browsers together, and after a right password again and again."""
    with_app(ada)
    for _ in range(WRONG_CODES):
        client = Client()
        password(client)
        assert client.post("/sign-in/second-factor/", {"code": wrong(ada)}).status_code == 422
        cache.clear()  # another web process, or this one started again
    password(client := Client())
    answer = client.post("/sign-in/second-factor/", {"code": code(ada)})
    assert answer.status_code == 429
    assert "Wait five minutes" in answer.content.decode()
    assert not inside(client)
    assert AuditEntry.objects.filter(action="second-factor.refused").count() == WRONG_CODES
    later = datetime.now(UTC) + timedelta(minutes=6)
    sealed = Authenticator.objects.get(user=ada, type="totp").data["secret"]
    step = int(later.timestamp()) // 30
    right = format_hotp_value(hotp_value(FactorAdapter().decrypt(sealed), step))
    assert second_factors.code_counts(ada, right, later) is not None


@pytest.mark.parametrize("said", ["", "12345", "½½½½½½", "\0" * 6, "1" * 5000, "' or 1=1 --"])
def test_what_is_no_code(said: str, ada: User, client: Client) -> None:
    with_app(ada)
    password(client)
    assert client.post("/sign-in/second-factor/", {"code": said}).status_code == 422
    assert not inside(client)


def test_the_session_gets_another_key(ada: User, client: Client) -> None:
    with_app(ada)
    password(client)
    before = client.cookies["ferris_session"].value
    client.post("/sign-in/second-factor/", {"code": code(ada)})
    assert client.cookies["ferris_session"].value != before
    thief = Client()
    thief.cookies["ferris_session"] = before
    assert not inside(thief)


def test_it_leads_nowhere_else(ada: User, client: Client) -> None:
    with_app(ada)
    password(client, next="https://evil.example/")
    assert client.post("/sign-in/second-factor/", {"code": code(ada)})["Location"] == "/"


def test_whoever_is_disabled_meanwhile_stays_outside(ada: User, client: Client) -> None:
    with_app(ada)
    password(client)
    User.objects.update(is_active=False)
    assert client.post("/sign-in/second-factor/", {"code": code(ada)}).status_code == 403
    assert not inside(client)


def test_tokens_of_the_api_do_without(ada: User) -> None:
    from ferris_web.accounts.services import token_create

    with_app(ada)
    client = Client(headers={"Authorization": f"Bearer {token_create(ada)}"})
    assert client.get("/api/v1/services/").status_code == 200


# --- setting it up -----------------------------------------------------------------------------------


def test_an_app_is_set_up(ada: User, client: Client) -> None:
    password(client)
    page = client.get("/account/sign-in/app/")
    text = page.content.decode()
    assert "no-store" in page["Cache-Control"]
    assert "data:image/svg+xml;base64," in text
    secret = page.context["key"].replace(" ", "")
    assert f"otpauth://totp/ada?secret={secret}" in page.context["address"]
    assert client.post("/account/sign-in/app/", {"code": "nonsense"}).status_code == 422
    done = client.post("/account/sign-in/app/", {"code": code_of(secret)})
    assert "no-store" in done["Cache-Control"]
    codes = re.findall(r"<code>(\d{8})</code>", done.content.decode())
    assert len(set(codes)) == 10
    shown = client.get("/account/sign-in/").content.decode()
    assert "10 left" in shown
    assert not any(one in shown for one in codes), "once and never again"
    kept = Authenticator.objects.get(user=ada, type="totp").data
    assert secret not in str(kept)
    assert not any(secret in str(session.get_decoded()) for session in Session.objects.all())
    other = Client()
    password(other)
    assert other.post("/sign-in/second-factor/", {"code": code_of(secret)}).status_code == 422, "it was used"
    assert other.post("/sign-in/second-factor/", {"code": codes[3]}).status_code == 302


def test_changes_ask_who_it_is(ada: User, client: Client) -> None:
    codes = with_app(ada)
    client.force_login(ada)
    number = Authenticator.objects.get(user=ada, type="totp").pk
    for said in ({"do": "factor-remove", "number": number}, {"do": "codes"}):
        answer = client.post("/account/sign-in/", said)
        assert answer["Location"].startswith("/account/confirm/"), said
    assert client.get("/account/sign-in/app/")["Location"].startswith("/account/confirm/")
    assert Authenticator.objects.filter(user=ada).count() == 2
    assert client.post("/account/confirm/", {"code": wrong(ada)}).status_code == 422
    assert client.post("/account/confirm/", {"code": codes[0]}).status_code == 302
    assert client.post("/account/sign-in/", {"do": "codes"}).status_code == 200


def test_new_recovery_codes_end_the_old(ada: User, client: Client) -> None:
    codes = with_app(ada)
    password(client)
    client.post("/sign-in/second-factor/", {"code": code(ada)})
    page = client.post("/account/sign-in/", {"do": "codes"}).content.decode()
    fresh = re.findall(r"<code>(\d{8})</code>", page)
    assert len(fresh) == 10
    assert not set(fresh) & set(codes)
    password(other := Client())
    assert other.post("/sign-in/second-factor/", {"code": codes[0]}).status_code == 422
    assert other.post("/sign-in/second-factor/", {"code": fresh[0]}).status_code == 302


def test_the_last_one_takes_the_recovery_codes_along(ada: User, client: Client) -> None:
    with_app(ada)
    password(client)
    client.post("/sign-in/second-factor/", {"code": code(ada)})
    number = Authenticator.objects.get(user=ada, type="totp").pk
    client.post("/account/sign-in/", {"do": "factor-remove", "number": number})
    assert not Authenticator.objects.filter(user=ada).exists()
    assert AuditEntry.objects.filter(action="console:account-sign-in", said__do="factor-remove").exists()
    assert password(Client())["Location"] == "/"


def test_nobody_removes_what_is_anothers(ada: User, client: Client) -> None:
    with_app(ada)
    User.objects.create_user("eve", password=PASSWORD)
    client.post("/sign-in/", {"username": "eve", "password": PASSWORD})
    number = Authenticator.objects.get(user=ada, type="totp").pk
    client.post("/account/sign-in/", {"do": "factor-remove", "number": number})
    assert Authenticator.objects.filter(user=ada).count() == 2


# --- when it is lost ---------------------------------------------------------------------------------


def test_an_administrator_takes_it_away(ada: User, client: Client) -> None:
    with_app(ada)
    password(client)
    client.post("/sign-in/second-factor/", {"code": code(ada)})
    admin = Client()
    admin.force_login(User.objects.create_superuser("root"))
    said = {"action": "reset_second_factors", "_selected_action": [ada.pk]}
    assert admin.post("/admin/accounts/user/", said).status_code == 302
    assert not Authenticator.objects.filter(user=ada).exists()
    assert not inside(client), "whoever has the phone is signed out"
    entry = AuditEntry.objects.get(action="second-factor.reset")
    assert (entry.actor, entry.said["person"]) == ("root", "ada")


def test_staff_take_none_of_a_superusers_away(client: Client) -> None:
    from django.contrib.auth.models import Permission

    root = User.objects.create_superuser("root")
    with_app(root)
    staff = User.objects.create_user("sam", is_staff=True)
    staff.user_permissions.set(Permission.objects.filter(codename__in=("change_user", "view_user")))
    client.force_login(staff)
    client.post("/admin/accounts/user/", {"action": "reset_second_factors", "_selected_action": [root.pk]})
    assert Authenticator.objects.filter(user=root).count() == 2


def test_the_last_administrator_has_a_command(ada: User, capsys: pytest.CaptureFixture[str]) -> None:
    with_app(ada)
    call_command("reset-mfa", "ada", "--json")
    assert json.loads(capsys.readouterr().out) == {"user": "ada", "taken_away": 2}
    assert not Authenticator.objects.filter(user=ada).exists()
    assert AuditEntry.objects.get(action="second-factor.reset").object == "ada"


def test_the_administration_shows_no_keys(client: Client) -> None:
    client.force_login(User.objects.create_superuser("root"))
    text = client.get("/admin/").content.decode()
    assert not any(app in text for app in ("/admin/mfa/", "/admin/socialaccount/", "/admin/account/"))


def test_keys_of_second_factors_are_encrypted_anew(ada: User, settings: Any) -> None:
    codes = with_app(ada)
    old = wiring.config().secret_keys
    fresh = Fernet.generate_key().decode()
    settings.FERRIS = replace(settings.FERRIS, secret_keys=(fresh, *old))
    call_command("rotate-keys", "--no-new-key")
    settings.FERRIS = replace(settings.FERRIS, secret_keys=(fresh,))
    now = datetime.now(UTC)
    assert second_factors.code_counts(ada, codes[0], now) is not None
    assert second_factors.code_counts(ada, code(ada), now) is not None


# --- passkeys (tests/browser/test_passkeys.py goes the whole way) --------------------------------------


@pytest.mark.parametrize(
    ("host", "said"),
    [("127.0.0.1", "and not for numbers"), ("testserver", "only for https"), ("localhost", "")],
)
def test_where_browsers_have_passkeys(host: str, said: str, ada: User, settings: Any) -> None:
    settings.ALLOWED_HOSTS = ["*"]
    client = Client(headers={"Host": host})
    password(client)
    text = client.get("/account/sign-in/passkey/").content.decode()
    assert said in text
    assert ("passkey-offer" in text) is not bool(said)


@pytest.mark.parametrize(
    "said",
    [
        "",
        "{}",
        "[]",
        "null",
        "x",
        "[" * 9000,
        '{"id": "AA", "rawId": "AA", "type": "public-key", "response": {}}',
    ],
)
def test_what_is_no_passkey(said: str, ada: User, settings: Any) -> None:
    client = Client(headers={"Host": "localhost"})
    password(client)
    client.get("/account/sign-in/passkey/")
    answer = client.post("/account/sign-in/passkey/", {"name": "x", "credential": said})
    assert answer.status_code == 422
    assert not Authenticator.objects.filter(user=ada).exists()
    with_app(ada)
    password(other := Client(headers={"Host": "localhost"}))
    assert other.post("/sign-in/second-factor/", {"credential": said}).status_code == 422
    assert not inside(other)
