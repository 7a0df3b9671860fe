"""The scripts that compose.yaml mounts into servers, run against a listener; and make_env.py's imports."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
import threading
from base64 import b64encode
from collections.abc import Iterator
from fnmatch import fnmatch
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from ferris.adapters import elasticsearch_documents as documents
from ferris.ports import OPS_KINDS
from tests.unit.compose_file import COMPOSE


@pytest.mark.parametrize("path", sorted(COMPOSE.glob("*/*.sh")), ids=lambda path: path.parent.name)
def test_scripts_parse_and_show_no_password_in_the_process_list(path: Path) -> None:
    shell = "bash" if "bash" in path.read_text().splitlines()[0] else "sh"
    assert subprocess.run([shell, "-n", path], check=False).returncode == 0
    assert os.access(path, os.X_OK)
    for line in path.read_text().splitlines():
        assert not re.search(r"(--user|-u) |-d .*\$\w*PASSWORD", line), line


@pytest.fixture
def listener() -> Iterator[tuple[str, list[tuple[str, str, dict[str, str], bytes]]]]:
    """An HTTP server that agrees to everything, and what it was told."""
    told: list[tuple[str, str, dict[str, str], bytes]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            told.append((self.command, self.path, dict(self.headers), body))
            self.send_response(404 if "absent" in self.headers["Host"] else 200)
            self.end_headers()

        do_POST = do_PUT

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", told
    server.shutdown()
    server.server_close()


def run_script(name: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", COMPOSE / name],
        env={"PATH": os.environ["PATH"], **environ},
        capture_output=True,
        text=True,
        check=False,
    )


def test_users_of_elasticsearch_get_their_passwords_and_the_platform_its_indices_alone(listener: Any) -> None:
    url, told = listener
    passwords = {"ELASTIC_PASSWORD": "e-1", "KIBANA_PASSWORD": "k-2", "FERRIS_ELASTICSEARCH_PASSWORD": "f-3"}
    done = run_script("elasticsearch/users.sh", ELASTICSEARCH_URL=url, **passwords)
    assert done.returncode == 0, done.stderr
    said = {path.removeprefix("/_security/"): json.loads(body) for _, path, _, body in told}
    assert said["user/kibana_system/_password"] == {"password": "k-2"}
    assert said["user/ferris"] == {"password": "f-3", "roles": ["ferris"]}
    templates = [documents.template("ferris", kind)["index_patterns"][0] for kind in OPS_KINDS]
    (allowed,) = said["role/ferris"]["indices"]
    assert all(fnmatch(pattern, name) for pattern in templates for name in allowed["names"])
    assert {head["Authorization"] for _, _, head, _ in told} == {
        "Basic " + b64encode(b"elastic:e-1").decode()
    }
    assert not any(password in done.stdout + done.stderr for password in passwords.values())


def test_a_user_that_cannot_be_made_stops_the_start(listener: Any) -> None:
    url = listener[0].replace("127.0.0.1", "absent.localhost")
    done = run_script(
        "elasticsearch/users.sh",
        ELASTICSEARCH_URL=url, ELASTIC_PASSWORD="e", KIBANA_PASSWORD="k", FERRIS_ELASTICSEARCH_PASSWORD="f",
    )  # fmt: skip
    assert done.returncode != 0
    assert "404" in done.stderr


def test_the_generator_needs_no_package() -> None:
    tree = ast.parse((COMPOSE / "make_env.py").read_text())
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    assert names <= sys.stdlib_module_names
