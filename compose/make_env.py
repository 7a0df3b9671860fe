#!/usr/bin/env python3
"""Writes compose/.env: a random value for everything that compose.yaml asks for. Standard library only.

    python3 compose/make_env.py [FILE]

A file that is there is never overwritten: its passwords are in the servers' data by now. Only its owner can read it.
"""

from __future__ import annotations

import base64
import os
import secrets
import sys
import uuid
from pathlib import Path

ENV = Path(__file__).resolve().parent / ".env"


def password() -> str:
    """A text that needs no quoting in a URL, in JSON, in a shell or in compose."""
    return secrets.token_hex(24)


def fernet_key() -> str:
    """A key of `cryptography.fernet`: 32 bytes."""
    return base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()


def cluster_id() -> str:
    """Kafka's form of a UUID."""
    return base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=").replace("-", "A")


VALUES = {
    "FERRIS_ADMIN_PASSWORD": (password, "the console's administrator: user admin"),
    "FERRIS_FLOWER_PASSWORD": (password, "Flower: user admin"),
    "ELASTIC_PASSWORD": (password, "Kibana's administrator: user elastic"),
    "FERRIS_SECRET_KEY": (password, "signs sessions and execution tokens"),
    "FERRIS_ENCRYPTION_KEYS": (
        fernet_key,
        "encrypt secrets at rest: keep a copy elsewhere. New ones go in front",
    ),
    "FERRIS_EXECUTOR_TOKEN": (password, "executors show it to the management server"),
    "POSTGRES_PASSWORD": (password, "the database's administrator"),
    "FERRIS_POSTGRESQL_PASSWORD": (password, "the platform's own database user"),
    "RABBITMQ_PASSWORD": (password, "doorbells"),
    "KAFKA_CLUSTER_ID": (cluster_id, "no secret; it must stay the same"),
    "MINIO_PASSWORD": (password, "objects"),
    "CONSUL_TOKEN": (lambda: str(uuid.uuid4()), "configuration and state"),
    "FERRIS_ELASTICSEARCH_PASSWORD": (password, "the platform's own user of Elasticsearch"),
    "KIBANA_PASSWORD": (password, "Kibana's own user of Elasticsearch"),
    "KIBANA_KEY": (password, "encrypts what Kibana keeps"),
}


def main() -> int:
    """0 when the file was written."""
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else ENV
    lines = [f"# {why}\n{name}={make()}\n" for name, (make, why) in VALUES.items()]
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.writelines(lines)
    except FileExistsError:
        print(
            f"{path} is there already and stays as it is: the servers' data knows its passwords",
            file=sys.stderr,
        )
        return 1
    except OSError as error:
        print(f"{path} cannot be written: {error.strerror}", file=sys.stderr)
        return 1
    print(f"{path} is written: keep it, and keep it private")
    return 0


if __name__ == "__main__":
    sys.exit(main())
