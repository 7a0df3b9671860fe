"""Pushes as hosts of git repositories send them."""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import Any
from urllib.parse import urlencode

import pytest

from ferris.pushes import Push, genuine, pushes_of

BODY = b'{"ref": "refs/heads/main"}'
SIGNED = hmac.new(b"secret", BODY, hashlib.sha256).hexdigest()
JSON = {"Content-Type": "application/json"}


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Hub-Signature-256": f"sha256={SIGNED}"},
        {"X-Hub-Signature": f"sha256={SIGNED}"},
        {"X-Gitea-Signature": SIGNED},
        {"X-Forgejo-Signature": SIGNED},
        {"X-Gitlab-Token": "secret"},
    ],
)
def test_each_host_proves_itself(headers: dict[str, str]) -> None:
    assert genuine("secret", headers, BODY)
    assert not genuine("other", headers, BODY)
    if "X-Gitlab-Token" not in headers:
        assert not genuine("secret", headers, BODY + b" ")


@pytest.mark.parametrize(
    "headers", [{}, {"X-Hub-Signature-256": SIGNED}, {"X-Gitlab-Token": ""}, {"X-Gitea-Signature": "ü"}]
)
def test_nobody_else_does(headers: dict[str, str]) -> None:
    assert not genuine("secret", headers, BODY)


def pushes(said: Any, **headers: str) -> tuple[Push, ...]:
    return pushes_of(
        {**JSON, **{name.replace("_", "-"): value for name, value in headers.items()}},
        json.dumps(said).encode(),
    )


def push(said: Any, **headers: str) -> Push | None:
    found = pushes(said, **headers)
    assert len(found) < 2
    return found[0] if found else None


def test_what_was_pushed() -> None:
    github = {"ref": "refs/heads/main", "after": "a" * 40, "repository": {"default_branch": "main"}}
    assert push(github, X_GitHub_Event="push") == Push("main", "main")
    gitlab = {"ref": "refs/tags/v1", "project": {"default_branch": "main"}}
    assert push(gitlab, X_Gitlab_Event="Tag Push Hook") == Push("v1", "main", tag=True)
    form = {"Content-Type": "application/x-www-form-urlencoded", "X-GitHub-Event": "push"}
    assert pushes_of(form, urlencode({"payload": json.dumps(github)}).encode()) == (Push("main", "main"),)
    assert push(github, X_GitHub_Event="ping") is None
    assert push({**github, "deleted": True}) is None
    assert push({**github, "after": "0" * 40}) is None
    for nonsense in ([], 1, {}, {"ref": 1}, {"ref": "main"}, {"ref": "refs/heads/x", "repository": 3}):
        assert push(nonsense) in (None, Push("x"))
    with pytest.raises(ValueError, match="Expecting"):
        pushes_of(JSON, b"{")
    with pytest.raises(ValueError, match="nested"):
        pushes_of(JSON, b"[" * 100_000)


def test_bitbucket_says_several_at_once() -> None:
    cloud = {
        "push": {
            "changes": [
                {"new": {"type": "branch", "name": "main", "target": {"hash": "a" * 40}}, "old": None},
                {"new": None, "old": {"type": "branch", "name": "gone"}},
                {"new": {"type": "tag", "name": "v1"}, "old": None},
            ]
        },
        "repository": {"full_name": "team/scripts", "mainbranch": {"type": "branch", "name": "main"}},
    }
    found = (Push("main", "main"), Push("v1", "main", tag=True))
    assert pushes(cloud, X_Event_Key="repo:push") == found
    center = {
        "eventKey": "repo:refs_changed",
        "changes": [
            {"ref": {"id": "refs/heads/main", "displayId": "main", "type": "BRANCH"}, "type": "UPDATE"},
            {"ref": {"id": "refs/heads/gone", "displayId": "gone", "type": "BRANCH"}, "type": "DELETE"},
            {"ref": {"id": "refs/tags/v1", "displayId": "v1", "type": "TAG"}, "type": "ADD"},
        ],
    }
    assert pushes(center, X_Event_Key="repo:refs_changed") == (Push("main"), Push("v1", tag=True))
    assert pushes({"test": True}, X_Event_Key="diagnostics:ping") == ()
    assert pushes({**cloud, "pullrequest": {}}, X_Event_Key="pullrequest:created") == ()


@pytest.mark.parametrize(
    "nonsense",
    [
        {"push": 1},
        {"push": {"changes": 3}},
        {"push": {"changes": [1, None, {"new": 2}, {"new": {"type": "branch", "name": 5}}]}},
        {"push": {"changes": [{"new": {"type": [], "name": "x"}}]}, "repository": {"mainbranch": 4}},
        {"changes": {"ref": 1}},
        {"changes": [{"ref": 1}, {"ref": {"id": 7}}, {"type": []}]},
    ],
)
@pytest.mark.parametrize("event", ["repo:push", "repo:refs_changed"])
def test_what_bitbucket_never_sends_is_no_push(nonsense: Any, event: str) -> None:
    assert pushes(nonsense, X_Event_Key=event) == ()


def test_who_should_look() -> None:
    assert Push("main", "main").touches("")
    assert Push("main", "main").touches("main")
    assert not Push("next", "main").touches("")
    assert not Push("next", "main").touches("main")
    assert Push("v1", "main", tag=True).touches("v1")
    assert not Push("v1", "", tag=True).touches("")
