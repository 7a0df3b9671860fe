"""A service's state: named JSON values that outlive its executions. Changes are atomic among all of them."""

from __future__ import annotations

import time

from ferris_ef.quickjson import dumps, loads
from ferris_ef.wire import PlatformError, expect, http, tell

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

PATIENCE = 60.0
"""Seconds to try again while other executions change the state at the same time."""


class State:
    """`state.get()`, `state.put(name, value)`, `state.update(name, function)`."""

    def __init__(self, package_name: str) -> None:
        self._path = f"/v1/kv/{package_name}.state"

    def get(self, name: str | None = None, default: Any = None) -> Any:
        """The value of that name (`default` if there is none), or without a name all of them as a dict."""
        found = self._read()[1]
        return found if name is None else found.get(name, default)

    def put(self, name: str, value: Any) -> None:
        """Set the value of one name; the others stay, whoever changes them meanwhile."""
        dumps(value)
        self.update(name, lambda _: value)

    def update(self, name: str, function: Callable[[Any], Any]) -> Any:
        """Set a value to what `function` makes of the one before (None if there was none), and return it.

        Nobody else changes the state between: when somebody was faster, `function` is called again with the
        newer value. It should do nothing but compute. Executions of the service on the same worker take turns, so that
        this is rare; they wait for each other a few seconds at most.
        """
        if not isinstance(name, str) or not name:
            raise TypeError("the name of a value in the state is a text")
        deadline, pause = time.monotonic() + PATIENCE, 0.002
        while True:
            try:
                index, values = self._read("take")
                values[name] = value = function(values.get(name))
                done = self._write(index, values)
            except BaseException as error:
                try:
                    tell({"op": "turn.end"})
                except Exception as gone:  # it is told, too, but what went wrong first is raised
                    gone.__context__ = None
                    if error.__context__ is None:
                        error.__context__ = gone
                raise
            if done:
                return value
            if time.monotonic() > deadline:
                raise PlatformError(f"the state was changed by others for {PATIENCE:g} s without a pause")
            # Spread those who collide; the clock's last digits are random enough for that.
            time.sleep(pause * (0.5 + time.perf_counter_ns() % 1000 / 1000))
            pause = min(pause * 2, 0.25)

    def _read(self, turn: str = "") -> tuple[int, dict[str, Any]]:
        status, value = http("GET", self._path, turn=turn)
        if status == 404:
            return 0, {}
        entry = expect(status, value, "reading the state")[0]
        from binascii import a2b_base64

        found = loads(a2b_base64(entry["Value"]).decode()) if entry.get("Value") else {}
        return int(entry["ModifyIndex"]), found if isinstance(found, dict) else {}

    def _write(self, index: int, values: dict[str, Any]) -> bool:
        status, value = http("PUT", self._path, {"cas": index}, values, turn="end")
        return bool(expect(status, value, "writing the state"))
