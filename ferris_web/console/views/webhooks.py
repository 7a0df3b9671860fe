"""Webhooks: everybody sees which there are; administrators make, test and remove them, and see what came."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_POST

from ferris import signatures
from ferris.errors import Conflict, EventError
from ferris.webhooks import DEFAULT_TYPE
from ferris_web import wiring
from ferris_web.accounts.permissions import may_manage
from ferris_web.catalog import webhooks as catalog
from ferris_web.catalog.models import Webhook
from ferris_web.console.paging import page
from ferris_web.console.posted import pairs
from ferris_web.console.views.managing import managers
from ferris_web.executions.services.webhooks import webhook_test

_TEXTS = ("description", "event_type", "type_from", "id_from")
_OPTIONS = (
    ("header", _("Header"), _("Where the signature or the token stands.")),
    ("prefix", _("Prefix"), _("What stands before it, such as sha256= or Bearer and a space.")),
    ("algorithm", _("Algorithm"), "HMAC: " + ", ".join(signatures.ALGORITHMS) + "."),
    ("encoding", _("Encoding"), _("HMAC: hex or base64.")),
    (
        "signed",
        _("What is signed"),
        _("HMAC: {body}, or with the time of sending such as v0:{timestamp}:{body}."),
    ),
    ("timestamp_header", _("Header of the time"), _("HMAC: where that time stands, in seconds since 1970.")),
)


def webhook_list(request: HttpRequest) -> HttpResponse:
    """Every webhook, with its address and the type of its events."""
    context = {"rows": catalog.webhook_list(), "manages": may_manage(request.user, Webhook)} | _place()
    return render(request, "console/webhooks.html", context)


@sensitive_post_parameters("secret")
@managers(Webhook)
def add(request: HttpRequest) -> HttpResponse:
    """The form for a new one."""
    return _change(request, None, request.POST.get("name", "").strip())


@sensitive_post_parameters("secret")
@managers(Webhook)
def webhook(request: HttpRequest, name: str) -> HttpResponse:
    """One webhook, to change, and what lately came; an empty secret leaves it as it is."""
    return _change(request, catalog.webhook_get(name), name)


@require_POST
@managers(Webhook)
def test(request: HttpRequest, name: str) -> HttpResponse:
    """Send it a sample, signed as its sender would."""
    try:
        event = webhook_test(catalog.webhook_get(name), now=timezone.now())
        messages.success(
            request,
            gettext("The sample was taken: event {id} of type {type}.").format(id=event.id, type=event.type),
        )
    except (signatures.NotGenuine, EventError) as error:
        messages.error(request, gettext("The sample was refused: {error}.").format(error=error))
    return redirect("console:webhook", name=name)


@require_POST
@managers(Webhook)
def remove(request: HttpRequest, name: str) -> HttpResponse:
    """Forget it."""
    catalog.webhook_remove(catalog.webhook_get(name))
    messages.success(
        request, gettext("The webhook {name} was removed. Its address refuses from now on.").format(name=name)
    )
    return redirect("console:webhooks")


def _change(request: HttpRequest, found: Webhook | None, name: str) -> HttpResponse:
    if request.method != "POST":
        return _form(request, found, {})
    said = request.POST
    kind = said.get("kind", "")
    known = signatures.options_of(kind)
    overlap = said.get("overlap_hours", "").strip()
    window = said.get("window_seconds", "").strip() or str(signatures.WINDOW_SECONDS)
    errors = {
        field: [gettext("is no whole number")]
        for field, text in (("overlap_hours", overlap or "0"), ("window_seconds", window))
        if not (text.isascii() and text.isdecimal() and len(text) < 8)
    }
    if errors:
        return _form(request, found, errors)
    secret = said.get("secret", "").strip()
    try:
        made = catalog.webhook_set(
            name,
            new=found is None,
            now=timezone.now(),
            kind=kind,
            active="active" in said,
            options={option: said[option] for option in known if said.get(option)},
            headers=pairs(said.get("headers", "")),
            window_seconds=int(window),
            secret=secret or None,
            new_secret="new_secret" in said,
            overlap_hours=int(overlap) if overlap and (secret or "new_secret" in said) else None,
            **{field: said.get(field, "").strip() for field in _TEXTS},
        )
    except ValidationError as error:
        return _form(request, found, error.message_dict)
    except Conflict:
        return _form(request, found, {"name": [gettext("is taken")]})
    if made.secret:  # in this answer and nowhere else: a message would travel in a cookie
        answer = _form(request, made.webhook, {}, secret=made.secret)
        answer.headers["Cache-Control"] = "no-store"
        return answer
    messages.success(request, gettext("The webhook {name} is saved.").format(name=made.webhook.name))
    return redirect("console:webhook", name=made.webhook.name)


def _form(
    request: HttpRequest, found: Webhook | None, errors: dict[str, list[str]], secret: str = ""
) -> HttpResponse:
    said = request.POST if request.method == "POST" and errors else None
    own = found.options if found else {}
    kind = said.get("kind", "") if said else found.kind if found else signatures.STANDARD
    defaults = signatures.options_of(kind)
    context = {
        "webhook": found,
        "errors": errors,
        "secret": secret,
        "kinds": [
            {"value": value, "text": text, "chosen": value == kind}
            for value, text in signatures.KINDS.items()
        ],
        "options": [
            {
                "name": name,
                "label": label,
                "hint": hint,
                "value": said.get(name, "") if said else own.get(name, defaults.get(name, "")),
            }
            for name, label, hint in _OPTIONS
        ],
        "values": _values(found, said),
        "page": page(catalog.delivery_list(found), request.GET, time="received_at") if found else None,
    }
    return render(request, "console/webhook.html", context | _place(), status=422 if errors else 200)


def _values(found: Webhook | None, said: Any) -> dict[str, Any]:
    if said:
        names = (*_TEXTS, "name", "headers", "window_seconds", "overlap_hours")
        return {name: said.get(name, "") for name in names} | {"active": "active" in said}
    if found is None:
        return {"event_type": DEFAULT_TYPE, "active": True, "window_seconds": signatures.WINDOW_SECONDS}
    return {
        **{name: getattr(found, name) for name in (*_TEXTS, "active", "window_seconds")},
        "headers": "\n".join(f"{name}: {target}" for name, target in found.headers.items()),
    }


def _place() -> dict[str, str]:
    return {"place": f"{wiring.config().public_url}/hooks/"}
