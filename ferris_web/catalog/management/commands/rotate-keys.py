"""`manage.py rotate-keys`: another encryption key for every secret, beside a running platform."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from ferris.errors import FerrisError
from ferris_web.accounts.noted import command_noted
from ferris_web.accounts.printed import add_json, printed
from ferris_web.catalog.rotation import AT_ONCE, Standing, key_begin, keys_drop, reencrypt, standing


class Command(BaseCommand):
    help = (
        "Give all that is kept encrypted (secrets, connections, webhooks, subscriptions, deploy keys, targets of "
        "notifications) another key: a new one is put in front of keys/encryption.keys, which running processes read "
        "again, and everything is encrypted anew with it, some rows at a time. Interrupted, it goes on where it was. "
        "Then remove the old keys with --drop-old. Exit status: 0 done, 1 something could not be moved."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        what = parser.add_mutually_exclusive_group()
        what.add_argument("--status", action="store_true", help="say only how many hang on which key")
        what.add_argument(
            "--no-new-key", action="store_true", help="only move everything to the first key there is"
        )
        what.add_argument(
            "--drop-old", action="store_true", help="remove the keys on which nothing hangs any more"
        )
        parser.add_argument(
            "--batch", type=int, default=AT_ONCE, metavar="N", help="rows in a transaction (%(default)s)"
        )
        add_json(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        if not 1 <= options["batch"] <= 10_000:
            raise CommandError("--batch: expected 1 to 10000", returncode=2)
        try:
            self._do(options)
        except FerrisError as error:
            raise CommandError(str(error)) from None

    def _do(self, options: dict[str, Any]) -> None:
        if options["status"]:
            return self._say(standing(), options)
        if options["drop_old"]:
            gone = keys_drop(datetime.now(UTC))
            _noted("keys.dropped", keys=gone)
            return printed(self, options, f"{gone} old keys were removed", {"removed_keys": gone})
        if not options["no_new_key"]:
            made = key_begin()
            if made:
                _noted("keys.new")
            self.stderr.write(
                "A new key is in front." if made else "A rotation is under way: going on with the first key."
            )
        left = reencrypt(batch=options["batch"], tell=self._progress)
        _noted("keys.rotated", first_key=left.by_key[0], older_keys=left.old, unreadable=len(left.lost))
        self._say(left, options)
        if left.old:
            raise CommandError(
                "something is written with an old key again and again; restart what does, and repeat"
            )

    def _progress(self, done: int, of: int) -> None:
        self.stderr.write(f"{done} of {of} moved")

    def _say(self, found: Standing, options: dict[str, Any]) -> None:
        line = f"{found.by_key[0]} of {found.total} secrets hang on the first of {found.keys} keys"
        values = {"secrets": found.total, "by_key": list(found.by_key), "unreadable": list(found.lost)}
        printed(self, options, line, values)
        if found.lost:
            raise CommandError(
                f"no key opens {len(found.lost)} more: {', '.join(found.lost[:20])}; put their key back behind the "
                "first one and run this again, or set them anew"
            )


def _noted(action: str, **said: int) -> None:
    command_noted(action, "encryption keys", **said)
