"""Nobody is offered what they may not do: each form and link that a viewer is shown is one that a viewer may use."""

from __future__ import annotations

import re
from html import unescape

import pytest
from django.core.exceptions import PermissionDenied
from django.test import Client
from django.urls import ResolverMatch, resolve

from ferris_web.accounts.models import Membership, User
from ferris_web.console.needs import NEEDS, check, offers
from tests.web.console_fixtures import addresses
from tests.web.console_rows import Rows

pytestmark = [pytest.mark.walk, pytest.mark.once]

_FORM = re.compile(r'<form[^>]*method="post"[^>]*>')
_ACTION = re.compile(r'action="([^"]*)"')
_LINK = re.compile(r'<a [^>]*href="(/[^"#?]*)')


@pytest.mark.parametrize("role", ["viewer", "operator"])
def test_every_form_and_link_of_every_page_is_one_for_who_sees_it(
    role: str, rows: Rows, client: Client, db: None
) -> None:
    user = User.objects.create_user("looks")
    Membership.objects.update_or_create(user=user, project=None, defaults={"role": role})
    client.force_login(user)
    in_vain, known = set(), set()
    for address in addresses(rows):
        answer = client.get(address)
        if answer.status_code != 200:
            continue
        text = answer.content.decode()
        actions = [_ACTION.search(form) for form in _FORM.findall(text)]
        forms = {action[1] if action else address for action in actions}
        user = User.objects.get(pk=user.pk)  # as in a request of its own
        for target in forms:
            match = resolve(unescape(target).partition("?")[0])
            if match.url_name != "sign-out" and not offers(user, match.url_name, **match.kwargs):
                in_vain.add((match.url_name, address))
        for target in set(_LINK.findall(text)) - known:
            known.add(target)
            match = resolve(unescape(target))
            if match.app_name == "console" and match.url_name in NEEDS and not _opens(user, match):
                in_vain.add((match.url_name, address))
    assert len(known) > 100
    assert not in_vain, "\n".join(f"{route} on {address}" for route, address in sorted(in_vain))


def _opens(user: User, match: ResolverMatch) -> bool:
    try:
        check(user, NEEDS[match.url_name or ""], "GET", match.kwargs)
    except PermissionDenied:
        return False
    return True
