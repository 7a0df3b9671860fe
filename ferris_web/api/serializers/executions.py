"""Executions, events and flows."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.urls import reverse
from drf_spectacular.utils import PolymorphicProxySerializer, extend_schema_field
from rest_framework import serializers

from ferris.lanes import WHY
from ferris.precedence import PRIORITY_FROM
from ferris_web.api.serializers.fields import AnyJson, JsonObject, Number, Page, Text, Time, stamp
from ferris_web.api.serializers.promises import Promise
from ferris_web.api.serializers.values import GivenValue
from ferris_web.executions.models import STATUSES, TRIGGER_TYPES
from ferris_web.executions.models import Artifact as ArtifactRow
from ferris_web.executions.models import Step as StepRow
from ferris_web.executions.waiting import REASONS, Waiting, execution_waiting, executions_waiting

_OPTIONAL = {"required": False, "default": "", "allow_blank": True}
STEP_STATUSES = StepRow.Status.choices


class Progress(serializers.Serializer):
    """How far the script said it is (`context.progress`)."""

    done = Number()
    total = Number(allow_null=True, help_text="Null: nobody knows.")
    message = Text()
    at = serializers.SerializerMethodField(help_text="When it said so.")

    def get_at(self, said: dict[str, Any]) -> str:
        return f"{said['at'][:23]}Z"


class _Executions(serializers.ListSerializer):
    """Asks for all of them at once why they wait."""

    def to_representation(self, data: Any) -> list[Any]:
        rows = list(data)
        waits = executions_waiting(rows)
        for row in rows:
            row.waits = waits.get(row.pk)
        return super().to_representation(rows)


@extend_schema_field(
    {
        "type": "object",
        "nullable": True,
        "properties": {
            "reason": {"type": "string", "enum": list(REASONS)},
            "text": {"type": "string"},
            "until": {"type": "string", "format": "date-time"},
            "since": {"type": "string", "format": "date-time"},
            "by": {"type": "string"},
            "key": {"type": "string"},
            "limit": {"type": "integer"},
            "per": {"type": "number"},
            "lane": {"type": "string"},
            "share": {"type": "string"},
            "turns_before": {"type": "integer"},
            "behind": {"type": "array", "items": {"type": "string", "format": "uuid"}},
        },
        "required": ["reason", "text"],
    }
)
class WaitingField(serializers.SerializerMethodField):
    """Why an execution that has not begun waits: a code, the end of a sentence, and what belongs to it."""


class Execution(serializers.Serializer):
    """One run of one service for one event."""

    class Meta:
        list_serializer_class = _Executions

    id = serializers.UUIDField()
    service = serializers.CharField(source="service_name", help_text="The service's name.")
    project = serializers.CharField(source="project_name")
    version = serializers.IntegerField(source="version_number", help_text="Of the service: what runs.")
    status = serializers.ChoiceField(STATUSES)
    trigger_type = serializers.ChoiceField(TRIGGER_TYPES)
    correlation_id = serializers.CharField(help_text="`<flow id>_<sequence>`")
    flow_id = serializers.CharField()
    event_id = serializers.CharField(source="event_ident", help_text="The triggering event's id.")
    event_key = serializers.UUIDField(source="event_id", help_text="Identifies that event on the platform.")
    event_type = serializers.CharField()
    gathering_id = serializers.UUIDField(
        allow_null=True, help_text="Set when it runs for several events: they are in `/gatherings/{id}/`."
    )
    parent_execution_id = serializers.UUIDField(
        source="parent_id", allow_null=True, help_text="The execution that sent the triggering event."
    )
    attempt = serializers.IntegerField()
    lane = serializers.CharField()
    lane_reason = Text(
        help_text="Why this lane: " + ", ".join(f"`{code}`: {text}" for code, text in WHY.items())
    )
    priority = serializers.IntegerField()
    priority_from = Text(
        help_text="Where it comes from: "
        + ", ".join(f"`{code}`: {text}" for code, text in PRIORITY_FROM.items() if code)
        + "; empty: its service's."
    )
    created_at = Time()
    not_before = Time(allow_null=True, help_text="A pending execution waits until then.")
    started_at = Time(allow_null=True)
    finished_at = Time(allow_null=True)
    cancel_requested_at = Time(allow_null=True)
    reason = Text(help_text="Why it failed, was cancelled or skipped.")
    error = Text(help_text="One line for people.")
    worker = Text(help_text="The executor that claimed it last.")
    progress = Progress(allow_null=True, help_text="Of this attempt; null: it has said nothing.")
    waiting = WaitingField(
        help_text='Why it has not begun; null when it has. `reason` is a code, `text` completes "it waits …", '
        "`behind` names executions that have to end first."
    )

    def get_waiting(self, row: Any) -> dict[str, Any] | None:
        found = row.waits if hasattr(row, "waits") else execution_waiting(row)
        return None if found is None else waiting_json(found)


def waiting_json(found: Waiting) -> dict[str, Any]:
    """Why an execution waits, its times as the API writes them."""
    said: dict[str, Any] = found.to_json()
    return {name: stamp(value) if isinstance(value, datetime) else value for name, value in said.items()}


class Table(serializers.Serializer):
    """The first rows of one query of a .sql script. Values are texts, or null."""

    columns = serializers.ListField(child=serializers.CharField())
    rows = serializers.ListField(
        child=serializers.ListField(child=serializers.CharField(allow_null=True, trim_whitespace=False))
    )
    count = serializers.IntegerField(help_text="How many rows were taken; `rows` holds the first of them.")
    truncated = serializers.BooleanField(help_text="There were more: the limit of rows was reached.")
    file = serializers.CharField(allow_null=True, help_text="The artifact with every row.")
    line = serializers.IntegerField(allow_null=True, help_text="The line of the script.")


class Continued(serializers.Serializer):
    """The earlier execution that one takes up."""

    execution = serializers.UUIDField()
    scripts = serializers.ListField(child=serializers.CharField(), help_text="Those that it had done.")


class ExecutionWhole(Execution):
    """One execution, with how it stands to earlier ones."""

    continues = Continued(allow_null=True, help_text="It began at a later step; null: at the first.")
    from_failed_step = Text(
        help_text="Why it cannot be run again from the step that failed; null: it can (`/retry/`), or has not failed."
    )


class Step(serializers.Serializer):
    """One script of one attempt."""

    attempt = serializers.IntegerField()
    index = serializers.IntegerField()
    script = serializers.CharField()
    status = serializers.ChoiceField(STEP_STATUSES)
    started_at = Time(allow_null=True)
    finished_at = Time(allow_null=True)
    exit_code = serializers.IntegerField(allow_null=True)
    signal = Text()
    error = Text()
    tables = Table(many=True, allow_null=True, help_text="What its queries gave.")
    exit_reason = Text(help_text="How it ended, in plain words; names the limit that ended it.")
    wall_ms = serializers.IntegerField(allow_null=True)
    cpu_ms = serializers.IntegerField(allow_null=True)
    memory_bytes = serializers.IntegerField(allow_null=True, help_text="Most that was in use at once.")
    memory_of = Text(help_text="What that counts: the largest process, or all of the execution.")
    output_bytes = serializers.IntegerField(allow_null=True)
    isolation = serializers.DictField(help_text="Its level, its layers, and those its executor lacks.")


class ValueThen(serializers.Serializer):
    """A value of the configuration store as an attempt got it."""

    known = serializers.BooleanField(help_text="What it was is certain; that there was none, too.")
    masked = serializers.BooleanField(help_text="A secret stood in it: it was not kept.")
    change = serializers.IntegerField(
        allow_null=True, help_text="Its number in the history. Null: there was none, or it is not kept."
    )
    newest = serializers.IntegerField(allow_null=True, help_text="The number of the newest change.")
    changed_since = serializers.BooleanField(allow_null=True, help_text="Null: its store is away.")
    replaced_meanwhile = serializers.BooleanField(
        help_text="Before the attempt had ended: what reads the store itself may have got either."
    )


class ConfigThen(ValueThen):
    """One of the configurations."""

    scope = serializers.CharField(help_text="`service`, `project` or `platform`.")


class EnvThen(ValueThen):
    """`ferris.env`."""

    value = AnyJson(
        allow_null=True, help_text="What administrators had put there; null when it is not known."
    )


class AttemptConfig(serializers.Serializer):
    """What one attempt was given."""

    attempt = serializers.IntegerField()
    recorded = serializers.BooleanField(
        help_text="False: its executor or the platform was too old to note it."
    )
    config = serializers.DictField(
        allow_null=True, help_text="As scripts saw it; null when not all of it is certain."
    )
    values = GivenValue(many=True, help_text="What is certain of it.")
    sources = ConfigThen(many=True, help_text="The nearest first.")
    env = EnvThen(allow_null=True, help_text="For administrators.")


class ExecutionConfig(serializers.Serializer):
    """What an execution was given."""

    attempts = AttemptConfig(many=True, help_text="Of which a script began; the last one first.")


class ArtifactQuery(serializers.Serializer):
    """Which of several of one name."""

    attempt = serializers.IntegerField(required=False, min_value=1, max_value=2**31 - 1)
    step = serializers.IntegerField(required=False, min_value=0, max_value=2**31 - 1)


class Artifact(serializers.Serializer):
    """A file that a step left behind."""

    name = serializers.CharField(help_text="Folders included: charts/a.png.")
    size = serializers.IntegerField(help_text="In bytes.")
    content_type = serializers.CharField()
    attempt = serializers.IntegerField()
    step = serializers.IntegerField(help_text="The step's index.")
    script = serializers.CharField()
    created_at = Time()
    url = serializers.SerializerMethodField(help_text="Its content.")

    def get_url(self, row: ArtifactRow) -> str:
        path = reverse("api:execution-artifact", args=[row.execution_id, row.name])
        request = self.context.get("request")
        query = f"?attempt={row.attempt}&step={row.step}"
        return request.build_absolute_uri(path + query) if request else path + query


class LogLine(serializers.Serializer):
    """One line of an execution's log. `seq` is the cursor for `after`."""

    seq = serializers.IntegerField()
    attempt = serializers.IntegerField()
    time = Time()
    step = serializers.CharField(allow_null=True)
    stream = serializers.ChoiceField(["stdout", "stderr", "log", "platform"])
    level = serializers.CharField()
    message = serializers.CharField(trim_whitespace=False)


class LogPage(Page):
    """Lines of a log."""

    results = LogLine(many=True)


class Requested(serializers.Serializer):
    """What was asked for. The execution is found at `url` at once, or some milliseconds later."""

    id = serializers.UUIDField(help_text="The new execution's id.")
    event_id = serializers.CharField()
    correlation_id = serializers.CharField(help_text="The flow's id: finds all executions of the flow.")
    flow_id = serializers.CharField()
    url = serializers.URLField()


class Parameters(serializers.Serializer):
    """Values of the service's parameters, and any others."""

    parameters = JsonObject(required=False, default=dict)

    def validate_parameters(self, value: Any) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise serializers.ValidationError("expected an object")
        return value


class RunParameters(Parameters):
    """Values of the service's parameters, and perhaps a priority for this run alone."""

    saved = serializers.CharField(
        required=False, default="", help_text="The name of a saved run to begin with."
    )
    priority = serializers.IntegerField(
        required=False,
        allow_null=True,
        default=None,
        min_value=1,
        max_value=10,
        help_text="1 to 10, 1 first.",
    )


class Priority(serializers.Serializer):
    """Another priority."""

    priority = serializers.IntegerField(min_value=1, max_value=10, help_text="1 to 10, 1 first.")


class RetryParameters(Parameters):
    """Other parameters for the repetition; those of the first run if left out."""

    parameters = JsonObject(required=False)


class RetryIn(RetryParameters):
    """How it is repeated."""

    from_failed_step = serializers.BooleanField(
        required=False,
        default=False,
        help_text="Go on at the step that failed, with the files that the steps before had left; not with other "
        "parameters.",
    )


# --- events ------------------------------------------------------------------------------------------


class EventHead(serializers.Serializer):
    """An event of the journal without its data."""

    key = serializers.UUIDField(help_text="Identifies the event: made of source and id.")
    id = serializers.CharField(source="event_id")
    source = serializers.CharField()
    type = serializers.CharField()
    subject = Text()
    time = Time()
    received_at = Time()
    flow_id = serializers.CharField()
    parent_execution_id = Text(source="causation_id", help_text="The execution that sent it.")
    hops = serializers.IntegerField()
    matched = serializers.IntegerField(help_text="How many services it triggered.")
    copies = serializers.IntegerField(help_text="How often it came again.")


class Event(EventHead):
    """An event of the journal."""

    datacontenttype = Text()
    data = AnyJson(allow_null=True)
    extensions = JsonObject()


class EventDetail(Event):
    """An event, where it stands on the log, and the first 500 executions that it caused."""

    topic = serializers.CharField()
    partition = serializers.IntegerField()
    offset = serializers.IntegerField()
    revision = serializers.IntegerField(help_text="Of the catalog, when it was matched.")
    executions = Execution(many=True, source="caused")


class Accepted(serializers.Serializer):
    """An event that is on the log."""

    id = serializers.CharField(help_text="The event's own id.")
    correlation_id = serializers.CharField(help_text="The id of the flow it belongs to.")


class AcceptedBatch(serializers.Serializer):
    """A batch, in its order."""

    events = Accepted(many=True)


ACCEPTED = PolymorphicProxySerializer(
    component_name="AcceptedAny", serializers=[Accepted, AcceptedBatch], resource_type_field_name=None
)


# --- flows -------------------------------------------------------------------------------------------


class FlowHead(serializers.Serializer):
    """All that grew out of one event."""

    id = serializers.CharField()
    root_type = serializers.CharField()
    started_at = Time()
    last_event_at = Time()
    executions = serializers.IntegerField(source="sequence", help_text="How many there are so far.")
    statuses = serializers.DictField(
        child=serializers.IntegerField(), help_text="How many of them have which status."
    )


class EventNode(EventHead):
    """A node of the flow's graph."""

    kind = serializers.SerializerMethodField()
    event_id = serializers.CharField()
    id = serializers.UUIDField(source="key")

    def get_kind(self, row: Any) -> str:
        return "event"


class ExecutionNode(Execution):
    """A node of the flow's graph."""

    kind = serializers.SerializerMethodField()

    def get_kind(self, row: Any) -> str:
        return "execution"


class FlowEdge(serializers.Serializer):
    """`triggered`: an event caused an execution. `sent`: an execution sent an event. `gathered`: an event was handed
    to an execution with others. `mapped`, `replayed`: an event was made into another one."""

    kind = serializers.ChoiceField(["triggered", "sent", "gathered", "mapped", "replayed"])
    source = serializers.CharField()
    target = serializers.CharField()
    flow = serializers.CharField(
        allow_null=True,
        help_text="The other flow that one of the two belongs to: it is no node of this graph.",
    )


class Cancel(serializers.Serializer):
    """How to cancel."""

    force = serializers.BooleanField(
        default=False, help_text="Without the word of an executor that keeps silent."
    )


class Seconds(serializers.FloatField):
    """A length of time."""

    def to_representation(self, value: timedelta) -> float:
        return value.total_seconds()


class CriticalPath(serializers.Serializer):
    """The chain of causes that ends with what ended last."""

    nodes = serializers.ListField(child=serializers.CharField(), source="keys")
    seconds = Seconds(source="length")
    running_seconds = Seconds(source="running", help_text="In scripts.")
    waiting_seconds = Seconds(source="waiting", help_text="In line.")
    open = serializers.BooleanField(help_text="Its end is still to come: so far.")


class Flow(serializers.Serializer):
    """One flow as a graph."""

    id = serializers.CharField(source="flow_id")
    root_type = Text(source="flow.root_type", default=None)
    started_at = Time(source="flow.started_at", allow_null=True, default=None)
    last_event_at = Time(source="flow.last_event_at", allow_null=True, default=None)
    settled = serializers.BooleanField(
        help_text="Nothing of it runs, and nothing it sent waits to be routed."
    )
    truncated = serializers.BooleanField(help_text="It has more nodes than are given here.")
    promises = Promise(many=True, help_text="Up to 100 of them, those that were not kept in time first.")
    nodes = serializers.SerializerMethodField()
    edges = FlowEdge(many=True)
    critical_path = CriticalPath(allow_null=True, help_text="Null while nothing has run.")

    @extend_schema_field(
        PolymorphicProxySerializer(
            component_name="FlowNode",
            serializers={"event": EventNode, "execution": ExecutionNode},
            resource_type_field_name="kind",
            many=True,
        )
    )
    def get_nodes(self, graph: Any) -> list[Any]:
        return [
            *EventNode(graph.events, many=True).data,
            *ExecutionNode(graph.executions, many=True).data,
        ]
