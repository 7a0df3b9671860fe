"""The report's two pictures, as SVG text: quakes by hour, and where they were."""

import json
from datetime import datetime
from html import escape

STRONG = 4.5
WIDTH = 1000
NORTH, SOUTH = 86, -70


def hours_chart(hours, strong_hours):
    """A bar per hour, the part of magnitude 4.5 or more apart; `hours` as [("2018-01-31T01", 12), ...]."""
    left, right, top, bottom, height = 44, 8, 12, 44, 280
    most = max((count for _, count in hours), default=1)
    step = next(s for s in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 10**6) if most / s <= 5)
    ceiling = step * -(-most // step)
    slot = (WIDTH - left - right) / max(len(hours), 1)
    plot = height - top - bottom

    def y(count):
        return round(top + plot * (1 - count / ceiling), 1)

    parts = []
    for count in range(0, ceiling + 1, step):
        parts.append(f'<line class="grid" x1="{left}" x2="{WIDTH - right}" y1="{y(count)}" y2="{y(count)}"/>')
        parts.append(f'<text class="tick" x="{left - 8}" y="{y(count) + 4}" text-anchor="end">{count}</text>')
    shown = -100.0
    for number, (hour, count) in enumerate(hours):
        x = left + number * slot
        if (number == 0 or hour.endswith("T00")) and x - shown > 80 and x < WIDTH - 80:
            day = datetime.fromisoformat(hour[:10])
            place = f'x1="{x:.1f}" x2="{x:.1f}" y1="{top}" y2="{height - bottom + 6}"'
            parts.append(f'<line class="day" {place}/>')
            place = f'x="{x + 4:.1f}" y="{height - bottom + 20}"'
            parts.append(f'<text class="tick" {place}>{day:%a} {day.day} {day:%b}</text>')
            shown = x
        strong = strong_hours.get(hour, 0)
        title = f"<title>{hour[:10]}, {hour[11:]}:00 UTC: {count}, of these {strong} strong</title>"
        bars = [("bar", count), ("bar strong", strong)] if strong else [("bar", count)]
        place = f'x="{x + slot * 0.1:.2f}" width="{slot * 0.8:.2f}"'
        drawn = "".join(
            f'<rect class="{kind}" {place} y="{y(high)}" height="{y(0) - y(high):.1f}"/>'
            for kind, high in bars
        )
        parts.append(f"<g>{drawn}{title}</g>")
    parts.append(f'<text class="tick" x="{left}" y="{height - 4}">Hour, UTC</text>')
    total = sum(count for _, count in hours)
    words = (
        f"{total} quakes in {len(hours)} hours, a bar for each hour; the fullest has {most if hours else 0}."
    )
    return _svg("hours", "Quakes by hour", words, height, parts)


def map_of(rows):
    """A dot for each quake on a plain map (equirectangular); strong ones larger, with their name."""
    height = round(WIDTH * (NORTH - SOUTH) / 360)
    with open("land.json", encoding="utf-8") as file:
        land = json.load(file)
    outline = "".join("M" + "L".join(_at(*point) for point in shape) + "Z" for shape in land)
    parts = [f'<rect class="sea" width="{WIDTH}" height="{height}"/>', f'<path class="land" d="{outline}"/>']
    for longitude in range(-150, 180, 30):
        x = _at(longitude, 0).split()[0]
        parts.append(f'<line class="grid" x1="{x}" x2="{x}" y1="0" y2="{height}"/>')
    for latitude, name in ((60, "60° N"), (30, "30° N"), (0, "Equator"), (-30, "30° S"), (-60, "60° S")):
        y = _at(0, latitude).split()[1]
        parts.append(f'<line class="grid" x1="0" x2="{WIDTH}" y1="{y}" y2="{y}"/>')
        parts.append(f'<text class="tick" x="6" y="{float(y) - 4:.1f}">{name}</text>')
    placed = [row for row in rows if row["longitude"] is not None and row["latitude"] is not None]
    placed.sort(key=lambda row: row["magnitude"] or 0)
    for row in placed:
        x, y = _at(row["longitude"], row["latitude"]).split()
        magnitude = row["magnitude"] or 0
        if magnitude >= STRONG:
            title = escape(f"Magnitude {magnitude}: {row['place']}")
            size = 3 + (magnitude - STRONG) * 3
            circle = f'<circle class="dot strong" cx="{x}" cy="{y}" r="{size:.1f}">'
            parts.append(f"{circle}<title>{title}</title></circle>")
        else:
            kind = "dot" if row["type"] == "earthquake" else "dot blast"
            parts.append(f'<circle class="{kind}" cx="{x}" cy="{y}" r="{1 + max(magnitude, 0) * 0.45:.1f}"/>')
    strong = sum(1 for row in placed if (row["magnitude"] or 0) >= STRONG)
    words = (
        f"World map with {len(placed)} quakes. The {strong} of magnitude {STRONG} or more are drawn larger; "
        "the table of the strongest gives their places."
    )
    return _svg("map", "Where they were", words, height, parts)


def _at(longitude, latitude):
    scale = WIDTH / 360
    return f"{(longitude + 180) * scale:.1f} {(NORTH - latitude) * scale:.1f}"


def _svg(name, title, words, height, parts):
    return (
        f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-labelledby="{name}-title {name}-words">'
        f'<title id="{name}-title">{title}</title><desc id="{name}-words">{words}</desc>'
        f"{''.join(parts)}</svg>"
    )
