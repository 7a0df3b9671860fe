"""Nobody is offered what they may not do: each form that a viewer is shown is one that a viewer may send."""

from __future__ import annotations

import re
from html import unescape

import pytest
from django.test import Client
from django.urls import resolve

from ferris_web.accounts.models import Membership, User
from ferris_web.console.needs import offers
from tests.web.console_fixtures import addresses
from tests.web.console_rows import Rows

_FORM = re.compile(r'<form[^>]*method="post"[^>]*>')
_ACTION = re.compile(r'action="([^"]*)"')


@pytest.mark.parametrize("role", ["viewer", "operator"])
def test_every_form_of_every_page_is_one_for_who_sees_it(
    role: str, rows: Rows, client: Client, db: None
) -> None:
    user = User.objects.create_user("looks")
    Membership.objects.update_or_create(user=user, project=None, defaults={"role": role})
    client.force_login(user)
    in_vain = set()
    for address in addresses(rows):
        answer = client.get(address)
        if answer.status_code != 200:
            continue
        for form in _FORM.findall(answer.content.decode()):
            action = _ACTION.search(form)
            match = resolve(unescape(action[1] if action else address).partition("?")[0])
            user = User.objects.get(pk=user.pk)  # as in a request of its own
            if match.url_name != "sign-out" and not offers(user, match.url_name, **match.kwargs):
                in_vain.add((match.url_name, address))
    assert not in_vain, "\n".join(f"{route} on {address}" for route, address in sorted(in_vain))
