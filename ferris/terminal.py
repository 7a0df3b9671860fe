"""What programs print for terminals: control sequences (ECMA-48), colours among them."""

from __future__ import annotations

import re
from typing import Final

SEQUENCES: Final = (
    r"\x1b\[([0-9;:]*)m"
    r"|\x1b\[[0-?]*[ -/]*[@-~]"
    r"|\x1b[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)"
    r"|\x1b[ -/]*[0-Z\\-~]"
)
"""A pattern of theirs; its group holds the codes of a colour or style."""
_ANY: Final = re.compile(SEQUENCES)


def plain(text: str) -> str:
    """The text without them, as it is read and searched."""
    return _ANY.sub("", text) if "\x1b" in text else text
