"""Who calls, and who looks."""

from __future__ import annotations

from django.test import Client

from ferris_web.accounts.models import Membership, User
from ferris_web.accounts.services import token_create
from ferris_web.catalog.models import Project
from tests.web.calling import Caller


def caller_as(role: str, project: str = "shop") -> Caller:
    person = User.objects.create_user(
        f"{role}-{project}", password="a long password", is_staff=role == "root"
    )
    Membership.objects.filter(user=person).delete()
    if role != "root":
        Membership.objects.create(user=person, role=role, project=Project.objects.get(name=project))
    return Caller(token_create(person))


def browser_as(role: str, project: str = "shop") -> Client:
    caller_as(role, project)
    client = Client()
    client.force_login(User.objects.get(username=f"{role}-{project}"))
    return client
