"""Rules that hold for every address there is: routes are found by walking them, so that a new one is looked at too."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.contrib import admin
from django.core.cache import cache
from django.db import connection, transaction
from django.test import Client
from django.urls import reverse

from ferris_web.accounts.models import User
from ferris_web.console import urls as console_urls
from tests.web.console_rows import Rows
from tests.web.test_permissions import ROUTES, mine

__all__ = ["mine"]

ELSEWHERE = ("https://evil.example/x", "//evil.example/x", "/\\evil.example/x", "javascript:alert(1)")
# Whatever an address or a form may call the place to go to next.
TO = "next back to return return_to redirect redirect_uri redirect_url url continue target goto from place referer"
_WRITES = re.compile(r"\s*(?:INSERT INTO|UPDATE|DELETE FROM)\s+\"(?P<table>\w+)\"", re.IGNORECASE)
# Written while somebody only looks: the session that is at work, how much is asked for, who looked at what secret.
_NOTED = {"accounts_allowance", "django_session", "accounts_browsersession", "accounts_auditentry"}
_UNSAFE = ("POST", "PUT", "PATCH", "DELETE")


@pytest.fixture
def root(rows: Rows, db: None, monkeypatch: pytest.MonkeyPatch) -> User:
    for place in ("ferris_web.api.views.executions", "ferris_web.executions.services"):
        monkeypatch.setattr(f"{place}.wait_visible", lambda *a, **k: None)  # nobody routes here
    cache.clear()
    return User.objects.create_superuser("walks", password="a long password")


def browser(user: User, **options: Any) -> Client:
    client = Client(raise_request_exception=False, **options)
    client.force_login(user)
    return client


def addresses(objects: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Name and address of every route of console and API, those for strangers too."""
    for route in ROUTES:
        yield route.name, route.address(objects)
    for pattern in console_urls.urlpatterns:
        if pattern.name in ("sign-in", "sign-in-provider", "sign-in-provider-back", "second-factor"):
            yield f"console:{pattern.name}", reverse(f"console:{pattern.name}")


def administration() -> Iterator[str]:
    """Where the administration changes something: lists (their actions), and each form for a new row."""
    for model in admin.site._registry:
        name = f"admin:{model._meta.app_label}_{model._meta.model_name}"
        yield reverse(f"{name}_changelist")
        yield reverse(f"{name}_add")


@contextmanager
def undone() -> Iterator[None]:
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


def ended(answer: Any) -> None:
    """A stream is left; its own `close` would close the database too."""
    for end in getattr(answer, "_resource_closers", ()):
        end()


def test_no_change_without_a_form_of_ours(root: User, mine: dict[str, Any]) -> None:
    """A page elsewhere that sends a form with the session of whoever looks at it (CSRF)."""
    client = browser(root, enforce_csrf_checks=True)
    looked = 0
    for name, address in addresses(mine):
        for method in ("POST",) if name.startswith("console:") else _UNSAFE:
            with undone():
                answer = client.generic(method, address, b"{}", content_type="application/json")
            looked += 1
            assert answer.status_code in (403, 405), (method, address, answer.status_code)
            if name.startswith("console:"):
                assert answer.status_code == 403, (method, address)
                assert "form has expired" in answer.content.decode(), address
    for address in (*administration(), reverse("console:sign-out")):
        assert client.post(address, {"action": "delete_selected"}).status_code == 403, address
    assert looked > 300


def test_a_form_from_elsewhere_is_none_of_ours(root: User) -> None:
    """With a token that is right: the place where the form stood is looked at as well."""
    client = browser(root, enforce_csrf_checks=True)
    client.get("/projects/add/")
    token = client.cookies["ferris_csrf"].value
    said = {"csrfmiddlewaretoken": token, "name": "x"}
    for origin in ("https://evil.example", "null", "http://testserver.evil.example"):
        assert client.post("/projects/add/", said, headers={"Origin": origin}).status_code == 403, origin
    assert client.post("/projects/add/", said, headers={"Origin": "http://testserver"}).status_code != 403


def test_looking_changes_nothing(root: User, mine: dict[str, Any]) -> None:
    """GET is safe: a picture in somebody's readme may ask for any address in the name of who looks at it."""
    client = browser(root)
    changed: list[str] = []

    def watched(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        found = _WRITES.match(sql)
        if found and found["table"] not in _NOTED:
            changed.append(f"{address}: {found['table']}")
        return execute(sql, params, many, context)

    with connection.execute_wrapper(watched):
        for name, address in addresses(mine):
            if name == "console:live":
                continue
            ended(client.get(address))
            ended(client.head(address))
    assert not changed


def test_nothing_leads_elsewhere(root: User, mine: dict[str, Any]) -> None:
    """Whatever address or form names the place to go to next: it is one of ours (open redirects)."""
    client = browser(root)
    stranger = Client(raise_request_exception=False)

    def asked(who: Client, method: str, address: str, target: str) -> bool:
        """True when it leads anywhere."""
        said = dict.fromkeys(TO.split(), target)
        with undone():
            answer = getattr(who, method)(address, said, headers={"Referer": target})
            ended(answer)
        to = urlsplit(answer.headers.get("Location", ""))
        assert to.netloc in ("", "testserver"), (method, address, target, to)
        assert to.scheme in ("", "http"), (method, address, target, to)
        assert not to.path.startswith(("//", "/\\")), (method, address, target, to)
        return bool(300 <= answer.status_code < 400)

    for name, address in addresses(mine):
        if name == "console:live":
            continue
        for method in ("get", "post") if name.startswith("console:") else ("get",):
            if asked(client, method, address, ELSEWHERE[0]):
                for target in ELSEWHERE[1:]:
                    asked(client, method, address, target)
    for target in ELSEWHERE:
        for address in ("/sign-in/", "/sign-in/provider/", "/account/", "/admin/", "/admin/login/"):
            asked(stranger, "get", address, target)
        asked(browser(root), "post", "/sign-out/", target)


def test_what_every_answer_forbids(root: User, mine: dict[str, Any]) -> None:
    """Frames of others, guessed types, addresses told to others, copies kept by a proxy or on a shared machine."""
    client, lacking = browser(root), []
    for name, address in addresses(mine):
        if name == "console:live":
            continue
        answer = client.get(address)
        ended(answer)
        told = answer.headers
        policy, kept = told.get("Content-Security-Policy", ""), told.get("Cache-Control", "")
        rules = {
            "frames": told.get("X-Frame-Options") in ("SAMEORIGIN", "DENY"),
            # A file that somebody left has no origin: nothing in it runs, whatever else it may.
            "policy": ("frame-ancestors" in policy and "unsafe" not in policy)
            or ("sandbox" in policy and "allow-s" not in policy),
            "types": told.get("X-Content-Type-Options") == "nosniff",
            "referrer": told.get("Referrer-Policy") in ("same-origin", "no-referrer"),
            "opener": told.get("Cross-Origin-Opener-Policy") == "same-origin",
            "copies": "private" in kept or "no-store" in kept or answer.status_code >= 300,
        }
        lacking += [(rule, name, address) for rule, met in rules.items() if not met]
    assert not lacking


def test_another_hosts_name_is_refused(root: User, mine: dict[str, Any]) -> None:
    """Links in answers and mails are made of the host that was asked: it must be one of ours."""
    for host in ("evil.example", "testserver.evil.example", "evil.example:80", "testserver@evil.example"):
        answer = browser(root, headers={"Host": host}).get("/account/")
        assert answer.status_code == 400, host
        assert host.encode() not in answer.content
    client = browser(root, headers={"X-Forwarded-Host": "evil.example", "Forwarded": "host=evil.example"})
    for _, address in addresses(mine):
        if address != "/live/":
            answer = client.get(address)
            ended(answer)
            if not answer.streaming:
                assert b"evil.example" not in answer.content, address
            assert "evil.example" not in answer.headers.get("Location", "") + answer.headers.get("Link", "")
