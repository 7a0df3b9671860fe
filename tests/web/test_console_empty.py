"""A platform that was just started: every page helps on."""

from __future__ import annotations

import pytest
from django.test import Client

from tests.web.console_pages import page

LISTS = (
    "/services/",
    "/projects/",
    "/executions/",
    "/flows/",
    "/events/",
    "/event-types/",
    "/schedules/",
    "/topics/",
    "/dead-letters/",
    "/objects/",
)


@pytest.mark.usefixtures("backends")
def test_every_list_is_useful_when_it_is_empty(person: Client) -> None:
    for address in LISTS:
        shown = page(person, address)
        assert 'class="empty"' in shown.html, address
        assert not shown.unclosed, (address, shown.unclosed)
    assert "manage.py project add" in page(person, "/").html
    assert "manage.py new" in page(person, "/services/").html
    assert "manage.py emit" in page(person, "/executions/").html
