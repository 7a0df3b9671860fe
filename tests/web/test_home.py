"""The first start: who can sign in, and who learns the password."""

from __future__ import annotations

from dataclasses import replace

import pytest
from django.test import override_settings

from embedded import home
from ferris_web import wiring
from ferris_web.accounts.models import User

pytestmark = pytest.mark.django_db(transaction=True)  # prepare() ends every connection


def test_the_administrators_password_is_made_and_told_once() -> None:
    password = home.prepare()
    assert password
    assert User.objects.get(username="admin").check_password(password)
    assert home.prepare() is None


def test_a_given_password_is_used_and_told_to_nobody() -> None:
    with override_settings(FERRIS=replace(wiring.config(), admin_password="given-by-the-operator")):
        assert home.prepare() is None
    assert User.objects.get(username="admin").check_password("given-by-the-operator")
