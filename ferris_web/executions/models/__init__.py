"""What happened: each model under what it is about. Imported from here by all others."""

from ferris_web.executions.models.admission import Gate, Pace
from ferris_web.executions.models.bonds import Binding, BindingsMark
from ferris_web.executions.models.bulk import BulkJob
from ferris_web.executions.models.charts import OF_ALL, OF_SOURCE, Chart, ChartEntry, ChartFeed, ChartSum
from ferris_web.executions.models.deliveries import Delivery, DeliveryAttempt
from ferris_web.executions.models.events import DeadLetter, Event, Flow
from ferris_web.executions.models.executions import (
    LANES,
    OPEN,
    STATUSES,
    TRIGGER_TYPES,
    Artifact,
    Execution,
    Step,
)
from ferris_web.executions.models.failures import FailureKind
from ferris_web.executions.models.gatherings import (
    GATHERED,
    GATHERING_STATES,
    KINDS,
    GatheredEvent,
    Gathering,
)
from ferris_web.executions.models.metrics import MetricPoint, MetricRollup, MetricSeries
from ferris_web.executions.models.notifications import Notice, Notification
from ferris_web.executions.models.promises import PROMISE_STATES, Promise
from ferris_web.executions.models.replays import Replay
from ferris_web.executions.models.rollups import ROLLUPS_KEPT, Rollup, Standing, Tally
from ferris_web.executions.models.saved_views import DefaultView, SavedView
from ferris_web.executions.models.workers import LanePause, Worker

__all__ = [
    "GATHERED",
    "GATHERING_STATES",
    "KINDS",
    "LANES",
    "OF_ALL",
    "OF_SOURCE",
    "OPEN",
    "PROMISE_STATES",
    "ROLLUPS_KEPT",
    "STATUSES",
    "TRIGGER_TYPES",
    "Artifact",
    "Binding",
    "BindingsMark",
    "BulkJob",
    "Chart",
    "ChartEntry",
    "ChartFeed",
    "ChartSum",
    "DeadLetter",
    "DefaultView",
    "Delivery",
    "DeliveryAttempt",
    "Event",
    "Execution",
    "FailureKind",
    "Flow",
    "Gate",
    "GatheredEvent",
    "Gathering",
    "LanePause",
    "MetricPoint",
    "MetricRollup",
    "MetricSeries",
    "Notice",
    "Notification",
    "Pace",
    "Promise",
    "Replay",
    "Rollup",
    "SavedView",
    "Standing",
    "Step",
    "Tally",
    "Worker",
]
