"""Sends an event for each row of the feed behind the cursor. The cursor itself is moved by commit.py, afterwards."""

import json
from urllib.parse import urlencode
from urllib.request import urlopen

from ferris_ef import context

PAGES = 50  # of one run; the next one goes on


def rows(url, after, limit):
    """The rows behind the cursor, at most so many, in the order of their ids."""
    query = urlencode({"after": after, "limit": limit})
    with urlopen(f"{url}{'&' if '?' in url else '?'}{query}", timeout=30) as answer:
        return json.load(answer)


url, limit = context.config.get("url"), int(context.config.get("limit", 200))
cursor = context.state.get("cursor", 0)
sent = 0
for _ in range(PAGES if url else 0):
    page = rows(url, cursor, limit)
    for row in page:
        # The id says which row it is, not which run sent it: sent again, it is the same event.
        context.events.send("feed.row.added", data=row, reference_id=row["id"], event_id=f"{url}#{row['id']}")
        cursor = max(cursor, row["id"])
    sent += len(page)
    if len(page) < limit:
        break

with open("cursor.json", "w", encoding="utf-8") as file:
    json.dump(cursor, file)
print(f"{sent} rows sent, up to {cursor}" if url else "no feed is configured: set url")
