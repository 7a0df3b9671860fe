"""compose.yaml, parsed, for the tests that look at it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
COMPOSE = ROOT / "compose"
TEXT = (COMPOSE / "compose.yaml").read_text()
FILE = yaml.safe_load(TEXT)
SERVICES: dict[str, dict[str, Any]] = FILE["services"]
OURS = {name for name, service in SERVICES.items() if service["image"].startswith("ferris:")}
ONE_SHOTS = {name for name, service in SERVICES.items() if service["restart"] == "no"}
REQUIRED = re.compile(r"\$\{([A-Z_]+):\?[^}]+\}")
SECRET = re.compile(r"PASS|TOKEN|SECRET|KEY")


def environment(name: str) -> dict[str, str]:
    return SERVICES[name].get("environment", {})
