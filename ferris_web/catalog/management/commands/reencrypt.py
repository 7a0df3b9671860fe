"""`manage.py reencrypt`: every secret under the first encryption key, so that the older keys can go."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from ferris_web.accounts.second_factors import factors_reencrypt
from ferris_web.catalog.secrets import secrets_reencrypt


class Command(BaseCommand):
    help = (
        "Encrypt every secret anew with the first of the encryption keys. Put the new key in front, restart the "
        "platform, run this, then remove the old keys. Safe beside a running platform, and when repeated."
    )
    requires_system_checks: list[str] = []

    def handle(self, *args: Any, **options: Any) -> None:
        done, lost = secrets_reencrypt()
        factors, lost_factors = factors_reencrypt()
        lost = [*lost, *lost_factors]
        self.stdout.write(f"{done + factors} secrets are encrypted with the first key")
        if lost:
            names = ", ".join(str(secret) for secret in lost)
            raise CommandError(
                f"no key opens {len(lost)} of them: {names}; put their key back behind the first one and run "
                "this again, or set them anew"
            )
