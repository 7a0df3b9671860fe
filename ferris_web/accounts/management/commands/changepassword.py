"""`manage.py changepassword`: Django's, in the audit log."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.management.commands import changepassword

from ferris_web.accounts.noted import account, command_noted


class Command(changepassword.Command):
    def handle(self, *args: Any, **options: Any) -> Any:
        said = super().handle(*args, **options)
        command_noted("command:changepassword", options["username"] or account())
        return said
