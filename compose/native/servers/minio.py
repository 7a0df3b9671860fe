"""MinIO, built from its Go module."""

from __future__ import annotations

from pathlib import Path

import install
import probes
from process import Command

from servers.kafka import Kafka
from servers.server import LOCAL, Server, Site


class MinIO(Server):
    name, title = "minio", "MinIO"
    ports = {"MINIO_PORT": 29000, "MINIO_CONSOLE_PORT": 29001}
    version = "v0.0.0-20260212201848-7aac2a2c5b7c"

    def __init__(self) -> None:
        self._home = Path()

    def get(self) -> str:
        module = f"github.com/minio/minio@{self.version}"
        self._home = install.made(f"minio-{self.version}", lambda part: install.go_install(module, part))
        return self.version.split("-")[1]

    def secrets(self) -> tuple[str, ...]:
        return ("minio",)

    def commands(self, site: Site) -> list[Command]:
        address, console = (f"{LOCAL}:{self.port(key)}" for key in self.ports)
        site.who.own(site.data / "objects")
        site.who.own(site.data / "notices")
        return [
            Command(
                [
                    self._home / "minio",
                    "server",
                    "--address",
                    address,
                    "--console-address",
                    console,
                    "objects",
                ],
                {
                    "MINIO_ROOT_USER": "ferris",
                    "MINIO_ROOT_PASSWORD": site.passwords["minio"],
                    "MINIO_UPDATE": "off",
                    # What is uploaded is told on the log. While Kafka is away MinIO keeps it in its queue.
                    "MINIO_NOTIFY_KAFKA_ENABLE_FERRIS": "on",
                    "MINIO_NOTIFY_KAFKA_BROKERS_FERRIS": f"{LOCAL}:{Kafka().port()}",
                    "MINIO_NOTIFY_KAFKA_TOPIC_FERRIS": "ferris.uploads",
                    "MINIO_NOTIFY_KAFKA_QUEUE_DIR_FERRIS": str(site.data / "notices"),
                },
                site.data,
            )
        ]

    def ready(self) -> bool:
        return probes.http(f"http://{LOCAL}:{self.port()}/minio/health/ready")

    def settings(self, site: Site) -> dict[str, str]:
        return {
            "FERRIS_OBJECT_STORE": f"s3://ferris:{site.passwords['minio']}@{LOCAL}:{self.port()}"
            "?secure=0&notify=arn:minio:sqs::FERRIS:kafka"
        }
