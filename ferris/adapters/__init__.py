"""Backends behind the ports, opened by URL. A client library is imported only when its scheme is used.

To add a backend: one module here, one entry in the table of its port, one parameter in `tests/contract/`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any
from urllib.parse import unquote, urlsplit

from ferris.errors import ConfigError
from ferris.findings import Broker
from ferris.ports import ConfigStore, EventLog, ObjectStore, OpsStore, Retention

_EVENT_LOGS = {
    "sqlite": "ferris.adapters.sqlite_log:SqliteEventLog",
    "kafka": "ferris.adapters.kafka_prefix:open_python",
    "kafka+confluent": "ferris.adapters.kafka_prefix:open_confluent",
}
_OBJECT_STORES = {
    "file": "ferris.adapters.folder_objects:FolderObjectStore",
    "s3": "ferris.adapters.s3_objects:S3ObjectStore",
    "minio": "ferris.adapters.s3_objects:S3ObjectStore",
}
_CONFIG_STORES = {
    "database": "ferris.adapters.database_config:DatabaseConfigStore",
    "consul": "ferris.adapters.consul_config:ConsulConfigStore",
}
_OPS_STORES = {
    "sqlite": "ferris.adapters.sqlite_ops:SqliteOpsStore",
    "elasticsearch": "ferris.adapters.elasticsearch_ops:ElasticsearchOpsStore",
}
_WITHOUT_A_SERVER = ("memory", "filesystem")  # in one process; for trials, as it may lose messages
_BROKERS = {
    "amqp": "ferris.adapters.rabbitmq:RabbitMQ",
    "amqps": "ferris.adapters.rabbitmq:RabbitMQ",
    "pyamqp": "ferris.adapters.rabbitmq:RabbitMQ",
}


def open_event_log(url: str, *, retention: Mapping[str, Retention] | None = None) -> EventLog:
    """The log behind FERRIS_EVENT_LOG: `sqlite:////absolute/path/log.db`. Touches nothing before first use.

    `retention` by topic; the topic "*" stands for every other one. ConfigError for a URL that means nothing.
    """
    adapter = _adapter(_EVENT_LOGS, "FERRIS_EVENT_LOG", url, "sqlite:////absolute/path/log.db")
    return adapter(url, retention=retention)  # type: ignore[no-any-return]


def open_object_store(url: str) -> ObjectStore:
    """The store behind FERRIS_OBJECT_STORE: `file:///absolute/folder`."""
    adapter = _adapter(_OBJECT_STORES, "FERRIS_OBJECT_STORE", url, "file:///absolute/folder")
    return adapter(url)  # type: ignore[no-any-return]


def open_config_store(url: str) -> ConfigStore:
    """The store behind FERRIS_CONFIG_STORE: `database:` (a table of the platform's own database)."""
    adapter = _adapter(_CONFIG_STORES, "FERRIS_CONFIG_STORE", url, "database:")
    return adapter(url)  # type: ignore[no-any-return]


def open_ops_store(url: str) -> OpsStore:
    """The store behind FERRIS_OPS_STORE: `sqlite:////absolute/path/ops.db`."""
    adapter = _adapter(_OPS_STORES, "FERRIS_OPS_STORE", url, "sqlite:////absolute/path/ops.db")
    return adapter(url)  # type: ignore[no-any-return]


def open_broker(url: str, api_url: str = "") -> Broker | None:
    """The broker behind FERRIS_BROKER as an operator looks at it; None for one that there is nothing to look at."""
    if urlsplit(url).scheme in _WITHOUT_A_SERVER:
        return None
    adapter = _adapter(_BROKERS, "FERRIS_BROKER", url, "amqp://user:password@host:5672//")
    return adapter(url, api_url)  # type: ignore[no-any-return]


def local_path(setting: str, url: str) -> str:
    """The absolute path a `sqlite:` or `file:` URL names; ConfigError otherwise."""
    parts = urlsplit(url)
    path = "/" + unquote(parts.path).lstrip("/")
    if parts.netloc or not parts.path.startswith("/") or path == "/" or "\0" in path:
        raise ConfigError(
            setting,
            f"is {url!r}, which names no absolute path",
            f"write {parts.scheme}:///absolute/path, with three slashes before the first folder's name",
        )
    return path


def _adapter(table: Mapping[str, str], setting: str, url: str, example: str) -> Callable[..., Any]:
    scheme = urlsplit(url).scheme
    if scheme not in table:
        raise ConfigError(
            setting,
            f"is {_without_password(url)!r}, and there is no backend {scheme!r}"
            if scheme
            else "has no scheme",
            f"use one of {', '.join(f'{name}:' for name in table)} (such as {example})",
        )
    module, _, name = table[scheme].partition(":")
    return getattr(import_module(module), name)  # type: ignore[no-any-return]


def _without_password(url: str) -> str:
    parts = urlsplit(url)
    if "@" not in parts.netloc:
        return url
    return parts._replace(netloc="***@" + parts.netloc.rpartition("@")[2]).geturl()
