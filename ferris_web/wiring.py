"""The composition root: which backend stands behind each port, from the settings' URLs.

One of each per process, opened on first use. The supervisor forks after importing everything, so nothing may be
opened before the fork; `reset()` is called in each child.
"""

from __future__ import annotations

from datetime import timedelta
from functools import cache, lru_cache
from pathlib import Path

from cryptography.fernet import Fernet, MultiFernet
from django.conf import settings

from ferris import adapters
from ferris.config import CHANGES, CONTROL, Settings
from ferris.encryption_keys import Stamp, keys_read, keys_stamp
from ferris.findings import Broker
from ferris.ports import ConfigStore, EventLog, ObjectStore, OpsStore, Retention


def config() -> Settings:
    """The platform's settings."""
    return settings.FERRIS  # type: ignore[no-any-return]


@cache
def event_log() -> EventLog:
    """Where events, lifecycle reports and log lines are appended and read."""
    return adapters.open_event_log(config().event_log_url, retention=_retention())


def _retention() -> dict[str, Retention]:
    """How long each topic is kept. Notices are of use for moments only; dead letters are kept as rows as well."""
    notices = Retention(max_age=timedelta(hours=1), lasting=False)
    return {
        "*": Retention(max_age=timedelta(days=config().retention_days)),
        CONTROL: notices,
        CHANGES: notices,
    }


@cache
def object_store() -> ObjectStore:
    """Packages and files."""
    return adapters.open_object_store(config().object_store_url)


@cache
def config_store() -> ConfigStore:
    """Configuration and state by key."""
    return adapters.open_config_store(config().config_store_url)


@cache
def ops_store() -> OpsStore:
    """Searchable records: log lines, events, lifecycle."""
    return adapters.open_ops_store(config().ops_store_url)


@cache
def broker() -> Broker | None:
    """What carries the doorbells, as an operator looks at it; None when it is inside the engine process."""
    return adapters.open_broker(config().broker_url, config().broker_api_url)


def cipher() -> MultiFernet:
    """Encrypts with the first key, decrypts with any: keys rotate by putting a new one in front.

    A file of keys that has changed is read again, so that a running process follows a rotation.
    """
    return _cipher_of(encryption_keys())


def encryption_keys() -> tuple[str, ...]:
    """The keys as they are now, the newest in front."""
    known = config()
    now_there = keys_stamp(known.home) if known.keys_stamp else None
    if now_there in (None, known.keys_stamp):  # not from the file, or as they were at the start
        return known.secret_keys
    return _keys_of(known.home, now_there) or known.secret_keys


@lru_cache(maxsize=2)
def _keys_of(home: Path, stamp: Stamp) -> tuple[str, ...]:
    return keys_read(home)


@lru_cache(maxsize=2)
def _cipher_of(keys: tuple[str, ...]) -> MultiFernet:
    return MultiFernet([Fernet(key) for key in keys])


def reset() -> None:
    """Forget what was opened: called in a process that was just forked."""
    for opened in (event_log, object_store, config_store, ops_store, broker):
        opened.cache_clear()
