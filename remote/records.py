"""`search`: the operational records in a terminal."""

from __future__ import annotations

import json
from typing import Any

from remote.client import Client, part
from remote.showing import clean, colour, moment, table
from remote.verbs import Options

_TOLD = 300  # characters of an event's content


def search(client: Client, options: Options) -> int:
    """What fits a query, newest first; exit status 1 when nothing does."""
    asked = {"query": options.query, "since": options.since, "until": options.until}
    asked = {name: value for name, value in asked.items() if value}
    place = f"search/{part(options.kind)}/"
    if options.by:
        rows = client.get(f"{place}counts/", by=options.by, **asked)["results"][: options.limit]
    else:
        rows = list(client.all(place, options.limit, **asked))
    if options.json:
        for row in rows:
            print(json.dumps(row, ensure_ascii=False))
    elif options.by:
        print(*table([options.by, "records"], [[row["value"], str(row["count"])] for row in rows]), sep="\n")
    else:
        for row in rows:
            print(_line(row, options.kind))
    return int(not rows)


def _line(row: dict[str, Any], kind: str) -> str:
    if kind == "logs":
        level = str(row["level"]).lower()
        said = f"{moment(row['time'])}  {row['service'] or '-'}  {row['step'] or row['stream']}  {row['message']}"
        return colour(clean(said), level)
    content = json.dumps(row.get("data"), ensure_ascii=False)
    content = content if len(content) <= _TOLD else content[:_TOLD] + "…"
    named = row.get("service") or row.get("source") or "-"
    return clean(f"{moment(row['time'])}  {row.get('type', '-')}  {named}  {content}")
