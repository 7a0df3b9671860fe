"""Conditional requests: what has not changed is not sent again, what somebody else has changed is not overwritten."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from ferris_web.accounts.models import ApiToken, Membership, User
from ferris_web.accounts.services import token_create
from tests.web.at_once import at_once
from tests.web.calling import Caller, problem_of
from tests.web.platform import service

pytestmark = pytest.mark.django_db
CONFIG = "/api/v1/services/mailer/config/"


@pytest.fixture(autouse=True)
def mailer(backends):
    return service("mailer", "a.happened")


def test_what_has_not_changed_is_not_sent_again(api):
    first = api.get("/api/v1/services/mailer/")
    tag = first.headers["ETag"]
    assert "private" in first.headers["Cache-Control"]
    again = api.get("/api/v1/services/mailer/", If_None_Match=f'"other", {tag}')
    assert (again.status_code, again.content, again.headers["ETag"]) == (304, b"", tag)
    assert api.get("/api/v1/services/mailer/", If_None_Match='"other"').status_code == 200
    problem_of(api.get("/api/v1/services/mailer/", If_Match='"other"'), 412)
    assert (
        api.get("/api/v1/services/", If_None_Match=api.get("/api/v1/services/").headers["ETag"]).status_code
        == 304
    )


def test_a_change_is_made_to_what_was_seen(api):
    api.put(CONFIG, {"n": 1})
    tag = api.get(CONFIG).headers["ETag"]
    done = api("PUT", CONFIG, {"n": 2}, If_Match=tag)
    assert done.status_code == 200
    assert done.headers["ETag"] == api.get(CONFIG).headers["ETag"] != tag
    document = problem_of(api("PUT", CONFIG, {"n": 3}, If_Match=tag), 412)
    assert document["type"].endswith("/problems/precondition-failed/")
    problem_of(api("DELETE", CONFIG, If_Match=tag), 412)
    assert api.get(CONFIG).json() == {"n": 2}
    assert api("DELETE", CONFIG, If_Match=done.headers["ETag"]).status_code == 204


@pytest.mark.parametrize("tag", ["*", '"x", *', "x", 'W/"x"', ""])
def test_only_the_tag_as_it_is_counts(api, tag):
    there = tag == "*"
    answer = api("PUT", CONFIG, {"n": 1}, If_Match=tag)
    assert answer.status_code == (200 if there else 412)


def test_every_kind_of_edit(api, user):
    made = api.post("/api/v1/schedules/", {"service": "mailer", "schedule": "0 0 * * *"}).json()
    place = f"/api/v1/schedules/{made['id']}/"
    tag = api.get(place).headers["ETag"]
    changed = api("PATCH", place, {"active": False}, If_Match=tag)
    assert changed.status_code == 200, changed.content
    problem_of(api("PATCH", place, {"active": True}, If_Match=tag), 412)
    problem_of(api("DELETE", place, If_Match=tag), 412)
    assert api("DELETE", place, If_Match=changed.headers["ETag"]).status_code == 204
    problem_of(api("DELETE", place, If_Match=tag), 404)


def test_two_who_give_roles_or_save_runs_do_not_undo_each_other(mailer):
    chief = Caller(token_create(User.objects.create_superuser("root")))
    User.objects.create_user("grace")
    for place, first, second in (
        (
            f"/api/v1/projects/{mailer.project.name}/members/user/grace/",
            {"role": "viewer"},
            {"role": "operator"},
        ),
        ("/api/v1/services/mailer/saved-runs/weekly/", {"parameters": {"n": 1}}, {"parameters": {"n": 2}}),
    ):
        problem_of(chief.get(place), 404)
        assert chief("PUT", place, first, If_None_Match="*").status_code < 300
        problem_of(chief("PUT", place, first, If_None_Match="*"), 412)
        seen = chief.get(place)
        assert first.items() <= seen.json().items()
        assert chief("PUT", place, second, If_Match=seen.headers["ETag"]).status_code < 300
        problem_of(chief("PUT", place, first, If_Match=seen.headers["ETag"]), 412)
        problem_of(chief("DELETE", place, If_Match=seen.headers["ETag"]), 412)
        assert second.items() <= chief.get(place).json().items()


def test_what_is_to_be_new_overwrites_nothing(api, user):
    user.is_staff = user.is_superuser = True
    user.save()
    place, body = "/api/v1/connections/main/", {"url": "sqlite:////tmp/x.db"}
    assert api("PUT", place, body, If_None_Match="*").status_code in (200, 201)
    problem_of(api("PUT", place, body, If_None_Match="*"), 412)
    problem_of(api("PUT", "/api/v1/connections/other/", body, If_Match='"x"'), 412)
    problem_of(api.get("/api/v1/connections/other/"), 404)


def test_what_opens_something_is_changed_as_it_was_seen(api, user):
    """Of tokens, service accounts, deploy keys and secrets of pushes that is shown which may be seen."""
    Membership.objects.filter(user=user).update(role="owner")
    source = "ssh://git@git.example.org/team/scripts.git"
    made = api.post("/api/v1/projects/", {"name": "shop", "source": source, "own_key": True}).json()
    repository = f"/api/v1/projects/shop/repositories/{made['repositories'][0]['id']}"
    secret = api.post(f"{repository}/push-secret/").json()
    account = api.post("/api/v1/projects/shop/service-accounts/", {"name": "ci", "role": "operator"}).json()
    accounts = f"/api/v1/projects/shop/service-accounts/{account['name']}"
    tokens = [api.post(f"{place}/tokens/", {"name": "n"}).json()["token"] for place in ("/api/v1", accounts)]
    [mine] = [row["id"] for row in api.get("/api/v1/tokens/").json()["results"] if row["name"] == "n"]
    [its] = [row["id"] for row in api.get(f"{accounts}/tokens/").json()["results"]]
    for place in (
        f"/api/v1/tokens/{mine}/", f"{accounts}/tokens/{its}/", f"{accounts}/",
        f"{repository}/deploy-key/", f"{repository}/push-secret/",
    ):  # fmt: skip
        shown = api.get(place)
        assert shown.status_code == 200, place
        assert not any(one in shown.content.decode() for one in (*tokens, secret["secret"])), place
        problem_of(api("DELETE", place, If_Match='"other"'), 412)
        assert api("DELETE", place, If_Match=shown.headers["ETag"]).status_code == 204, place
        problem_of(api.get(place), 404)
    assert api.get(f"{repository}/").json()["public_key"] is None


def test_a_token_that_is_only_used_stays_what_it_was(api):
    [row] = api.get("/api/v1/tokens/").json()["results"]
    place = f"/api/v1/tokens/{row['id']}/"
    tag = api.get(place).headers["ETag"]
    ApiToken.objects.update(last_used_at=datetime(2020, 1, 1, tzinfo=UTC))
    assert api.get(place).headers["ETag"] == tag
    problem_of(api.get(f"/api/v1/tokens/{row['id'] + 1000}/"), 404)


def test_what_is_never_shown_has_no_tag(api):
    problem_of(api("PUT", "/api/v1/services/mailer/secrets/key/", {"value": "x"}, If_Match="*"), 412)


def test_a_stranger_learns_nothing(anonymous):
    problem_of(anonymous("PUT", CONFIG, {}, If_Match='"x"'), 401)
    problem_of(anonymous("PUT", "/api/v1/services/nothing/config/", {}, If_Match='"x"'), 401)


@pytest.mark.django_db(transaction=True)
def test_of_several_at_once_one_wins(api):
    api.put(CONFIG, {"n": 0})
    tag = api.get(CONFIG).headers["ETag"]
    answers = list[int]()

    def change(number: int) -> None:
        answers.append(api("PUT", CONFIG, {"n": number}, If_Match=tag).status_code)

    at_once(*(lambda number=number: change(number) for number in range(1, 5)))
    assert sorted(answers) == [200, 412, 412, 412]
