"""What the catalog knows: each model under what it is about. Imported from here by all others."""

from ferris_web.catalog.models.connections import Connection
from ferris_web.catalog.models.event_types import EventMap, EventSchema, EventType
from ferris_web.catalog.models.histories import Revision, ServiceHistory, TriggerHistory
from ferris_web.catalog.models.key_values import KeyValue
from ferris_web.catalog.models.notifications import NotificationRule
from ferris_web.catalog.models.projects import Project
from ferris_web.catalog.models.promises import PromiseRule
from ferris_web.catalog.models.repositories import Repository, RepositorySecret, SyncRun
from ferris_web.catalog.models.saved_runs import SavedRun
from ferris_web.catalog.models.schedules import Schedule
from ferris_web.catalog.models.secrets import Secret, SecretUse
from ferris_web.catalog.models.services import OutputEvent, Service, ServiceVersion, Trigger
from ferris_web.catalog.models.subscriptions import Subscription
from ferris_web.catalog.models.values import ValueChange
from ferris_web.catalog.models.webhooks import Webhook, WebhookDelivery

__all__ = [
    "Connection",
    "EventMap",
    "EventSchema",
    "EventType",
    "KeyValue",
    "NotificationRule",
    "OutputEvent",
    "Project",
    "PromiseRule",
    "Repository",
    "RepositorySecret",
    "Revision",
    "SavedRun",
    "Schedule",
    "Secret",
    "SecretUse",
    "Service",
    "ServiceHistory",
    "ServiceVersion",
    "Subscription",
    "SyncRun",
    "Trigger",
    "TriggerHistory",
    "ValueChange",
    "Webhook",
    "WebhookDelivery",
]
