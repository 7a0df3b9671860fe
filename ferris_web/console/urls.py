"""The console's routes. Everything but signing in asks for a signed-in user: `screen` sees to it."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, HttpResponseNotAllowed
from django.shortcuts import render
from django.urls import URLPattern, path

from ferris.errors import BackendError, NotFound
from ferris.scopes import Scope
from ferris_web.catalog.values import Kind
from ferris_web.console.needs import NEEDS
from ferris_web.console.views import (
    account,
    account_sign_in,
    api_docs,
    artifacts,
    audit,
    backends,
    backtest,
    bulk,
    charts,
    connections,
    dashboard,
    dead_letters,
    editing,
    event_maps,
    events,
    executions,
    failures,
    flow_control,
    flows,
    gatherings,
    go,
    help,
    lists,
    live,
    members,
    metrics,
    notifications,
    objects,
    passkeys,
    projects,
    replays,
    repositories,
    run,
    saved_views,
    schedules,
    search,
    second_factor,
    secrets,
    service_new,
    services,
    session,
    subscriptions,
    syncs,
    system_map,
    topics,
    values,
    webhooks,
    why,
)
from ferris_web.executions.visibility import check

app_name = "console"


def screen(route: str, view: Callable[..., HttpResponseBase], name: str) -> URLPattern:
    """A route for who may do what `needs` says. What is not there is a 404, a backend that is away a 503 that says
    so."""

    need = NEEDS.get(name)

    @wraps(view)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if not request.user.is_authenticated:
            return session.to_sign_in(request)
        try:
            check(request.user, need, request.method, kwargs)
            answer = view(request, *args, **kwargs)
            if isinstance(answer, HttpResponseNotAllowed):
                shown = render(request, "405.html", status=405)
                return HttpResponse(shown.content, status=405, headers={"Allow": answer["Allow"]})
            return answer
        except NotFound as error:
            raise Http404(str(error)) from error
        except BackendError as error:
            return render(request, "console/backend-away.html", {"error": error}, status=503)

    return path(route, guarded, name=name)


def value(route: str, kind: str, scope: str, name: str) -> list[URLPattern]:
    """The pages of a value of the configuration store."""
    return [
        screen(route, values.edit(kind, scope), name),
        screen(f"{route}history/", values.history(kind, scope), f"{name}-history"),
        screen(f"{route}history/<int:number>/", values.change(kind, scope), f"{name}-change"),
    ]


urlpatterns = [
    path("sign-in/", session.sign_in, name="sign-in"),
    path("sign-in/provider/", session.provider, name="sign-in-provider"),
    path("sign-in/provider/back/", session.provider_back, name="sign-in-provider-back"),
    path("sign-in/provider/<slug:key>/", session.provider, name="sign-in-provider"),
    path("sign-in/provider/<slug:key>/back/", session.provider_back, name="sign-in-provider-back"),
    path("sign-in/second-factor/", second_factor.ask, name="second-factor"),
    path("sign-out/", session.sign_out, name="sign-out"),
    path("language/", session.language, name="language"),
    screen("", dashboard.dashboard, "dashboard"),
    screen("projects/<str:name>/dashboard/", dashboard.project_dashboard, "project-dashboard"),
    screen("go/", go.go, "go"),
    screen("help/", help.index, "help"),
    screen("help/<path:name>/", help.page, "help-page"),
    screen("api/docs/", api_docs.index, "api-docs"),
    screen("api/docs/<slug:name>/", api_docs.operation, "api-operation"),
    screen("services/", saved_views.opening("services", services.service_list), "services"),
    screen("services/-/new/", service_new.new, "service-new"),  # no service is called -
    screen("services/<str:name>/", services.overview, "service"),
    screen("services/<str:name>/run/", run.run, "service-run"),
    screen("services/<str:name>/saved-runs/", run.saved, "service-saved-run"),
    screen("services/<str:name>/pause/", flow_control.pause, "service-pause"),
    screen("services/<str:name>/resume/", flow_control.resume, "service-resume"),
    screen("services/<str:name>/metrics/", metrics.metrics, "service-metrics"),
    screen("services/<str:name>/files/", services.files, "service-files"),
    screen("services/<str:name>/files/download/", services.download, "service-file"),
    screen("services/<str:name>/edit/", editing.edit, "service-edit"),
    screen("services/<str:name>/edit/files/", editing.files, "service-edit-files"),
    screen("services/<str:name>/edit/order/", editing.order, "service-order"),
    screen("services/<str:name>/edit/restore/", editing.restore, "service-restore"),
    screen("services/<str:name>/edit/remove/", editing.remove, "service-remove"),
    screen("services/<str:name>/settings/", services.settings, "service-settings"),
    *value("services/<str:name>/config/", Kind.CONFIG, Scope.SERVICE, "service-config"),
    *value("services/<str:name>/state/", Kind.STATE, Scope.SERVICE, "service-state"),
    *value("projects/<str:name>/config/", Kind.CONFIG, Scope.PROJECT, "project-config"),
    *value("platform/config/", Kind.CONFIG, Scope.PLATFORM, "platform-config"),
    *value("platform/ferris-env/", Kind.ENV, Scope.PLATFORM, "platform-env"),
    screen("services/<str:name>/secrets/", secrets.service_secret, "service-secret"),
    screen("services/<str:name>/versions/", services.versions, "service-versions"),
    screen("services/<str:name>/versions/<int:number>/", services.diff, "service-diff"),
    screen("services/<str:name>/why/", why.service, "service-why"),
    screen("projects/", projects.project_list, "projects"),
    screen("projects/add/", projects.add, "project-add"),
    screen("projects/<str:name>/", projects.project, "project"),
    screen("projects/<str:name>/export/", projects.export, "project-export"),
    screen("projects/<str:name>/sync/", projects.sync, "project-sync"),
    screen("projects/<str:name>/repositories/add/", repositories.add, "repository-add"),
    screen("projects/<str:name>/repositories/<int:pk>/", repositories.repository, "repository"),
    screen("projects/<str:name>/repositories/<int:pk>/key/", repositories.key, "repository-key"),
    screen("projects/<str:name>/repositories/<int:pk>/push/", repositories.push, "repository-push"),
    screen("projects/<str:name>/repositories/<int:pk>/preview/", syncs.preview, "repository-preview"),
    screen("projects/<str:name>/repositories/<int:pk>/rollback/", syncs.rollback, "repository-rollback"),
    screen("projects/<str:name>/repositories/<int:pk>/follow/", syncs.follow, "repository-follow"),
    screen("projects/<str:name>/syncs/<int:pk>/", syncs.sync, "sync"),
    screen("projects/<str:name>/repositories/<int:pk>/remove/", repositories.remove, "repository-remove"),
    screen("projects/<str:name>/members/", members.members, "members"),
    screen("projects/<str:name>/secrets/", secrets.project_secret, "project-secret"),
    screen("values/", values.value_list, "values"),
    screen("secrets/", secrets.secret_list, "secrets"),
    screen("secrets/platform/", secrets.platform_secret, "platform-secret"),
    screen("connections/", connections.connection_list, "connections"),
    screen("connections/add/", connections.add, "connection-add"),
    screen("connections/<str:name>/", connections.connection, "connection"),
    screen("connections/<str:name>/test/", connections.test, "connection-test"),
    screen("connections/<str:name>/remove/", connections.remove, "connection-remove"),
    screen("webhooks/", webhooks.webhook_list, "webhooks"),
    screen("webhooks/add/", webhooks.add, "webhook-add"),
    screen("webhooks/<str:name>/", webhooks.webhook, "webhook"),
    screen("webhooks/<str:name>/test/", webhooks.test, "webhook-test"),
    screen("webhooks/<str:name>/remove/", webhooks.remove, "webhook-remove"),
    screen("subscriptions/", subscriptions.subscription_list, "subscriptions"),
    screen("subscriptions/add/", subscriptions.add, "subscription-add"),
    screen("subscriptions/<str:name>/", subscriptions.subscription, "subscription"),
    screen("subscriptions/<str:name>/test/", subscriptions.test, "subscription-test"),
    screen("subscriptions/<str:name>/pause/", subscriptions.pause, "subscription-pause"),
    screen("subscriptions/<str:name>/resume/", subscriptions.resume, "subscription-resume"),
    screen("subscriptions/<str:name>/remove/", subscriptions.remove, "subscription-remove"),
    screen("subscriptions/<str:name>/deliveries/<uuid:pk>/", subscriptions.delivery, "delivery"),
    screen("subscriptions/<str:name>/deliveries/<uuid:pk>/again/", subscriptions.again, "delivery-again"),
    screen("charts/", charts.chart_list, "charts"),
    screen("charts/add/", charts.add, "chart-add"),
    screen("charts/<uuid:pk>/", charts.chart, "chart"),
    screen("charts/<uuid:pk>/remove/", charts.remove, "chart-remove"),
    screen("notifications/", notifications.rule_list, "notifications"),
    screen("notifications/add/", notifications.add, "notification-add"),
    screen("notifications/<str:name>/", notifications.rule, "notification"),
    screen("notifications/<str:name>/test/", notifications.test, "notification-test"),
    screen("notifications/<str:name>/remove/", notifications.remove, "notification-remove"),
    screen("executions/", saved_views.opening("executions", executions.execution_list), "executions"),
    screen("executions/<uuid:pk>/", executions.execution, "execution"),
    screen("executions/<uuid:pk>/log/", executions.log, "execution-log"),
    screen("executions/<uuid:pk>/log.txt", executions.log_file, "execution-log-file"),
    screen("executions/<uuid:pk>/artifacts/<path:name>", artifacts.preview, "artifact"),
    screen("executions/<uuid:pk>/artifact-files/<path:name>", artifacts.content, "artifact-file"),
    screen("executions/<uuid:pk>/cancel/", executions.cancel, "execution-cancel"),
    screen("executions/<uuid:pk>/priority/", flow_control.priority, "execution-priority"),
    screen("executions/<uuid:pk>/retry/", executions.retry, "execution-retry"),
    screen("failures/", failures.failure_list, "failures"),
    screen("failures/retry/", failures.retry, "failures-retry"),
    screen("workers/", flow_control.workers, "workers"),
    screen("lanes/<str:name>/", flow_control.lane, "lane"),
    screen("workers/<str:name>/", flow_control.worker, "worker"),
    screen("flows/", saved_views.opening("flows", flows.flow_list), "flows"),
    screen("flows/named/", flows.flow_by_name, "flow-by-name"),
    screen("flows/<str:flow_id>/", flows.flow, "flow"),
    screen("events/", saved_views.opening("events", events.event_list), "events"),
    screen("events/send/", events.send, "event-send"),
    screen("events/<uuid:key>/", events.event, "event"),
    screen("events/<uuid:key>/why/", why.event, "event-why"),
    screen("backtest/", backtest.backtest, "backtest"),
    screen("gatherings/", gatherings.gathering_list, "gatherings"),
    screen("gatherings/<uuid:pk>/", gatherings.gathering, "gathering"),
    screen("gatherings/<uuid:pk>/close/", gatherings.close, "gathering-close"),
    screen("gatherings/<uuid:pk>/discard/", gatherings.discard, "gathering-discard"),
    screen("event-maps/", event_maps.map_list, "event-maps"),
    screen("event-maps/new/", event_maps.new, "event-map-new"),
    screen("event-maps/<int:number>/remove/", event_maps.remove, "event-map-remove"),
    screen("event-types/", events.type_list, "event-types"),
    screen("event-types/named/", events.type_by_name, "event-type-by-name"),
    screen("event-types/<str:name>/", events.event_type, "event-type"),
    screen("schedules/", schedules.schedule_list, "schedules"),
    screen("schedules/<uuid:pk>/switch/", schedules.switch, "schedule-switch"),
    screen("schedules/<uuid:pk>/missed/", replays.gaps, "schedule-gaps"),
    screen("replays/", replays.replay_list, "replays"),
    screen("replays/new/", replays.new, "replay-new"),
    screen("replays/<uuid:pk>/", replays.replay, "replay"),
    screen("replays/<uuid:pk>/stop/", replays.stop, "replay-stop"),
    screen("replays/<uuid:pk>/resume/", replays.resume, "replay-resume"),
    screen("topics/", topics.topic_list, "topics"),
    screen("topics/<str:name>/", topics.topic, "topic"),
    screen("dead-letters/", saved_views.opening("dead-letters", dead_letters.letter_list), "dead-letters"),
    screen("dead-letters/redrive/", failures.redrive, "dead-letters-redrive"),
    screen("dead-letters/<int:pk>/", dead_letters.letter, "dead-letter"),
    screen("dead-letters/<int:pk>/redrive/", dead_letters.redrive, "dead-letter-redrive"),
    screen("dead-letters/<int:pk>/delete/", dead_letters.delete, "dead-letter-delete"),
    screen("backends/", backends.backends, "backends"),
    screen("consumers/", backends.consumers, "consumers"),
    screen("objects/", objects.buckets, "buckets"),
    screen("objects/<str:bucket>/", objects.bucket, "bucket"),
    screen("objects/<str:bucket>/<path:key>", objects.content, "object"),
    screen("map/", system_map.show, "system-map"),
    screen("audit/", audit.audit, "audit"),
    screen("audit/export/", audit.export, "audit-export"),
    screen("account/", account.account, "account"),
    screen("account/sign-in/", account_sign_in.page, "account-sign-in"),
    screen("account/sign-in/app/", second_factor.app, "account-app"),
    screen("account/sign-in/passkey/", passkeys.add, "account-passkey"),
    screen("account/confirm/", account_sign_in.confirm, "account-confirm"),
    screen("lists/<str:name>/bulk/", bulk.confirm, "list-bulk"),
    screen("bulk/", bulk.job_list, "bulk-jobs"),
    screen("bulk/<uuid:pk>/", bulk.job, "bulk-job"),
    screen("bulk/<uuid:pk>/stop/", bulk.stop, "bulk-stop"),
    screen("search/", saved_views.opening("search", search.search), "search"),
    screen("search/histogram/", search.histogram, "search-histogram"),
    screen("search/values/", search.values, "search-values"),
    screen("search/export/", search.export, "search-export"),
    screen("search/record/", search.record, "search-record"),
    screen("views/<str:name>/", saved_views.views, "saved-views"),
    screen("views/<uuid:pk>/change/", saved_views.change, "saved-view"),
    screen("lists/<str:name>/histogram/", lists.histogram, "list-histogram"),
    screen("lists/<str:name>/export/", lists.export, "list-export"),
    screen("live/", live.changes, "live"),
    screen("live/executions/<uuid:pk>/", live.execution_log, "live-log"),
]
