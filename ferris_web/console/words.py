"""Words that are stored and sent as they are, and shown in the viewer's language: statuses, reasons, roles."""

from __future__ import annotations

from typing import Final

from django.utils.translation import get_language, gettext
from django.utils.translation import gettext_noop as _

# Everything that a filter, a badge or a cell shows of such values, underscores as spaces. Others stay as they are.
KNOWN: Final = frozenset(
    (
        # of executions, steps, jobs, replays, gatherings, deliveries, syncs, promises
        *(_("pending"), _("queued"), _("in progress"), _("completed"), _("failed"), _("cancelled"), _("skipped")),
        *(_("open"), _("running"), _("stopped"), _("paused"), _("active"), _("inactive"), _("closed")),
        *(_("discarded"), _("delivered"), _("sending"), _("sent"), _("disabled"), _("kept"), _("overdue"), _("late")),
        *(_("waiting"), _("ended"), _("refused"), _("taken"), _("missed"), _("scheduled"), _("unchanged")),
        # what made it run
        *(_("manual"), _("triggered"), _("retried"), _("manifest"), _("script"), _("person"), _("rule")),
        # why it ended
        *(_("script failed"), _("timeout"), _("executor lost"), _("environment"), _("package"), _("no scripts")),
        *(_("isolation"), _("platform"), _("concurrency"), _("rate")),
        # why it was put aside
        *(_("invalid event"), _("hop limit"), _("schema"), _("unreadable"), _("failing"), _("conflict")),
        *(_("not mapped"), _("not dispatched"), _("not recorded"), _("unreadable notice"), _("not indexed")),
        # roles
        *(_("owner"), _("maintainer"), _("operator"), _("viewer")),
        # kinds of gatherings, of what tells of failures
        *(_("batch"), _("debounce"), _("throttle"), _("join"), _("deduplicate")),
        *(_("complete"), _("incomplete"), _("expired"), _("held"), _("merged")),
        # kinds of places
        *(_("page"), _("service"), _("project"), _("event type"), _("event"), _("execution"), _("flow"), _("view")),
        *(_("all"), _("any"), _("config"), _("state"), _("env"), _("never used"), _("lost"), _("warning"), _("error")),
        *(_("help"), _("hour"), _("day"), _("average"), _("least"), _("most"), _("last"), _("sum"), _("count")),
    )
)  # fmt: skip


# Texts of the domain, which knows no language: why an execution is in its lane, where its priority comes from, what
# notifications tell of, the forms of deliveries; and the names of backends and of what a new service starts from.
SAID: Final = frozenset(
    (
        _("its priority is 1 to 3"),
        _("the clock started it"),
        _("its priority is 4 to 7"),
        _("its priority is 8 to 10"),
        _("most of its service's last runs took longer than the threshold for slow ones"),
        _("its own lane was overloaded, and this one had idle executors"),
        _("its service's"),
        _("from its event, as the manifest asks"),
        _("its service's: the event has no value where the manifest looks for one"),
        _("its service's: the event's value is no priority from 1 to 10"),
        _("asked for with this run"),
        _("set by hand while it waited"),
        _("A service failed, so many times in a row or within a time"),
        _("The packages of a service could not be installed"),
        _("A flow is overdue: a promise was not kept in time"),
        _("A subscription was switched off"),
        _("Data broke the known schema of an event type"),
        _("CloudEvents, structured: the whole event as JSON"),
        _("CloudEvents, binary: the data as the body, the rest in ce- headers"),
        *(
            _("Database"),
            _("Event log"),
            _("Object store"),
            _("Configuration and state"),
            _("Operational records"),
        ),
        *(_("Broker of doorbells"), _("Engine")),
        *(_("Python"), _("SQL"), _("Scheduled"), _("Webhook")),
        _("Runs a Python script when an event arrives or somebody fills a form."),
        _("Runs a query on a database, with the event's values bound."),
        _("The clock runs a Python script every day."),
        _("Runs for what other systems send to a webhook."),
    )
)


def said(text: str) -> str:
    """A sentence of the domain in the viewer's language."""
    return gettext(text) if text in SAID else str(text)


def word(value: str) -> str:
    """A stored value as people read it: in_progress -> in progress, or in Arbeit."""
    text = str(value).replace("_", " ")
    return gettext(text) if text in KNOWN else text


def within(sentence: str) -> str:
    """A sentence that another one goes on with: English begins it small there, German does not."""
    return str(sentence).lower() if (get_language() or "en").startswith("en") else str(sentence)
