"""With what a script's calls are known as those of its attempt."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from typing import Any, cast
from uuid import UUID

from django.db import connection
from django.db.models import Model

from ferris.adapters.prepared import Prepared
from ferris_web import wiring
from ferris_web.catalog.models import Project, Service
from ferris_web.executions.models import Execution

_SPOKEN = (
    *("id", "attempt", "status", "flow_id", "service_id"),
    *(
        "service__id",
        "service__name",
        "service__project_id",
        "service__project__id",
        "service__project__name",
    ),
)
# Read at every call of a script.
_SPOKEN_FOR = Prepared(lambda ids: Execution.objects.filter(pk__in=ids).order_by().values_list(*_SPOKEN))


def execution_token(pk: UUID, attempt: int) -> str:
    """The token with which a script's calls are known as this attempt's. Nothing is stored for it."""
    bound = f"{pk}.{attempt}"
    return f"{bound}.{_seal(bound)}"


def token_execution(token: str) -> Execution | None:
    """The execution that a token speaks for, only while that attempt is in progress."""
    bound, _, seal = token.rpartition(".")
    if not bound or not hmac.compare_digest(seal.encode(), _seal(bound).encode()):
        return None
    pk, _, attempt = bound.rpartition(".")
    for row in _SPOKEN_FOR.rows([UUID(pk)]):
        execution, service, project = (part.of(row) for part in _PARTS)
        if execution.attempt == int(attempt) and execution.status == "in_progress":
            execution.service, service.project = service, project
            return cast(Execution, execution)
    return None


class _Part:
    """A row's object of which only what `_SPOKEN` names is known; more is read when it is asked for."""

    def __init__(self, model: type[Model], prefix: str) -> None:
        fields = model._meta.concrete_fields
        self._model = model
        self._known = [field.attname for field in fields if prefix + field.attname in _SPOKEN]
        self._places = [_SPOKEN.index(prefix + name) for name in self._known]

    def of(self, row: Sequence[Any]) -> Any:
        return self._model.from_db(connection.alias, self._known, [row[place] for place in self._places])


_PARTS = (_Part(Execution, ""), _Part(Service, "service__"), _Part(Project, "service__project__"))


def _seal(bound: str) -> str:
    key = b"execution token " + wiring.config().secret_key.encode()
    return hmac.new(key, bound.encode(), hashlib.sha256).hexdigest()
