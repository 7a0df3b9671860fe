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


def test_several_providers(tmp_path: Path) -> None:
    given = {
        "FERRIS_HOME": str(tmp_path),
        "FERRIS_OIDC_ISSUER": "https://id.example",
        "FERRIS_OIDC_CLIENT_ID": "ferris",
        "FERRIS_OIDC_GROUPS": "dev=Developers",
        "FERRIS_OIDC_PROVIDERS": "partner, google",
        "FERRIS_OIDC_PARTNER_ISSUER": "https://partner.example",
        "FERRIS_OIDC_PARTNER_CLIENT_ID": "of-partner",
        "FERRIS_OIDC_PARTNER_GROUPS": "crew=Operators",
        "FERRIS_OIDC_PARTNER_SIGN_OUT": "1",
        "FERRIS_OIDC_GOOGLE_ISSUER": "https://accounts.google.com",
        "FERRIS_OIDC_GOOGLE_CLIENT_ID": "of-google",
        "FERRIS_OIDC_GOOGLE_NAME": "Google",
    }
    main, partner, google = Settings.from_env(given).providers
    assert [(one.key, one.name) for one in (main, partner, google)] == [
        ("", "single sign-on"), ("partner", "partner"), ("google", "Google"),
    ]  # fmt: skip
    assert (main.groups, partner.groups, google.groups) == (
        (("dev", "Developers"),),
        (("crew", "Operators"),),
        (),
    )
    assert (main.signs_out, partner.signs_out) == (False, True)
    wrong = [
        ({"FERRIS_OIDC_PROVIDERS": "partner,back"}, "FERRIS_OIDC_PROVIDERS holds 'back'"),
        ({"FERRIS_OIDC_PROVIDERS": "partner,partner"}, "FERRIS_OIDC_PROVIDERS holds 'partner'"),
        ({"FERRIS_OIDC_PROVIDERS": "Acme ID"}, "FERRIS_OIDC_PROVIDERS holds 'Acme ID'"),
        ({"FERRIS_OIDC_PROVIDERS": "acme"}, "FERRIS_OIDC_ACME_ISSUER is missing"),
        ({"FERRIS_OIDC_PARTNER_CLIENT_ID": ""}, "FERRIS_OIDC_PARTNER_CLIENT_ID is missing"),
        ({"FERRIS_OIDC_PARTNER_ISSUER": "http://partner.example"}, "FERRIS_OIDC_PARTNER_ISSUER is not https"),
        ({"FERRIS_OIDC_PARTNER_ISSUER": "https://id.example/"}, "FERRIS_OIDC_PARTNER_ISSUER is another"),
    ]
    for changed, named in wrong:
        with pytest.raises(ConfigError, match=named):
            Settings.from_env({**given, **changed})


def test_a_provider_and_its_secret(tmp_path: Path) -> None:
    given = {
        "FERRIS_OIDC_ISSUER": "https://id.example/.well-known/openid-configuration",
        "FERRIS_OIDC_CLIENT_ID": "ferris",
        "FERRIS_OIDC_CLIENT_SECRET": "not to be printed",
        "FERRIS_OIDC_DOMAINS": "A.example, b.example",
    }
    settings = Settings.from_env({"FERRIS_HOME": str(tmp_path), **given})
    (provider,) = settings.providers
    assert provider.issuer == "https://id.example"
    assert provider.domains == ("a.example", "b.example")
    assert "not to be printed" not in repr(settings)
    assert Settings.from_env({"FERRIS_HOME": str(tmp_path)}).providers == ()
