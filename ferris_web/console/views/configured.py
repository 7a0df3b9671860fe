"""The configuration that an execution was given, as its page shows it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest

from ferris.errors import BackendError
from ferris.scopes import given
from ferris_web.accounts.permissions import Action, access_of
from ferris_web.catalog.config_history import Then
from ferris_web.catalog.configs import configs_of
from ferris_web.console import addresses
from ferris_web.console.views.values import said_of
from ferris_web.executions.configured import AttemptGiven, attempts_given
from ferris_web.executions.models import OPEN, Execution, Step


@dataclass(frozen=True)
class _Source:
    """One value as an attempt got it, and where to look further."""

    then: Then
    replaced: bool

    @property
    def name(self) -> str:
        """Which value it is."""
        return said_of(self.then.place)

    @property
    def url(self) -> str:
        """The change that it was; its history when that is not kept."""
        then = self.then
        return self._address("change", then.change) if then.change else self._address("history")

    @property
    def difference_url(self) -> str:
        """What is different now."""
        then = self.then
        if then.change and then.newest and then.newest > then.change:
            return f"{self._address('change', then.newest)}?with={then.change}"
        return self._address("history")

    def _address(self, more: str, *arguments: object) -> str:
        return addresses.value(self.then.place, more, *arguments)


@dataclass(frozen=True)
class _Attempt:
    """What one attempt was given."""

    of: AttemptGiven
    sources: Sequence[_Source]
    env: _Source | None


def shown(request: HttpRequest, row: Execution, steps: Sequence[Step]) -> dict[str, Any]:
    """What each attempt got; for one that has not begun what it would get now."""
    attempts = [_attempt(of) for of in attempts_given(row, steps)]
    context = {"configured": attempts, "sees_env": access_of(request.user).may(Action.ADMINISTER)}
    if attempts or row.status not in OPEN:
        return context
    try:
        layers = configs_of(row.service).layers(row.service.name, row.service.project.name)
    except BackendError as error:
        return context | {"config_error": error}
    return context | {"given": given(layers)}


def _attempt(of: AttemptGiven) -> _Attempt:
    if of.given is None:
        return _Attempt(of, (), None)
    # Of what never was and is not there now, there is nothing to say.
    sources = [one for one in of.given.sources if not one.absent or one.changed]
    return _Attempt(
        of,
        [_Source(one, of.replaced(one)) for one in sources],
        _Source(of.given.env, of.replaced(of.given.env)),
    )
