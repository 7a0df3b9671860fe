"""Style, scripts and drawings as browsers get them: packed once, under names that change with their content.

They are prepared in a folder beside the code, as they belong to it and not to a platform's data. What is not prepared
(a checkout that nobody may write to) is served as it lies, under its plain name.
"""

from __future__ import annotations

import fcntl
import hashlib
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.staticfiles.apps import StaticFilesConfig
from django.contrib.staticfiles.finders import get_finders
from django.core.management import call_command
from whitenoise.storage import CompressedManifestStaticFilesStorage

logger = logging.getLogger(__name__)

_PREPARED = "prepared"  # a file that says of what


class StaticFiles(StaticFilesConfig):
    """Django's own, which leaves out what no page of ours names."""

    ignore_patterns = [
        *StaticFilesConfig.ignore_patterns,
        *("rest_framework", "account", "mfa"),
        *("ext", "htmx-2*", "htmax*", "htmx-4.js", "django-htmx.js"),
        *("README*", "LICENSE*"),
    ]


class Storage(CompressedManifestStaticFilesStorage):
    """Knows the prepared names; notes what they were made of."""

    support_js_module_import_aggregation = True

    def stored_name(self, name: str) -> str:
        """The name with the digest of its content, or the plain one."""
        return str(self.hashed_files.get(self.hash_key(self.clean_name(name)), name))

    def post_process(self, paths: Any, dry_run: bool = False, **options: Any) -> Iterator[Any]:
        yield from super().post_process(paths, dry_run, **options)
        if not dry_run:
            (Path(self.location) / _PREPARED).write_text(_sources())


def prepare() -> None:
    """See that all of them are prepared; two seconds of work where one has changed, else none."""
    folder = Path(settings.STATIC_ROOT)
    if _prepared(folder):
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with (folder.parent / f"{folder.name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not _prepared(folder):  # by another process meanwhile
                call_command("collectstatic", interactive=False, verbosity=0)
    except OSError as error:  # such as a file system that is read only
        logger.warning("style and scripts are served unpacked: %s", error)


def _prepared(folder: Path) -> bool:
    try:
        return (folder / _PREPARED).read_text() == _sources()
    except OSError:
        return False


def _sources() -> str:
    """A digest of all files with their names."""
    whole = hashlib.sha256()
    for finder in get_finders():
        for name, storage in sorted(finder.list(StaticFiles.ignore_patterns), key=lambda one: one[0]):
            with storage.open(name) as file:
                whole.update(f"{name}\0{hashlib.file_digest(file, 'sha256').hexdigest()}\n".encode())
    return whole.hexdigest()
