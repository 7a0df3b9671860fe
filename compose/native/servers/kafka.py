"""Kafka, of Maven's."""

from __future__ import annotations

import os
import secrets
import subprocess
from pathlib import Path

import install
import probes
from process import Command, StackError

from servers.server import HERE, LOCAL, Server, Site, java_options


class Kafka(Server):
    name, title = "kafka", "Kafka"
    ports = {"KAFKA_PORT": 29092, "KAFKA_CONTROLLER_PORT": 29093}
    version = "4.3.1"

    def __init__(self) -> None:
        self._home = Path()

    def get(self) -> str:
        pom = HERE / "kafka/pom.xml"
        self._home = install.made(f"kafka-{self.version}", lambda part: install.maven(pom, part / "libs"))
        return self.version

    def commands(self, site: Site) -> list[Command]:
        properties = site.who.write(site.data / "server.properties", self._properties(site))
        java = ["java", *java_options(), "-cp", f"{self._home}/libs/*"]
        if not (site.data / "log/meta.properties").exists():
            cluster = secrets.token_urlsafe(16)  # it may begin with "-"
            done = subprocess.run(
                [*java, "kafka.tools.StorageTool", "format", "--ignore-formatted",
                 f"--cluster-id={cluster}", "-c", properties],
                cwd=site.data, capture_output=True, text=True, check=False, **site.who.options(),
            )  # fmt: skip
            if done.returncode:
                raise StackError(f"Kafka's storage cannot be formatted: {done.stderr.strip()[-1000:]}")
        heap = os.environ.get("FERRIS_STACK_KAFKA_HEAP", "512m")
        return [
            Command(
                [
                    java[0],
                    f"-Xmx{heap}",
                    f"-Xms{heap}",
                    "-XX:+UseSerialGC",
                    *java[1:],
                    "kafka.Kafka",
                    properties,
                ],
                folder=site.data,
            )
        ]

    def _properties(self, site: Site) -> str:
        broker, controller = (f"{LOCAL}:{self.port(key)}" for key in self.ports)
        return f"""\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@{controller}
listeners=PLAINTEXT://{broker},CONTROLLER://{controller}
advertised.listeners=PLAINTEXT://{broker}
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs={site.data / "log"}
# Topics are made by who knows how many partitions they need.
auto.create.topics.enable=false
default.replication.factor=1
offsets.topic.replication.factor=1
offsets.topic.num.partitions=10
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
message.max.bytes=4194304
# What was answered is on disk: one broker has no replica that would still know it.
log.flush.interval.messages=1
"""

    def ready(self) -> bool:
        return probes.kafka(self.port())

    def settings(self, site: Site) -> dict[str, str]:
        return {"FERRIS_EVENT_LOG": f"kafka+confluent://{LOCAL}:{self.port()}?partitions=4"}
