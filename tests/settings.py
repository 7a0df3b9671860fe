"""The platform's settings for tests: a home of its own for each test process, removed at its end.

A module of settings and no conftest, because pytest-django reads the settings before any conftest. All is
real: an SQLite database file (threads and other processes see it too), log, objects and keys in the home.
"""

import atexit
import os
import shutil
import tempfile

from tests import memory

_ABOUT_TESTS = ("FERRIS_TESTS_", "FERRIS_STACK_")
for _name in [
    name for name in os.environ if name.startswith("FERRIS_") and not name.startswith(_ABOUT_TESTS)
]:
    del os.environ[
        _name
    ]  # whatever the shell (or the process that started this one) says is about another platform
os.environ["FERRIS_HOME"] = tempfile.mkdtemp(prefix="ferris-test-", dir=memory.folder())
os.environ["FERRIS_DEFAULT_ROLE"] = "maintainer"  # who has which role is what tests of permissions are about
os.environ["FERRIS_PORT"] = "9"  # nothing answers there: a test that needs a server starts its own
os.environ["FERRIS_SOURCE_FOLDERS"] = "/"  # anybody may make a project of a folder
if _postgresql := os.environ.get("FERRIS_TESTS_DATABASE"):  # a database of its own there, made and removed
    _server, _name = _postgresql.rpartition("/")[0], f"test_ferris_{os.getpid()}"
    os.environ["FERRIS_DATABASE"] = f"{_server}/{_name}"

    def _remove_database() -> None:
        """Threads of tests may still hold connections, which keep Django from removing it."""
        import psycopg2

        connection = psycopg2.connect(f"{_server}/postgres")
        connection.autocommit = True
        connection.cursor().execute(f"DROP DATABASE IF EXISTS {_name} WITH (FORCE)")
        connection.close()

    atexit.register(_remove_database)
atexit.register(shutil.rmtree, os.environ["FERRIS_HOME"], ignore_errors=True)

# Whatever is killed here leaves its temporary files, and no later one of the same home clears them up: they go with
# the home. Those of pytest (`tmp_path`), at which people look after a failure, stay where they were.
os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", tempfile.gettempdir())
os.environ["TMPDIR"] = tempfile.tempdir = f"{os.environ['FERRIS_HOME']}/tmp"
os.mkdir(tempfile.tempdir)

from ferris_web.settings import *  # noqa: E402, F403
from ferris_web.settings import DATABASES, FERRIS  # noqa: E402

STATIC_ROOT = FERRIS.home / "static"  # nothing is prepared there: names are the plain ones
STATIC_ROOT.mkdir(parents=True)

DATABASES["default"]["TEST"] = {"NAME": DATABASES["default"]["NAME"]}
PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.MD5PasswordHasher"
]  # signing in is not what most tests are about
# Static files are looked up when asked for: each client of a test would list all of them anew otherwise (20 ms).
WHITENOISE_AUTOREFRESH = True
