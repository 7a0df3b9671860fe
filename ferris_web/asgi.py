"""The ASGI application that the web process serves."""

import os

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "ferris_web.settings")
django.setup(set_prefix=False)

from ferris_web.executions.checkup.readiness import READINESS  # noqa: E402 - Django must be set up first
from ferris_web.server import Application  # noqa: E402

READINESS.watch()
application = Application()
