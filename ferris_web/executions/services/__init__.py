"""Everything that writes the rows of this app, by what it is about.

`requests`: events accepted, runs asked for, cancels. `dispatch`: events become executions.
`claims`: executors take executions and keep them. `reports`: what executors say becomes rows.
`artifacts`: what steps left behind.
`redrive`: dead letters and failed executions get another chance.
"""

from ferris_web.executions.services.artifacts import artifacts_prune, log_archives_prune
from ferris_web.executions.services.changes import Change, changes_tell
from ferris_web.executions.services.claims import (
    execution_claim,
    executions_claim,
    executions_heartbeat,
)
from ferris_web.executions.services.dispatch import (
    Catalog,
    Dispatched,
    Doorbell,
    dead_letters_record,
    events_dispatch,
)
from ferris_web.executions.services.due import executions_due
from ferris_web.executions.services.redrive import (
    Piece,
    dead_letter_delete,
    dead_letter_event,
    dead_letter_redrive,
    dead_letters_redrive,
    failures_retry,
)
from ferris_web.executions.services.reports import Recorded, reports_apply
from ferris_web.executions.services.requests import (
    Requested,
    events_accept,
    execution_cancel,
    retry_request,
    run_request,
    wait_visible,
)
from ferris_web.executions.services.runs import Listener
from ferris_web.executions.services.tokens import token_execution

__all__ = [
    "Catalog",
    "Change",
    "Dispatched",
    "Doorbell",
    "Listener",
    "Piece",
    "Recorded",
    "Requested",
    "artifacts_prune",
    "changes_tell",
    "dead_letter_delete",
    "dead_letter_event",
    "dead_letter_redrive",
    "dead_letters_record",
    "dead_letters_redrive",
    "events_accept",
    "events_dispatch",
    "execution_cancel",
    "execution_claim",
    "executions_claim",
    "executions_due",
    "executions_heartbeat",
    "failures_retry",
    "log_archives_prune",
    "reports_apply",
    "retry_request",
    "run_request",
    "token_execution",
    "wait_visible",
]
