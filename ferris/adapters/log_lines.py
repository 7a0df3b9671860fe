"""The platform's own log: a line per record on standard error, for people, or as JSON with FERRIS_LOG_FORMAT=json.

Each line says when, how bad, which process and role, and, where there are ones, which execution and flow it is
about (`about`). No secret that this process knows gets into a line: neither those of its settings nor what
`veiled` was given. Libraries log through the same lines.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from typing import Any, Final
from urllib.parse import quote, unquote, urlsplit

import structlog

from ferris.config import Settings

Event = MutableMapping[str, Any]
Veil = Callable[[str], str]

_ORDER: Final = ("time", "level", "process", "role", "logger", "message", "execution", "flow")
_TALKATIVE: Final = ("kafka.", "amqp", "urllib3")  # their traces say nothing that their messages don't
_SHORTEST: Final = 6
_process = "manage"
_veil: ContextVar[Veil | None] = ContextVar("ferris_veil", default=None)


def speak_as(process: str) -> None:
    """What this process is called in its lines: web, gateway, executor, engine. Python's warnings are lines, too."""
    global _process
    _process = process
    logging.captureWarnings(True)


def about(**facts: object) -> AbstractContextManager[None]:
    """Facts that every line of this thread has meanwhile: role, execution, flow; those that are None are left out."""
    known = {name: str(value) for name, value in facts.items() if value is not None}
    return structlog.contextvars.bound_contextvars(**known)


@contextmanager
def veiled(veil: Veil) -> Iterator[None]:
    """Every text that this thread logs meanwhile goes through `veil`, which takes the secrets out."""
    before = _veil.set(veil)
    try:
        yield
    finally:
        _veil.reset(before)


def configuration(settings: Settings) -> dict[str, Any]:
    """For `logging.config.dictConfig`."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": {"()": lambda: formatter(settings)}},
        "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
        "root": {"handlers": ["console"], "level": settings.log_level},
        "loggers": {
            "django.request": {"level": "ERROR"},
            "django.security.DisallowedHost": {"level": "CRITICAL"},
            "celery": {"level": "WARNING"},
            "kombu": {"level": "WARNING"},
            "kafka": {"level": "WARNING"},
            "elastic_transport": {"level": "WARNING"},
            "urllib3": {"level": "ERROR"},
            "kafka.net.selector": {"level": "ERROR"},  # how long its own tasks took
        },
    }


def formatter(settings: Settings) -> structlog.stdlib.ProcessorFormatter:
    """Makes a line of a record."""
    render: Any = structlog.processors.JSONRenderer(default=str) if settings.log_format == "JSON" else _text
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[structlog.contextvars.merge_contextvars, structlog.stdlib.add_log_level, _facts],
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
            structlog.processors.format_exc_info,
            _without_secrets(settings),
            _ordered,
            render,
        ],
    )


def _facts(_: Any, __: str, event: Event) -> Event:
    record = event["_record"]
    event["logger"] = record.name
    event["process"] = _process
    event.setdefault("role", _process)
    if record.name.startswith(_TALKATIVE):
        event.pop("exc_info", None)
    return event


def _ordered(_: Any, __: str, event: Event) -> Event:
    event["message"] = event.pop("event", "")
    if "exception" in event:
        event["exception"] = event.pop("exception")  # last, as it is long
    return {name: event[name] for name in _ORDER if name in event} | dict(event)


def _text(_: Any, __: str, event: Event) -> str:
    """For people: facts behind the message; a trace, where there is one, on lines of its own."""
    said = dict(event)
    trace = said.pop("exception", "")
    who = said.pop("process")
    role = said.pop("role", who)
    time = str(said.pop("time"))[:23].replace("T", " ")
    head = (
        f"{time} {said.pop('level').upper()} {who if role == who else f'{who}/{role}'} {said.pop('logger')}:"
    )
    message = str(said.pop("message")).replace("\r", "\\r").replace("\n", "\\n")
    line = " ".join([head, message, *(f"{name}={value}" for name, value in said.items())])
    return f"{line}\n{trace}" if trace else line


def _without_secrets(settings: Settings) -> Callable[[Any, str, Event], Event]:
    secrets = _secrets(settings)

    def clean(text: str) -> str:
        for secret in secrets:
            if secret in text:
                text = text.replace(secret, "***")
        veil = _veil.get()
        return veil(text) if veil else text

    def processor(_: Any, __: str, event: Event) -> Event:
        for name, value in event.items():
            if isinstance(value, str):
                event[name] = clean(value)
        return event

    return processor


def _secrets(settings: Settings) -> list[str]:
    """What nobody may read in a log: keys, tokens, and the passwords inside addresses, in each of their spellings."""
    found = {
        settings.secret_key, *settings.secret_keys, settings.executor_token, settings.admin_password,
        settings.flower_password,
    }  # fmt: skip
    for url in (
        settings.database_url, settings.event_log_url, settings.broker_url, settings.object_store_url,
        settings.config_store_url, settings.ops_store_url, settings.broker_api_url,
    ):  # fmt: skip
        try:
            parts = urlsplit(url)
            # Consul's token stands where others have a user.
            password = parts.password or (parts.username if parts.scheme == "consul" else "") or ""
        except ValueError:
            continue
        found |= {password, unquote(password), quote(unquote(password), safe="")}
    return sorted((secret for secret in found if len(secret) >= _SHORTEST), key=len, reverse=True)
