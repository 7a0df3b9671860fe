"""The state of services, and the record of its every change: an audit, and the way back after a store was lost."""

from __future__ import annotations

import base64
import json
import logging
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from ferris import events
from ferris.config import NOTIFICATIONS
from ferris.content import check_value
from ferris.errors import EventError, FerrisError
from ferris.ports import Record
from ferris_web import wiring
from ferris_web.catalog.models import Service
from ferris_web.catalog.secrets import secrets_of
from ferris_web.executions.models import Execution

log = logging.getLogger(__name__)

STATE_CHANGED = "ferris.state.changed"
_SHORTEST_SECRET = 4  # characters; shorter texts are found by chance everywhere


def state_key(service: Service) -> str:
    """The key of a service's state in the configuration store."""
    return f"{service.name}.state"


def state_put(
    service: Service,
    value: bytes,
    *,
    cas: int | None = None,
    execution: Execution | None = None,
    actor: str = "",
    now: datetime,
) -> bool:
    """Set the state, by an execution or a person; False when `cas` does not hold (see `ConfigStore.put`)."""
    done = wiring.config_store().put(state_key(service), value, cas=cas)
    if done:
        _tell(service, _said(service, value), execution, actor, now)
    return done


def state_delete(
    service: Service,
    *,
    cas: int | None = None,
    execution: Execution | None = None,
    actor: str = "",
    now: datetime,
) -> bool:
    """Forget the state; False when `cas` does not hold."""
    done = wiring.config_store().delete(state_key(service), cas=cas)
    if done:
        _tell(service, {"value": None, "deleted": True}, execution, actor, now)
    return done


def _said(service: Service, value: bytes) -> dict[str, Any]:
    """The new value as the record tells it: JSON if it is, else text; not at all when a secret stands in it."""
    text = value.decode(errors="replace")
    try:
        secrets = secrets_of(service)
    except FerrisError:
        return {"masked": True}  # who cannot tell must not tell
    if _holds_secret(text, secrets):
        return {"masked": True}
    try:
        return {"value": json.loads(text)}
    except ValueError:
        return {"value": text}


def _holds_secret(text: str, secrets: Mapping[str, Any]) -> bool:
    for secret in _texts(list(secrets.values())):
        if len(secret) >= _SHORTEST_SECRET and (secret in text or json.dumps(secret)[1:-1] in text):
            return True
    return False


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner)
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        yield str(value)


def _sayable(said: Mapping[str, Any]) -> Mapping[str, Any]:
    """As an event can hold it: a value with the character NUL, or an integer of more than 64 bits, in base64."""
    try:
        check_value(dict(said), 2, "data")
    except EventError:
        return {"value_base64": base64.b64encode(json.dumps(said["value"]).encode()).decode()}
    return said


def _tell(
    service: Service, said: Mapping[str, Any], execution: Execution | None, actor: str, now: datetime
) -> None:
    event = events.new(
        STATE_CHANGED,
        f"ferris/person/{actor}" if execution is None else f"ferris/service/{service.name}",
        {
            "key": state_key(service),
            "service": service.name,
            "execution": None if execution is None else str(execution.pk),
            **_sayable(said),
        },
        now=now,
        subject=service.name,
        correlation_id=None if execution is None else execution.flow_id,
        causation_id=None if execution is None else str(execution.pk),
    )
    try:
        record = Record(events.encode(event), key=service.name)
        wiring.event_log().append(NOTIFICATIONS, [record])
    except FerrisError:  # the state is set: to fail here would deny that
        log.exception("the change of %s could not be appended to %s", state_key(service), NOTIFICATIONS)
