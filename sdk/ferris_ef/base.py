"""Parameters and secrets by name, as older scripts import them."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def get_param(name: str, default: Any = None) -> Any:
    """The parameter of that name, or `default`."""
    from ferris_ef import context

    return context.params.get(name, default)


def get_secret(name: str) -> Any:
    """The secret of that name: of the service, else of its project, else of the platform; or None."""
    from ferris_ef import context

    return context.secrets.get(name)
