"""What a provider's claims make of a person."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ferris.config import Settings
from ferris.errors import ConfigError
from ferris.identity import Provider, groups_here, groups_of, identity_of, mapping_of


@pytest.mark.parametrize(
    ("claims", "name"),
    [
        ({"preferred_username": "mia", "email": "m@a.example"}, "mia"),
        ({"email": "m@a.example"}, "m@a.example"),
        ({}, "user-7"),
        ({"preferred_username": "ACME\\mia moon"}, "ACME-mia-moon"),
        ({"preferred_username": ["mia"], "email": 5}, "user-7"),
        ({"preferred_username": "m\0ia"}, "mia"),
        ({"preferred_username": "m" * 500}, "m" * 150),
    ],
)
def test_a_user_name(claims: dict[str, Any], name: str) -> None:
    assert identity_of({"sub": "7", **claims}, "groups").user_name == name


@pytest.mark.parametrize("claims", [{}, {"sub": ""}, {"sub": 7}, {"sub": None}, {"sub": "\0"}])
def test_nobody_is_no_person(claims: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="no subject"):
        identity_of(claims, "groups")


@pytest.mark.parametrize(
    ("said", "verified"),
    [
        (True, True),
        ("true", True),
        (False, False),
        ("True", False),
        (1, False),
        ("yes", False),
        (None, False),
    ],
)
def test_only_true_verifies_an_address(said: Any, verified: bool) -> None:
    assert identity_of({"sub": "7", "email_verified": said}, "groups").email_verified is verified


@pytest.mark.parametrize(
    ("claims", "claim", "groups"),
    [
        ({"groups": ["a", "b"]}, "groups", {"a", "b"}),
        ({"groups": "a b"}, "groups", {"a b"}),
        ({"groups": ["a", 1, None, ["b"]]}, "groups", {"a"}),
        ({"groups": {"a": True}}, "groups", set()),
        ({}, "groups", set()),
        ({"realm_access": {"roles": ["a"]}}, "realm_access.roles", {"a"}),
        ({"https://a.example/groups": ["a"]}, "https://a.example/groups", {"a"}),
        ({"realm_access": "a"}, "realm_access.roles", set()),
    ],
)
def test_groups(claims: dict[str, Any], claim: str, groups: set[str]) -> None:
    assert groups_of(claims, claim) == groups


def test_a_mapping() -> None:
    pairs = mapping_of(" cn=dev,ou=a = Developers; ops=Operators ;; chiefs=Operators")
    assert pairs == (("cn=dev,ou=a", "Developers"), ("ops", "Operators"), ("chiefs", "Operators"))
    provider = Provider("https://id.example", "ferris", groups=pairs)
    managed, wanted = groups_here(provider, frozenset({"chiefs", "else"}))
    assert managed == {"Developers", "Operators"}
    assert wanted == {"Operators"}


@pytest.mark.parametrize("text", ["developers", "=Developers", "developers=", "a=" + "b" * 151])
def test_a_pair_that_is_none(text: str, tmp_path: Path) -> None:
    given = {"FERRIS_OIDC_ISSUER": "https://id.example", "FERRIS_OIDC_CLIENT_ID": "ferris"}
    with pytest.raises(ConfigError, match="FERRIS_OIDC_GROUPS"):
        Settings.from_env({"FERRIS_HOME": str(tmp_path), **given, "FERRIS_OIDC_GROUPS": text})


@pytest.mark.parametrize(
    ("issuer", "client", "named"),
    [
        ("id.example", "ferris", "FERRIS_OIDC_ISSUER"),
        ("http://id.example", "ferris", "FERRIS_OIDC_ISSUER is not https"),
        ("http://localhost.evil.example", "ferris", "FERRIS_OIDC_ISSUER is not https"),
        ("https://id.example", "", "FERRIS_OIDC_CLIENT_ID"),
    ],
)
def test_a_provider_that_is_set_up_wrong(issuer: str, client: str, named: str, tmp_path: Path) -> None:
    given = {"FERRIS_HOME": str(tmp_path), "FERRIS_OIDC_ISSUER": issuer, "FERRIS_OIDC_CLIENT_ID": client}
    with pytest.raises(ConfigError, match=named):
        Settings.from_env(given)


def test_a_provider_and_its_secret(tmp_path: Path) -> None:
    given = {
        "FERRIS_OIDC_ISSUER": "https://id.example/.well-known/openid-configuration",
        "FERRIS_OIDC_CLIENT_ID": "ferris",
        "FERRIS_OIDC_CLIENT_SECRET": "not to be printed",
        "FERRIS_OIDC_DOMAINS": "A.example, b.example",
    }
    settings = Settings.from_env({"FERRIS_HOME": str(tmp_path), **given})
    assert settings.oidc is not None
    assert settings.oidc.issuer == "https://id.example"
    assert settings.oidc.domains == ("a.example", "b.example")
    assert "not to be printed" not in repr(settings)
    assert Settings.from_env({"FERRIS_HOME": str(tmp_path)}).oidc is None
