"""What the picture of a diagram is called."""

from __future__ import annotations

import hashlib


def picture_name(diagram: str) -> str:
    """The static file with the picture of a mermaid diagram (`make pictures` draws it)."""
    return f"console/pictures/{hashlib.sha256(diagram.encode()).hexdigest()[:16]}.svg"
