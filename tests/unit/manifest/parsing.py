"""Folders that are parsed, and what is told of them."""

from __future__ import annotations

import json
from typing import Any

from ferris.manifest import Manifest, Parsed, parse_service


def parse(files: dict[str, Any] | None = None, **manifest: Any) -> Parsed:
    """A folder with main.py and this manifest; contents that are no bytes or text are written as JSON."""
    contents: dict[str, Any] = {"main.py": "print(1)\n", "manifest.json": manifest, **(files or {})}
    return parse_service(
        {name: as_bytes(content) for name, content in contents.items() if content is not None}
    )


def as_bytes(content: Any) -> bytes:
    if isinstance(content, bytes):
        return content
    return (content if isinstance(content, str) else json.dumps(content)).encode()


def good(files: dict[str, Any] | None = None, **manifest: Any) -> Manifest:
    parsed = parse(files, **manifest)
    assert parsed.manifest is not None, parsed.messages
    return parsed.manifest


def told(parsed: Parsed, level: str) -> list[tuple[str, str]]:
    assert all(message.text and str(message) for message in parsed.messages)
    return [(message.file, message.key) for message in parsed.messages if message.level == level]


def text_of(parsed: Parsed, key: str) -> str:
    return next(message.text for message in parsed.messages if message.key == key)
