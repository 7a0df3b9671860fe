"""Errors that are one and the same but for their numbers, ids and quoted values: the kind they are of."""

from __future__ import annotations

import hashlib
import re
from typing import Final

LONGEST: Final = 300

_UUID = r"\b[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\b"
_HEX = r"\b0x[0-9a-fA-F]+\b|\b(?=[0-9a-fA-F]*[0-9])[0-9a-fA-F]{8,}\b"
_VARIES = re.compile(
    rf"(?P<text>'[^'\n]*'|\"[^\"\n]*\")|(?P<id>{_UUID})|(?P<hex>{_HEX})|(?P<n>\d+(?:[.,:]\d+)*)"
)


def error_kind(error: str) -> str:
    """The error with `<text>`, `<id>`, `<hex>` and `<n>` for what varies from one to the next, on one line."""
    text = " ".join(error.split())[: 4 * LONGEST]
    return _VARIES.sub(lambda found: f"<{found.lastgroup}>", text)[:LONGEST]


def fingerprint(error: str) -> str:
    """Twelve characters that name the kind."""
    return hashlib.sha256(error_kind(error).encode()).hexdigest()[:12]
