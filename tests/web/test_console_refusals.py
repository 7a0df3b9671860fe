"""A form that is refused comes back as it was written, but for secrets: the error beside its field, the focus on it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from tests.web.console_forms import Form, Forms
from tests.web.console_rows import Rows

_SECRET = "s3cr3t-that-was-typed"
_TEMPLATES = Path(__file__).resolve().parents[2] / "ferris_web/console/templates"


@dataclass
class Case:
    """A form of a page, what is written into it, and the id of the field at fault."""

    page: str
    names: tuple[str, ...]
    said: dict[str, Any]
    fault: str
    button: str = ""
    status: tuple[int, ...] = (422,)

    def __str__(self) -> str:
        return f"{self.page} {self.fault}"


_CASES = (
    Case(
        "/account/", ("label", "days"),
        {"label": "for CI", "days": "many", "scopes": ["run"]}, "days", "token",
    ),
    Case("/account/", ("label", "days"), {"label": "for CI", "scopes": []}, "scopes", "token"),
    Case(
        "/projects/quakes/members/", ("label", "days"), {"label": "nightly", "days": "0"}, "days{bot}", "token",
    ),
    Case("/projects/quakes/members/", ("kind", "name"), {"kind": "group", "name": "nobody"}, "name", "set"),
    Case(
        "/projects/quakes/members/", ("name", "role"),
        {"name": "a@b", "role": "operator"}, "account", "account",
    ),
    Case(
        "/projects/quakes/members/", ("name", "role"),
        {"name": "bot", "role": "viewer"}, "account", "account",
    ),
    Case(
        "/projects/add/", ("name", "source"),
        {"name": "no spaces", "source": "https://x.invalid/y", "token": _SECRET}, "name",
    ),
    Case(
        "/projects/quakes/repositories/add/", ("source",),
        {"source": "/srv/x", "every_minutes": "x"}, "every_minutes",
    ),
    Case("/projects/quakes/repositories/{repository}/", ("folder",), {"folder": "../up"}, "folder"),
    Case("/projects/quakes/", ("name", "value"), {"name": "n" * 256, "value": _SECRET}, "secret-name"),
    Case(
        "/secrets/", ("name", "value"),
        {"name": "mail", "value": _SECRET, "as_json": "1"}, "secret-value",
    ),
    Case(
        "/services/make_report/settings/", ("name", "value"),
        {"name": "mail", "scope": "project", "value": _SECRET, "as_json": "1"}, "secret-value",
    ),
    Case("/services/quakes_alert/config/", ("value",), {"value": "{\n  oops"}, "value", "save"),
    Case("/charts/add/?project=quakes&source=events", ("title",), {"title": "T", "filter": "{"}, "filter"),
    Case(
        "/charts/add/?project=quakes&source=metrics", ("title",),
        {"title": "T", "groups_shown": "many"}, "groups_shown",
    ),
    Case(
        "/charts/add/?project=quakes&source=artifact", ("title",),
        {"title": "", "artifact": "a.json"}, "title",
    ),
    Case("/charts/add/?project=quakes&source=url", ("title",), {"title": "T", "url": "ftp://x"}, "url"),
    Case("/events/send/", ("type", "data"), {"type": "a.b", "source": "x", "data": "{"}, "data"),
    Case("/events/send/", ("type", "data"), {"type": "ferris.execution.started", "data": "{}"}, "type"),
    Case(
        "/backtest/", ("triggers",),
        {"service": "make_report", "triggers": "[", "since": "24h"}, "triggers",
    ),
    Case("/dead-letters/{letter}/", ("event",), {"event": "{ oops"}, "event"),
    Case(
        "/replays/new/?service=make_report", ("service", "since"),
        {"since": "yesterday", "rate": "3"}, "since",
    ),
    Case("/replays/new/?service=make_report", ("service", "since"), {"rate": "quick"}, "rate"),
    Case("/replays/new/?service=make_report", ("service", "since"), {"service": "old_report"}, "service"),
    Case("/schedules/{schedule}/missed/?since=7d", ("time",), {"time": []}, "time"),
    Case("/objects/reports/?prefix=quakes/2026/", ("file",), {"replace": "on"}, "file"),
    Case("/services/make_report/run/", ("p-0",), {"p-0": "T", "p-2": "1000", "p-5": "2"}, "p-2"),
    Case(
        "/services/make_report/run/", ("p-0",),
        {"p-0": "T", "save-as": "", "p-5": "2", "run-priority": "9"}, "save-as", "save",
    ),
    Case("/services/quakes_alert/run/", ("p-json",), {"p-json": "{"}, "p-json"),
    Case(
        "/connections/add/", ("name", "url"),
        {"name": "x/y", "url": f"postgresql://u:{_SECRET}@h/d"}, "name",
    ),
    Case("/connections/warehouse/", ("url",), {"url": _SECRET, "description": "More."}, "url"),
    Case(
        "/webhooks/add/", ("name", "secret"),
        {"name": "hook", "window_seconds": "x", "secret": _SECRET}, "window_seconds",
    ),
    Case("/webhooks/github/", ("kind",), {"type_from": "nowhere", "secret": _SECRET}, "type_from"),
    Case(
        "/subscriptions/add/", ("name", "url"),
        {"name": "s", "project": "quakes", "filter": "[", "secret_headers": _SECRET}, "filter",
    ),
    Case("/subscriptions/partner/", ("url",), {"url": "ftp://x", "secret": _SECRET}, "url"),
    Case(
        "/notifications/add/", ("name", "targets"),
        {"name": "r", "project": "quakes", "times": "x", "targets": f"discord://{_SECRET}"}, "times",
    ),
    Case("/notifications/pager/", ("targets",), {"targets": f"no url {_SECRET}"}, "targets"),
    Case("/services/-/new/", ("project", "name"), {"project": "hand", "name": "a/b"}, "name"),
    Case(
        "/event-maps/new/", ("map", "constants"),
        {"map": '{"a.b": "c.d"}', "constants": "{"}, "constants",
    ),
    Case(
        "/views/executions/?status=failed", ("name",),
        {"name": " ", "default": "on", "project": "quakes"}, "name",
    ),
    Case(
        "/services/make_report/edit/?path=manifest.json", ("content",),
        {"content": "{\n oops", "message": "why"}, "content", "save",
    ),
    Case("/services/make_report/edit/?path=report.py", ("to",), {"to": "../up.py"}, "to", "rename"),
    Case(
        "/services/make_report/edit/?path=report.py", ("files",),
        {"folder": "data", "replace": "on"}, "upload", "upload",
    ),
    Case("/account/confirm/", ("password",), {"password": _SECRET}, "password"),
)  # fmt: skip

# Forms in which nothing can be written that would be refused, or whose page is reached otherwise.
_ELSEWHERE = {
    "console/sign-in.html": "test_sign_in below",
    "console/second-factor.html": "the code's own tests (test_second_factors)",
    "console/account-app.html": "the code's own tests (test_second_factors)",
    "console/account-passkey.html": "the browser makes what it sends",
    "console/execution.html": "a choice of ten priorities",
    "console/service-order.html": "buttons, and a message that may be anything",
}


@pytest.fixture
def names(rows: Rows, administrator: Client) -> dict[str, Any]:
    """What the addresses and ids of the cases name; among it a service account, for its token."""
    from ferris_web.accounts import services
    from ferris_web.catalog.models import Project

    project = Project.objects.get(name="quakes")
    bot = services.service_account_add(project.pk, project.name, "bot", "operator")
    repository = project.repositories.get()
    return {
        "letter": rows.letter.pk,
        "schedule": rows.schedule.pk,
        "bot": bot.pk,
        "repository": repository.pk,
    }


def _sent(form: Form, case: Case) -> dict[str, Any]:
    sent: dict[str, Any] = {name: values for name, values in form.values.items() if values}
    sent |= case.said
    if case.button:
        name = next(name for name, value in form.buttons if value == case.button)
        sent[name] = case.button
    return sent


@pytest.mark.parametrize("case", _CASES, ids=str)
def test_what_was_written_is_kept(
    case: Case, rows: Rows, administrator: Client, names: dict[str, Any]
) -> None:
    address, fault = case.page.format(**names), case.fault.format(**names)
    shown = administrator.get(address)
    assert shown.status_code == 200
    form = Forms(shown.content.decode()).form(*case.names, button=case.button)
    sent = _sent(form, case)
    answer = administrator.post(_to(form, address), sent)
    assert answer.status_code in case.status, answer.content.decode()[-3000:]
    html = answer.content.decode()
    assert _SECRET not in html
    again = Forms(html)
    said = again.by_id[fault]
    assert said.get("aria-invalid") == "true", said
    told = [again.texts.get(name, "") for name in said.get("aria-describedby", "").split()]
    assert any(
        name.endswith(("-error", "-problem")) or name == "findings"
        for name in said["aria-describedby"].split()
    )
    assert all(text.strip() for text in told), "each part that describes the field is there"
    assert again.focused[:1] == [fault], again.focused
    kept = again.form(*case.names, button=case.button)
    assert kept.kinds == form.kinds or set(form.kinds) <= set(kept.kinds)
    for name, kind in form.kinds.items():
        value = sent.get(name, [])
        wanted = value if isinstance(value, list) else [value]
        if (
            kind in ("password", "file")
            or _SECRET in str(value)
            or name in ("csrfmiddlewaretoken", "seen", "base")
        ):
            continue
        if kind == "textarea":
            wanted = [text.replace("\r\n", "\n") for text in wanted]
        assert kept.values.get(name) == wanted, name


def _to(form: Form, address: str) -> str:
    action = form.attributes.get("action", "")
    if not action:
        return address
    return address.split("?")[0] + action if action.startswith("?") else action


def test_every_form_is_among_them(rows: Rows, administrator: Client, names: dict[str, Any]) -> None:
    """A page that gets a form must say here how it is refused."""
    asking = re.compile(
        r"<(?:select|textarea|input(?![^>]*type=\"(?:hidden|submit)\"))|parts/(?:token|secret|chart|parameter|select)"
    )
    found = set()
    for path in sorted((_TEMPLATES / "console").glob("*.html")):
        for form in re.findall(r'<form[^>]*method="post".*?</form>', path.read_text(), re.DOTALL):
            if asking.search(form):
                found.add(f"console/{path.name}")
    walked = set()
    for address in {case.page.format(**names) for case in _CASES}:
        walked |= {template.name for template in administrator.get(address).templates}
    assert found - walked - set(_ELSEWHERE) == set()
    assert not walked & set(_ELSEWHERE) - {"console/sign-in.html"}


def test_sign_in(client: Client, db: None) -> None:
    answer = client.post("/sign-in/", {"username": "ada", "password": _SECRET})
    html = answer.content.decode()
    assert _SECRET not in html
    page = Forms(html)
    assert page.by_id["id_username"]["value"] == "ada"
    assert page.focused == ["id_password"]
    assert page.texts[page.by_id["id_password"]["aria-describedby"]].strip()


def test_files_that_cannot_be_taken_are_named_beside_the_chooser(rows: Rows, administrator: Client) -> None:
    answer = administrator.post(
        "/services/make_report/edit/files/",
        {"do": "upload", "files": SimpleUploadedFile("report.py", b"x"), "folder": ""},
    )
    assert answer.status_code == 422
    assert "report.py" in Forms(answer.content.decode()).texts["upload-error"]


def test_the_last_owner_stays_and_is_told_beside_its_role(rows: Rows, administrator: Client) -> None:
    from ferris_web.accounts.models import Membership, Role, User
    from ferris_web.catalog.models import Project

    owner = Membership.objects.create(
        project=Project.objects.get(name="hello"), user=User.objects.create_user("olga"), role=Role.OWNER
    )
    answer = administrator.post(
        "/projects/hello/members/", {"do": "change", "kind": "user", "name": "olga", "role": "viewer"}
    )
    assert answer.status_code == 422
    page = Forms(answer.content.decode())
    assert page.by_id[f"role-of-{owner.pk}"]["aria-invalid"] == "true"
    assert "last owner" in page.texts[f"role-of-{owner.pk}-error"]
