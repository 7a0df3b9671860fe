"""How an Elasticsearch is: majors of client and server, health, index templates, its clock, room on its disks."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from elasticsearch import VERSION

from ferris.adapters import elasticsearch_documents as documents
from ferris.findings import Finding, clock, room
from ferris.ports import OPS_KINDS

_BACKEND = "ops store"


def examine(client: Any, prefix: str) -> Iterator[Finding]:
    """Every finding; raises what the client raises. The templates were made before, as far as that is allowed."""
    yield from _versions(client)
    yield from _health(client)
    yield from _templates(client, prefix)
    yield from _room(client)


def version_findings(versions: list[str]) -> Iterator[Finding]:
    """Client and server must have one major version: a newer client is refused, an older one misunderstands."""
    ours = VERSION[0]
    for version in versions:
        text = f"Elasticsearch {version}, client {'.'.join(map(str, VERSION))}"
        if int(version.split(".")[0]) != ours:
            yield Finding(
                "failure", _BACKEND, text, f"use Elasticsearch {ours}, or the client of that server"
            )
        else:
            yield Finding("ok", _BACKEND, text)


def _versions(client: Any) -> Iterator[Finding]:
    nodes = client.nodes.info(filter_path="nodes.*.version").get("nodes", {})
    yield from version_findings(sorted({node["version"] for node in nodes.values()}))


def _health(client: Any) -> Iterator[Finding]:
    health = client.cluster.health()
    if health["status"] == "red":
        text = f"the cluster {health['cluster_name']} is red: records are missing"
        yield Finding(
            "failure", _BACKEND, text, "start its machines; GET /_cluster/allocation/explain says more"
        )
    else:
        yield Finding("ok", _BACKEND, f"cluster {health['cluster_name']} is {health['status']}")


def _templates(client: Any, prefix: str) -> Iterator[Finding]:
    names = [f"{prefix}-{documents.NAMES[kind]}" for kind in OPS_KINDS]
    missing = [name for name in names if not client.indices.exists_index_template(name=name)]
    if missing:
        yield Finding(
            "failure", _BACKEND, f"there is no index template {', '.join(missing)}",
            "grant this user manage_index_templates; doctor makes them then",
        )  # fmt: skip
    else:
        yield Finding("ok", _BACKEND, f"index templates {', '.join(names)}")


def _room(client: Any) -> Iterator[Finding]:
    asked = datetime.now(UTC)
    nodes = client.nodes.stats(metric="fs", filter_path="nodes.*.name,nodes.*.timestamp,nodes.*.fs.total")[
        "nodes"
    ]
    answered = datetime.now(UTC)
    for node in nodes.values():
        yield from clock(_BACKEND, datetime.fromtimestamp(node["timestamp"] / 1000, UTC), asked, answered)
        yield room(_BACKEND, f"machine {node['name']}", node["fs"]["total"]["available_in_bytes"])
