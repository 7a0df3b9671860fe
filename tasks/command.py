"""The command of each script: interpreter, argument, environment."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from ferris.execution import ExecutionOrder, script_argument, script_environment
from tasks.environment import Environment
from tasks.relay import HOST
from tasks.runner import Command

_SQL: Final = Path(__file__).resolve().parent / "sql" / "__main__.py"

# What a SQL step imports, and what takes longest: forks of a warm interpreter have it.
_SQL_IMPORTS: Final = (
    "sqlalchemy.dialects.sqlite.pysqlite sqlalchemy.dialects.postgresql.psycopg2 psycopg2 jinja2.sandbox"
)

# What scripts inherit of the executor's environment; everything else may be a secret.
_NAMES: Final = """
    PATH HOME USER LOGNAME SHELL LANG LANGUAGE TZ TMPDIR LD_LIBRARY_PATH SSL_CERT_FILE SSL_CERT_DIR
    REQUESTS_CA_BUNDLE CURL_CA_BUNDLE http_proxy https_proxy no_proxy HTTP_PROXY HTTPS_PROXY NO_PROXY
"""
_INHERITED: Final = frozenset(_NAMES.split())


def inherited(*prefixes: str) -> dict[str, str]:
    """The part of this process's environment that others may see, and what begins with these prefixes."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name in _INHERITED or name.startswith(("LC_", *prefixes))
    }
    kept.setdefault("LANG", "C.UTF-8")
    return kept


def variables(
    order: ExecutionOrder, channel: str, relay_port: int, environ: Mapping[str, str]
) -> dict[str, str]:
    """The environment of an execution's scripts, complete; `environ` is what they inherit."""
    return {
        **environ,
        **script_environment(order, relay_host=HOST, relay_port=relay_port, channel=channel),
    }


def command_of(
    order: ExecutionOrder,
    script: str,
    folder: Path,
    environment: Environment,
    environ: Mapping[str, str],
    artifacts: Path,
) -> Command:
    """How to run one script of the execution's package. What it leaves in `artifacts` will be kept."""
    own = {"FERRIS_ARTIFACTS": str(artifacts)}
    if script.endswith(".sql"):
        own["FERRIS_CHANNEL"] = environ["FERRIS_CHANNEL"]
        return _sql(order, script, folder, environment, own)
    return Command(
        python=environment.python,
        script=script,
        folder=folder,
        environment={**environ, **own},
        argument=script_argument(order).encode(),
        sdk_last=environment.sdk_last,
        bare=environment.bare,
    )


def _sql(
    order: ExecutionOrder, script: str, folder: Path, environment: Environment, own: Mapping[str, str]
) -> Command:
    """SQL runs in the platform's own Python, and gets no secret but the connections."""
    params = json.loads(script_argument(order))
    del params["secrets"]
    packages = Path(environment.python).parent.parent.glob("lib/python*/site-packages")
    said = {
        "script": script,
        "params": params,
        "connections": {name: dict(connection) for name, connection in order.connections.items()},
        "options": dict(order.sql),
        "packages": [str(path) for path in packages],  # behind the platform's own: pyarrow comes from there
    }
    return Command(
        python=sys.executable,
        script=str(_SQL),
        folder=folder,
        environment={**inherited(), **own, "FERRIS_WARM_IMPORTS": _SQL_IMPORTS},
        argument=json.dumps(said).encode(),
    )
