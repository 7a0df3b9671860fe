"""`context.logging`: a logger of the standard library whose records reach the platform with their level."""

from __future__ import annotations

import logging
import sys

from ferris_ef.wire import PlatformError, tell


class ToExecutor(logging.Handler):
    """Records go to the executor as they are, not through standard output."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            message = self.format(record)
            tell({"op": "log", "level": _level(record.levelno), "message": message, "logger": record.name})
        except PlatformError:
            sys.stderr.write(f"{record.levelname}: {self.format(record)}\n")
        except Exception:
            self.handleError(record)


def logger(name: str, handler: logging.Handler, level: object) -> logging.Logger:
    """The service's logger. It hands nothing on to the root logger: lines would come twice."""
    made = logging.getLogger(f"ferris.{name}")
    made.handlers[:] = [handler]
    made.propagate = False
    wanted = str(level or "INFO").upper()
    made.setLevel(wanted if isinstance(logging.getLevelName(wanted), int) else "INFO")
    return made


def _level(number: int) -> str:
    for limit, name in ((50, "critical"), (40, "error"), (30, "warning"), (20, "info")):
        if number >= limit:
            return name
    return "debug"
