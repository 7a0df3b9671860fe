"""`manage.py environments`: what services' requirements.txt have become on this machine, and removing it."""

from __future__ import annotations

import os
import subprocess
from datetime import UTC, datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from ferris import environments
from ferris_web import wiring


class Command(BaseCommand):
    help = (
        "List the Python environments of services on this machine, the longest unused first, or remove some."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--prune",
            type=int,
            metavar="BYTES",
            help="remove the longest unused until those left have at most so many bytes; what is in use stays",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        cache = wiring.config().home / "cache"
        if options["prune"] is not None:
            if options["prune"] < 0:
                raise CommandError("--prune: expected a number of bytes, 0 or more")
            self._prune(cache, options["prune"])
        for one in environments.environments(cache / "environments"):
            used = datetime.fromtimestamp(one.used_at, UTC)
            words = ", ".join(one.requirements) or "no packages"
            self.stdout.write(
                f"{one.path.name}  {one.size / 1024**2:7.1f} MiB  used {used:%Y-%m-%d %H:%M} UTC  {words[:100]}"
            )

    def _prune(self, cache: Any, limit: int) -> None:
        from uv import find_uv_bin

        for gone in environments.prune(cache / "environments", limit):
            self.stdout.write(f"removed {gone.path.name} ({gone.size / 1024**2:.1f} MiB)")
        if (cache / "uv").is_dir():
            command = [find_uv_bin(), "cache", "prune", "--quiet", "--cache-dir", str(cache / "uv")]
            subprocess.run(command, check=False, timeout=600, env=dict(os.environ))
