"""Routes that programs call: REST API, control API, health, metrics."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponseBase
from django.urls import URLPattern, path, re_path
from django.views.decorators.csrf import csrf_exempt

from ferris.scopes import Scope
from ferris_web.api import health, metrics, problems
from ferris_web.api.control import executors, kv
from ferris_web.api.control import schedules as schedules_dialect
from ferris_web.api.control import secrets as secrets_dialect
from ferris_web.api.needs import NEEDS
from ferris_web.api.preconditions import conditional
from ferris_web.api.throttle import rated
from ferris_web.api.views import (
    accounts,
    artifacts,
    audit,
    backtests,
    bulk,
    charts,
    connections,
    dashboards,
    docs,
    event_maps,
    event_types,
    events,
    executions,
    failures,
    flow_control,
    flows,
    gatherings,
    hooks,
    lists,
    notifications,
    objects,
    operations,
    problem_pages,
    projects,
    promises,
    replays,
    repositories,
    saved_views,
    schedules,
    schemas,
    search,
    secrets,
    service_files,
    services,
    subscriptions,
    system_map,
    values,
    webhooks,
    why,
)
from ferris_web.catalog.values import Kind

app_name = "api"

_SERVICE, _PROJECT = {"scope": Scope.SERVICE}, {"scope": Scope.PROJECT}


def served(view: Any, name: str, **options: Any) -> Any:
    """What every address of the REST API does, around its view."""
    shown = rated(conditional(view.as_view(**options)))
    shown.need = NEEDS.get(name)  # for all its routes: only one of them has the name
    return shown


def route(address: str, view: Any, name: str, **options: Any) -> list[URLPattern]:
    """A route of the REST API with and without its last slash: a redirect would turn a POST into a GET."""
    shown = served(view, name, **options)
    return [path(f"api/v1/{address}/", shown, name=name), path(f"api/v1/{address}", shown)]


def content(address: str, view: Any, name: str) -> URLPattern:
    """A route whose end is a name with slashes of its own."""
    return path(f"api/v1/{address}", served(view, name), name=name)


def value(address: str, name: str, **options: Any) -> list[URLPattern]:
    """The routes of one value of the configuration store, with its history."""
    change = f"{address}/history/<int:number>"
    return [
        *route(address, values.Value, name, **options),
        *route(f"{address}/history", values.ValueHistory, f"{name}-history", **options),
        *route(change, values.ValueChangeDetail, f"{name}-change", **options),
        *route(f"{change}/restore", values.ValueChangeRestore, f"{name}-restore", **options),
    ]


@csrf_exempt  # or who sends something there would read of a form that has expired
def nothing(request: HttpRequest, **arguments: Any) -> HttpResponseBase:
    """Whatever else lies below the addresses of programs."""
    return problems.problem("not-found", f"There is nothing at {request.path}")


urlpatterns: list[URLPattern] = [
    path("control/claim", executors.claim),
    path("control/heartbeat", executors.heartbeat),
    path("control/secrets/by-name", secrets_dialect.by_name),
    path("control/secrets/", secrets_dialect.write),
    path("control/secrets", secrets_dialect.write),
    re_path(r"^control/services/(?P<service>[^/]+)/schedule/?$", schedules_dialect.schedule),
    path("control/v1/kv/<path:key>", kv.key),
    path("control/v1/kv/", kv.key, {"key": ""}),
    *route("events", events.EventList, "events"),
    *route("events/<path:event>/why", why.EventWhy, "event-why"),
    *route("events/<path:event>", events.EventDetail, "event"),
    *route("backtests", backtests.BacktestList, "backtests"),
    *route("executions", executions.ExecutionList, "executions"),
    *route("executions/<uuid:pk>", executions.ExecutionDetail, "execution"),
    *route("executions/<uuid:pk>/steps", executions.StepList, "execution-steps"),
    *route("executions/<uuid:pk>/config", executions.ExecutionConfig, "execution-config"),
    *route("executions/<uuid:pk>/artifacts", artifacts.ArtifactList, "execution-artifacts"),
    content("executions/<uuid:pk>/artifacts/<path:name>", artifacts.ArtifactContent, "execution-artifact"),
    *route("executions/<uuid:pk>/logs", executions.ExecutionLog, "execution-logs"),
    *route("executions/<uuid:pk>/logs/file", executions.ExecutionLogFile, "execution-log-file"),
    *route("executions/<uuid:pk>/cancel", executions.ExecutionCancel, "execution-cancel"),
    *route("executions/<uuid:pk>/priority", executions.ExecutionPriority, "execution-priority"),
    *route("executions/<uuid:pk>/retry", executions.ExecutionRetry, "execution-retry"),
    *route("failures", failures.FailureGroups, "failures"),
    *route("failures/retry", failures.FailuresRetry, "failures-retry"),
    *route("flows", flows.FlowList, "flows"),
    *route("flows/<path:flow_id>", flows.FlowDetail, "flow"),
    *route("gatherings", gatherings.GatheringList, "gatherings"),
    *route("gatherings/<uuid:pk>", gatherings.GatheringDetail, "gathering"),
    *route("gatherings/<uuid:pk>/close", gatherings.GatheringClose, "gathering-close"),
    *route("gatherings/<uuid:pk>/discard", gatherings.GatheringDiscard, "gathering-discard"),
    *route("services", services.ServiceList, "services"),
    *route("services/<str:name>", services.ServiceDetail, "service"),
    *route("services/<str:name>/run", services.ServiceRun, "service-run"),
    *route("promises", promises.PromiseList, "promises"),
    *route("services/<str:name>/pause", flow_control.ServicePause, "service-pause"),
    *route("services/<str:name>/resume", flow_control.ServiceResume, "service-resume"),
    *route("services/<str:name>/saved-runs", services.SavedRunList, "service-saved-runs"),
    *route("services/<str:name>/saved-runs/<str:saved>", services.SavedRunDetail, "service-saved-run"),
    *value("services/<str:name>/config", "service-config", kind=Kind.CONFIG),
    *route("values", values.ValueList, "values"),
    *route("services/<str:name>/config/effective", values.ConfigGiven, "service-config-effective"),
    *value("projects/<str:name>/config", "project-config", kind=Kind.CONFIG, scope=Scope.PROJECT),
    *value("platform/config", "platform-config", kind=Kind.CONFIG, scope=Scope.PLATFORM),
    *value("platform/ferris-env", "platform-env", kind=Kind.ENV, scope=Scope.PLATFORM),
    *value("services/<str:name>/state", "service-state", kind=Kind.STATE),
    *route("services/<str:name>/files", service_files.FileList, "service-files"),
    *route("services/<str:name>/file", service_files.FileDetail, "service-file"),
    *route("services/<str:name>/versions", service_files.VersionList, "service-versions"),
    *route("services/<str:name>/versions/<int:number>", service_files.VersionDetail, "service-version"),
    *route("services/<str:name>/restore", service_files.ServiceRestore, "service-restore"),
    *route("services/<str:name>/secrets", secrets.SecretList, "service-secrets", **_SERVICE),
    *route("services/<str:name>/secrets/<str:secret>", secrets.SecretDetail, "service-secret", **_SERVICE),
    *route("lists/<str:listing>/histogram", lists.ListHistogram, "list-histogram"),
    *route("lists/<str:listing>/file", lists.ListFile, "list-file"),
    *route("lists/<str:listing>/default-view", lists.ListDefault, "list-default-view"),
    *route("views", saved_views.SavedViewList, "saved-views"),
    *route("views/<uuid:pk>", saved_views.SavedViewDetail, "saved-view"),
    *route("search/<str:kind>", search.SearchList, "search"),
    *route("search/<str:kind>/counts", search.SearchCounts, "search-counts"),
    *route("search/<str:kind>/file", search.SearchFile, "search-file"),
    *route("search/<str:kind>/records/<path:key>", search.SearchRecord, "search-record"),
    *route("lanes", flow_control.LaneList, "lanes"),
    *route("lanes/<str:lane>/pause", flow_control.LanePause, "lane-pause"),
    *route("lanes/<str:lane>/resume", flow_control.LaneResume, "lane-resume"),
    *route("workers", flow_control.WorkerList, "workers"),
    *route("workers/<str:name>/drain", flow_control.WorkerDrain, "worker-drain"),
    *route("workers/<str:name>/resume", flow_control.WorkerResume, "worker-resume"),
    *route("projects", projects.ProjectList, "projects"),
    *route("projects/<str:name>", projects.ProjectDetail, "project"),
    *route("dashboard", dashboards.Dashboard, "dashboard"),
    *route("services/<str:name>/metrics", dashboards.ServiceMetrics, "service-metrics"),
    *route("projects/<str:name>/dashboard", dashboards.ProjectDashboard, "project-dashboard"),
    *route("projects/<str:name>/export", projects.ProjectExport, "project-export"),
    *route("projects/<str:name>/sync", projects.ProjectSync, "project-sync"),
    *route("projects/<str:name>/syncs", projects.SyncList, "project-syncs"),
    *route("projects/<str:name>/syncs/<int:pk>", projects.SyncDetail, "project-sync-one"),
    *route("projects/<str:name>/preview", repositories.ProjectPreview, "project-preview"),
    *route(
        "projects/<str:name>/repositories/<int:pk>/rollback", repositories.Rollback, "repository-rollback"
    ),
    *route("projects/<str:name>/repositories/<int:pk>/follow", repositories.Follow, "repository-follow"),
    *route(
        "projects/<str:name>/repositories/<int:pk>/push-secret", repositories.PushSecret, "repository-push"
    ),
    *route("projects/<str:name>/repositories", repositories.RepositoryList, "repositories"),
    *route("projects/<str:name>/repositories/<int:pk>", repositories.RepositoryDetail, "repository"),
    *route(
        "projects/<str:name>/repositories/<int:pk>/deploy-key",
        repositories.DeployKey,
        "repository-deploy-key",
    ),
    *route(
        "projects/<str:name>/repositories/<int:pk>/accept-host-key",
        repositories.AcceptHostKey,
        "repository-host-key",
    ),
    *route("projects/<str:name>/secrets", secrets.SecretList, "project-secrets", **_PROJECT),
    *route("projects/<str:name>/secrets/<str:secret>", secrets.SecretDetail, "project-secret", **_PROJECT),
    *route("projects/<str:name>/members", accounts.MemberList, "members"),
    *route("projects/<str:name>/members/<str:kind>/<str:member>", accounts.MemberDetail, "member"),
    *route("projects/<str:name>/service-accounts", accounts.ServiceAccountList, "service-accounts"),
    *route(
        "projects/<str:name>/service-accounts/<str:account>", accounts.ServiceAccountDetail, "service-account"
    ),
    *route(
        "projects/<str:name>/service-accounts/<str:account>/tokens",
        accounts.ServiceAccountTokens,
        "service-account-tokens",
    ),
    *route(
        "projects/<str:name>/service-accounts/<str:account>/tokens/<int:number>",
        accounts.ServiceAccountToken,
        "service-account-token",
    ),
    *route("audit", audit.AuditList, "audit"),
    *route("audit/file", audit.AuditFile, "audit-file"),
    *route("tokens", accounts.TokenList, "tokens"),
    *route("tokens/<int:number>", accounts.TokenDetail, "token"),
    *route("sessions", accounts.SessionList, "sessions"),
    *route("sessions/<int:number>", accounts.SessionDetail, "session"),
    *route("known-secrets", secrets.KnownSecrets, "known-secrets"),
    *route("secrets", secrets.SecretList, "secrets"),
    *route("secrets/<str:secret>", secrets.SecretDetail, "secret"),
    *route("connections", connections.ConnectionList, "connections"),
    *route("connections/<str:name>", connections.ConnectionDetail, "connection"),
    *route("connections/<str:name>/test", connections.ConnectionTest, "connection-test"),
    *route("webhooks", webhooks.WebhookList, "webhooks"),
    *route("webhooks/<str:name>", webhooks.WebhookDetail, "webhook"),
    *route("webhooks/<str:name>/test", webhooks.WebhookTest, "webhook-test"),
    *route("webhooks/<str:name>/deliveries", webhooks.WebhookDeliveries, "webhook-deliveries"),
    *route("subscriptions", subscriptions.SubscriptionList, "subscriptions"),
    *route("subscriptions/<str:name>", subscriptions.SubscriptionDetail, "subscription"),
    *route("subscriptions/<str:name>/test", subscriptions.SubscriptionTest, "subscription-test"),
    *route("subscriptions/<str:name>/pause", subscriptions.SubscriptionPause, "subscription-pause"),
    *route("subscriptions/<str:name>/resume", subscriptions.SubscriptionResume, "subscription-resume"),
    *route(
        "subscriptions/<str:name>/redeliver", subscriptions.SubscriptionRedeliver, "subscription-redeliver"
    ),
    *route("subscriptions/<str:name>/deliveries", subscriptions.DeliveryList, "deliveries"),
    *route("subscriptions/<str:name>/deliveries/<uuid:pk>", subscriptions.DeliveryDetail, "delivery"),
    *route(
        "subscriptions/<str:name>/deliveries/<uuid:pk>/redeliver",
        subscriptions.DeliveryAgain,
        "delivery-again",
    ),
    *route("charts", charts.ChartList, "charts"),
    *route("charts/order", charts.ChartsOrder, "charts-order"),
    *route("charts/preview", charts.ChartPreview, "chart-preview"),
    *route("charts/<uuid:pk>", charts.ChartDetail, "chart"),
    *route("charts/<uuid:pk>/data", charts.ChartContent, "chart-data"),
    *route("notification-rules", notifications.RuleList, "notification-rules"),
    *route("notification-rules/<str:name>", notifications.RuleDetail, "notification-rule"),
    *route("notification-rules/<str:name>/test", notifications.RuleTest, "notification-rule-test"),
    *route("notification-rules/<str:name>/messages", notifications.MessageList, "notification-messages"),
    *route("event-maps", event_maps.EventMapList, "event-maps"),
    *route("event-maps/try", event_maps.EventMapTry, "event-map-try"),
    *route("event-maps/<int:number>", event_maps.EventMapDetail, "event-map"),
    *route("event-types", event_types.EventTypeList, "event-types"),
    *route("event-types/<path:name>", event_types.EventTypeDetail, "event-type"),
    *route("schedules", schedules.ScheduleList, "schedules"),
    *route("schedules/<uuid:pk>", schedules.ScheduleDetail, "schedule"),
    *route("schedules/<uuid:pk>/gaps", replays.ScheduleGaps, "schedule-gaps"),
    *route("schedules/<uuid:pk>/backfill", replays.ScheduleBackfill, "schedule-backfill"),
    *route("replays", replays.ReplayList, "replays"),
    *route("replays/preview", replays.ReplayPreview, "replay-preview"),
    *route("replays/<uuid:pk>", replays.ReplayDetail, "replay"),
    *route("bulk", bulk.BulkList, "bulk"),
    *route("bulk/preview", bulk.BulkPreview, "bulk-preview"),
    *route("bulk/<uuid:pk>", bulk.BulkDetail, "bulk-job"),
    *route("bulk/<uuid:pk>/stop", bulk.BulkStop, "bulk-stop"),
    *route("replays/<uuid:pk>/stop", replays.ReplayStop, "replay-stop"),
    *route("replays/<uuid:pk>/resume", replays.ReplayResume, "replay-resume"),
    *route("topics", operations.TopicList, "topics"),
    *route("topics/<str:topic>/records", operations.RecordList, "topic-records"),
    *route("dead-letters", operations.DeadLetterList, "dead-letters"),
    *route("dead-letters/groups", failures.LetterGroups, "dead-letter-groups"),
    *route("dead-letters/redrive", failures.LettersRedrive, "dead-letters-redrive"),
    *route("dead-letters/<int:number>", operations.DeadLetterDetail, "dead-letter"),
    *route("dead-letters/<int:number>/redrive", operations.DeadLetterRedrive, "dead-letter-redrive"),
    *route("buckets", objects.BucketList, "buckets"),
    *route("buckets/<str:bucket>/objects", objects.ObjectList, "bucket-objects"),
    content("buckets/<str:bucket>/objects/<path:key>", objects.ObjectContent, "bucket-object"),
    *route("map", system_map.SystemMap, "map"),
    path("api/schema/", docs.Schema.as_view(), name="schema"),
    path("health/live", health.live, name="live"),
    path("health/ready", health.ready, name="ready"),
    path("metrics", metrics.metrics, name="metrics"),
    path("hooks/repositories/<int:pk>/", hooks.push, name="push"),
    path("hooks/repositories/<int:pk>", hooks.push),
    path("hooks/<str:name>/", hooks.hook, name="hook"),
    path("hooks/<str:name>", hooks.hook),
    path("schemas/chart.json", schemas.chart, name="chart-schema"),
    path("problems/", problem_pages.problem_list, name="problems"),
    path("problems/<slug:name>/", problem_pages.problem_page, name="problem"),
    re_path(r"^(?:api/(?!docs/)|control/)", nothing),  # the pages that show the API are the console's,
]
