"""`config`, `state` and `secret` against a platform over HTTP, as from another machine and on its own."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime

import pytest

from ferris_web.accounts.models import User
from ferris_web.accounts.services import token_create
from ferris_web.catalog import secrets
from remote.__main__ import main
from tests.web.platform import service

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def said(live_server, backends, capsys, monkeypatch):
    """Runs a command; its status, its lines of output, and what it said beside."""
    admin = User.objects.create_superuser("root", password="a long password")
    environ = {"FERRIS_URL": live_server.url, "FERRIS_TOKEN": token_create(admin)}

    def run(*words: str, given: str = "") -> tuple[int, list[str], str]:
        monkeypatch.setattr("sys.stdin", io.StringIO(given))
        status = main(words, environ)
        out, error = capsys.readouterr()
        return status, out.splitlines(), error

    return run


def test_values_with_their_history(said):
    service("mailer")
    assert said("config", "set", "mailer", "--data", '{"a": 1}') == (
        0,
        [],
        "The configuration of mailer was set.\n",
    )
    between = datetime.now(UTC).isoformat()
    assert said("config", "set", "mailer", "--data", "-", given='{"a": 2}')[0] == 0
    assert said("config", "set", "--platform", "--data", '{"a": 0, "b": 0}')[0] == 0
    assert said("config", "set", "--project", "testing", "--data", '{"c": null}')[0] == 0
    assert said("config", "set", "--env", "--data", '{"X": "y"}')[0] == 0
    assert said("config", "get", "mailer", "--json") == (0, ['{"a": 2}'], "")
    assert said("config", "get", "mailer", "--at", between, "--json") == (0, ['{"a": 1}'], "")
    rows = [json.loads(line) for line in said("config", "get", "mailer", "--effective", "--json")[1]]
    assert [(row["name"], row["scope"]) for row in rows] == [
        ("a", "service"),
        ("b", "platform"),
        ("c", "project"),
    ]
    lines = said("config", "history", "mailer")[1]
    assert [line.split()[0] for line in lines] == ["change", "2", "1"]
    assert '-  "a": 1' in said("config", "history", "mailer", "--change", "2")[1]
    assert said("config", "restore", "mailer", "--change", "1")[0] == 0
    assert said("config", "get", "mailer", "--json")[1] == ['{"a": 1}']
    assert said("state", "set", "mailer", "--data", "null")[0] == 0
    assert said("state", "get", "mailer", "--json") == (0, ["null"], "")
    assert said("state", "delete", "mailer")[0] == 0
    listed = [json.loads(line) for line in said("config", "list", "--json")[1]]
    assert {row["key"] for row in listed} == {"mailer", "ferris/platform", "ferris/projects/testing"}
    assert said("state", "list", "mai")[1][1].split()[:2] == ["mailer", "testing"]


def test_what_is_not_done_ends_with_2_and_says_why(said):
    service("mailer")
    for words, why in (
        (("config", "get"), "SERVICE"),
        (("config", "get", "mailer", "--platform"), "name a SERVICE, or"),
        (("config", "set", "mailer", "--data", "[1]"), "object"),
        (("config", "set", "mailer", "--data", "{"), "no JSON"),
        (("config", "get", "nobody"), "nobody"),
        (("state", "get", "mailer", "--at", "2001-01-01T00:00:00Z"), "history begins later"),
        (("state", "restore", "mailer"), "--change"),
        (("secret", "set", "key"), "--service"),
        (("secret", "delete", "key", "--platform"), "no secret"),
    ):
        status, out, error = said(*words)
        assert (status, out) == (2, []), words
        assert why in error, (words, error)


def test_secrets_go_in_by_standard_input_and_never_come_out(said):
    mailer = service("mailer")
    assert said("secret", "set", "key", "--service", "mailer", given="s3cr3t\n")[0] == 0
    assert said("secret", "set", "smtp", "--platform", "--as-json", given='{"port": 25}')[0] == 0
    assert secrets.secrets_of(mailer) == {"key": "s3cr3t", "smtp": {"port": 25}}
    status, out, error = said("secret", "list")
    assert status == 0
    assert [line.split()[:3] for line in out[1:]] == [
        ["key", "mailer", "service"],
        ["smtp", "(platform)", "platform"],
    ]
    assert "s3cr3t" not in str(out) + error
    assert len(said("secret", "list", "--service", "mailer", "--json")[1]) == 1
    assert said("secret", "delete", "key", "--service", "mailer")[0] == 0
    assert secrets.secrets_of(mailer) == {"smtp": {"port": 25}}
