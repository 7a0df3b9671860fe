"""Passkeys in a real Chromium, with an authenticator that the browser itself pretends to have."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.browser.conftest import Viewer
from tests.browser.looking import looked_at
from tests.browser.servers import Server

PASSWORD = "a long password"


@pytest.fixture
def somebody(chromium: object, console: Server) -> Iterator[Viewer]:
    """Somebody with a password, at the address that has a name, whose browser has an authenticator."""
    make = "from ferris_web.accounts.models import User; User.objects.create_user('pia', password='a long password')"
    console.manage("shell", "-v0", "-c", make)
    named = Server(console.url.replace("127.0.0.1", "localhost"), "pia", PASSWORD, console.home)
    viewer = Viewer(chromium, named)
    devices = viewer.context.new_cdp_session(viewer.page)
    devices.send("WebAuthn.enable")
    options = {
        "protocol": "ctap2",
        "transport": "internal",
        "hasResidentKey": True,
        "hasUserVerification": True,
        "isUserVerified": True,
        "automaticPresenceSimulation": True,
    }
    viewer.device = devices.send("WebAuthn.addVirtualAuthenticator", {"options": options})["authenticatorId"]
    viewer.devices = devices
    yield viewer
    viewer.context.close()
    assert not viewer.problems


def test_a_passkey_is_set_up_and_asked_for(somebody: Viewer, pictures: Path | None) -> None:
    page = somebody.page
    somebody.sign_in()
    page.goto("/account/confirm/")
    looked_at(page, "account-confirm", pictures)
    page.goto("/account/sign-in/app/")
    looked_at(page, "account-app", pictures)
    page.goto("/account/sign-in/")
    looked_at(page, "account-sign-in", pictures)
    page.get_by_role("link", name="Set up a passkey").click()
    looked_at(page, "account-passkey", pictures)
    page.get_by_label("Name").fill("laptop")
    page.get_by_role("button", name="Set up").click()
    page.get_by_role("heading", name="Recovery codes").wait_for()
    looked_at(page, "account-codes", pictures)
    page.get_by_role("link", name="I have kept them").click()
    page.get_by_role("rowheader", name="laptop").wait_for()
    looked_at(page, "account-sign-in-with", pictures)

    page.get_by_role("button", name="Sign out").click()
    page.get_by_label("User name").fill("pia")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("button", name="Use a passkey").wait_for()
    looked_at(page, "second-factor", pictures)
    page.goto("/account/")
    assert "/sign-in/?next=" in page.url, "the password alone opens nothing"
    page.goto("/sign-in/second-factor/")
    page.get_by_role("button", name="Use a passkey").click()
    page.wait_for_url(somebody.server.url + "/")

    page.get_by_role("button", name="Sign out").click()
    somebody.devices.send("WebAuthn.clearCredentials", {"authenticatorId": somebody.device})
    page.get_by_label("User name").fill("pia")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("button", name="Use a passkey").click()
    page.get_by_text("No passkey was shown").wait_for()
