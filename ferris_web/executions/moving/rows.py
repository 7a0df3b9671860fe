"""The tables as JSON lines, and back. Ids stay what they are, so that links and tokens go on working.

Secrets travel encrypted, as they lie in the table; the keys do not travel. The platform that takes them in needs
the key of the other one among its own, and encrypts them anew with its first.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any

from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount
from django.contrib.auth.models import Group, Permission
from django.core.management.color import no_style
from django.db import connection, models, transaction

from ferris_web import wiring
from ferris_web.accounts.members import roles_begin
from ferris_web.accounts.models import ApiToken, Membership, User
from ferris_web.accounts.second_factors import factor_reencrypted
from ferris_web.catalog.history import history_begin
from ferris_web.catalog.models import (
    Connection,
    EventMap,
    EventSchema,
    EventType,
    NotificationRule,
    OutputEvent,
    Project,
    PromiseRule,
    Repository,
    RepositorySecret,
    Revision,
    SavedRun,
    Schedule,
    Secret,
    SecretUse,
    Service,
    ServiceHistory,
    ServiceVersion,
    Subscription,
    SyncRun,
    Trigger,
    TriggerHistory,
    ValueChange,
    Webhook,
    WebhookDelivery,
)
from ferris_web.executions.models import (
    Artifact,
    Binding,
    BindingsMark,
    BulkJob,
    Chart,
    ChartEntry,
    ChartFeed,
    ChartSum,
    DeadLetter,
    DefaultView,
    Delivery,
    DeliveryAttempt,
    Event,
    Execution,
    FailureKind,
    Flow,
    Gate,
    GatheredEvent,
    Gathering,
    LanePause,
    MetricPoint,
    MetricRollup,
    MetricSeries,
    Notice,
    Notification,
    Pace,
    Promise,
    Replay,
    Rollup,
    SavedView,
    Standing,
    Step,
    Tally,
)

MODELS: tuple[type[models.Model], ...] = (
    *(Group, User, ApiToken, SocialAccount, Authenticator),
    *(
        Project,
        Membership,
        ApiToken.projects.through,
        Repository,
        RepositorySecret,
        SyncRun,
        Service,
        ServiceVersion,
        Trigger,
        OutputEvent,
        EventType,
    ),
    *(EventMap, EventSchema, ServiceHistory, TriggerHistory),
    *(Secret, Connection, Connection.projects.through, Schedule, Revision),
    *(SavedRun, ValueChange, SecretUse, Webhook, WebhookDelivery, Subscription, NotificationRule),
    *(
        Flow,
        Event,
        FailureKind,
        Execution,
        Gate,
        LanePause,
        Pace,
        Step,
        Artifact,
        DeadLetter,
        Replay,
        BulkJob,
    ),
    *(SavedView, DefaultView),
    *(Binding, BindingsMark),
    *(Gathering, GatheredEvent, Rollup, Standing, Tally, MetricSeries, MetricPoint, MetricRollup),
    *(Chart, ChartFeed, ChartEntry, ChartSum),
    *(PromiseRule, Promise),
    *(Delivery, DeliveryAttempt, Notice, Notification),
)
# Made by every start of a platform, and replaced by what an archive holds.
_GIVEN: tuple[type[models.Model], ...] = (User, Revision, BindingsMark)
ELSEWHERE = -1
"""The partition of a record that is on the log of another platform."""

_AT_ONCE = 500


def label(model: type[models.Model]) -> str:
    """What the rows of a model are called in an archive."""
    return model._meta.label_lower


def found() -> dict[str, int]:
    """How many rows there are, by label."""
    return {label(model): model._base_manager.count() for model in MODELS}


def occupied() -> str:
    """What is in the tables that a platform just made does not have, in words; "" for none."""
    for model in MODELS:
        count = model._base_manager.count()
        if count > (1 if model in _GIVEN else 0) and model is not ApiToken:
            return f"{count} {model._meta.verbose_name_plural}"
    return ""


def lines(model: type[models.Model]) -> Iterator[dict[str, Any]]:
    """Every row of a model, a few at a time."""
    for row in model._base_manager.order_by("pk").iterator(chunk_size=_AT_ONCE):
        yield {field.attname: _said(getattr(row, field.attname)) for field in _fields(model)} | _granted(row)


def take_in(of: Callable[[str], Iterable[dict[str, Any]]]) -> None:
    """Fill the tables with the lines that `of` gives for each label: all of them, or after an error none."""
    with transaction.atomic():
        for given in _GIVEN:
            given._base_manager.all().delete()
        old = False
        for model in MODELS:
            rows = iter(of(label(model)))
            while batch := list(islice(rows, _AT_ONCE)):
                old = old or (model is User and "service_of_id" not in batch[0])
                _insert(model, batch)
        with connection.cursor() as cursor:
            for statement in connection.ops.sequence_reset_sql(no_style(), MODELS):
                cursor.execute(statement)
        history_begin()  # of an archive that is older than the history
        if old:
            roles_begin()  # and this of one that is older than roles


def _insert(model: type[models.Model], batch: list[dict[str, Any]]) -> None:
    fields = _fields(model)
    rows = []
    for line in batch:
        said = {f.attname: _meant(f, line[f.attname]) for f in fields if f.attname in line}
        rows.append(model(**said))
        _ADJUST.get(model, lambda row: None)(rows[-1])
    automatic = [f.name for f in fields if getattr(f, "auto_now", False) or getattr(f, "auto_now_add", False)]
    kept = [[getattr(row, name) for name in automatic] for row in rows]
    model._base_manager.bulk_create(rows)
    if automatic:  # set to this moment by the insert
        for row, values in zip(rows, kept, strict=True):
            for name, value in zip(automatic, values, strict=True):
                setattr(row, name, value)
        model._base_manager.bulk_update(rows, automatic)
    for row, line in zip(rows, batch, strict=True):
        _grant(row, line)


def _fields(model: type[models.Model]) -> list[Any]:
    return list(model._meta.concrete_fields)


def _said(value: Any) -> Any:
    if isinstance(value, bytes | memoryview):
        return base64.b64encode(value).decode()
    return value.isoformat() if hasattr(value, "isoformat") else value


def _meant(field: Any, value: Any) -> Any:
    if value is None or isinstance(field, models.JSONField):
        return value
    target = field.target_field if field.is_relation else field
    return target.to_python(value)


# --- what is adjusted on the way in -------------------------------------------------------------------


def _new_key(kept: Any) -> None:
    kept.ciphertext = wiring.cipher().rotate(kept.ciphertext.encode()).decode()


def _new_factor_key(row: Any) -> None:
    row.data = factor_reencrypted(row.data)


def _unrung(execution: Any) -> None:
    execution.rung_at = None  # its doorbell stayed behind


def _elsewhere(row: Any) -> None:
    row.partition = ELSEWHERE
    if isinstance(row, DeadLetter):
        row.offset = row.pk  # one place each, also when letters of two logs have met


_ADJUST: dict[type[models.Model], Callable[[Any], None]] = {
    Secret: _new_key,
    Connection: _new_key,
    Webhook: _new_key,
    RepositorySecret: _new_key,
    Subscription: _new_key,
    NotificationRule: _new_key,
    Authenticator: _new_factor_key,
    Execution: _unrung,
    Event: _elsewhere,
    DeadLetter: _elsewhere,
}


# --- groups and permissions, by name: their numbers differ from database to database --------------------


def _granted(row: Any) -> dict[str, Any]:
    if isinstance(row, Group):
        return {"permissions": _named(row.permissions)}
    if isinstance(row, User):
        return {
            "groups": list(row.groups.values_list("name", flat=True)),
            "permissions": _named(row.user_permissions),
        }
    return {}


def _named(granted: Any) -> list[list[str]]:
    return [list(names) for names in granted.values_list("content_type__app_label", "codename")]


def _grant(row: Any, line: dict[str, Any]) -> None:
    if isinstance(row, Group):
        row.permissions.set(_permissions(line))
    elif isinstance(row, User):
        row.groups.set(Group.objects.filter(name__in=line.get("groups", ())))
        row.user_permissions.set(_permissions(line))


def _permissions(line: dict[str, Any]) -> list[Permission]:
    return [
        permission
        for app, codename in line.get("permissions", ())
        for permission in Permission.objects.filter(content_type__app_label=app, codename=codename)
    ]
