"""The open door: requests of webhooks' senders, who have no account here. They prove themselves by what they send."""

from __future__ import annotations

import logging
from datetime import UTC, datetime

import orjson
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.views.decorators.csrf import csrf_exempt

from ferris.signatures import NotGenuine
from ferris.webhooks import MAX_BODY
from ferris_web.api import metrics, problems
from ferris_web.catalog.secrets import SecretUnreadable
from ferris_web.catalog.sync_queue import push_receive
from ferris_web.executions.services.webhooks import webhook_receive

log = logging.getLogger(__name__)


@csrf_exempt  # no session is looked at
def push(request: HttpRequest, pk: int) -> HttpResponseBase:
    """202 with the sync that a push of a repository asked for, or why it asks for none."""
    if request.method != "POST":
        return problems.problem("method-not-allowed", "Send with POST.", headers={"Allow": "POST"})
    try:
        if len(request.body) > MAX_BODY:
            return problems.problem("too-large", f"The body has more than {MAX_BODY} bytes.")
        run, why = push_receive(pk, request.headers, request.body, now=datetime.now(UTC))
    except NotGenuine:
        return problems.problem("not-authenticated", "The request is not signed as this address asks for.")
    except ValueError:
        return problems.problem("invalid-request", "The body is no JSON.")
    except SecretUnreadable as error:
        log.error("pushes of repository %d are refused: %s", pk, error)
        return problems.problem(
            "unavailable", "Requests cannot be verified right now.", headers={"Retry-After": "60"}
        )
    said = {"ignored": why} if run is None else {"sync": run.pk}
    return HttpResponse(orjson.dumps(said), status=202, content_type="application/json")


@csrf_exempt  # no session is looked at
def hook(request: HttpRequest, name: str) -> HttpResponseBase:
    """202 with the event's id once it is on disk. What was wrong with the sender the answer does not say."""
    if request.method != "POST":
        return problems.problem("method-not-allowed", "Send with POST.", headers={"Allow": "POST"})
    try:
        if len(request.body) > MAX_BODY:
            return problems.problem("too-large", f"The body has more than {MAX_BODY} bytes.")
        event = webhook_receive(name, request.headers, request.body, now=datetime.now(UTC))
    except NotGenuine:
        return problems.problem("not-authenticated", "The request is not signed as this address asks for.")
    except SecretUnreadable as error:  # what is wrong with the platform's keys is no stranger's business
        log.error("webhook %s refuses: %s", name, error)
        return problems.problem(
            "unavailable", "Requests cannot be verified right now.", headers={"Retry-After": "60"}
        )
    except Exception as error:
        answer = problems.from_error(error)
        if answer is None:
            raise
        return answer
    metrics.EVENTS_ACCEPTED.inc()
    return HttpResponse(orjson.dumps({"id": event.id}), status=202, content_type="application/json")
