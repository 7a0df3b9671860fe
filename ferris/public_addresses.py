"""Which addresses the platform connects to when somebody outside its administration names the target.

A subscription's URL or a notification's server is written by a project's people: it must not lead into the
platform's own network. Public addresses are free; others only if an administrator allows their network.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from typing import Final

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address

# An IPv4 address stands in the last 32 bits: NAT64, IPv4-compatible, IPv4-mapped.
_CARRIES: Final[tuple[Network, ...]] = tuple(
    ipaddress.ip_network(text) for text in ("64:ff9b::/96", "64:ff9b:1::/48", "::/96", "::ffff:0:0/96")
)
# Beside what `is_global` knows: addresses that carry another one inside them, and what clouds give their own.
_CLOSED: Final[tuple[Network, ...]] = (
    *_CARRIES,
    *map(
        ipaddress.ip_network,
        (
            "168.63.129.16/32",  # a cloud's metadata under a public address
            "192.88.99.0/24",  # 6to4 relays
            "2002::/16",  # 6to4: an IPv4 address inside
            "2001::/32",  # Teredo: likewise
            "fec0::/10",  # site-local
            "5f00::/16",  # segment routing
        ),
    ),
)
_METADATA: Final = frozenset(  # where clouds tell a machine its secrets, beside the link-local ones
    ipaddress.ip_address(text)
    for text in ("fd00:ec2::254", "fd20:ce::254", "100.100.100.200", "168.63.129.16", "192.0.0.192")
)


def networks(texts: Iterable[str]) -> tuple[Network, ...]:
    """The networks of such texts (10.0.0.0/8, 127.0.0.1, fd00::/8). ValueError says which is none."""
    found: list[Network] = []
    for text in texts:
        try:
            found.append(ipaddress.ip_network(text))
        except ValueError:
            raise ValueError(f"{text!r} is no network such as 10.0.0.0/8") from None
    return tuple(found)


def refusal(text: str, allowed: Iterable[Network] = ()) -> str:
    """Why nobody may connect to this address; empty when it is public, or its network is allowed."""
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return f"{text} is no address"
    # ::ffff:10.0.0.1 reaches 10.0.0.1: it is judged as what it reaches.
    address = getattr(address, "ipv4_mapped", None) or address
    if any(address.version == network.version and address in network for network in allowed):
        return ""
    kind = _kind(address)
    return f"{address} is {kind}" if kind else ""


def _kind(address: Address) -> str:
    for holds, kind in (
        (address.is_unspecified, "unspecified"),
        (address.is_loopback, "this machine itself"),
        (address.is_link_local, "link-local"),
        (address.is_multicast, "multicast"),
        (address.is_private, "private"),
        (not address.is_global or address.is_reserved, "not public"),
        (any(address.version == n.version and address in n for n in _CLOSED), "not public"),
    ):
        if holds:
            return kind
    return ""


def own(address: Address) -> str:
    """Why not even somebody who may ask the servers of the own network asks this address; empty when there is no
    reason: it is this machine, its link, or a cloud's metadata, or leads there by another spelling."""
    for place in (address, *_carried(address)):
        for holds, kind in (
            (place.is_loopback or place.is_unspecified, "this machine"),
            (place.is_link_local or place.is_multicast, "on its link"),
            (place in _METADATA, "a cloud's metadata"),
        ):
            if holds:
                return kind
    return ""


def _carried(address: Address) -> tuple[Address, ...]:
    if isinstance(address, ipaddress.IPv4Address):
        return ()
    inner = [address.sixtofour, *(address.teredo or ())]
    if any(address in network for network in _CARRIES):
        inner.append(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
    return tuple(one for one in inner if one is not None)
