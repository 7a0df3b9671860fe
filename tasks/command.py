"""The command of a Python script: interpreter, argument, environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from ferris.execution import ExecutionOrder, script_argument, script_environment
from tasks.environment import Environment
from tasks.relay import HOST
from tasks.runner import Command

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
    """How to run one Python script of the execution's package. What it leaves in `artifacts` will be kept."""
    return Command(
        python=environment.python,
        script=f"./{script}" if script.startswith("-") else script,  # else Python takes it for options
        folder=folder,
        environment={**environ, "FERRIS_ARTIFACTS": str(artifacts)},
        argument=script_argument(order).encode(),
        sdk_last=environment.sdk_last,
        bare=environment.bare,
    )
