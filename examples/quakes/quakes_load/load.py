"""Reads the week's seismic events from the file beside this script and sends one event for each."""

import csv

from ferris_ef import context


def quake(row, number, load):
    """A row of the file as an event's data: numbers as numbers, an empty field as null."""

    def value(name):
        return float(row[name]) if row[name] else None

    return {
        "load": load,
        "row": number,
        "id": row["id"],
        "time": row["time"],
        "magnitude": value("magnitude"),
        "magnitude_type": row["magnitude_type"],
        "place": row["place"],
        "longitude": value("longitude"),
        "latitude": value("latitude"),
        "depth_km": value("depth_km"),
        "type": row["type"],
        "status": row["status"],
        "tsunami": row["tsunami"] == "1",
    }


limit = context.params.get("limit")
load = context.params.get("_fxexec", "local")

with open("quakes.csv", encoding="utf-8") as file:
    header, *lines = file.readlines()
if limit not in (None, ""):
    lines = lines[: int(limit)]

copy = f"loads/{load}.csv"
context.objects.put("quakes", copy, (header + "".join(lines)).encode(), content_type="text/csv")

for number, row in enumerate(csv.DictReader([header, *lines])):
    context.events.send("quakes.quake.detected", data=quake(row, number, load), reference_id=row["id"])
context.events.send("quakes.file.loaded", data={"load": load, "count": len(lines), "copy": copy})
print(f"{len(lines)} quakes sent")
