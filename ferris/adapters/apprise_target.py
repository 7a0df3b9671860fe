"""Apprise targets, each talked to by a process of its own (`apprise_child`), which ends when its time is over."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from ferris.public_addresses import Network

SECONDS: Final = 30.0
_ROOT: Final = Path(__file__).resolve().parents[2]


def target_name(url: str) -> str:
    """What kind of service a target is; empty when Apprise does not know it. Nothing is sent."""
    answer = _asked({"url": url, "allowed": []})
    return str(answer.get("name", "")) if answer.get("ok") else ""


def send(url: str, title: str, body: str, *, allowed: Sequence[Network]) -> str:
    """Send a message; what went wrong, without anything secret, or an empty text."""
    answer = _asked({"url": url, "title": title, "body": body, "allowed": [str(one) for one in allowed]})
    return "" if answer.get("ok") else str(answer.get("problem", "it was not accepted"))


def _asked(question: dict[str, Any]) -> dict[str, Any]:
    environ = {name: os.environ[name] for name in ("PATH", "LANG", "SSL_CERT_FILE") if name in os.environ}
    with tempfile.TemporaryDirectory(prefix="ferris-notify-") as folder:
        try:
            done = subprocess.run(
                [sys.executable, "-m", "ferris.adapters.apprise_child"],
                input=json.dumps(question),
                capture_output=True,
                text=True,
                timeout=SECONDS,
                cwd=folder,
                env={**environ, "HOME": folder, "PYTHONPATH": str(_ROOT), "PYTHONDONTWRITEBYTECODE": "1"},
                check=False,
            )
            answer = json.loads(done.stdout.strip().rpartition("\n")[2] or "{}")
        except subprocess.TimeoutExpired:
            return {"ok": False, "problem": f"no answer within {SECONDS:g} s"}
        except (OSError, ValueError):
            answer = None
    return answer if isinstance(answer, dict) else {"ok": False, "problem": "the sending process failed"}
