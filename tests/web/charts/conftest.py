"""A service that listens to orders, and the net of this machine as one that may be asked."""

from __future__ import annotations

from dataclasses import replace

import pytest
from django.conf import settings

from ferris_web.catalog.models import Service
from tests.web.charts.charting import HERE
from tests.web.platform import service


@pytest.fixture
def shop() -> Service:
    """Listens to orders."""
    return service("charge", "shop.order", project="shop")


@pytest.fixture
def allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "FERRIS", replace(settings.FERRIS, allow_private=HERE))
