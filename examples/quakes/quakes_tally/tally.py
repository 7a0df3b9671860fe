"""Counts every quake of a load once, and says so when the last one has been seen."""

from ferris_ef import context

STRONG = 4.5
REMEMBERED = 50  # loads that are finished; a late copy of one of their quakes is not counted again


def counted(book):
    """The book of loads after this event. Called again on a newer book when another execution was faster."""
    book = book or {"open": {}, "finished": []}
    if load in book["finished"]:
        return book
    if event_type == "quakes.report.written":
        book["open"].pop(load, None)
        book["finished"] = [*book["finished"], load][-REMEMBERED:]
        return book
    entry = book["open"].setdefault(load, {"seen": "0", "total": 0, "strong": 0, "types": {}, "days": {}})
    if event_type == "quakes.file.loaded":
        entry["count"], entry["copy"] = params["count"], params["copy"]
    else:
        count_quake(entry)
    if "closed_by" not in entry and entry["total"] == entry.get("count"):
        entry["closed_by"] = mark
    return book


def count_quake(entry):
    seen, bit = int(entry["seen"], 16), 1 << params["row"]
    if seen & bit:
        return
    entry["seen"] = f"{seen | bit:x}"
    entry["total"] += 1
    entry["types"][params["type"]] = entry["types"].get(params["type"], 0) + 1
    day, hour = params["time"][:10], int(params["time"][11:13])
    entry["days"].setdefault(day, [0] * 24)[hour] += 1
    magnitude = params["magnitude"]
    if magnitude is None:
        return
    entry["strong"] += magnitude >= STRONG
    best = entry.get("highest")
    if best is None or (magnitude, -params["row"]) > (best["magnitude"], -best["row"]):
        entry["highest"] = {name: params[name] for name in ("magnitude", "row", "id", "place")}


params = context.params.all()
event_type, load = params["origin_event_type"], params.get("load")
mark = params.get("row", "loaded")  # what names this event within its load

if load is None:
    print("This quake belongs to no load, so there is nothing to count")
else:
    entry = context.state.update("loads", counted)["open"].get(load)
    if entry and entry.get("closed_by") == mark:
        numbers = {name: entry.get(name) for name in ("total", "strong", "highest", "types", "days", "copy")}
        context.events.send("quakes.file.seen", data={"load": load, **numbers})
        print(f"All {entry['total']} quakes seen")
