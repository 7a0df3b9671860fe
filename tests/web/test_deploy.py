"""What Django's own check says about the settings of a platform behind https."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_the_check_of_production_settings_finds_nothing(tmp_path: Path) -> None:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("FERRIS_", "DJANGO_"))}
    production = {
        "FERRIS_HOME": str(tmp_path),
        "FERRIS_PUBLIC_URL": "https://ferris.example",
        "FERRIS_ALLOWED_HOSTS": "ferris.example",
    }
    done = subprocess.run(
        [sys.executable, "manage.py", "check", "--deploy", "--fail-level", "WARNING"],
        cwd=ROOT, env=kept | production, capture_output=True, text=True, timeout=100,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "no issues" in done.stdout
