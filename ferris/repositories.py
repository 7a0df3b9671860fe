"""Git repositories as values: what a URL says, which hosts may be asked, keys of hosts and their fingerprints."""

from __future__ import annotations

import base64
import binascii
import hashlib
import ipaddress
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import PurePosixPath
from typing import Final
from urllib.parse import urlsplit

from ferris.public_addresses import own

SSH, HTTPS, FILE = "ssh", "https", "file"
SCHEMES: Final = (HTTPS, SSH, FILE)
"""Ways to a repository. Git knows others: some start a program of the URL's choice (`ext::`), some are
neither encrypted nor signed (`http:`, `git:`).
"""
_PORTS: Final = {SSH: 22, HTTPS: 443}
_URL = re.compile(r"([a-z][a-z0-9+.\-]*)://", re.IGNORECASE)
_SCP_LIKE = re.compile(r"(?:(?P<user>[\w.\-]+)@)(?P<host>[\w.\-]+):(?!//).+")
_BRANCH = re.compile(r"(?!-)(?!.*(?:\.\.|//|@\{|\.lock(?:/|$)|/\.|/$|\.$))[^\x00-\x20\x7f~^:?*\[\\]+")
_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_KEY_TYPES = re.compile(r"(ssh|ecdsa|sk)-[\w\-@.]+")


@dataclass(frozen=True, slots=True)
class Place:
    """What a git URL points at. Without a host it is a file of this machine."""

    scheme: str
    host: str = ""
    port: int = 0


def place_of(url: str) -> Place | None:
    """The place of a git URL or of `user@host:path`; None for anything else, a plain folder too."""
    if scp := _SCP_LIKE.fullmatch(url):
        return Place(SSH, scp["host"].lower(), 22)
    if not _URL.match(url):
        return None
    try:
        parts = urlsplit(url)
        scheme, host, port = parts.scheme.lower(), parts.hostname or "", parts.port
    except ValueError:
        return None
    return Place(scheme, host, port or _PORTS.get(scheme, 0))


def branch_problem(name: str) -> str | None:
    """Why git has no branch or tag of this name, or None; empty is the default branch."""
    if name and not _BRANCH.fullmatch(name):
        return "is no name of a branch or tag"
    return None


def folder_problem(folder: str) -> str | None:
    """Why this is no sub-folder of a repository, or None; empty is its root."""
    path = PurePosixPath(folder)
    if not folder:
        return None
    if path.is_absolute() or ".." in path.parts or ".git" in path.parts or str(path) != folder:
        return "is no folder inside the repository: write it as services/shop, without / at the ends or .."
    if not folder.isprintable() or "\\" in folder or folder.startswith("-"):
        return "has characters that a folder here may not have"
    return None


def is_commit(text: str) -> bool:
    """True for the whole id of a commit."""
    return bool(_COMMIT.fullmatch(text))


def address_problem(host: str, addresses: Iterable[str], allowed: Sequence[str]) -> str | None:
    """Why a host at these addresses may not be asked, or None.

    `allowed` are names (`git.example.org`, `*.example.org`) and networks (`10.0.0.0/8`). Without any, every host may
    be asked but this machine itself, what answers on the link only, and a cloud's metadata service.
    """
    if any(fnmatchcase(host, pattern.lower()) for pattern in allowed if "/" not in pattern):
        return None
    for address in addresses:
        found = ipaddress.ip_address(address.partition("%")[0])
        found = getattr(found, "ipv4_mapped", None) or found
        if allowed:
            if not any(_within(found, network) for network in allowed):
                return f"{host} ({address}) is not among the hosts that may be asked"
        elif why := own(found):
            return f"{host} is {why}" if host == address else f"{host} is {address}, which is {why}"
    return None


def _within(address: ipaddress.IPv4Address | ipaddress.IPv6Address, network: str) -> bool:
    try:
        return address in ipaddress.ip_network(network, strict=False)
    except ValueError:
        return False


@dataclass(frozen=True, slots=True)
class HostKey:
    """One key by which a host is known."""

    host: str
    kind: str
    fingerprint: str

    def __str__(self) -> str:
        return f"{self.host} {self.kind} {self.fingerprint}"


def host_keys(known_hosts: str) -> list[HostKey]:
    """The keys in lines of a known_hosts file, as ssh shows them; what is no such line is left out."""
    found = []
    for line in known_hosts.splitlines():
        parts = line.split()
        if len(parts) >= 3 and _KEY_TYPES.fullmatch(parts[1]) and not line.startswith(("#", "@")):
            try:
                digest = hashlib.sha256(base64.b64decode(parts[2], validate=True)).digest()
            except (binascii.Error, ValueError):
                continue
            shown = base64.b64encode(digest).decode().rstrip("=")
            found.append(HostKey(parts[0], parts[1], f"SHA256:{shown}"))
    return found
