"""What a dead letter's reason means, in plain words: what happened, and what to do next."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from django.utils.translation import gettext_lazy as _


@dataclass(frozen=True)
class Told:
    """Of one reason."""

    what: str
    then: str


_AGAIN = _("When the cause is mended, send it again.")
TOLD: Final = {
    "unreadable": Told(
        _("This record is no event"),
        _(
            "It is no CloudEvent: mend the sender. It cannot be sent again as it is; written as an event below, it can."
        ),
    ),
    "hop_limit": Told(
        _("This flow went on for too long"),
        _("Probably services trigger one another in a circle: look at the flow, and let one of them filter."),
    ),
    "schema": Told(
        _("The data of this event do not fit the schema of its type"),
        _("Mend the sender, or the event below; or let the type be strict no more, and send it again."),
    ),
    "not_mapped": Told(
        _("An event map could make no event of this one"),
        _("Mend the map, or the data of the event below, and send it again."),
    ),
    "not_dispatched": Told(
        _("The executions for this event could not be written"),
        _(
            "The database refused them: Backends says how it is. When it takes them again, send the event again."
        ),
    ),
    "not_recorded": Told(
        _("This report of an execution could not be written"),
        _("The execution itself is not affected; it may show an older status. Nothing is to be sent again."),
    ),
    "unreadable_notice": Told(
        _("This notice of the object store is not understood"),
        _("Mend what the object store sends of new files; a missed file is announced by uploading it again."),
    ),
    "not_indexed": Told(
        _("This record cannot be searched for"),
        _("It has not the form of its kind: mend what sends it. Nothing else of the platform is affected."),
    ),
}


def told(reason: str) -> Told:
    """Of a reason; of one that is not known, what is true of all."""
    return TOLD.get(reason) or Told(_("This record could not be handled"), _AGAIN)
