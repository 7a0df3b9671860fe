"""`manage.py createsuperuser`: Django's, in the audit log."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.management.commands import createsuperuser

from ferris_web.accounts.models import User
from ferris_web.accounts.noted import command_noted


class Command(createsuperuser.Command):
    def handle(self, *args: Any, **options: Any) -> Any:
        known = set(User.objects.filter(is_superuser=True).values_list("pk", flat=True))
        said = super().handle(*args, **options)
        for made in User.objects.filter(is_superuser=True).exclude(pk__in=known):
            command_noted("command:createsuperuser", made.username)
        return said
