"""What a script was given: parameters, configuration, secrets, and which service it is. All read like dicts."""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Values(dict):  # type: ignore[type-arg] # the generic alias costs an import at run time
    """Named values: `values.get(name, default)`, `values[name]`, `values.all()`."""

    def all(self) -> dict[str, Any]:
        """All of them, as a plain dict."""
        return dict(self)


class Secrets(Values):
    """Secrets of the service, its project and the platform, the nearest first. Their text never shows by itself."""

    def get(self, name: str, default: Any = None) -> Any:
        """The secret's value, any JSON value; `default` when there is none of that name."""
        if name in self:
            return self[name]
        from ferris_ef.wire import expect, http

        query = {"name": name, "package_id": package().id}
        status, value = http("GET", "/secrets/by-name", query)
        if status == 404:
            return default
        found = expect(status, value, f"reading the secret {name}").get("value")
        if found is None:
            return default
        self[name] = found
        return found

    def set(self, name: str, value: Any, context: str = "platform") -> tuple[int, str]:
        """Keep a secret for the `platform` or the `project`; its status and text. PlatformError when refused."""
        from ferris_ef.wire import expect, http

        body = {"name": name, "value": value, "context": context, "package_id": package().id}
        status, answer = http("POST", "/secrets/", body=body)
        expect(status, answer, f"keeping the secret {name}")
        self[name] = value
        return status, str(answer)

    def __repr__(self) -> str:
        return f"<{len(self)} secrets>"

    __str__ = __repr__


class Package:
    """The service that runs: `name` and `id`."""

    def __init__(self, name: str, id: str) -> None:
        self.name = name
        self.id = id

    def __repr__(self) -> str:
        return f"<package {self.name}>"


_argument: dict[str, Any] | None = None


def argument() -> dict[str, Any]:
    """The JSON object that the script was started with (sys.argv[1]); empty when there is none. ValueError."""
    global _argument
    if _argument is None:
        found: Any = {}
        if len(sys.argv) > 1 and sys.argv[1].strip():
            from ferris_ef.quickjson import loads

            try:
                found = loads(sys.argv[1])
            except ValueError as error:
                raise ValueError(f"the script's first argument is no JSON: {error}") from None
            if not isinstance(found, dict):
                raise ValueError("the script's first argument is no JSON object")
        _argument = found
    return _argument


def parameters() -> Values:
    """Everything of the argument but the secrets."""
    return Values({name: value for name, value in argument().items() if name != "secrets"})


def secrets() -> Secrets:
    """The secrets that came with the argument; others are asked for when they are wanted."""
    given = argument().get("secrets")
    return Secrets(given if isinstance(given, dict) else {})


def package() -> Package:
    """Which service this is; a script that was started by hand is named after its file."""
    given = argument()
    own = os.path.splitext(os.path.basename(sys.argv[0] or "script"))[0]
    return Package(str(given.get("package_name") or own), str(given.get("package_id") or ""))


def configuration() -> Values:
    """The service's configuration; empty without a platform."""
    if not os.environ.get("FERRIS_CHANNEL"):
        return Values()
    from ferris_ef.wire import call

    found = call({"op": "config"}).get("value")
    return Values(found if isinstance(found, dict) else {})
