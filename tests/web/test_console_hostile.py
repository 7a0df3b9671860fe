"""Names, descriptions, log lines, readmes, event data and file names are hostile: nothing of them runs."""

from __future__ import annotations

import pytest
from django.test import Client

from ferris_web.console import ansi, presentation
from tests.web.console_fixtures import HOSTILE, addresses, plant
from tests.web.console_pages import Page, page
from tests.web.console_rows import Rows

pytestmark = [pytest.mark.walk, pytest.mark.once]


def test_no_page_runs_what_users_wrote(hostile_rows: Rows, person: Client) -> None:
    shown = 0
    for address in addresses(hostile_rows):
        found = page(person, address)
        assert not found.dangers, (address, found.dangers[:3])
        assert not found.unclosed, (address, found.unclosed[:3])
        shown += "alert(1)" in found.text or "alert(1)" in found.html
    assert shown > 20, "the texts are on the pages, as texts"


MORE = """/account/ /account/sign-in/ /admin/ /audit/ /bulk/ /connections/warehouse/ /consumers/ /backends/ /event-maps/
    /event-maps/new/ /gatherings/ /members/ /notifications/pager/ /projects/quakes/dashboard/ /projects/quakes/members/
    /projects/reports/members/ /search/?since=7d /search/?kind=events&since=7d
    /services/quakes_load/metrics/?view=tables
    /services/quakes_load/metrics/ /subscriptions/partner/ /views/executions/ /webhooks/github/ /workers/
    /flows/LATEFLOW26/ /flows/?promise=overdue /lists/executions/histogram/ /go/?q=quakes /values/"""


@pytest.fixture
def planted(hostile_rows: Rows, db: None) -> Rows:
    """The same with names that people give (views, groups, accounts, tokens, browsers), and in every text that code
    does not read."""
    from django.contrib.auth.models import Group
    from django.utils import timezone

    from ferris_web.accounts.models import ApiToken, AuditEntry, BrowserSession, Membership, User
    from ferris_web.catalog.models import Project
    from ferris_web.executions.models import SavedView

    mallory = User.objects.create_user("m" + HOSTILE, first_name=HOSTILE[:150], email="m@example.org")
    group = Group.objects.create(name="g" + HOSTILE)
    for project in Project.objects.order_by("pk"):
        Membership.objects.create(user=mallory, project=project, role="owner")
        Membership.objects.create(group=group, project=project, role="viewer")
        SavedView.objects.create(
            listing="executions", name="v" + HOSTILE[:90], owner=mallory, project=project, query="status=failed",
            saved_at=timezone.now(),
        )  # fmt: skip
    for who in (mallory, User.objects.get(username="admin")):
        ApiToken.objects.create(user=who, name="t" + HOSTILE[:90], digest=f"{who.pk:064}", prefix="ferris_x")
        BrowserSession.objects.create(
            user=who, session_key=f"{who.pk:040}", agent=HOSTILE, created_at=timezone.now()
        )
    AuditEntry.objects.create(
        at=timezone.now(), actor=mallory.username, action="service.run", method="POST", status=200,
        object="/" + HOSTILE, said={"name": HOSTILE}, before={"a": HOSTILE}, after={"a" + HOSTILE: 1},
    )  # fmt: skip
    assert plant(HOSTILE) > 30
    return hostile_rows


def test_no_page_runs_what_is_in_any_column(planted: Rows, client: Client) -> None:
    """Every column of every table that people read, as an administrator sees it all."""
    from ferris_web.accounts.models import User

    client.force_login(User.objects.get(username="admin"))
    faults = []
    for address in (*addresses(planted), *MORE.split()):
        answer = client.get(address)
        if answer.status_code in (302, 404):
            continue
        found = Page(answer.content.decode())
        faults += [(address, answer.status_code)] if answer.status_code >= 500 else []
        if not address.startswith("/admin/"):  # Django's own, looked at below
            faults += [(address, one) for one in found.dangers[:2]]
        assert "<script>alert" not in found.html, address
        assert "<img src=x" not in found.html, address
    assert not faults


def test_a_readme_keeps_its_form_and_loses_its_teeth() -> None:
    html = presentation.readme(
        "# Title\n\n[go](javascript:alert(1)) [out](https://example.org) <b onclick=x>bold</b>\n\n"
        "![pixel](https://evil.example/x.png)\n\n```html\n<script>alert(1)</script>\n```\n\n|a|b|\n|-|-|\n|1|2|\n"
    )
    found = Page(html)
    assert not found.dangers
    assert found.tags["h3"] == 1
    assert found.tags["table"] == 1
    assert found.links == ["https://example.org"]
    assert 'rel="noopener noreferrer nofollow"' in html
    assert "<script" not in html
    assert "<img" not in html


@pytest.mark.parametrize(
    ("line", "html"),
    [
        ("<b>&", "&lt;b&gt;&amp;"),
        ("\x1b[31mred\x1b[0m rest", '<span class="ansi-31">red</span> rest'),
        (
            "\x1b[1;92mbold\x1b[22m green",
            '<span class="ansi-92 ansi-1">bold</span><span class="ansi-92"> green</span>',
        ),
        ("\x1b[31m<i>\x1b[m", '<span class="ansi-31">&lt;i&gt;</span>'),
        ("a\x1b[2Jb\x1b]0;title\x07c\x00d\x08e", "abcde"),
        ("\x1b[99999999999999999999m\x1b[;;mx", "x"),
        ("\x1b[38;5;1", "[38;5;1"),
    ],
)
def test_log_lines_are_coloured_and_harmless(line: str, html: str) -> None:
    assert ansi.as_html(line) == html


def test_files_are_shown_as_text() -> None:
    for name in ("x.py", "x.json", "x.html", "x.svg", "x", "x.unknown", "../../x.md"):
        block = presentation.code_block(HOSTILE, name)
        assert not Page(block).dangers, name


def test_a_huge_document_is_cut() -> None:
    block = presentation.json_block({"text": "x" * 2_000_000})
    assert len(block) < 600_000
    assert "Cut after" in block


def test_commands_to_copy_quote_what_they_hold(hostile_rows: Rows) -> None:
    import shlex

    from django.test import RequestFactory

    from ferris_web.console import commands
    from ferris_web.executions.models import Event

    request = RequestFactory().get("/", HTTP_HOST="127.0.0.1")
    event = Event.objects.filter(type="quakes.quake.detected").first()
    assert event is not None
    event.data = {"text": "'; rm -rf / #", "more": "$(uuidgen) `id` \n \\"}
    words = shlex.split(commands.emit(event))
    assert words[:3] == ["manage.py", "emit", "quakes.quake.detected"]
    assert "rm -rf" in words[4]
    assert words[5:] == ["--wait"]
    body = shlex.split(commands.send_curl(request, event))[-1]
    assert "'; rm -rf / #" in body
    assert body.count("$(uuidgen") == 2, "ours, and theirs as a text"


def test_the_administration_runs_nothing_either(hostile_rows: Rows, administrator: Client) -> None:
    from django.contrib import admin
    from django.contrib.admin.utils import quote
    from django.urls import reverse

    for model, pages in admin.site._registry.items():
        name = f"admin:{model._meta.app_label}_{model._meta.model_name}"
        places = [reverse(f"{name}_changelist")]
        row = model._default_manager.order_by("-pk").first()  # the empty key of KeyValue comes last
        if row is not None:
            places.append(reverse(f"{name}_change", args=[quote(row.pk)]))
        assert pages
        for place in places:
            html = administrator.get(place).content.decode()
            assert "<script>alert" not in html, place
            assert "<img src=x" not in html, place
