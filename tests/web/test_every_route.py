"""Rules that hold for every address there is: routes are found by walking them, so that a new one is looked at too."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlencode, urlsplit

import pytest
from django.contrib import admin
from django.core.cache import cache
from django.db import connection, transaction
from django.test import Client
from django.urls import reverse
from django.urls.converters import StringConverter

from ferris_web.accounts.models import User
from ferris_web.console import urls as console_urls
from tests.web.console_rows import Rows
from tests.web.test_permissions import ROUTES, mine

pytestmark = pytest.mark.walk

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


def test_looking(root: User, mine: dict[str, Any]) -> None:
    """What holds for whoever only looks, whatever at: one walk for all of it, for it is long.

    GET is safe: a picture in somebody's readme may ask for any address in the name of who looks at it. Answers forbid
    frames of others, guessed types, addresses told to others, copies kept by a proxy or on a shared machine. Links in
    them are of the host that was asked, whatever a proxy claims.
    """
    client = browser(root, headers={"X-Forwarded-Host": "evil.example", "Forwarded": "host=evil.example"})
    broken: list[tuple[str, str]] = []

    def watched(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        found = _WRITES.match(sql)
        if found and found["table"] not in _NOTED:
            broken.append((f"changes {found['table']}", address))
        return execute(sql, params, many, context)

    with connection.execute_wrapper(watched):
        for name, address in addresses(mine):
            if name == "console:live":
                continue
            answer = client.get(address)
            broken += [(rule, address) for rule in _broken(answer)]
            ended(answer)
            ended(client.head(address))
    assert not broken


def _broken(answer: Any) -> Iterator[str]:
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
        "host": "evil.example" not in told.get("Location", "") + told.get("Link", ""),
        "host in the text": answer.streaming or b"evil.example" not in answer.content,
    }
    return (rule for rule, met in rules.items() if not met)


OUTSIDE = "what lies outside of every store"
UPWARDS = [
    "../" * 3 + "outside.txt", "..%2f" * 4 + "outside.txt", "%2e%2e/" * 2 + "outside.txt", "..%5coutside.txt",
    "x/%2e%2e/%2e%2e/outside.txt", "%2fetc%2fpasswd", "/etc/passwd", "..", "%2e%2e%2f%00.txt", "~/outside.txt",
]  # fmt: skip
_NAMED = ("path", "prefix", "folder", "file", "name", "key", "at", "after", "select")


def test_no_name_leads_out_of_its_store(root: User, mine: dict[str, Any], ferris_home: Path) -> None:
    """Whatever stands in an address where a name belongs, and in whatever of a query might be one (path traversal)."""
    for folder in (ferris_home, ferris_home / "objects"):
        (folder / "outside.txt").write_text(OUTSIDE)
    client, looked = browser(root), 0

    def look(address: str) -> None:
        nonlocal looked
        looked += 1
        answer = client.get(address)
        said = b"" if address.startswith(("/live/", "/api/v1/stream")) else _begin(answer)
        ended(answer)
        assert answer.status_code < 500, address
        assert OUTSIDE.encode() not in said, address
        assert b"root:x:0:" not in said, address

    for route in ROUTES:
        own = route.address(mine)
        texts = [n for n, c in route.pattern.pattern.converters.items() if isinstance(c, StringConverter)]
        for name in texts:
            for upwards in UPWARDS:
                look(route.address(mine | {f"{route.kind} {name}": upwards, route.kind: upwards}))
        if route.name != "console:live" and "GET" in route.methods:
            look(f"{own}?{urlencode(dict.fromkeys(_NAMED, unquote(UPWARDS[0])))}")
    assert looked > 500


def _begin(answer: Any) -> bytes:
    if not getattr(answer, "streaming", False):
        return bytes(answer.content)
    if answer.is_async or "event-stream" in answer.headers.get("Content-Type", ""):
        return b""
    return b"".join(islice(answer.streaming_content, 20))


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


def test_another_hosts_name_is_refused(root: User) -> None:
    """Links in answers and mails are made of the host that was asked: it must be one of ours."""
    for host in ("evil.example", "testserver.evil.example", "evil.example:80", "testserver@evil.example"):
        answer = browser(root, headers={"Host": host}).get("/account/")
        assert answer.status_code == 400, host
        assert host.encode() not in answer.content
