"""Words that are stored and sent as they are, and shown in the viewer's language: statuses, reasons, roles.

Sentences are recognised in `sentences.py`; names of parts and of what a service starts from are said here, too.
"""

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
        # what became of an event in one
        *(_("debounced"), _("batched"), _("duplicate"), _("dropped"), _("released"), _("joined")),
        *(_("unjoined"), _("ran"), _("met"), _("due"), _("told"), _("over")),
        # kinds of places
        *(_("page"), _("service"), _("project"), _("event type"), _("event"), _("execution"), _("flow"), _("view")),
        *(_("all"), _("any"), _("config"), _("state"), _("env"), _("never used"), _("lost"), _("warning"), _("error")),
        *(_("withdrawn"), _("invalid"), _("gone")),
        # of workers, besides; why a repository was synced; what came to a webhook
        *(_("draining"), _("drained"), _("stopping")),
        *(_("push"), _("interval"), _("rollback"), _("accepted")),
        # what a sync found in a service, or two versions differ in
        *(_("added"), _("changed"), _("removed")),
        *(_("help"), _("hour"), _("day"), _("average"), _("least"), _("most"), _("last"), _("sum"), _("count")),
    )
)  # fmt: skip


# The names of backends, which are no sentences, and what a new service starts from.
NAMES: Final = frozenset(
    (
        *(
            _("Database"),
            _("Event log"),
            _("Object store"),
            _("Configuration and state"),
            _("Operational records"),
        ),
        *(_("Broker of doorbells"), _("Disk"), _("Engine")),
        *(_("Python"), _("SQL"), _("Scheduled"), _("Webhook")),
        _("Runs a Python script when an event arrives or somebody fills a form."),
        _("Runs a query on a database, with the event's values bound."),
        _("The clock runs a Python script every day."),
        _("Runs for what other systems send to a webhook."),
    )
)

WITHIN: Final = frozenset(
    (
        # states: `execution … is in_progress`
        *("pending", "queued", "in_progress", "completed", "failed", "cancelled", "skipped"),
        *("running", "stopped", "paused", "active", "disabled", "open", "closed", "delivered"),
        # kinds: `there is no service …`, `has 300 labels`, `10.0.0.1 is private`; roles: `needs the role operator`
        *("execution", "service", "project", "platform", "event", "flow", "event type", "view"),
        *(_("replay"), _("gathering"), _("schedule"), _("subscription"), _("chart"), _("secret"), _("repository")),
        *("state", "config", _("configuration"), _("environment"), _("signature"), _("token"), _("topic"), _("bucket")),
        *(_("labels"), _("series"), _("values"), _("private"), _("link-local"), _("unspecified"), _("multicast")),
        *("owner", "maintainer", "operator", "viewer"),
    )
)  # fmt: skip
"""Single words that the domain puts into its sentences as values."""


def word(value: str) -> str:
    """A stored value as people read it: in_progress -> in progress, or in Arbeit."""
    text = str(value).replace("_", " ")
    return gettext(text) if text in KNOWN or text in WITHIN else text


def within(sentence: str) -> str:
    """A sentence that another one goes on with: English begins it small there, German does not."""
    return str(sentence).lower() if (get_language() or "en").startswith("en") else str(sentence)
