"""How a Kafka is: version, topics and their partitions, rights, replicas, room on its disks.

It does not tell its time. What topics are missing is made; who has the right may change their partitions.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from kafka.errors import KafkaError

from ferris.adapters.kafka_topics import BACKEND, SETTING, Topics, explained
from ferris.config import TOPICS
from ferris.errors import BackendError
from ferris.findings import Finding, room

_OLDEST = (2, 1)
"""Idempotent producers that several machines share need what brokers can since then."""


def examine(topics: Topics, prefix: str = "") -> Iterator[Finding]:
    """Every finding; BackendError when no broker answers."""
    cluster = _asked(topics, "describe_cluster")
    yield from _version(topics, cluster["brokers"])
    names = [prefix + name for name in TOPICS]
    try:
        topics.ensure(names)
    except BackendError as error:
        yield Finding("failure", BACKEND, error.problem, error.remedy)
    yield from _partitions(topics, names)
    yield from _rights(cluster)
    yield from _disks(topics)


@explained
def _asked(topics: Topics, question: str, *arguments: Any) -> Any:
    return getattr(topics.admin(), question)(*arguments)


def _version(topics: Topics, brokers: list[dict[str, Any]]) -> Iterator[Finding]:
    for broker in brokers:
        name = f"broker {broker['broker_id']} at {broker['host']}:{broker['port']}"
        version = _asked(topics, "get_broker_version_data", broker["broker_id"]).broker_version
        text = f"{name}, Kafka {'.'.join(map(str, version))} or later"
        if tuple(version) < _OLDEST:
            yield Finding("failure", BACKEND, text, f"use Kafka {'.'.join(map(str, _OLDEST))} or later")
        elif broker.get("is_fenced"):
            yield Finding(
                "failure", BACKEND, f"{name} is fenced", "see its log: the controller does not hear it"
            )
        else:
            yield Finding("ok", BACKEND, text)


def _partitions(topics: Topics, names: list[str]) -> Iterator[Finding]:
    wanted, bad = topics.address.partitions, 0
    for topic in _asked(topics, "describe_topics", names):
        name, parts = topic["name"], topic["partitions"]
        if topic["error_code"]:
            bad += 1
            yield Finding(
                "failure", BACKEND, f"there is no topic {name}, or this client may not see it",
                f"make it with {wanted} partitions, or grant this client the right to describe and make topics",
            )  # fmt: skip
            continue
        if leaderless := [part["partition_index"] for part in parts if part["leader_id"] < 0]:
            bad += 1
            text = f"{name} has no leader for partition {', '.join(map(str, leaderless))}"
            yield Finding("failure", BACKEND, text, "start the brokers that hold its replicas")
        elif any(len(part["isr_nodes"]) < len(part["replica_nodes"]) for part in parts):
            bad += 1
            text = f"replicas of {name} lag behind"
            yield Finding("warning", BACKEND, text, "start the brokers that are missing; they catch up alone")
        if len(parts) < wanted:
            bad += 1
            yield Finding(
                "warning", BACKEND, f"{name} has {len(parts)} partitions, {SETTING} asks for {wanted}",
                f"kafka-topics.sh --alter --topic {name} --partitions {wanted}, while no event waits: "
                "the order of one flow's events holds within a partition",
            )  # fmt: skip
    if not bad:
        yield Finding(
            "ok", BACKEND, f"{len(names)} topics with {wanted} partitions or more, all with leaders"
        )


def _rights(cluster: dict[str, Any]) -> Iterator[Finding]:
    """What the broker says this client may do; a broker without authorisation allows all."""
    said = cluster.get("authorized_operations")
    if said is not None and not {"CREATE", "IDEMPOTENT_WRITE"} & set(said):
        yield Finding(
            "warning", BACKEND, "this client may not make topics",
            "grant it Create on the cluster, or make topics by hand when an update brings new ones",
        )  # fmt: skip


def _disks(topics: Topics) -> Iterator[Finding]:
    try:
        answers = topics.admin().describe_log_dirs()
    except KafkaError:
        return  # needs a right of its own, which nothing else needs
    for broker in answers:
        for folder in broker["log_dirs"]:
            where = f"broker {broker['broker']}: {folder['log_dir']}"
            if folder["error_code"]:
                yield Finding("failure", BACKEND, f"{where} cannot be used", "see that broker's log")
            elif (free := folder.get("usable_bytes", -1)) >= 0:
                yield room(BACKEND, where, free)
