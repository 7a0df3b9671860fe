"""`manage.py state`: as `remote/` has it, on this machine."""

from __future__ import annotations

from ferris_web.accounts.here import Here


class Command(Here):
    verb = "state"
