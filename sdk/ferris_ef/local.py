"""EF_ENV=local: the same calls without a platform.

`ef_env.json` beside the script holds {"params": {...}, "secrets": {...}, "config": {...}}; state is kept in
`ef_package_state.json`, objects in the folder `ef_objects`, artifacts in `ef_artifacts`, events are printed. A JSON
object as the script's first argument adds to the params.
"""

from __future__ import annotations

import json
import logging
import os
import sys

from ferris_ef import log, scheduler, values
from ferris_ef.artifacts import Artifacts
from ferris_ef.events import Events
from ferris_ef.metrics import Metrics
from ferris_ef.objects import content_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

ENVIRONMENT = "ef_env.json"
STATE = "ef_package_state.json"
OBJECTS = "ef_objects"
ARTIFACTS = "ef_artifacts"


def make(name: str) -> Any:
    """The local form of one of the context's parts."""
    package = _package()
    makers: dict[str, Callable[[], Any]] = {
        "params": lambda: values.Values(_params()),
        "config": lambda: values.Values(_part("config")),
        "secrets": lambda: LocalSecrets(_part("secrets")),
        "package": lambda: package,
        "events": lambda: LocalEvents(package.name),
        "state": LocalState,
        "scheduler": lambda: LocalScheduler(package),
        "objects": LocalObjects,
        "artifacts": LocalArtifacts,
        "metrics": lambda: Metrics(LocalEvents(package.name)),
        "logging": lambda: log.logger(package.name, _handler(), _part("config").get("LOG_LEVEL")),
    }
    return makers[name]()


class LocalSecrets(values.Secrets):
    """Those of ef_env.json; `set` lasts until the script ends."""

    def get(self, name: str, default: Any = None) -> Any:
        return dict.get(self, name, default)

    def set(self, name: str, value: Any, context: str = "platform") -> tuple[int, str]:
        self[name] = value
        return 200, "kept until the script ends"


class LocalEvents(Events):
    """Checked as on the platform, and printed."""

    def _send(self, message: dict[str, Any]) -> None:
        print(f"event {json.dumps(message)}", flush=True)


class LocalState:
    """One file beside the script."""

    def get(self, name: str | None = None, default: Any = None) -> Any:
        found = _read(STATE)
        return found if name is None else found.get(name, default)

    def put(self, name: str, value: Any) -> None:
        self.update(name, lambda _: value)

    def update(self, name: str, function: Callable[[Any], Any]) -> Any:
        path = _beside(STATE)
        state = _read(STATE)
        state[name] = value = function(state.get(name))
        part = f"{path}.{os.getpid()}"
        with open(part, "w", encoding="utf-8") as file:
            json.dump(state, file, indent=2)
        os.replace(part, path)
        return value


class LocalScheduler(scheduler.Scheduler):
    """Prints what would be scheduled."""

    def _add(self, service: Any, name: str, when: str, parameters: Any) -> Any:
        print(
            f"schedule {json.dumps({'service': name, 'schedule': when, 'parameters': parameters or {}})}",
            flush=True,
        )
        return "OK"


class LocalObjects:
    """Files below a folder beside the script."""

    def put(
        self, bucket: str, key: str, data: bytes | str, content_type: str | None = None
    ) -> dict[str, Any]:
        content = content_of(data)
        path = self._path(bucket, key)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(content)
        return {"bucket": bucket, "key": key, "size": len(content), "etag": ""}

    def get(self, bucket: str, key: str) -> bytes:
        try:
            with open(self._path(bucket, key), "rb") as file:
                return file.read()
        except FileNotFoundError:
            from ferris_ef.wire import PlatformError

            raise PlatformError(f"there is no object {key} in {bucket}") from None

    @staticmethod
    def _path(bucket: str, key: str) -> str:
        parts = [bucket, *key.split("/")]
        if any(part in ("", ".", "..") for part in parts):
            raise ValueError(f"{bucket}/{key} is no name of an object")
        return _beside(os.path.join(OBJECTS, *parts))


class LocalArtifacts(Artifacts):
    """Files below a folder beside the script, unless FERRIS_ARTIFACTS names another."""

    def _folder(self) -> str:
        return os.environ.get("FERRIS_ARTIFACTS") or _beside(ARTIFACTS)


def _handler() -> logging.Handler:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(levelname)s: %(message)s"))
    return handler


def _package() -> values.Package:
    params = _params()
    return values.Package(
        str(params.get("package_name") or "local_package"), str(params.get("package_id") or "local")
    )


def _params() -> dict[str, Any]:
    given = {name: value for name, value in values.argument().items() if name != "secrets"}
    return {**_part("params"), **given}


def _part(name: str) -> dict[str, Any]:
    found = _read(ENVIRONMENT).get(name, {})
    if not isinstance(found, dict):
        raise ValueError(f"{ENVIRONMENT}: {name} is a {type(found).__name__}; expected an object")
    return found


def _read(name: str) -> dict[str, Any]:
    try:
        with open(_beside(name), encoding="utf-8") as file:
            found = json.load(file)
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise ValueError(f"{name} is no JSON: {error}") from None
    return found if isinstance(found, dict) else {}


def _beside(name: str) -> str:
    """A file in the script's folder."""
    return os.path.join(os.path.dirname(os.path.abspath(sys.argv[0] or "script")), name)
