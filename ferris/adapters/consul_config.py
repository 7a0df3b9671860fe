"""Configuration and state in Consul's key-value store: `consul://[token@]host:port[/prefix]?secure=1`.

Keys stand there as they are, so that people find them in Consul's own screens. Only what a path cannot hold
is written differently: a segment that is empty, "." or ".." gets a "~" in front, and so does one that begins
with "~".
"""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable, Collection, Iterator
from functools import partial
from typing import Any, TypeVar
from urllib.parse import parse_qs, unquote, urlsplit

import consul
from consul.callback import CB
from urllib3.exceptions import HTTPError

from ferris.adapters import consul_checkup
from ferris.adapters.consul_http import Consul
from ferris.errors import BackendError, ConfigError
from ferris.findings import Finding
from ferris.ports import MAX_CONFIG_VALUE, Entry

T = TypeVar("T")

_BACKEND = "config store"
_SETTING = "FERRIS_CONFIG_STORE"
_SECONDS = 10
_MAX_KEY = 512
_OPTIONS = {"secure", "dc"}
_AT_ONCE = 64  # operations of a transaction


class ConsulConfigStore:
    """`ConfigStore` in Consul. Reads are consistent: they see every change that was answered before."""

    capabilities: frozenset[str] = frozenset()

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        options = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        try:
            port = parts.port or 8500
        except ValueError:
            port = 0
        if (
            not parts.hostname
            or not port
            or set(options) - _OPTIONS
            or options.get("secure", "0") not in ("0", "1")
        ):
            raise ConfigError(
                _SETTING,
                "does not say where Consul is in the form that is understood",
                "write consul://host:8500 or consul://token@host:8501/prefix?secure=1",
            )
        prefix = unquote(parts.path).strip("/")
        self._prefix = f"{prefix}/" if prefix else ""
        self._address = f"{parts.hostname}:{port}"
        self._options: dict[str, Any] = {
            "host": parts.hostname,
            "port": port,
            "scheme": "https" if options.get("secure") == "1" else "http",
            "token": unquote(parts.password or parts.username or "") or None,
            "dc": options.get("dc"),
            "consistency": "consistent",
            "connections_timeout": _SECONDS,
        }
        self._local = threading.local()  # a client belongs to one thread

    def get(self, key: str) -> Entry | None:
        """See `ConfigStore.get`."""
        _check_key(key)
        _, found = self._call(lambda kv: kv.get(self._name(key)))
        return None if found is None else Entry(key, found["Value"] or b"", found["ModifyIndex"])

    def get_many(self, keys: Collection[str]) -> dict[str, Entry]:
        """See `ConfigStore.get_many`."""
        for key in keys:
            _check_key(key)
        wanted = list(keys)
        found: dict[str, Entry] = {}
        for start in range(0, len(wanted), _AT_ONCE):
            some = wanted[start : start + _AT_ONCE]
            rows = self._call(partial(self._together, [self._name(key) for key in some]))
            found |= {
                key: Entry(key, base64.b64decode(row["Value"] or ""), row["ModifyIndex"])
                for key, row in zip(some, rows, strict=True)
                if row["ModifyIndex"]
            }
        return found

    def _together(self, names: list[str], _kv: Any) -> list[dict[str, Any]]:
        """What Consul has under these names, in their order; one that it does not have has the index 0."""
        client = self._local.client
        params = [("consistent", "1"), *([("dc", self._options["dc"])] if self._options["dc"] else ())]
        asked = [{"KV": {"Verb": "get-or-empty", "Key": name}} for name in names]
        answer = client.http.put(
            CB.json(), "/v1/txn", params=params, data=json.dumps(asked), headers=client.prepare_headers(None)
        )
        rows = [row["KV"] for row in answer["Results"] or ()]
        if len(rows) != len(names):  # what a token may not read is left out, without a word
            raise consul.ACLPermissionDenied(f"a read of {', '.join(names)}")
        return rows

    def put(self, key: str, value: bytes, *, cas: int | None = None) -> bool:
        """See `ConfigStore.put`."""
        _check_key(key)
        if len(value) > MAX_CONFIG_VALUE:
            raise BackendError(
                _BACKEND,
                f"takes values up to {MAX_CONFIG_VALUE} bytes, and {key!r} has {len(value)}",
                "keep large values in the object store and their key here",
            )
        return bool(self._call(lambda kv: kv.put(self._name(key), value, cas=cas)))

    def delete(self, key: str, *, cas: int | None = None) -> bool:
        """See `ConfigStore.delete`."""
        _check_key(key)
        if cas is None:
            return bool(self._call(lambda kv: kv.delete(self._name(key))))
        # Consul is content when there is nothing to remove; who compares wants to know.
        before = self.get(key)
        if cas == 0 or before is None or before.index != cas:
            return False
        return bool(self._call(lambda kv: kv.delete(self._name(key), cas=cas)))

    def list(self, prefix: str) -> list[Entry]:
        """See `ConfigStore.list`."""
        if "\0" in prefix:
            return []
        above, _, last = prefix.rpartition("/")
        # A beginning like "." may stand for itself or for a segment that is written differently.
        asked = _escaped(f"{above}/") if "/" in prefix else ""
        asked += "" if last[:1] in ("", ".", "~") else last
        _, found = self._call(lambda kv: kv.get(self._prefix + asked, recurse=True))
        entries = [
            Entry(_plain(one["Key"][len(self._prefix) :]), one["Value"] or b"", one["ModifyIndex"])
            for one in found or ()
        ]
        wanted = [entry for entry in entries if entry.key.startswith(prefix)]
        return sorted(wanted, key=lambda entry: entry.key.encode())

    def index(self) -> int:
        """See `ConfigStore.index`."""
        index, found = self._call(lambda kv: kv.get(self._prefix, keys=True))
        return int(index) if found or self._prefix == "" or int(index) > 1 else 0

    def examine(self) -> Iterator[Finding]:
        """See `findings.Examined`."""
        return consul_checkup.examine(_BACKEND, self._get)

    def _get(self, path: str) -> Any:
        client = self._connected()
        try:
            return client.http.ask("GET", path, headers=client.prepare_headers())
        except HTTPError as error:
            raise self._unreachable(error) from error

    def _unreachable(self, error: Exception) -> BackendError:
        return BackendError(
            _BACKEND,
            f"cannot reach Consul at {self._address} ({type(error).__name__})",
            f"start it, or correct {_SETTING}",
        )

    def _name(self, key: str) -> str:
        return self._prefix + _escaped(key)

    def _call(self, call: Callable[[Any], T]) -> T:
        client = self._connected()
        try:
            return call(client.kv)
        except (consul.ACLPermissionDenied, consul.ACLDisabled) as error:
            raise BackendError(
                _BACKEND,
                f"refused this ({str(error).strip()})",
                f"give a token with the right to these keys in {_SETTING} (consul://token@host:port)",
            ) from error
        except consul.ConsulException as error:
            raise BackendError(
                _BACKEND,
                f"answered {str(error).strip()[:300]}",
                f"see Consul's log (has it a leader?), or correct {_SETTING}",
            ) from error
        except (HTTPError, ValueError) as error:
            raise self._unreachable(error) from error

    def _connected(self) -> Consul:
        client = getattr(self._local, "client", None)
        if client is None:
            client = self._local.client = Consul(**self._options)
        return client


def _check_key(key: str) -> None:
    try:
        key.encode()
    except UnicodeEncodeError:
        key = ""
    if not 1 <= len(key) <= _MAX_KEY or "\0" in key:
        raise BackendError(
            _BACKEND, f"cannot have the key {key[:100]!r}", f"use 1 to {_MAX_KEY} characters of text"
        )


def _escaped(key: str) -> str:
    """The key as a path. An empty last segment may stay: Consul keeps a slash at the end."""
    segments = key.split("/")
    last = len(segments) - 1
    return "/".join(
        f"~{segment}"
        if segment in (".", "..") or segment.startswith("~") or (not segment and place < last)
        else segment
        for place, segment in enumerate(segments)
    )


def _plain(path: str) -> str:
    return "/".join(segment.removeprefix("~") for segment in path.split("/"))
