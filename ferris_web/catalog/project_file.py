"""A repository's ferris.json: read and checked with its folders, and its promises become rows.

A file with a mistake changes nothing: what the last one without a mistake promised stays promised.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Final
from uuid import UUID, uuid5

from ferris.documents import MAX_DOCUMENT, Notes
from ferris.promises import FILE, Promise, promises_of
from ferris_web.catalog.models import PromiseRule, Repository
from ferris_web.catalog.outcome import Outcome

RULES: Final = UUID("51c1f4f2-7c0e-5b43-a1d1-0f6f5f0f2b6e")


def project_file_read(root: Path, outcome: Outcome) -> tuple[Promise, ...] | None:
    """The promises of the file at the repository's root; None when it has a mistake, which `outcome` is told."""
    notes = Notes()
    content = _content(root / FILE, notes)
    found = promises_of(content, notes) if content is not None else ()
    text = json.dumps([promise.to_json() for promise in found], ensure_ascii=False)
    if "\\u0000" in text or any("\ud800" <= character <= "\udfff" for character in text):
        notes.error(FILE, "", "holds a NUL character or half a surrogate pair: remove it")
    outcome.say_all("", notes.messages)
    return None if notes.failed else found


def _content(path: Path, notes: Notes) -> bytes | None:
    """None when there is no such file, or a message about it."""
    try:
        # Without O_NONBLOCK opening a named pipe would wait for its other end for ever.
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as stream:
            if stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
                return stream.read(MAX_DOCUMENT + 1)
        problem = "is no regular file"
    except FileNotFoundError:
        return None
    except OSError as error:
        problem = (
            "is a link, which is not followed" if path.is_symlink() else f"cannot be read: {error.strerror}"
        )
    if not path.is_dir():  # a folder of that name is a service
        notes.error(FILE, "", f"{problem}: put the file itself here")
    return None


def promises_apply(
    repository: Repository, promises: Sequence[Promise], outcome: Outcome, now: datetime
) -> None:
    """Bring the promises of a repository to these, inside the transaction of its sync."""
    wanted = {}
    for promise in promises:
        rule = json.loads(json.dumps(promise.to_json()))
        pk = uuid5(RULES, f"{repository.pk} {json.dumps(rule, sort_keys=True)}")
        wanted[pk] = PromiseRule(
            id=pk, project_id=repository.project_id, repository=repository, name=promise.name, rule=rule
        )
    here = set(repository.promises.filter(vanished_at=None).values_list("pk", flat=True))
    if here == wanted.keys():
        return
    PromiseRule.objects.bulk_create(
        (row for pk, row in wanted.items() if pk not in here),
        update_conflicts=True,  # one that is made again
        unique_fields=["id"],
        update_fields=["vanished_at"],
    )
    repository.promises.filter(vanished_at=None).exclude(pk__in=wanted).update(vanished_at=now)
    outcome.promises = True
    outcome.tell("", "makes one promise" if len(wanted) == 1 else f"makes {len(wanted)} promises", file=FILE)
