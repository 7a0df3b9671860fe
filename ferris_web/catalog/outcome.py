"""What a sync found, service by service: the content of `SyncRun.result`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from ferris.manifest import Message

KINDS = ("added", "changed", "removed", "unchanged", "refused")


@dataclass
class Outcome:
    """Names of services by what became of them, and every message about them."""

    added: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    messages: list[dict[str, str]] = field(default_factory=list)
    services: dict[str, Any] = field(default_factory=dict)  # what is different, see ferris.differences
    promises: bool = False  # those of the project file changed

    def say(self, service: str, message: Message) -> None:
        """Add a message about a service; an empty name means the repository."""
        said = {
            "service": service,
            "level": message.level,
            "file": message.file,
            "key": message.key,
            "text": message.text,
        }
        self.messages.append(said)

    def say_all(self, service: str, messages: Iterable[Message]) -> None:
        """Add several messages about a service."""
        for message in messages:
            self.say(service, message)

    def tell(self, service: str, text: str, level: str = "info", file: str = "", key: str = "") -> None:
        """Add a message in words."""
        self.say(service, Message(level=level, file=file, key=key, text=text))  # type: ignore[arg-type]

    @property
    def moved(self) -> bool:
        """True when the catalog changed."""
        return bool(self.added or self.changed or self.removed or self.promises)

    def to_json(self) -> dict[str, Any]:
        """As it is kept in `SyncRun.result`."""
        return {
            **{kind: sorted(getattr(self, kind)) for kind in KINDS},
            "messages": self.messages,
            "services": {name: found for name, found in sorted(self.services.items()) if found},
        }
