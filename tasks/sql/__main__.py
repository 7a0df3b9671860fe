"""The process of a SQL step. `sys.argv[1]` holds `{"script", "template", "problem", "params",
"connections", "options"}`."""

from __future__ import annotations

import json
import os
import socket
import sys
from pathlib import Path
from typing import Any

CHANNEL = "FERRIS_CHANNEL"
ARTIFACTS = "FERRIS_ARTIFACTS"


def show(message: dict[str, Any]) -> None:
    """A table's rows, or an event, for whoever runs the script by hand."""
    if message["op"] == "table":
        for row in (message["columns"], *message["rows"]):
            print("  " + " | ".join("NULL" if cell is None else cell for cell in row), flush=True)
    else:
        print(f"event {message['type']} {json.dumps(message['data'], ensure_ascii=False)}", flush=True)


class Channel:
    """The executor's socket; opened with the first message."""

    def __init__(self, path: str | None) -> None:
        self._path, self._socket = path, None

    def tell(self, message: dict[str, Any]) -> None:
        """Send a message that needs no answer; where nobody listens it is printed (`manage.py run-local`)."""
        if not self._path:
            show(message)
            return
        if self._socket is None:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self._socket.connect(self._path)
        self._socket.sendall(json.dumps(message).encode() + b"\n")

    _socket: socket.socket | None


def main() -> int:
    """Run the script: 0, or 1 with the reason on standard error."""
    # As a script this file's own folder came first, whose modules would stand in for others.
    sys.path[0] = str(Path(__file__).resolve().parent.parent.parent)
    from ferris.sql_steps import SqlOptions
    from tasks.sql.script import run
    from tasks.sql.statements import SqlError

    order = json.loads(sys.argv[1])
    folder = os.environ.get(ARTIFACTS)
    try:
        if order.get("problem"):
            raise SqlError(order["problem"])
        run(
            order["script"],
            order["template"],
            order["params"],
            order["connections"],
            SqlOptions.of(order.get("options", {})),
            folder=Path(folder) if folder else None,
            say=lambda line: print(line, flush=True),
            tell=Channel(os.environ.get(CHANNEL)).tell,
        )
    except (SqlError, OSError) as error:
        print(f"ERROR: {error}", file=sys.stderr)
        return 1
    except MemoryError:
        print(
            "ERROR: MemoryError: the script, its values or its rows are too large for the limit of memory",
            file=sys.stderr,
        )
        return 1
    return 0


if __name__ == "__main__":
    status = main()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)  # all is closed; to take apart what was imported would take longer than the rest
