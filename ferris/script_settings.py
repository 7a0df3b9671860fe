"""`ferris.env`: where scripts find the platform's servers. No passwords but those an administrator puts there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import SplitResult, parse_qsl, urlsplit

from ferris.config import EVENTS, LOGS, METRICS, NOTIFICATIONS, Settings

SCRIPT_SETTINGS = "ferris.env"


def script_settings(settings: Settings, stored: Mapping[str, Any]) -> dict[str, Any]:
    """The object, composed of the platform's own settings; what is stored under the key wins.

    Every name is there. One whose server does not exist here (embedded mode has none) is empty.
    """
    log, objects = (
        _Server(settings.event_log_url, "kafka", "kafka+confluent"),
        _Server(settings.object_store_url, "s3", "minio"),
    )
    database = _Server(settings.database_url, "postgresql", "postgres")
    search = _Server(settings.ops_store_url, "elasticsearch", "http", "https")
    secure = bool(objects.host) and objects.options.get("secure", "1") != "0"
    prefix = f"{log.name}." if log.name else ""  # of topics, where several platforms share one Kafka
    return {
        "KAFKA_BOOTSTRAP_SERVER": log.host,
        "KAFKA_PORT": log.port,
        "DEFAULT_TOPIC": prefix + EVENTS,
        "DEFAULT_LOGS_TOPIC": prefix + LOGS,
        "DEFAULT_NOTIFICATIONS_TOPIC": prefix + NOTIFICATIONS,
        "DEFAULT_METRICS_TOPIC": prefix + METRICS,
        "MINIO_HOST": f"{objects.host}:{objects.port}" if objects.port else objects.host,
        "MINIO_ACCESS_KEY": objects.user,
        "MINIO_SECURE_CONNECTION": secure,
        "DB_HOST": database.host,
        "DB_PORT": database.port,
        "DB_NAME": database.name,
        "ES_HOST": f"{search.host}:{search.port}" if search.port else search.host,
        **stored,
    }


class _Server:
    """The parts of a URL when it has one of these schemes; else empty ones. Never a password."""

    def __init__(self, url: str, *schemes: str) -> None:
        parts = urlsplit(url)
        known = parts.scheme in schemes
        self.host = parts.hostname or "" if known else ""
        self.port = _port(parts) if known else ""
        self.user = parts.username or "" if known else ""
        self.name = parts.path.strip("/") if known else ""
        self.options = dict(parse_qsl(parts.query)) if known else {}


def _port(parts: SplitResult) -> str:
    try:
        return str(parts.port or "")
    except ValueError:  # a list of hosts
        return ""
