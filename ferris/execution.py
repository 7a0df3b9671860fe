"""An execution as its executor sees it: the order, the script's argument and environment, its ids.

Names that begin with `_fx` or stand in capitals are what published scripts and client libraries read;
they are fixed by the contract.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Self

from ferris.isolation import EGRESS
from ferris.retry import Retry

EXECUTION_IDS: Final = uuid.UUID("6f1d3c1e-5a0b-5d0a-9a55-0f5f0c2e7d11")
SENT_EVENT_IDS: Final = uuid.UUID("1f8e4b62-7a8f-5b39-8f6e-3a4c9d2b5e70")

DRAINING: Final = "this executor drains"
"""Why a claim is refused that a worker which is to take nothing new has made all the same."""


@dataclass(frozen=True, slots=True)
class ExecutionOrder:
    """The answer "go" to a claim: everything an executor needs, once, for one attempt.

    Holds decrypted secrets and a token: never logged (both stay out of repr), never stored. `connections`: the
    databases that its .sql scripts may use, by name: {"url", "read_only"}. `sql`: what its manifest says of them.
    `continues`: the earlier run that it takes up, as `ferris.continuing.Continuation.to_json` gives it. `config_marks`:
    by which the platform knows the configuration again that this attempt was given; its executor reports them.
    """

    execution_id: str
    attempt: int
    lease_seconds: float
    token: str = field(repr=False)
    service: str
    service_id: str
    project: str
    digest: str
    scripts: tuple[str, ...]
    event_id: str
    event_type: str
    flow_id: str
    correlation_id: str
    trigger_type: str
    timeout: float | None = None
    python: str | None = None
    requirements: str | None = None
    retry: Retry = field(default_factory=Retry)
    params: Mapping[str, Any] = field(default_factory=dict)
    secrets: Mapping[str, Any] = field(default_factory=dict, repr=False)
    config: Any = field(default_factory=dict, repr=False)
    parent_execution: str | None = None
    hops: int = 0
    connections: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, repr=False)
    sql: Mapping[str, Any] = field(default_factory=dict)
    limits: Mapping[str, Any] = field(default_factory=dict)
    network: str = EGRESS
    isolation: str | None = None
    continues: Mapping[str, Any] | None = None
    config_marks: Mapping[str, str] | None = None

    def to_json(self) -> dict[str, Any]:
        """JSON-able form; `from_json` turns it back."""
        document = {name: getattr(self, name) for name in self.__slots__}
        document["scripts"] = list(self.scripts)
        document["retry"] = self.retry.to_json()
        document["params"] = dict(self.params)
        document["secrets"] = dict(self.secrets)
        document["connections"] = {name: dict(one) for name, one in self.connections.items()}
        document["sql"] = dict(self.sql)
        document["limits"] = dict(self.limits)
        return document

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """The order from `to_json`. Fields of a newer platform are ignored: executors may be older."""
        known = {name: document[name] for name in cls.__slots__ if name in document}
        known["scripts"] = tuple(known.get("scripts", ()))
        known["retry"] = Retry.from_json(known.get("retry", {}))
        return cls(**known)


def execution_id(event_key: uuid.UUID, service_id: str) -> uuid.UUID:
    """The id of the one execution that an event causes in a service: the same however often it is routed."""
    return uuid.uuid5(EXECUTION_IDS, f"{event_key}/{service_id}")


def params_of(data: Any) -> dict[str, Any]:
    """An event's data as a script's parameters: an object as it is, anything else as {"data": value}."""
    if data is None:
        return {}
    return dict(data) if isinstance(data, Mapping) else {"data": data}


def script_argument(order: ExecutionOrder) -> str:
    """The JSON text a script finds in sys.argv[1]. The platform's names win over the event's."""
    return json.dumps(
        {
            **order.params,
            "package_name": order.service,
            "package_id": order.service_id,
            "secrets": dict(order.secrets),
            "_fxcid": order.correlation_id,
            "_fxexec": order.execution_id,
            "_fxparentexec": order.parent_execution,
            "origin_event_type": order.event_type,
        },
        separators=(",", ":"),
    )


def script_environment(
    order: ExecutionOrder,
    *,
    relay_host: str,
    relay_port: int,
    channel: str | None = None,
    app_name: str | None = None,
    kafka_protocol: str = "PLAINTEXT",
) -> dict[str, str]:
    """The contract's variables; they point at the executor's relay, which adds the execution's token."""
    relay = f"http://{relay_host}:{relay_port}"
    environment = {
        "CONSUL_HOST": relay_host,
        "CONSUL_PORT": str(relay_port),
        "CONSUL_SCHEME": "http",
        "DEFAULT_CONFIG": "ferris.env",
        "APP_NAME": app_name or order.service,
        "KAFKA_PROTOCOL": kafka_protocol,
        "SECRETS_API_URL": f"{relay}/secrets/",
        "SERVICES_API_URL": f"{relay}/services/",
    }
    if channel is not None:
        environment["FERRIS_CHANNEL"] = channel
    return environment


def content_digest(
    event_type: str, source: str, subject: str | None, data: Any, topic: str | None = None
) -> str:
    """What makes two events that a script sends the same content. Key order in `data` doesn't count."""
    text = json.dumps(
        [event_type, source, subject, topic, data], sort_keys=True, separators=(",", ":"), default=str
    )
    return hashlib.sha256(text.encode()).hexdigest()


def sent_event_id(execution_id: str, digest_of_content: str, occurrence: int) -> str:
    """The id of the n-th event (from 0) of that content that an execution sends.

    The attempt does not enter: a run that is repeated after a crash sends the same ids, so that what
    listens to them runs once.
    """
    return str(uuid.uuid5(SENT_EVENT_IDS, f"{execution_id}/{digest_of_content}/{occurrence}"))
