"""Writing projects as users do: folders of services, each a folder of files.

Names of services and types of events are the platform's own, so that tests sharing one platform would disturb
each other: in every name and text the letters TAG stand for something of the test's own.
"""

from __future__ import annotations

import itertools
import json
import os
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.acceptance.client import Client

Files = Mapping[str, "str | bytes | dict[str, Any] | list[Any]"]

_numbers = itertools.count(1)


class Project:
    """A project folder, known to a platform once it was loaded."""

    def __init__(self, client: Client, folder: Path, name: str = "") -> None:
        self.client = client
        self.tag = name or f"t{os.getpid()}x{next(_numbers)}"
        self.folder = folder / self.tag
        self.folder.mkdir(parents=True)

    def __call__(self, name: str) -> str:
        """The real name of a service or an event type: `TAG_alert`, `TAG.started`."""
        return name.replace("TAG", self.tag)

    def write(self, services: Mapping[str, Files]) -> None:
        """Write services: {"TAG_name": {"manifest.json": {...}, "run.py": "..."}}, scripts without indent."""
        for service, files in services.items():
            for file, content in files.items():
                path = self.folder / self(service) / file
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(self._bytes(content))

    def _bytes(self, content: Any) -> bytes:
        if isinstance(content, bytes):
            return content
        text = textwrap.dedent(content) if isinstance(content, str) else json.dumps(content)
        return self(text).encode()

    def load(self, services: Mapping[str, Files]) -> Any:
        """Write services, make the project known and sync it; the sync's result."""
        self.write(services)
        self.client.post("/api/v1/projects/", {"name": self.tag, "source": str(self.folder)})
        return self.sync()

    def sync(self) -> Any:
        return self.client.post(f"/api/v1/projects/{self.tag}/sync/")

    def emit(self, event_type: str, data: Any = None, **attributes: Any) -> str:
        """Send an event; its flow's id."""
        return self.client.emit(self(event_type), data, **attributes)

    def runs(self, service: str, **query: Any) -> list[dict[str, Any]]:
        """All executions of a service."""
        return self.client.executions(service=self(service), **query)
