"""`manage.py environments`: what services' requirements.txt have become on this machine, and removing it."""

from __future__ import annotations

import os
import subprocess
from datetime import UTC, datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from ferris import environments
from ferris_web import wiring
from ferris_web.accounts.printed import add_json, printed


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

        add_json(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        cache = wiring.config().home / "cache"
        if options["prune"] is not None:
            if options["prune"] < 0:
                raise CommandError("--prune: expected a number of bytes, 0 or more", returncode=2)
            self._prune(cache, options)
        for one in environments.environments(cache / "environments"):
            used = datetime.fromtimestamp(one.used_at, UTC)
            words = ", ".join(one.requirements) or "no packages"
            line = f"{one.path.name}  {one.size / 1024**2:7.1f} MiB  used {used:%Y-%m-%d %H:%M} UTC  {words[:100]}"
            values = {
                "name": one.path.name,
                "bytes": one.size,
                "used_at": used,
                "requirements": list(one.requirements),
            }
            printed(self, options, line, values)

    def _prune(self, cache: Any, options: dict[str, Any]) -> None:
        from uv import find_uv_bin

        for gone in environments.prune(cache / "environments", options["prune"]):
            line = f"removed {gone.path.name} ({gone.size / 1024**2:.1f} MiB)"
            printed(self, options, line, {"removed": gone.path.name, "bytes": gone.size})
        if (cache / "uv").is_dir():
            command = [find_uv_bin(), "cache", "prune", "--quiet", "--cache-dir", str(cache / "uv")]
            subprocess.run(command, check=False, timeout=600, env=dict(os.environ))
