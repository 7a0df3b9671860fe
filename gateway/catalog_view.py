"""The catalog as the router sees it: the routing table and the services, brought up to date when they changed."""

from __future__ import annotations

import gc
import logging
from typing import Any
from uuid import UUID

from ferris.promises import Promise, PromiseTable
from ferris.routing import FilterError, RoutingTable, Trigger
from ferris_web.catalog import selectors as catalog
from ferris_web.catalog.subscriptions import subscription_triggers
from ferris_web.executions.services import Catalog, Listener
from ferris_web.executions.services.charts import chart_triggers
from ferris_web.executions.services.runs import listener_of

log = logging.getLogger(__name__)

_MANY = 5_000


class CatalogView:
    """For one thread: what `current` answered before is what it answers now, brought up to date."""

    def __init__(self) -> None:
        self._forget()

    def _forget(self) -> None:
        self._held: Catalog | None = None
        self._table = RoutingTable(())
        self._listeners: dict[str, Listener] = {}
        self._marks: dict[UUID, tuple[object, ...]] = {}
        self._promises: PromiseTable | None = None
        self._promised: dict[str, dict[str, Any]] = {}
        self._subscriptions: RoutingTable | None = None
        self._subscribed: list[Trigger] = []
        self._charts: RoutingTable | None = None
        self._charted: list[Trigger] = []

    def current(self) -> Catalog:
        """The catalog of now: an event is matched with what was synced before it was read."""
        revision = catalog.revision()
        while self._held is None or self._held.revision != revision:
            # Rows may be newer than the revision read before them. The journal says with which one an event was
            # matched, so that it can be explained later: loaded until both are of one time.
            try:
                self._bring()
            except BaseException:
                self._forget()
                raise
            self._held = Catalog(
                revision=revision,
                match=self._table.match,
                listeners=self._listeners,
                promises=self._promises,
                subscriptions=self._subscriptions,
                charts=self._charts,
            )
            revision = catalog.revision()
        return self._held

    @property
    def revision(self) -> int:
        """The revision of what `current` answered last."""
        return self._held.revision if self._held else -1

    def _bring(self) -> None:
        """Only services whose rows changed are read whole, and only their triggers compiled and placed anew: an
        event waits for as long as that takes, and no event is matched with less than was synced before it."""
        marks = catalog.services_marks()
        changed = {pk for pk, mark in marks.items() if self._marks.get(pk) != mark}
        gone = self._marks.keys() - marks.keys()
        # So many that all are read: those that did not change are placed anew, too.
        wanted = changed if len(changed) <= _MANY else None
        away = gone | (changed if wanted is not None else self._marks.keys())
        self._table.replace(map(str, away), catalog.triggers_all(wanted), _refused)
        for pk in gone:
            del self._listeners[str(pk)]
        for service in catalog.services_versioned(wanted):
            self._listeners[str(service.id)] = listener_of(service)
        self._marks = marks
        self._bring_promises()
        self._bring_subscriptions()
        self._bring_charts()
        if len(changed) > _MANY:
            gc.freeze()  # it stays: from now on, looks for garbage need not walk through it

    def _bring_promises(self) -> None:
        rules = catalog.promise_rules()
        if rules != self._promised:
            made = {pk: Promise.from_json(rule) for pk, rule in rules.items()}
            self._promises = PromiseTable(made, _refused) if made else None
            self._promised = rules

    def _bring_subscriptions(self) -> None:
        triggers = subscription_triggers()
        if triggers != self._subscribed:
            self._subscriptions = RoutingTable(triggers, _refused) if triggers else None
            self._subscribed = triggers

    def _bring_charts(self) -> None:
        triggers = chart_triggers()
        if triggers != self._charted:
            self._charts = RoutingTable(triggers, _refused) if triggers else None
            self._charted = triggers


def _refused(trigger: Trigger, error: FilterError | ValueError) -> None:
    """A word in the log about a trigger that a sync would have refused: it must not stop the others."""
    log.error("a trigger of %s is left out: %s; sync its project again", trigger.service, error)
