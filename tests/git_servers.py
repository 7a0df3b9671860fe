"""Real servers of git repositories for tests, on this machine and as this user: over ssh and over https."""

from __future__ import annotations

import asyncio
import base64
import http.server
import os
import shlex
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncssh
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


@dataclass
class SshServer:
    """Lets in who holds one of `keys` (public lines), and runs git-upload-pack in a folder."""

    root: Path
    keys: list[str] = field(default_factory=list)
    port: int = 0
    logins: int = 0
    _loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.new_event_loop)
    _server: Any = None

    def url(self, name: str = "") -> str:
        return f"ssh://git@127.0.0.1:{self.port}{self.root / name}"

    def start(self, host_key: Any = None) -> None:
        """Listen, with a new host key unless one is given; again on the same port."""
        self._run(self._listen(host_key or asyncssh.generate_private_key("ssh-ed25519")))

    def stop(self) -> None:
        async def close() -> None:
            self._server.close()
            await self._server.wait_closed()

        self._run(close())

    def _run(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(60)

    async def _listen(self, host_key: Any) -> None:
        server = self

        class Door(asyncssh.SSHServer):
            def begin_auth(self, username: str) -> bool:
                return True

            def public_key_auth_supported(self) -> bool:
                return True

            def validate_public_key(self, username: str, key: Any) -> bool:
                line = key.export_public_key().decode().split()[1]
                return any(line == one.split()[1] for one in server.keys)

        self._server = await asyncssh.listen(
            "127.0.0.1", self.port, server_factory=Door, server_host_keys=[host_key],
            process_factory=self._serve, encoding=None,
        )  # fmt: skip
        self.port = self._server.sockets[0].getsockname()[1]

    async def _serve(self, process: Any) -> None:
        self.logins += 1
        words = shlex.split(process.command or "")
        if words[:1] != ["git-upload-pack"]:
            process.exit(1)
            return
        pack = await asyncio.create_subprocess_exec(
            "git", "upload-pack", words[1], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env={**os.environ, "GIT_PROTOCOL": process.env.get("GIT_PROTOCOL", "")},
        )  # fmt: skip

        async def pump(source: Any, target: Any) -> None:
            while data := await source.read(1 << 16):
                target.write(data)
                await target.drain()

        async def ask() -> None:
            await pump(process.stdin, pack.stdin)
            pack.stdin.close()

        asking = asyncio.ensure_future(ask())
        await asyncio.gather(pump(pack.stdout, process.stdout), pump(pack.stderr, process.stderr))
        asking.cancel()
        process.exit(await pack.wait())


@contextmanager
def ssh_server(root: Path) -> Iterator[SshServer]:
    """One with a new host key, ended afterwards."""
    server = SshServer(root)
    thread = threading.Thread(target=server._loop.run_forever, daemon=True)
    thread.start()
    server.start()
    try:
        yield server
    finally:
        server.stop()
        server._loop.call_soon_threadsafe(server._loop.stop)
        thread.join(60)


@dataclass
class HttpsServer:
    """Gives out repositories to who comes with this user and token; `/moved/` leads elsewhere."""

    port: int
    certificate: Path
    seen: list[str]

    def url(self, name: str, host: str = "localhost") -> str:
        return f"https://{host}:{self.port}/{name}"


@contextmanager
def https_server(root: Path, folder: Path, user: str, token: str) -> Iterator[HttpsServer]:
    """git's own http-backend behind TLS."""
    certificate = _certificate(folder)
    seen: list[str] = []
    wanted = "Basic " + base64.b64encode(f"{user}:{token}".encode()).decode()

    class Handler(http.server.BaseHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            pass

        def do_GET(self) -> None:
            self._answer()

        def do_POST(self) -> None:
            self._answer()

        def _answer(self) -> None:
            given = self.headers.get("Authorization", "")
            seen.append(given)
            if self.path.startswith("/moved/"):
                self.send_response(301)
                self.send_header("Location", self.path.removeprefix("/moved"))
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            if given != wanted:
                self.send_response(401)
                self.send_header("WWW-Authenticate", 'Basic realm="git"')
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            path, _, query = self.path.partition("?")
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            environment = {
                **os.environ, "GIT_PROJECT_ROOT": str(root), "GIT_HTTP_EXPORT_ALL": "1", "PATH_INFO": path,
                "QUERY_STRING": query, "REQUEST_METHOD": self.command, "REMOTE_USER": user,
                "CONTENT_TYPE": self.headers.get("Content-Type", ""), "CONTENT_LENGTH": str(len(body)),
                "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
                "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
            }  # fmt: skip
            done = subprocess.run(
                ("git", "http-backend"),
                input=body,
                env=environment,
                capture_output=True,
                timeout=30,
                check=False,
            )
            head, _, content = done.stdout.partition(b"\r\n\r\n")
            headers = dict(line.decode().split(": ", 1) for line in head.split(b"\r\n"))
            self.send_response(int(headers.pop("Status", "200").split()[0]))
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield HttpsServer(server.server_address[1], certificate, seen)
    finally:
        server.shutdown()
        server.server_close()


def _certificate(folder: Path) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / "certificate.pem"
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        + made.public_bytes(serialization.Encoding.PEM)
    )
    return path
