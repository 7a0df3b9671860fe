"""The report's page: one HTML text with everything in it, no script, nothing loaded from elsewhere."""

from collections import Counter
from html import escape

from drawing import STRONG, hours_chart, map_of


def page(numbers, rows, hours):
    """`numbers`: what was counted; `rows`: the quakes; `hours`: [("2018-01-31T01", 12), ...] without gaps."""
    with open("page.css", encoding="utf-8") as file:
        style = file.read()
    strong = [row for row in rows if (row["magnitude"] or 0) >= STRONG]
    strong.sort(key=lambda row: -row["magnitude"])
    hour_lines = [(f"{hour[:10]} {hour[11:]}:00", count) for hour, count in hours]
    type_lines = sorted(numbers["types"].items(), key=lambda item: -item[1])
    strong_hours = Counter(row["time"][:13] for row in strong)
    period = f"{_moment(rows[0]['time'])} to {_moment(rows[-1]['time'])}" if rows else "no quake at all"
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{numbers["total"]:,} quakes: report</title>
<style>
{style}</style>
</head>
<body>
<main>
<header>
<p class="kicker">Seismic report</p>
<h1>{numbers["total"]:,} quakes</h1>
<p>{period}</p>
</header>
{_cards(numbers)}
<section aria-labelledby="map-head">
<h2 id="map-head">Where they were</h2>
<figure tabindex="0" aria-label="Map">{map_of(rows)}
<figcaption><span class="key strong"></span> magnitude {STRONG} or more
<span class="key"></span> weaker <span class="key blast"></span> explosion or quarry blast.
The outline of the land is rough.</figcaption></figure>
</section>
<section aria-labelledby="hours-head">
<h2 id="hours-head">Quakes by hour</h2>
<figure tabindex="0" aria-label="Chart">{hours_chart(hours, strong_hours)}
<figcaption><span class="key strong"></span> magnitude {STRONG} or more
<span class="key"></span> weaker</figcaption></figure>
<details><summary>The numbers behind this chart</summary>
{_table("Quakes by hour (UTC)", ("Hour", "Quakes"), hour_lines)}
</details>
</section>
<div class="pair">
<section aria-labelledby="strong-head">
<h2 id="strong-head">The strongest</h2>
{_strongest(strong)}
</section>
<section aria-labelledby="types-head">
<h2 id="types-head">By type</h2>
{_table("Quakes by type", ("Type", "Quakes"), type_lines)}
</section>
</div>
<footer>Data: United States Geological Survey, public domain, by way of vega-datasets (BSD-3-Clause).
Counted one event at a time by <code>quakes_tally</code>.</footer>
</main>
</body>
</html>
"""


def _cards(numbers):
    highest = numbers["highest"] or {"magnitude": "none", "place": ""}
    blasts = sum(count for kind, count in numbers["types"].items() if kind != "earthquake")
    cards = [
        ("Quakes", f"{numbers['total']:,}", "in this load"),
        (f"Magnitude {STRONG} or more", f"{numbers['strong']:,}", "each raised an alert"),
        ("Highest magnitude", highest["magnitude"], highest["place"]),
        ("Made by people", blasts, "explosions, quarry blasts"),
    ]
    items = "".join(
        f"<div><dt>{escape(name)}</dt><dd><strong>{value}</strong><span>{escape(note)}</span></dd></div>"
        for name, value, note in cards
    )
    return f'<dl class="cards">{items}</dl>'


def _strongest(strong):
    lines = [(f"{row['magnitude']:.1f}", row["place"], _moment(row["time"])) for row in strong[:12]]
    if not lines:
        return f"<p>None of magnitude {STRONG} or more.</p>"
    return _table(f"The {len(lines)} strongest of {len(strong)}", ("Magnitude", "Place", "Time (UTC)"), lines)


def _table(caption, heads, lines):
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in heads)
    body = "".join(
        f'<tr><th scope="row">{escape(str(line[0]))}</th>'
        + "".join(_cell(cell) for cell in line[1:])
        + "</tr>"
        for line in lines
    )
    return (
        f"<table><caption>{escape(caption)}</caption>"
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    )


def _cell(value):
    if isinstance(value, int):
        return f'<td class="number">{value:,}</td>'
    return f"<td>{escape(value)}</td>"


def _moment(time):
    return f"{time[:10]} {time[11:16]}"
