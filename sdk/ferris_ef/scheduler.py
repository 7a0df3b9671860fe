"""Having a service run later, once or again and again."""

from __future__ import annotations

import time

from ferris_ef.wire import expect, http

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ferris_ef.values import Package


class Scheduler:
    """`scheduler.schedule(...)` and `scheduler.retry(...)`."""

    def __init__(self, package: Package) -> None:
        self._package = package

    def schedule(
        self,
        package_name_or_id: Any = None,
        event_name: Any = None,
        parameters: Any = None,
        cron_expression: str | None = None,
        *,
        minutes: float = 0,
        hours: float = 0,
        days: float = 0,
    ) -> Any:
        """Have a service run with these parameters; the schedule's id.

        When: `cron_expression` (again and again; "minute hour day month" without a weekday is once, in UTC), or
        once in so many `minutes`, `hours`, `days`. Without a service it is this one. ValueError when no time is given.
        The older positional form `schedule(minutes, hours, days, cron_expression)` is understood, too.
        """
        if isinstance(package_name_or_id, (int, float)) and not isinstance(package_name_or_id, bool):
            minutes, hours, days = package_name_or_id, event_name or 0, parameters or 0
            package_name_or_id = event_name = parameters = None
        when = cron_expression or in_time(minutes, hours, days)
        return self._add(
            package_name_or_id or self._package.id, event_name or self._package.name, when, parameters
        )

    def retry(
        self,
        minutes: float = 0,
        hours: float = 0,
        days: float = 0,
        cron_expression: str | None = None,
        parameters: Any = None,
    ) -> Any:
        """Have this service run again; see `schedule`."""
        when = cron_expression or in_time(minutes, hours, days)
        return self._add(self._package.id, self._package.name, when, parameters)

    def _add(self, service: Any, name: str, when: str, parameters: Any) -> Any:
        body = {"name": name, "source": self._package.name, "schedule": when, "parameters": parameters or {}}
        status, value = http("POST", f"/services/{service}/schedule", body=body)
        return expect(status, value, "scheduling").get("scheduled_job_id")


def in_time(minutes: float, hours: float, days: float) -> str:
    """The absolute time "minute hour day month" in UTC, not sooner than in so much time."""
    seconds = (minutes + hours * 60 + days * 24 * 60) * 60
    if seconds <= 0:
        raise ValueError("say when: minutes, hours, days or cron_expression")
    due = time.gmtime(-(-(time.time() + seconds) // 60) * 60)
    return f"{due.tm_min} {due.tm_hour} {due.tm_mday} {due.tm_mon}"
