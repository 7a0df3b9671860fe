"""Writes what a load contained: a page for people, a CSV for programs."""

import csv
import io

from ferris_ef import context
from page import page

BUCKET = "quakes"


def read_rows(copy):
    """The rows the load sent, as it left them in the object store."""
    rows = list(csv.DictReader(io.StringIO(context.objects.get(BUCKET, copy).decode("utf-8"))))
    for row in rows:
        for name in ("magnitude", "longitude", "latitude"):
            row[name] = float(row[name]) if row[name] else None
    return rows


def by_hour(days):
    """Counts per hour from the first hour with a quake to the last: [("2018-01-31T01", 12), ...]."""
    hours = [(f"{day}T{hour:02}", count) for day in sorted(days) for hour, count in enumerate(days[day])]
    used = [number for number, (_, count) in enumerate(hours) if count]
    return hours[used[0] : used[-1] + 1] if used else []


def table(numbers, hours):
    """The same numbers as text: one row for each."""
    out = io.StringIO()
    write = csv.writer(out, lineterminator="\n").writerow
    write(("measure", "key", "value"))
    write(("total", "", numbers["total"]))
    write(("magnitude 4.5 or more", "", numbers["strong"]))
    if numbers["highest"]:
        write(("highest magnitude", numbers["highest"]["id"], numbers["highest"]["magnitude"]))
    for kind, count in sorted(numbers["types"].items()):
        write(("type", kind, count))
    for hour, count in hours:
        write(("hour", hour, count))
    return out.getvalue()


numbers = context.params.all()
rows, hours = read_rows(numbers["copy"]), by_hour(numbers["days"])
if len(rows) != numbers["total"]:
    raise SystemExit(f"{numbers['total']} quakes were counted, but the file has {len(rows)} rows")

folder = f"reports/{numbers['load']}"
for name, text in (("html", page(numbers, rows, hours)), ("csv", table(numbers, hours))):
    context.objects.put(BUCKET, f"{folder}/report.{name}", text.encode(), content_type=f"text/{name}")
written = {name: f"/objects/{BUCKET}/{folder}/report.{name}" for name in ("html", "csv")}
context.events.send("quakes.report.written", data={"load": numbers["load"], **written})
print(f"{numbers['total']} quakes, {numbers['strong']} of magnitude 4.5 or more")
print(f"Report: {written['html']}")
