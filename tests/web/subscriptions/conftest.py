"""A program of an administrator, and this machine's own net as one that may be pushed to."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from django.conf import settings
from django.test import Client

from ferris_web.accounts.models import User
from ferris_web.accounts.services import token_create
from tests.web.calling import Caller
from tests.web.subscriptions.pushing import HERE


@pytest.fixture(autouse=True)
def _local_is_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "FERRIS", replace(settings.FERRIS, allow_private=HERE))


@pytest.fixture
def chief(backends: Any, administrator: Client) -> Caller:
    """A program of an administrator."""
    return Caller(token_create(User.objects.get(username="root")))
