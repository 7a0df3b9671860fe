"""How git gets at a repository that asks who comes: a deploy key, a token, the host keys that are known.

What is secret lies in files that only this user can read, in a private folder that goes afterwards: never in the
command line, the environment, or git's own configuration of the checkout.
"""

from __future__ import annotations

import base64
import contextlib
import ipaddress
import os
import shlex
import shutil
import socket
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.request import getproxies, proxy_bypass

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ferris.errors import BackendError, SourceError
from ferris.repositories import HTTPS, SSH, Place, address_problem, host_keys, place_of

_SSH_OPTIONS = (
    "BatchMode=yes", "ConnectTimeout=20", "ServerAliveInterval=15", "ServerAliveCountMax=4", "HashKnownHosts=no",
    "UpdateHostKeys=no", "ForwardAgent=no", "ForwardX11=no", "ClearAllForwardings=yes", "PermitLocalCommand=no",
    "StrictHostKeyChecking=accept-new",
)  # fmt: skip
_CONFIG_SECONDS = 10.0


class HostKeyChanged(BackendError):
    """The host shows another key than the one that is known. `offered`: lines of known_hosts with what it shows."""

    def __init__(self, host: str, known: str, offered: str) -> None:
        super().__init__(
            host,
            f"shows another host key ({_shown(offered)}) than the one that is known ({_shown(known)}); "
            "nothing was fetched",
            "ask who runs it whether its key was changed; if so, accept the new key on the project's page",
        )
        self.offered = offered


@dataclass(frozen=True, slots=True)
class Access:
    """What a repository is opened with. Without anything: as the user who runs the platform would."""

    private_key: str = field(default="", repr=False)
    token: str = field(default="", repr=False)
    username: str = "git"
    known_hosts: str = ""
    hosts: Sequence[str] = ()  # that may be asked; see `address_problem`


class Door:
    """Arguments and environment for git while it is open, and the host keys that were learned."""

    def __init__(self, place: Place | None, access: Access, folder: Path) -> None:
        self._place, self._access, self._folder = place, access, folder
        self.arguments: tuple[str, ...] = ()
        self.environment: Mapping[str, str] = {}
        self._known = folder / "known_hosts"
        self._address: tuple[str, ...] = ()
        if place is not None and place.host:
            address = _allowed(place, access.hosts)
            if place.scheme == SSH:
                self._ssh(place, address)
            elif place.scheme == HTTPS:
                self._https(place, address)

    def _ssh(self, place: Place, address: str) -> None:
        known = self._access.known_hosts
        if address and not _led_elsewhere(place.host):
            # The address that was looked at is the one that is asked. Its key is still the name's.
            alias = place.host if place.port == 22 else f"[{place.host}]:{place.port}"
            self._address = (f"HostName={address}", f"HostKeyAlias={alias}", "CheckHostIP=no")
        _write(self._known, known)
        if self._access.private_key:
            _write(self._folder / "key", self._access.private_key)
        self.environment = {
            "GIT_SSH_COMMAND": self._command(self._known, pinned=bool(known)),
            "GIT_SSH_VARIANT": "ssh",
        }

    def _command(self, known: Path, *, pinned: bool, nobody: bool = False) -> str:
        # The administrator's own command, if any, stays in front: a jump host, another program.
        words = [os.environ.get("GIT_SSH_COMMAND") or "ssh"]
        options = [*_SSH_OPTIONS, *self._address]
        if nobody:
            options += [
                "PubkeyAuthentication=no",
                "PasswordAuthentication=no",
                "PreferredAuthentications=none",
            ]
        elif self._access.private_key:
            words += ["-i", shlex.quote(str(self._folder / "key"))]
            options += ["IdentitiesOnly=yes", "IdentityAgent=none", "PasswordAuthentication=no"]
        # Until a key is pinned here, one that the machine's administrator wrote down counts as well.
        files = f'"{known}"' if pinned else f'"{known}" ~/.ssh/known_hosts ~/.ssh/known_hosts2'
        options += [f"UserKnownHostsFile={files}"] + (["GlobalKnownHostsFile=/dev/null"] if pinned else [])
        return " ".join([*words, *(f"-o {shlex.quote(option)}" for option in options)])

    def offered(self) -> str:
        """The ssh command of somebody who knows no host and has no key: what the host shows is kept, no more."""
        probe = self._folder / "offered"
        _write(probe, "")
        return self._command(probe, pinned=True, nobody=True)

    def _https(self, place: Place, address: str) -> None:
        arguments: list[str] = ["-c", "http.followRedirects=false"]
        if address:  # the address that was looked at is the one that is asked
            shown = f"[{address}]" if ":" in address else address
            arguments += ["-c", f"http.curloptResolve={place.host}:{place.port}:{shown}"]
        if self._access.token:
            pair = base64.b64encode(f"{self._access.username}:{self._access.token}".encode()).decode()
            port = "" if place.port == 443 else f":{place.port}"
            host = f"[{place.host}]" if ":" in place.host else place.host
            config = self._folder / "config"
            _write(config, f'[http "https://{host}{port}/"]\n\textraHeader = "Authorization: Basic {pair}"\n')
            arguments += ["-c", "credential.helper=", "-c", f"include.path={config}"]
        self.arguments = tuple(arguments)

    @property
    def learned(self) -> str:
        """The host keys that are known now, as lines of known_hosts."""
        return self._read(self._known)

    def learned_offered(self) -> str:
        """What the host showed when nobody was known."""
        return self._read(self._folder / "offered")

    def _read(self, path: Path) -> str:
        return path.read_text(errors="replace") if path.exists() else ""

    def changed(self) -> HostKeyChanged:
        """The error for a host whose key is another now."""
        return HostKeyChanged(
            self._place.host if self._place else "", self._access.known_hosts, self.learned_offered()
        )


@contextlib.contextmanager
def opened(url: str, access: Access, folder: Path) -> Iterator[Door]:
    """A door to this URL; `folder` is private, made for it and removed after it, also what a killed one left."""
    _forget(folder)
    folder.mkdir(parents=True, mode=0o700)
    try:
        yield Door(place_of(url), access, folder)
    finally:
        _forget(folder)


def deploy_key() -> tuple[str, str]:
    """A new Ed25519 pair: the private key as ssh reads it, and the public key in one line."""
    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    return private.decode(), public.decode()


def _allowed(place: Place, hosts: Sequence[str]) -> str:
    """The address to ask, looked at; empty when a proxy asks. BackendError for a host that may not be asked."""
    if place.scheme == HTTPS and getproxies().get("https") and not proxy_bypass(place.host):
        # The proxy looks the name up, and decides; a name that is an address is looked at all the same.
        problem = address_problem(place.host, _literal(place.host), hosts)
        addresses = []
    else:
        try:
            found = socket.getaddrinfo(place.host, place.port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            if place.scheme == SSH:
                return ""  # ssh may know another name for it
            raise BackendError(
                place.host, "cannot be found", "look at the URL, and at the name service"
            ) from None
        addresses = [str(one[4][0]) for one in found]
        problem = address_problem(place.host, addresses, hosts)
    if problem:
        raise SourceError(
            "git",
            f"may not ask this host: {problem}",
            "an administrator of the platform can allow it in FERRIS_GIT_HOSTS",
        )
    return addresses[0] if addresses and not _literal(place.host) else ""


def _led_elsewhere(host: str) -> bool:
    """True when the machine's administrator has told ssh another way to this host than its name: that one is kept."""
    if os.environ.get("GIT_SSH_COMMAND"):
        return True
    try:
        said = subprocess.run(
            ("ssh", "-G", host),
            capture_output=True,
            text=True,
            timeout=_CONFIG_SECONDS,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired):
        return True  # git says it better
    lines = (line.partition(" ") for line in said.stdout.splitlines())
    found = {word: rest for word, _, rest in lines}
    ways = ("proxyjump", "proxycommand", "hostkeyalias")
    return found.get("hostname", "").lower() != host or any(found.get(way, "none") != "none" for way in ways)


def _literal(host: str) -> list[str]:
    try:
        return [str(ipaddress.ip_address(host))]
    except ValueError:
        return []


def _shown(known_hosts: str) -> str:
    return ", ".join(f"{key.kind} {key.fingerprint}" for key in host_keys(known_hosts)) or "none"


def _write(path: Path, text: str) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600), "w") as file:
        file.write(text)


def _forget(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
