"""The boxes of a flow's graph, and the boxes and lines of the system map and of the one of notifications: SVG as text,
for the reason that `drawing` gives."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from urllib.parse import quote

from django.http import QueryDict
from django.templatetags.static import static
from django.urls import reverse
from django.utils.safestring import SafeString
from django.utils.translation import gettext

from ferris.causality import Node
from ferris_web.console import addresses
from ferris_web.console.drawing import escape, safe
from ferris_web.console.flowgraph import BOX_HEIGHT, BOX_WIDTH, Box, Graph
from ferris_web.console.notificationmap import RULE
from ferris_web.console.presentation import duration, shorten
from ferris_web.console.systemmap import HEIGHT, WIDTH, Line, Map, Place
from ferris_web.console.words import word

_ROUND, _SQUARE = 23, 8
_COUNTED = 2  # statuses that the box of many counts; its name has all


# --- a flow ------------------------------------------------------------------------------------------


def flow_boxes(graph: Graph, begun: datetime, query: QueryDict) -> SafeString:
    """Of a flow that began then; each leads to the page with this query on which it is the chosen one."""
    rest = query.copy()
    rest.pop("node", None)
    front = f"?{rest.urlencode()}{'&' if rest else ''}node="
    icons = static("console/icons.svg")
    return safe(_flow_box(box, begun, front, icons) for box in graph.boxes)


def _flow_box(box: Box, begun: datetime, front: str, icons: str) -> str:
    counts = box.statuses
    said = "".join(f", {_counted(box, name, amount)}" for name, amount in counts.items())
    away = gettext("in the flow %(flow)s") % {"flow": box.first.flow} if box.first.flow else ""
    marks = {"ev": box.is_event, "crit": box.critical, "chosen": box.chosen, "away": bool(box.first.flow)}
    status, shape = escape(box.status), f'width="{BOX_WIDTH}" height="{BOX_HEIGHT}"'
    shape += f' rx="{_ROUND if box.is_event else _SQUARE}"'
    parts = [
        f'<a href="{escape(front + quote(box.first.key))}" data-within="flow" class="{_class(marks)}"',
        ' aria-current="true"' if box.chosen else "",
        f' aria-label="{escape(_spoken(box, said))}"><g transform="translate({box.x} {box.y})">',
        f"<title>{escape(_joined(box.name, away))}{escape(said)}</title>",
        "" if box.only else f'<rect class="box {status}" x="4" y="4" {shape}/>',
        f'<rect class="box {status}" {shape}/>',
    ]
    if box.is_event:
        parts += _texts(18, shorten(str(box.label), 23), escape(_under_event(box, begun)))
    else:
        drawing = f'<use href="{escape(icons)}#{status}" width="18" height="18"/>'
        parts.append(f'<g class="st-{status}" transform="translate(10 14)">{drawing}</g>')
        parts += _texts(36, shorten(box.name, 20), _under_execution(box, counts))
    return "".join((*parts, "</g></a>\n"))


def _class(marks: Mapping[str, bool]) -> str:
    return " ".join(name for name, holds in marks.items() if holds)


def _counted(box: Box, status: str, amount: int) -> str:
    return word(status) if box.only else f"{amount} {word(status)}"


def _spoken(box: Box, said: str) -> str:
    if box.is_event:
        kind = gettext("event")
    else:
        kind = gettext("gathering of") if box.waits else gettext("execution of")
    many = "" if box.only else gettext("%(items)s times") % {"items": len(box.items)}
    critical = gettext("on the critical path") if box.critical else ""
    return f"{kind} {box.name}{_after(many)}{said}{_after(critical)}"


def _joined(name: str, more: str) -> str:
    return f"{name} {more}" if more else name


def _after(more: str) -> str:
    return f", {more}" if more else ""


def _texts(x: int, name: str, under: str) -> tuple[str, str]:
    """Two lines; the second as it stands in SVG."""
    return f'<text x="{x}" y="20">{escape(name)}</text>', f'<text class="t2" x="{x}" y="37">{under}</text>'


def _under_event(box: Box, begun: datetime) -> str:
    if box.first.flow:
        return shorten(box.first.flow, 22)
    if box.only:
        return f"+{duration(box.first.at - begun)}"
    return gettext("%(items)s events") % {"items": len(box.items)}


def _under_execution(box: Box, counts: Mapping[str, int]) -> str:
    if box.waits:
        return escape(gettext("waits for more"))
    if box.only:
        return _times(box.first)
    return escape(", ".join(f"{amount} {word(name)}" for name, amount in [*counts.items()][:_COUNTED]))


def _times(node: Node) -> str:
    if node.took is not None:
        text = escape(duration(node.took))
    elif node.started is not None and node.open:
        text = f'<tspan data-since="{node.started.isoformat()}">…</tspan>'
    else:
        text = escape(word(node.status))
    if node.waited is None:
        return text
    waited = gettext("waited %(waited)s") % {"waited": duration(node.waited)}
    return f"{text} · {escape(waited)}"


# --- the map -----------------------------------------------------------------------------------------


def map_lines(drawn: Map) -> SafeString:
    """Its bonds."""
    return safe(_line(line) for line in drawn.lines)


def _line(line: Line) -> str:
    return f'<path class="edge is-{escape(line.state)}" d="{line.path}"><title>{escape(line.label)}</title></path>\n'


def map_places(drawn: Map) -> SafeString:
    """Its services and event types, each with the way to its page."""
    return safe(_place(place) for place in drawn.places)


def _place(place: Place) -> str:
    text = f'<text x="16" y="25">{escape(shorten(place.name, 24))}</text>'
    if place.kind == "type":
        href, mark, kind, rounded = addresses.event_type(place.name), "ev", gettext("event type"), 20
    else:
        href, mark, kind, rounded = addresses.service(place.name), "", gettext("service"), 8
        text = f'<text x="12" y="18">{escape(shorten(place.name, 25))}</text>'
        text += f'<text class="t2" x="12" y="33">{escape(shorten(place.project, 28))}</text>'
    of = gettext("of %(project)s") % {"project": place.project} if place.project else ""
    drawn = _box(place, _joined(place.name, of), rounded, text)
    return f'<a href="{escape(href)}" class="{mark}" aria-label="{escape(kind)} {escape(place.name)}">{drawn}</a>\n'


def _box(place: Place, title: str, rounded: int, text: str, mark: str = "") -> str:
    marked = f' class="{mark}"' if mark else ""
    return (
        f'<g transform="translate({place.x} {place.y})"{marked}><title>{escape(title)}</title>'
        f'<rect class="box" width="{WIDTH}" height="{HEIGHT}" rx="{rounded}"/>{text}</g>'
    )


# --- what is told to whom ----------------------------------------------------------------------------


def notification_places(drawn: Map, openable: Collection[str]) -> SafeString:
    """What happens, rules and whom they tell; rules of these names with the way to their page."""
    return safe(_told(place, openable) for place in drawn.places)


def _told(place: Place, openable: Collection[str]) -> str:
    text = f'<text x="16" y="25">{escape(shorten(place.name, 25))}</text>'
    if place.kind != RULE:
        return f"{_box(place, place.name, 20, text, 'ev')}\n"
    drawn = _box(place, place.name, 8, text)
    if place.name not in openable:
        return f"{drawn}\n"
    href = reverse("console:notification", args=[place.name])
    return (
        f'<a href="{escape(href)}" aria-label="{escape(gettext("rule"))} {escape(place.name)}">{drawn}</a>\n'
    )
