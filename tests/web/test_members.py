"""Members, service accounts, tokens with scopes, sessions."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from io import StringIO

import pytest
from django.contrib.auth.models import Group
from django.core.management import CommandError, call_command
from django.test import Client

from ferris_web.accounts.models import ApiToken, Membership, User
from ferris_web.accounts.services import token_create
from ferris_web.catalog.models import Project
from tests.web.calling import CLOUDEVENT, Caller, an_event, problem_of

pytestmark = pytest.mark.django_db
MEMBERS = "/api/v1/projects/shop/members/"
ACCOUNTS = "/api/v1/projects/shop/service-accounts/"


@pytest.fixture
def shop(backends) -> Project:
    Project.objects.create(name="other")
    return Project.objects.create(name="shop")


def person(name: str, project: Project | None = None, role: str = "") -> User:
    made = User.objects.create_user(name, password="a long password")
    Membership.objects.filter(user=made).delete()
    if role:
        Membership.objects.create(user=made, project=project, role=role)
    return made


@pytest.fixture
def owner(shop) -> Caller:
    return Caller(token_create(person("olga", shop, "owner")))


def roles(owner: Caller) -> dict[str, str]:
    return {row["name"]: row["role"] for row in owner.get(MEMBERS).json()["results"]}


def test_members_come_change_and_go(owner):
    person("ben")
    Group.objects.create(name="night shift")
    assert owner.put(f"{MEMBERS}user/ben/", {"role": "viewer"}).status_code == 204
    assert owner.put(f"{MEMBERS}group/night shift/", {"role": "operator"}).status_code == 204
    assert roles(owner) == {"olga": "owner", "ben": "viewer", "night shift": "operator"}
    assert owner.put(f"{MEMBERS}user/ben/", {"role": "maintainer"}).status_code == 204
    assert owner.delete(f"{MEMBERS}group/night shift/").status_code == 204
    assert roles(owner) == {"olga": "owner", "ben": "maintainer"}
    assert (
        "there is no person"
        in problem_of(owner.put(f"{MEMBERS}user/nobody/", {"role": "viewer"}), 400)["detail"]
    )
    problem_of(owner.put(f"{MEMBERS}user/ben/", {"role": "king"}), 400)
    problem_of(owner.put(f"{MEMBERS}robot/ben/", {"role": "viewer"}), 400)
    problem_of(owner.put("/api/v1/projects/other/members/user/ben/", {"role": "viewer"}), 404)


def test_the_last_owner_stays(owner):
    assert "last owner" in problem_of(owner.delete(f"{MEMBERS}user/olga/"), 409)["detail"]
    problem_of(owner.put(f"{MEMBERS}user/olga/", {"role": "viewer"}), 409)
    owner.post(ACCOUNTS, {"name": "robot", "role": "owner"})
    problem_of(owner.delete(f"{MEMBERS}user/olga/"), 409)  # a program is no owner to rely on
    person("ben")
    owner.put(f"{MEMBERS}user/ben/", {"role": "owner"})
    assert owner.delete(f"{MEMBERS}user/olga/").status_code == 204
    problem_of(owner.get(MEMBERS), 404)


def test_an_owner_who_cannot_sign_in_is_none(owner, shop):
    night = Group.objects.create(name="night shift")
    Membership.objects.create(group=night, project=shop, role="owner")
    ben = person("ben", shop, "owner")
    ben.is_active = False
    ben.save()
    said = problem_of(owner.delete(f"{MEMBERS}user/olga/"), 409)["detail"]
    assert "last owner who can sign in" in said
    ben.groups.add(night)
    problem_of(owner.put(f"{MEMBERS}user/olga/", {"role": "viewer"}), 409)
    person("eve").groups.add(night)
    assert owner.put(f"{MEMBERS}user/olga/", {"role": "viewer"}).status_code == 204


def test_only_owners_decide(owner, shop):
    maintainer = Caller(token_create(person("mia", shop, "maintainer")))
    assert maintainer.get(MEMBERS).status_code == 200
    for answer in (
        maintainer.put(f"{MEMBERS}user/mia/", {"role": "owner"}),
        maintainer.post(ACCOUNTS, {"name": "robot", "role": "owner"}),
    ):
        assert "role owner" in problem_of(answer, 403)["detail"]


def test_the_page_of_members(owner, shop):
    browser = Client()
    browser.force_login(User.objects.get(username="olga"))
    person("ben")
    page = "/projects/shop/members/"
    browser.post(page, {"do": "set", "kind": "user", "name": "ben", "role": "operator"})
    assert roles(owner)["ben"] == "operator"
    assert "ben" in browser.get(page).content.decode()
    refused = browser.post(page, {"do": "remove", "kind": "user", "name": "olga"})
    assert refused.status_code == 422
    assert "last owner" in refused.content.decode()
    unknown = browser.post(page, {"do": "set", "kind": "group", "name": "nightshift", "role": "operator"})
    assert unknown.status_code == 422
    written = unknown.content.decode()
    assert 'name="name" value="nightshift"' in written
    assert '<option value="group" selected>' in written
    browser.post(page, {"do": "account", "name": "robot", "role": "operator"})
    made = browser.post(
        page, {"do": "token", "name": "robot@shop", "label": "ci", "scopes": ["read"], "days": "5"}
    )
    assert made["Cache-Control"] == "no-store"
    token = made.content.decode().split("shown this once: <code>")[1].split("<")[0]
    assert Caller(token).get("/api/v1/projects/shop/").status_code == 200
    browser.post(page, {"do": "revoke", "name": "robot@shop", "token": ApiToken.objects.get(name="ci").pk})
    assert Caller(token).get("/api/v1/projects/shop/").status_code == 401
    browser.post(page, {"do": "account-remove", "name": "robot@shop"})
    assert not User.objects.filter(username="robot@shop").exists()
    browser.post(page, {"do": "remove", "kind": "user", "name": "ben"})
    assert "ben" not in roles(owner)


def test_a_service_account_has_tokens_and_no_password(owner):
    made = owner.post(ACCOUNTS, {"name": "robot", "role": "operator"})
    assert made.status_code == 201
    assert made.json()["name"] == "robot@shop"
    token = owner.post(f"{ACCOUNTS}robot@shop/tokens/", {"name": "ci", "days": 30}).json()["token"]
    robot = Caller(token)
    assert robot.get("/api/v1/projects/").json()["results"][0]["name"] == "shop"
    assert [row["name"] for row in robot.all("/api/v1/projects/")] == ["shop"]
    problem_of(robot.post("/api/v1/projects/shop/sync/"), 403)
    assert Client().post("/sign-in/", {"username": "robot@shop", "password": ""}).status_code == 200
    problem_of(owner.post(ACCOUNTS, {"name": "robot", "role": "viewer"}), 409)
    problem_of(owner.post(ACCOUNTS, {"name": "ro bot", "role": "viewer"}), 400)
    assert owner.delete(f"{ACCOUNTS}robot@shop/").status_code == 204
    assert robot.get("/api/v1/projects/").status_code == 401


def made(caller: Caller, **options: object) -> Caller:
    answer = caller.post("/api/v1/tokens/", {"name": "new", **options})
    assert answer.status_code == 201, answer.content
    assert answer.headers["Cache-Control"] == "no-store"
    return Caller(answer.json()["token"])


def test_a_token_may_what_its_scopes_say(owner, shop):
    reads = made(owner, scopes=["read"])
    assert reads.get("/api/v1/projects/shop/").status_code == 200
    refused = reads("POST", "/api/v1/events/", an_event(), type=CLOUDEVENT)
    assert "scope run" in problem_of(refused, 403)["detail"]
    problem_of(reads.post("/api/v1/projects/shop/sync/"), 403)
    problem_of(reads.post("/api/v1/tokens/", {"name": "more"}), 403)
    problem_of(reads.delete(f"/api/v1/tokens/{ApiToken.objects.first().pk}/"), 403)
    runs = made(owner, scopes=["run"])
    assert runs("POST", "/api/v1/events/", an_event(), type=CLOUDEVENT).status_code == 202
    problem_of(runs.get("/api/v1/projects/shop/"), 403)
    assert runs.all("/api/v1/projects/") == []


def test_a_token_makes_none_that_may_more(owner, shop):
    some = made(owner, scopes=["read", "admin"], projects=["shop"])
    problem_of(some.post("/api/v1/tokens/", {"name": "x", "scopes": ["write"], "projects": ["shop"]}), 403)
    problem_of(some.post("/api/v1/tokens/", {"name": "x", "scopes": ["read"]}), 403)
    made(some, scopes=["read"], projects=["shop"])


def test_a_token_makes_none_that_outlives_it(owner, shop):
    month = made(owner, days=30)
    assert "outlives" in problem_of(month.post("/api/v1/tokens/", {"name": "x", "days": 31}), 403)["detail"]
    owner.post(ACCOUNTS, {"name": "robot", "role": "viewer"})
    problem_of(month.post(f"{ACCOUNTS}robot@shop/tokens/", {"name": "x", "days": 31}), 403)
    made(month, days=29)
    made(month)
    ends = [one["expires_at"] for one in owner.get("/api/v1/tokens/").json()["results"]]
    assert ends[0] == ends[2] > ends[1], "without days it ends with the token that made it"
    assert ends[3] is None
    made(owner, days=3650)


def test_a_token_for_some_projects_sees_no_other(shop):
    root = Caller(token_create(User.objects.create_superuser("root", password="a long password")))
    only = made(root, projects=["shop"])
    assert [row["name"] for row in only.all("/api/v1/projects/")] == ["shop"]
    problem_of(only.get("/api/v1/projects/other/"), 404)
    problem_of(only.get("/api/v1/topics/"), 403)
    problem_of(only.put("/api/v1/connections/db/", {"url": "sqlite:////x.db"}), 403)
    Project.objects.filter(name="shop").delete()
    assert only.all("/api/v1/projects/") == [], "and when that is gone, none"
    problem_of(root.post("/api/v1/tokens/", {"name": "x", "projects": ["nothing"]}), 400)


def test_tokens_are_listed_and_ended(owner):
    soon = made(owner, scopes=["read"], days=1)
    assert soon.get("/api/v1/projects/").status_code == 200
    rows = owner.get("/api/v1/tokens/").json()["results"]
    assert [row["name"] for row in rows] == ["new", "token"]
    assert rows[0]["scopes"] == ["read"]
    assert rows[0]["expires_at"]
    assert rows[0]["last_used_at"]
    assert soon.token.startswith(rows[0]["prefix"])
    assert "token" not in rows[0]
    ApiToken.objects.filter(name="new").update(expires_at=datetime.now(UTC) - timedelta(seconds=1))
    assert soon.get("/api/v1/projects/").status_code == 401
    assert owner.delete(f"/api/v1/tokens/{rows[0]['id']}/").status_code == 204
    others = Caller(token_create(person("eve")))
    problem_of(others.delete(f"/api/v1/tokens/{rows[1]['id']}/"), 404)


def test_the_command_makes_tokens_for_a_purpose(shop):
    person("ben", shop, "viewer")
    out = StringIO()
    call_command("token", "ben", scope=["read"], project=["shop"], days=3, stdout=out)
    assert Caller(out.getvalue().strip()).get("/api/v1/projects/shop/").status_code == 200
    with pytest.raises(CommandError, match="no project"):
        call_command("token", "ben", project=["nothing"])


def test_sessions_are_listed_and_ended(shop):
    person("ben", shop, "viewer")
    here, there = Client(), Client(headers={"User-Agent": "a telephone"})
    for browser in (here, there):
        browser.post("/sign-in/", {"username": "ben", "password": "a long password"})
    page = here.get("/account/").content.decode()
    assert "a telephone" in page
    assert "this browser" in page
    rows = here.get("/api/v1/sessions/").json()["results"]
    number = next(row["id"] for row in rows if row["agent"] == "a telephone")
    assert there.get("/").status_code == 200
    here.post("/account/", {"do": "end", "number": number})
    assert there.get("/").status_code == 302
    assert here.get("/").status_code == 200
    assert [row["agent"] for row in here.get("/api/v1/sessions/").json()["results"]] == [None]


def test_the_page_of_an_account(shop):
    person("ben", shop, "viewer")
    browser = Client()
    browser.force_login(User.objects.get(username="ben"))
    form = {"do": "token", "label": "mine", "scopes": ["read"], "projects": ["shop"], "days": ""}
    token = browser.post("/account/", form).content.decode().split("shown this once: <code>")[1].split("<")[0]
    assert Caller(token).get("/api/v1/projects/shop/").status_code == 200
    assert browser.post("/account/", {**form, "scopes": []}).status_code == 422
    assert browser.post("/account/", {**form, "projects": ["other"]}).status_code == 422
    browser.post("/account/", {"do": "revoke", "number": ApiToken.objects.get(name="mine").pk})
    assert Caller(token).get("/api/v1/projects/shop/").status_code == 401
