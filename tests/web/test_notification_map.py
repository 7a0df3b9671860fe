"""The picture of the notifications' page: what leads where, as the table says it."""

from __future__ import annotations

import pytest
from django.test import Client

from ferris_web.accounts.models import Membership, Role, User
from ferris_web.catalog import secrets
from ferris_web.catalog.models import NotificationRule, Project
from ferris_web.console import notificationmap
from tests.web.console_pages import page

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("backends")]


@pytest.fixture
def rules() -> list[NotificationRule]:
    project = Project.objects.create(name="quakes")
    sealed = secrets.encrypted({"1": "discord://s3cr3t/x"})

    def rule(name: str, *shown: str, **more: object) -> NotificationRule:
        targets = [{"id": str(number), "shown": one} for number, one in enumerate(shown)]
        return NotificationRule.objects.create(
            project=project, name=name, targets=targets, ciphertext=sealed, **more
        )

    return [
        rule("pager", "Discord (discord://…)", "Mail (mailtos://…)", kind="failures", service="quakes_load"),
        rule("late", "Mail (mailtos://…)", kind="failures", active=False),
    ]


def test_what_happens_leads_by_a_rule_to_whom_it_tells(rules: list[NotificationRule]) -> None:
    found = notificationmap.layout(rules)
    columns = {place.name: place.x for place in found.places}
    assert len(columns) == 6, "one place is one box, however many rules lead there"
    assert columns["Failures: quakes_load"] < columns["pager"] < columns["Discord (discord://…)"]
    lines = {line.label: line.state for line in found.lines}
    assert lines["pager → Mail (mailtos://…)"] == "both"
    assert lines["late → Mail (mailtos://…) (switched off)"] == "declared"
    assert len(lines) == 5


def test_the_page_has_the_picture_and_the_table(rules: list[NotificationRule], administrator: Client) -> None:
    found = page(administrator, "/notifications/")
    assert found.tags["svg"]
    picture, table = found.html.split('class="graph map"')[1].split("</svg></div>")
    for text in ("pager", "late", "Discord (discord://…)"):
        assert text in picture
        assert text in table
    assert "Failures: quakes_load" in picture
    assert "s3cr3t" not in found.html
    assert not found.dangers


def test_a_rule_of_others_is_drawn_without_a_way_in(rules: list[NotificationRule], client: Client) -> None:
    user = User.objects.create_user("vera")
    Membership.objects.filter(user=user).update(project=rules[0].project, role=Role.VIEWER)
    client.force_login(user)
    found = page(client, "/notifications/")
    assert "pager" in found.html.split('class="graph map"')[1].split("</svg></div>")[0]
    assert "/notifications/pager/" not in found.links


def test_without_a_rule_nothing_is_drawn(administrator: Client) -> None:
    assert "What leads where" not in page(administrator, "/notifications/").text


def test_of_very_many_the_first_are_drawn(rules: list[NotificationRule]) -> None:
    many = [*rules] * 40
    assert len(notificationmap.layout(many).lines) <= 3 * notificationmap.MOST
