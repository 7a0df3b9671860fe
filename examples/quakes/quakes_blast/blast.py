"""Notes a seismic event that was no earthquake."""

from ferris_ef import context

kind, place = context.params.get("type"), context.params.get("place")

print(f"{kind}: {place}")
context.events.send("quakes.blast.found", data={"id": context.params.get("id"), "kind": kind, "place": place})
