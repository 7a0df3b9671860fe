"""Which value of configuration a service gets."""

from __future__ import annotations

from ferris.scopes import Given, Scope, given, merged

PLATFORM, PROJECT, SERVICE = Scope

LAYERS = {
    SERVICE: {"smtp": {"port": 25}, "own": None},
    PLATFORM: {"smtp": {"host": "mail", "port": 587}, "region": "eu"},
    PROJECT: {"smtp": 1, "region": "us"},
}


def test_the_nearest_scope_gives_the_whole_value():
    assert merged(LAYERS) == {"smtp": {"port": 25}, "own": None, "region": "us"}
    assert given(LAYERS) == [
        Given("own", None, SERVICE),
        Given("region", "us", PROJECT, (PLATFORM,)),
        Given("smtp", {"port": 25}, SERVICE, (PROJECT, PLATFORM)),
    ]


def test_a_scope_may_have_nothing():
    assert merged({}) == {}
    assert given({PROJECT: {"a": 1}}) == [Given("a", 1, PROJECT)]
