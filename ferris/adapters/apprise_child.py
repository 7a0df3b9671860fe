"""A process of its own that talks to one Apprise target: `python -m ferris.adapters.apprise_child`.

Apprise and its plugins open connections where and how they like, and follow redirects. Here every connection of the
process passes one place, which lets through only to addresses that are allowed, as they are when they are connected
to. What it reads: a JSON object on standard input. What it says: a JSON object on standard output.
"""

from __future__ import annotations

import json
import socket
import sys
from collections.abc import Callable
from typing import Any

from ferris.public_addresses import Network, networks, refusal


def guard(allowed: tuple[Network, ...], refused: list[str]) -> None:
    """From now on no socket of this process reaches an address that is not allowed."""
    plain: dict[str, Callable[..., Any]] = {
        name: getattr(socket.socket, name) for name in ("connect", "connect_ex", "sendto", "sendmsg", "bind")
    }

    def checked(name: str, place: int) -> Callable[..., Any]:
        def call(one: socket.socket, *arguments: Any) -> Any:
            address = arguments[place] if place < len(arguments) or place < 0 else None
            if address is not None:
                host = address[0] if isinstance(address, tuple) else ""
                if one.family not in (socket.AF_INET, socket.AF_INET6) or not isinstance(host, str):
                    refused.append("only connections over IP are allowed")
                    raise ConnectionRefusedError("not allowed")
                numeric = socket.getaddrinfo(host, address[1], family=one.family)[0][4]
                if why := refusal(str(numeric[0]), allowed):
                    refused.append(why)
                    raise ConnectionRefusedError("not allowed")
                arguments = (*arguments[:place], numeric, *(arguments[place + 1 :] if place >= 0 else ()))
            return plain[name](one, *arguments)

        return call

    socket.socket.connect = checked("connect", 0)  # type: ignore[method-assign]
    socket.socket.connect_ex = checked("connect_ex", 0)  # type: ignore[method-assign]
    socket.socket.sendto = checked("sendto", -1)  # type: ignore[method-assign]

    def never(*_: Any, **__: Any) -> Any:
        raise PermissionError("not allowed")

    socket.socket.sendmsg = never  # type: ignore[method-assign]
    socket.socket.bind = never  # type: ignore[method-assign]


def main() -> None:
    """Look at a target, or send one message to it."""
    said = json.loads(sys.stdin.read())
    refused: list[str] = []
    guard(networks(said["allowed"]), refused)
    import logging

    import apprise

    logging.disable(logging.CRITICAL)
    asset = apprise.AppriseAsset(plugin_paths=None, secure_logging=True)
    target = apprise.Apprise.instantiate(said["url"], asset=asset, suppress_exceptions=True)
    if target is None:
        answer = {"ok": False, "problem": "Apprise does not know such a target"}
    elif "body" not in said:
        answer = {"ok": True, "name": str(target.service_name)}
    else:
        sender = apprise.Apprise(asset=asset)
        sender.add(target)
        ok = bool(sender.notify(title=said["title"], body=said["body"], body_format="text"))
        why = refused[0] + ": not allowed (see FERRIS_ALLOW_PRIVATE)" if refused else "it was not accepted"
        answer = {"ok": ok, "problem": "" if ok else why}
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
