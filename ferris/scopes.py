"""Configuration in three scopes: what a service gets, and where each value comes from.

The nearest scope that has a name gives its value, whole: the service's own, else its project's, else the platform's. So
it is with secrets. Objects within a value are not merged: what a service says stands as it says it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Scope(StrEnum):
    """To whom something belongs; the farthest first."""

    PLATFORM = "platform"
    PROJECT = "project"
    SERVICE = "service"


@dataclass(frozen=True)
class Given:
    """A value that a service gets under a name, from which scope, and which farther ones it hides."""

    name: str
    value: Any
    scope: Scope
    hides: tuple[Scope, ...] = ()


def given(layers: Mapping[Scope, Mapping[str, Any]]) -> list[Given]:
    """What a service gets, of what the scopes have; by name."""
    found: dict[str, Given] = {}
    for scope in Scope:
        for name, value in layers.get(scope, {}).items():
            farther = found.get(name)
            hidden = (farther.scope, *farther.hides) if farther else ()
            found[name] = Given(name, value, scope, hidden)
    return [found[name] for name in sorted(found)]


def merged(layers: Mapping[Scope, Mapping[str, Any]]) -> dict[str, Any]:
    """The same as one object, for scripts; the farthest scope's names first."""
    return {name: value for scope in Scope for name, value in layers.get(scope, {}).items()}
