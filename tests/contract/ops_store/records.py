"""Lines and events of a store, and what is found of them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from ferris.adapters import open_ops_store
from ferris.adapters.kibana import lucene
from ferris.ports import OpsStore

START = datetime(2026, 11, 24, 3, 0, tzinfo=UTC)


def sqlite(tmp_path: Path) -> OpsStore:
    return open_ops_store(f"sqlite:///{tmp_path}/ops.db")


def moment(minutes: float = 0) -> str:
    return (START + timedelta(minutes=minutes)).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def line(seq: int, message: str = "hello", *, execution: str = "e1", attempt: int = 1, **more: Any) -> dict:
    return {
        "execution": execution, "attempt": attempt, "seq": seq, "time": moment(seq), "step": "main.py",
        "stream": "stdout", "level": "info", "message": message, "service": "quakes_load", "flow": "FLOW1",
    } | more  # fmt: skip


def event(key: str, minutes: float = 0, **more: Any) -> dict:
    return {
        "key": key, "id": key, "time": moment(minutes), "type": "quake.seen", "source": "loader",
        "service": "quakes_load", "flow": "FLOW1", "data": {"mag": 5.5, "place": "near the Old Coast"},
    } | more  # fmt: skip


def messages(store: OpsStore, query: str = "", **arguments: Any) -> list[str]:
    return [record["message"] for record in store.search("logs", query, **arguments).records]


def found(store: OpsStore, query: str = "", **arguments: Any) -> list[str]:
    return [record["key"] for record in store.search("events", query, **arguments).records]


def in_kibana(store: OpsStore, kind: str, query: str, expected: list[str]) -> list[str]:
    """What Kibana's Discover finds by the query that our link carries; there it is Elasticsearch's `query_string`."""
    client = getattr(store, "_client", None)
    said = lucene(kind, query)
    if client is None or not said:
        return expected
    asked = {"query_string": {"query": said, "analyze_wildcard": True}}
    hits = client.search(index=f"{store._prefix}-{kind}-*", query=asked, size=50)["hits"]["hits"]
    return [hit["_source"]["body"]["message" if kind == "logs" else "key"] for hit in hits]
