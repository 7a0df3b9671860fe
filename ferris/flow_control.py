"""Flow control in manifest.json: `retry`, `concurrency`, `singleton`, `rate`, `priority`, `fair_share`. Read here,
decided in `ferris.retry`, `ferris.limits` and `ferris.precedence`.
"""

from __future__ import annotations

from typing import Any, Final

from ferris.attributes import shown
from ferris.documents import Section, near, whole_of
from ferris.lifecycle import Reason
from ferris.limits import ON_LIMIT, WAIT, Concurrency, Limits, Rate, is_path
from ferris.precedence import PATIENT, URGENT, Precedence, PriorityFrom
from ferris.retry import REASONS, Retry, Rule

MAX_TIMEOUT: Final = 30 * 86400
MAX_ATTEMPTS: Final = 100

MAX_CONCURRENCY: Final = 10_000
MAX_RATE: Final = 100_000
SHORTEST_PERIOD: Final = 0.1

_RETRY_KEYS = ("attempts", "delay", "backoff", "max_delay", "on_lost", "cron", "timezone", "on", "except")
_RULES = f'a list of {", ".join(REASONS)}, {{"exit_code": 75}}, {{"signal": "SIGKILL"}} or {{"error": "Connection*"}}'


def retry(section: Section) -> Retry:
    """The manifest's `retry`: a number of attempts, or an object."""
    given = section.get("retry")
    if given is None:
        return Retry()
    if not isinstance(given, dict):
        attempts = whole_of(given)
        if attempts is None or not 1 <= attempts <= MAX_ATTEMPTS:
            section.wrong(
                "retry", f'attempts from 1 to {MAX_ATTEMPTS}, or an object such as {{"attempts": 3}}'
            )
            return Retry()
        return Retry(attempts=attempts)
    inner = Section(given, section.file, "retry", section.notes)
    inner.known(_RETRY_KEYS)
    default = Retry()
    delay = inner.duration("delay", default.delay, 0, MAX_TIMEOUT)
    max_delay = inner.duration("max_delay", max(default.max_delay, delay), 0, MAX_TIMEOUT)
    if max_delay < delay:
        inner.wrong("max_delay", f"at least the delay, which is {delay:g} s")
    cron, zone = _cron(inner)
    only_on, lost = _rules(inner, "on")
    never_on, never_lost = _rules(inner, "except")
    return Retry(
        attempts=inner.whole("attempts", default.attempts, 1, MAX_ATTEMPTS),
        delay=delay,
        backoff=inner.number("backoff", default.backoff, 1, 100),
        max_delay=max_delay,
        on_lost=inner.flag("on_lost", lost) and not never_lost,
        cron=cron,
        timezone=zone,
        only_on=only_on,
        never_on=never_on,
    )


def _cron(inner: Section) -> tuple[str, str]:
    expression, zone = inner.get("cron"), inner.text("timezone", "UTC", limit=64)
    if expression is None:
        if inner.get("timezone") is not None:
            inner.notes.warning(
                inner.file, inner.key("timezone"), "means nothing without cron; it is ignored"
            )
        return "", "UTC"
    if not isinstance(expression, str):
        inner.wrong("cron", 'a cron expression such as "0 * * * *"')
        return "", "UTC"
    for name in ("delay", "backoff", "max_delay"):
        if inner.get(name) is not None:
            inner.notes.error(inner.file, inner.key(name), "stands beside cron; expected one of the two")
    from ferris import cron

    try:
        cron.validate(expression, zone)
    except cron.CronError as error:
        inner.notes.error(inner.file, inner.key("cron"), str(error))
        return "", "UTC"
    return " ".join(expression.split()), zone


def _rules(inner: Section, name: str) -> tuple[tuple[Rule, ...], bool]:
    """The rules of `on` or `except`, and whether `executor_lost` is among them: of that the platform decides."""
    given = inner.get(name)
    if given is None:
        return (), False
    reasons: list[str] = []
    rules: list[Rule] = []
    lost = False
    for index, item in enumerate(given if isinstance(given, list) else [given]):
        if item == Reason.EXECUTOR_LOST:
            lost = True
        elif isinstance(item, str) and item in REASONS:
            reasons.append(item)
        elif isinstance(item, dict) and len(item) == 1 and (rule := _rule(*next(iter(item.items())))):
            rules.append(rule)
        else:
            hint = near(item, REASONS) if isinstance(item, str) else ""
            inner.notes.error(
                inner.file, f"{inner.key(name)}[{index}]", f"is {shown(item)}{hint}; expected {_RULES}"
            )
    if reasons:
        rules.insert(0, Rule("reason", tuple(dict.fromkeys(reasons))))
    elif lost and not rules:
        rules.append(Rule("reason", (Reason.EXECUTOR_LOST.value,)))  # that one, and no other
    return tuple(rules), lost


def _rule(kind: str, given: Any) -> Rule | None:
    values = given if isinstance(given, list) else [given]
    if kind == "exit_code":
        codes = [whole_of(value) for value in values]
        if codes and all(code is not None and 1 <= code <= 255 for code in codes):
            return Rule(kind, tuple(code for code in codes if code is not None))
    elif (
        kind in ("signal", "error")
        and values
        and all(isinstance(v, str) and 0 < len(v) < 500 for v in values)
    ):
        return Rule(kind, tuple(v.strip().upper() if kind == "signal" else v for v in values))
    return None


def concurrency(section: Section) -> Concurrency | None:
    """The manifest's `concurrency`, a number or an object, or its `singleton`."""
    given, single = section.get("concurrency"), section.flag("singleton", False)
    if single:
        if given is not None:
            section.notes.error(
                section.file, section.key("singleton"), "stands beside concurrency; expected one of the two"
            )
        return Concurrency(1)
    if given is None:
        return None
    expected = (
        f'a number from 1 to {MAX_CONCURRENCY}, or an object such as {{"limit": 2, "key": "data.customer"}}'
    )
    if not isinstance(given, dict):
        limit = whole_of(given)
        if limit is None or not 1 <= limit <= MAX_CONCURRENCY:
            section.wrong("concurrency", expected)
            return None
        return Concurrency(limit)
    inner = Section(given, section.file, section.key("concurrency"), section.notes)
    inner.known(("limit", "key", "on_limit"))
    return Concurrency(inner.whole("limit", 1, 1, MAX_CONCURRENCY), _key(inner), _on_limit(inner))


def rate(section: Section) -> Rate | None:
    """The manifest's `rate`: `{"limit": 100, "per": "1m", "key": "data.customer"}`."""
    given = section.get("rate")
    if given is None:
        return None
    if not isinstance(given, dict):
        section.wrong("rate", 'an object such as {"limit": 100, "per": "1m"}')
        return None
    inner = Section(given, section.file, section.key("rate"), section.notes)
    inner.known(("limit", "per", "key", "on_limit"))
    for name in ("limit", "per"):
        if inner.get(name) is None:
            inner.notes.error(inner.file, inner.key(name), 'is missing; expected {"limit": 100, "per": "1m"}')
    return Rate(
        inner.whole("limit", 1, 1, MAX_RATE),
        inner.duration("per", 60.0, SHORTEST_PERIOD, MAX_TIMEOUT),
        _key(inner),
        _on_limit(inner),
    )


def priority(section: Section, default: int) -> tuple[int, PriorityFrom | None]:
    """The manifest's `priority`: a number, or where in the event to find it and the number for events without."""
    given = section.get("priority")
    if not isinstance(given, dict):
        return section.whole("priority", default, URGENT, PATIENT), None
    inner = Section(given, section.file, section.key("priority"), section.notes)
    inner.known(("key", "default", "values"))
    if inner.get("key") is None:
        inner.notes.error(
            inner.file, inner.key("key"), 'is missing; expected {"key": "data.urgency", "default": 5}'
        )
    found = PriorityFrom(_key(inner), _values(inner))
    return inner.whole("default", default, URGENT, PATIENT), found if found.key else None


def _values(inner: Section) -> dict[str, int]:
    given = inner.get("values")
    if given is None:
        return {}
    if not isinstance(given, dict) or not given:
        inner.wrong("values", 'an object such as {"gold": 2, "free": 8}')
        return {}
    each = Section(given, inner.file, inner.key("values"), inner.notes)
    return {str(name): each.whole(name, PATIENT, URGENT, PATIENT) for name in given}


def precedence(section: Section, priority_from: PriorityFrom | None, limits: Limits) -> Precedence:
    """Who goes first: `fair_share`, without it the key of `concurrency`, or else that of `rate`."""
    key = _key(section, "fair_share")
    for limit in (limits.concurrency, limits.rate):
        key = key or (limit.key if limit else "")
    return Precedence(priority_from, key)


def _key(inner: Section, name: str = "key") -> str:
    key = inner.get(name)
    if key is None:
        return ""
    if not is_path(key):
        inner.wrong(name, 'a path into the event, such as "data.customer" or "subject"')
        return ""
    return str(key)


def _on_limit(inner: Section) -> str:
    wanted = inner.text("on_limit", WAIT)
    if wanted not in ON_LIMIT:
        inner.wrong("on_limit", " or ".join(f'"{name}"' for name in ON_LIMIT))
        return WAIT
    return wanted
