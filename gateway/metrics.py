"""What the gateway counts."""

from __future__ import annotations

from ferris.adapters.prometheus import counter, histogram

EVENTS = counter("ferris_events_routed_total", "Events matched with the catalog and written.")
EXECUTIONS = counter("ferris_executions_dispatched_total", "Executions written for events.")
DISPATCH_SECONDS = histogram(
    "ferris_dispatch_seconds", "From an event's place on the log to its executions in the database."
)
DOORBELLS = counter("ferris_doorbells_rung_total", "Messages sent to executors.", ("lane",))
PUT_ASIDE = counter("ferris_records_put_aside_total", "Records that became dead letters.", ("reason",))
HANDLED = counter("ferris_records_handled_total", "Records that a role has done with.", ("role",))
TURNS = counter("ferris_role_turns_total", "Turns of a role that ended well.", ("role",))
FAILURES = counter("ferris_role_failures_total", "Turns of a role that failed and are repeated.", ("role",))
