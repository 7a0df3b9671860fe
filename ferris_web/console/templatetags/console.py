"""What the console's templates need beyond Django's own tags."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

from django import template
from django.conf import settings
from django.core.exceptions import DisallowedHost
from django.template.context import Context
from django.templatetags.static import static
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import get_language

from ferris_web import wiring
from ferris_web.console import addresses, drawing, flowgraph, log_lines, presentation
from ferris_web.console.needs import offers, opens
from ferris_web.console.script_words import script_words
from ferris_web.console.sentences import said
from ferris_web.console.words import within, word
from ferris_web.executions.checkup.readiness import DISK, NAMES, READINESS

register = template.Library()

THEMES = ("light", "dark")
_ICON_OF = {
    **{"running": "in_progress", "inactive": "cancelled", "active": "completed", "stopped": "cancelled"},
    "scheduled": "schedule",
    **{
        "delivered": "completed",
        "sent": "completed",
        "sending": "in_progress",
        "paused": "pending",
        "disabled": "failed",
    },
}

register.filter("json_block", presentation.json_block)
register.filter("json_source", presentation.json_source)
register.filter("json_text", presentation.json_text)
register.filter("duration", presentation.duration)
register.filter("size", presentation.size)
register.filter("milliseconds", presentation.milliseconds)
register.filter("readme", presentation.readme)
register.filter("log_lines", log_lines.log_lines)
register.filter("shorten", presentation.shorten)
register.filter("flow_url", addresses.flow)
register.filter("event_type_url", addresses.event_type)
register.filter("service_url", addresses.service)
register.filter("value_url", addresses.value)
register.filter("node_label", flowgraph.label)
register.simple_tag(script_words)
register.filter("within", within)
register.filter("said", said)
register.filter("columns", drawing.columns)
register.filter("rows", drawing.rows)
register.filter("rows_heard", drawing.rows_heard)


@register.simple_tag
@lru_cache(maxsize=500)  # pages have hundreds, of few kinds
def icon(name: str, extra: str = "") -> SafeString:
    """One drawing of icons.svg; decoration only, so hidden from screen readers."""
    return format_html(
        '<svg class="icon {}" aria-hidden="true"><use href="{}#{}"></use></svg>',
        extra,
        static("console/icons.svg"),
        name,
    )


@register.simple_block_tag(takes_context=True)
def allowed(context: Context, content: str, route: str, project: int | None = None, /, **named: Any) -> str:
    """What it holds, for those who may do what the route of that name does (`needs.offers`)."""
    return content if offers(context["user"], route, project, **named) else ""


@register.filter
def badge(status: str) -> SafeString:
    """A status as icon, word and colour."""
    return _badge(status, get_language())


@lru_cache(maxsize=500)
def _badge(status: str, language: str) -> SafeString:
    name = _ICON_OF.get(status, status)
    return format_html(
        '<span class="badge st-{}">{}{}</span>',
        status,
        icon(name, "spin" if name == "in_progress" else ""),
        word(status),
    )


@register.filter
def words(status: str) -> str:
    """A status or reason in the viewer's words: in_progress -> in progress."""
    return word(status)


@register.filter
def ago(moment: datetime | None) -> SafeString | str:
    """A moment relative to now, the absolute one on hover; the browser keeps it fresh."""
    if moment is None:
        return ""
    return format_html(
        '<time datetime="{}" title="{}" data-ago>{}</time>',
        moment.isoformat(timespec="milliseconds"),
        presentation.absolute(moment),
        presentation.relative(moment, timezone.now()),
    )


@register.filter
def exact(moment: datetime | None) -> SafeString | str:
    """A moment in full, in UTC; the browser adds the viewer's own zone on hover."""
    if moment is None:
        return ""
    text = presentation.absolute(moment)
    return format_html('<time datetime="{}">{}</time>', moment.isoformat(timespec="milliseconds"), text)


@register.filter
def here(moment: datetime) -> SafeString:
    """A moment in the viewer's own zone, which the browser knows; in UTC until it has said so."""
    text = presentation.absolute(moment)
    return format_html(
        '<time datetime="{}" data-here>{}</time>', moment.isoformat(timespec="milliseconds"), text
    )


@register.filter
def after(moment: datetime, begin: datetime) -> str:
    """How long after the beginning that was."""
    return presentation.duration(moment - begin)


@register.simple_tag
def took(started: datetime | None, finished: datetime | None) -> SafeString | str:
    """How long something took, or has taken so far: the browser counts on while it runs."""
    if started is None:
        return ""
    if finished is not None:
        return presentation.duration(finished - started)
    length: timedelta = timezone.now() - started
    return format_html('<span data-since="{}">{}</span>', started.isoformat(), presentation.duration(length))


@register.simple_tag(takes_context=True)
def theme(context: Context) -> str:
    """The viewer's choice of theme from its cookie, or nothing when the system chooses."""
    request = context.get("request")
    chosen = request.COOKIES.get("ferris_theme", "") if request else ""
    return chosen if chosen in THEMES else ""


@register.simple_tag(takes_context=True)
def kept_language(context: Context) -> str:
    """The language that this browser's person chose, or nothing when the browser itself says it."""
    request = context.get("request")
    chosen = request.COOKIES.get(settings.LANGUAGE_COOKIE_NAME, "") if request else ""
    return chosen if chosen in dict(settings.LANGUAGES) else ""


@register.inclusion_tag("console/parts/nav-item.html", takes_context=True)
def nav(context: Context, name: str, text: str, symbol: str) -> dict[str, Any]:
    """One entry of the main navigation, marked when the page belongs to it; nothing for whom it would refuse."""
    url = reverse(name)
    request = context.get("request")
    here = request.path if request else ""
    return {
        "shown": opens(context.get("user"), name.removeprefix("console:")),
        "url": url,
        "text": text,
        "symbol": symbol,
        "current": here == url or (url != "/" and here.startswith(url)),
    }


@register.inclusion_tag("console/parts/progress.html")
def progress(said: dict[str, Any] | None, name: str = "", slim: bool = False) -> dict[str, Any]:
    """How far a script said it is, as a bar; nothing when it said nothing."""
    return {"bar": presentation.progress(said), "name": name, "slim": slim}


@register.simple_tag
def monitors() -> list[tuple[str, str]]:
    """Name and address of what watches the servers beside the console, where the settings say there is such."""
    known = wiring.config()
    found = (
        ("Flower", known.flower_url),
        ("Kibana", known.kibana_url),
        ("Grafana", known.grafana_url),
    )
    return [(name, address) for name, address in found if address]


@register.simple_tag
def away() -> list[str]:
    """The backends that did not answer when somebody last looked; nobody waits for a look here."""
    known = READINESS.known().items()
    return [said(NAMES.get(name, name)) for name, state in known if not state.ok and name != DISK]


@register.simple_tag
def disk_full() -> bool:
    """Whether nothing could be written, or soon cannot be, when somebody last looked."""
    state = READINESS.known().get(DISK)
    return state is not None and not state.ok


@register.simple_tag(takes_context=True)
def help_anchor(context: Context) -> str:
    """The part of the documentation's page on the console that belongs to this page: the first part of its address."""
    request = context.get("request")
    return (request.path.split("/")[1] if request else "") or "dashboard"


@register.simple_tag(takes_context=True)
def way_back(context: Context) -> str:
    """The page of this site from which somebody came to this one; nothing when that is not known."""
    request = context.get("request")
    if request is None:
        return ""
    came, here = urlsplit(request.META.get("HTTP_REFERER", "")), request.get_full_path()
    place = f"{came.path}?{came.query}" if came.query else came.path
    try:
        host = request.get_host()
    except DisallowedHost:  # this page says so
        return ""
    return place if came.netloc == host and place not in ("", here) else ""


@register.simple_tag
def faulty(
    problems: Sequence[str] | str | None,
    field: str,
    hint: str = "",
    *,
    suffix: object = "",
    group: bool = False,
) -> SafeString:
    """What a form's field with this id says of itself in its tag: the hint that describes it, and when it was refused
    that it was, why (`faults` beside it), and that it has the focus (the first of a page gets it).

    A hint that begins with - is the field's own. `suffix` ends the ids of a form that a page has many of. A `group` of
    boxes has the focus as a whole.
    """
    name = f"{field}{suffix}"
    described = [f"{name}{hint}" if hint.startswith("-") else hint] if hint else []
    if not problems:
        return format_html(' aria-describedby="{}"', described[0]) if described else SafeString()
    text = " ".join([*described, f"{name}-error"])
    return format_html(
        ' aria-invalid="true" aria-describedby="{}" autofocus{}',
        text,
        SafeString(' tabindex="-1"' if group else ""),
    )


@register.simple_tag
def faults(problems: Sequence[str] | str | None, field: str, *, suffix: object = "") -> SafeString:
    """Why a field was refused, beside it; nothing when it was not."""
    if not problems:
        return SafeString()
    told = problems if isinstance(problems, list | tuple) else [problems]  # a text may be a lazy one
    lines = format_html_join(SafeString("<br>"), "{}", ((said(line),) for line in told))
    return format_html('<p class="error" id="{}{}-error">{}</p>', field, suffix, lines)


@register.simple_tag
def get(mapping: Any, key: Any) -> Any:
    """`mapping[key]`, or nothing."""
    return mapping.get(key) if mapping else None
