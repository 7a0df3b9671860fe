"""The state of services, and the record of its every change: an audit, and the way back after a store was lost."""

from __future__ import annotations

import base64
import json
import logging
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from ferris import events
from ferris.config import NOTIFICATIONS
from ferris.content import check_value
from ferris.errors import EventError, FerrisError
from ferris.ports import Record
from ferris_web import wiring
from ferris_web.catalog.models import Service
from ferris_web.catalog.secret_texts import hides
from ferris_web.catalog.values import By, Kind, Place, Who, person, value_delete, value_overtaken, value_put
from ferris_web.executions.models import Execution

log = logging.getLogger(__name__)

STATE_CHANGED = "ferris.state.changed"


def state_place(service: Service) -> Place:
    """Where a service's state lies."""
    return Place(Kind.STATE, service)


def state_key(service: Service) -> str:
    """The key of a service's state in the configuration store."""
    return state_place(service).key


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
    if value_overtaken(state_place(service), cas):
        return False  # many a write of many executions at once: it takes no lock and opens no secret
    masked = hides(service, value)
    by = _by(execution, actor)
    done = value_put(state_place(service), value, by=by, now=now, cas=cas, masked=masked)
    if done:
        _tell(service, {"masked": True} if masked else {"value": _read(value)}, execution, actor, now)
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
    done = value_delete(state_place(service), by=_by(execution, actor), now=now, cas=cas)
    if done:
        _tell(service, {"value": None, "deleted": True}, execution, actor, now)
    return done


def _by(execution: Execution | None, actor: str) -> By:
    return person(actor) if execution is None else By(Who.EXECUTION, execution.service.name, execution.pk)


def _read(value: bytes) -> Any:
    """The new value as the record tells it: JSON if it is, else text."""
    text = value.decode(errors="replace")
    try:
        return json.loads(text)
    except ValueError:
        return text


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
