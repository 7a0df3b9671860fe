"""Raises an alert for the quake that came."""

from ferris_ef import context

quake = {name: context.params.get(name) for name in ("id", "magnitude", "place", "time", "tsunami")}

warning = ", tsunami possible" if quake["tsunami"] else ""

print(f"ALERT: magnitude {quake['magnitude']}, {quake['place']}{warning}")
context.events.send("quakes.alert.raised", data=quake, reference_id=quake["id"])
