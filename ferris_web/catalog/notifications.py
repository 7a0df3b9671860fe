"""Rules of notifications: made, changed, removed; their targets go in and never come out."""

from __future__ import annotations

import re
import uuid
from collections import Counter
from collections.abc import Sequence
from typing import Any

from django.core.exceptions import ValidationError
from django.db.models import QuerySet

from ferris import notifying
from ferris.adapters import apprise_target
from ferris.errors import NotFound
from ferris.notifying import RuleError
from ferris_web.catalog.changes import notify
from ferris_web.catalog.models import NotificationRule, Project
from ferris_web.catalog.secrets import decrypted, encrypted
from ferris_web.names import held, once

CHANGED = "notifications"
_SHOWN = re.compile(r" \([A-Za-z0-9]+://…\)\Z")  # no Apprise URL has a space
_PLAIN = ("active", "kind", "service", "times", "within_minutes", "quiet_minutes")


def rule_get(name: str) -> NotificationRule:
    """One by name; NotFound."""
    found = NotificationRule.objects.select_related("project").filter(name=name).first()
    if found is None:
        raise NotFound(f"there is no notification rule {name!r}")
    return found


def rule_list(project: str = "") -> QuerySet[NotificationRule]:
    """All, or those of a project, by name."""
    rows = NotificationRule.objects.select_related("project").order_by("name")
    return rows.filter(project__name=project) if project else rows


def rule_set(
    name: str,
    *,
    new: bool = False,
    project: Project | None = None,
    targets: Sequence[str] | None = None,
    **given: Any,
) -> NotificationRule:
    """Make a rule, or, unless it is to be `new`, change what is given of one. ValidationError names the field at fault;
    Conflict when the name is taken.

    Targets that are given replace all there were; one that is given as it is shown stays.
    """
    if unknown := sorted(set(given) - set(_PLAIN)):
        raise TypeError(f"a rule has no {', '.join(unknown)}")
    # Takes a moment: not while a row is held.
    sealed = _sealed([one for one in targets or () if not _SHOWN.search(one)])
    taken = f"there is a notification rule {name!r} already"
    with once(taken):
        found = held(NotificationRule, name, new=new, taken=taken)
        row = found or NotificationRule(name=name)
        if project is not None:
            row.project = project
        elif found is None:
            raise ValidationError({"project": ["is missing; a new rule belongs to a project"]})
        for field, value in given.items():
            setattr(row, field, value)
        if targets is not None:
            wanted = _kept(row, [one for one in targets if _SHOWN.search(one)]) | sealed
            if not 0 < len(wanted) <= notifying.MOST_TARGETS:
                raise ValidationError({"targets": [f"are not 1 to {notifying.MOST_TARGETS}"]})
            row.targets = [{"id": id, "shown": shown} for id, (shown, _) in wanted.items()]
            row.ciphertext = encrypted({id: url for id, (_, url) in wanted.items()})
        if not row.targets:
            raise ValidationError({"targets": ["are missing; give at least one Apprise URL"]})
        row.full_clean(exclude=["ciphertext"], validate_unique=False)  # `once` does
        row.save()
        notify(CHANGED)
    return row


def rule_remove(row: NotificationRule) -> None:
    """It tells no more."""
    row.delete()


def rule_targets(row: NotificationRule) -> dict[str, str]:
    """Its targets by id, to send to. SecretUnreadable."""
    return dict(decrypted(row.ciphertext, f"the targets of the notification rule {row.name!r}"))


def _kept(row: NotificationRule, shown: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Those of its targets that are named as they are shown: of several that look the same all or none."""
    known = Counter(one["shown"] for one in row.targets)
    for name, count in Counter(shown).items():
        if not known[name]:
            raise ValidationError({"targets": [f"names {name!r}, and there is none; give its URL"]})
        if known[name] != count:
            raise ValidationError(
                {
                    "targets": [
                        f"names {count} of {known[name]} {name!r}; give their URLs, or name all or none"
                    ]
                }
            )
    if not shown:
        return {}
    urls = rule_targets(row)
    return {one["id"]: (one["shown"], urls[one["id"]]) for one in row.targets if one["shown"] in shown}


def _sealed(targets: Sequence[str]) -> dict[str, tuple[str, str]]:
    urls = list(dict.fromkeys(targets))
    if len(urls) > notifying.MOST_TARGETS:
        raise ValidationError({"targets": [f"are not 1 to {notifying.MOST_TARGETS}"]})
    found = {}
    for url in urls:
        try:
            schema = notifying.schema_of(url)
        except RuleError as error:
            raise ValidationError({error.name: [error.problem]}) from None
        known = apprise_target.target_name(url)
        if not known:
            raise ValidationError({"targets": [f"holds a {schema}:// that Apprise cannot read"]})
        found[uuid.uuid4().hex] = (f"{known} ({schema}://…)", url)
    return found
