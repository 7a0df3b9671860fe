"""`manage.py test`: as `ferris_web/catalog/at_home.py` has it."""

from __future__ import annotations

from ferris_web.catalog.management.at_home import AtHome


class Command(AtHome):
    verb = "test"
