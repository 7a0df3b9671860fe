"""The ASGI application that the web process serves."""

import gc
import os

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "ferris_web.settings")
django.setup(set_prefix=False)

from django.urls import get_resolver  # noqa: E402 - Django must be set up first

from ferris_web.executions.checkup.readiness import READINESS  # noqa: E402
from ferris_web.server import Application  # noqa: E402

READINESS.watch()
application = Application()
get_resolver().url_patterns  # noqa: B018 - all views are read now and not with the first request
gc.collect()
gc.freeze()  # it stays: a look for garbage among all of this would take as long as a large page
