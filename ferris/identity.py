"""What an OpenID Connect provider says of a person, and what that makes of them here. Values in, decisions out."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

_LONGEST_NAME = 150
_KEY = re.compile(r"[a-z][a-z0-9]{0,19}")
_NOT_IN_NAMES = re.compile(r"[^\w.@+-]+")


@dataclass(frozen=True)
class Provider:
    """Who signs people in, and by which rules. `groups`: pairs of a group there and the group here.

    `key` is its part of addresses and of its settings; the one whose settings have none has none.
    """

    issuer: str
    client_id: str
    client_secret: str = field(default="", repr=False)
    name: str = "single sign-on"
    scopes: tuple[str, ...] = ("openid", "profile", "email")
    groups_claim: str = "groups"
    groups: tuple[tuple[str, str], ...] = ()
    admin_group: str = ""
    domains: tuple[str, ...] = ()  # of addresses that may sign in; none: all
    newcomers: bool = True  # whoever has no account gets one
    link_by_email: bool = False
    asks_second_factor: bool = False  # so that nobody who comes from there is asked again here
    signs_out: bool = False  # whoever signs out here is signed out there as well
    key: str = ""


@dataclass(frozen=True)
class Identity:
    """A person as the provider describes them at one sign-in."""

    subject: str
    user_name: str
    full_name: str
    email: str
    email_verified: bool
    groups: frozenset[str]

    def in_domain(self, domains: tuple[str, ...]) -> bool:
        """True when there are no domains to be in, or the verified address is in one of them."""
        return not domains or (self.email_verified and self.email.rpartition("@")[2].lower() in domains)


def identity_of(claims: Mapping[str, Any], groups_claim: str) -> Identity:
    """The person whom these claims are about. ValueError without a subject.

    The user name is `preferred_username`, else the address, else made of the subject.
    """
    subject = _text(claims, "sub")
    if not subject:
        raise ValueError("the provider's answer has no subject (sub)")
    email = _text(claims, "email")
    name = _text(claims, "preferred_username") or email or f"user-{subject}"
    return Identity(
        subject=subject,
        user_name=_NOT_IN_NAMES.sub("-", name)[:_LONGEST_NAME],
        full_name=_text(claims, "name"),
        email=email if "@" in email and len(email) <= 254 else "",
        # Some providers say it as a text. Whatever else it is does not count, the number 1 neither.
        email_verified=claims.get("email_verified") is True or claims.get("email_verified") == "true",
        groups=groups_of(claims, groups_claim),
    )


def groups_of(claims: Mapping[str, Any], claim: str) -> frozenset[str]:
    """The person's groups: a list of texts or one text, in the claim of that name, or in one within objects
    (`realm_access.roles`). A claim that is missing or something else: none."""
    found: Any = claims
    if claim in claims:
        found = claims[claim]
    else:
        for part in claim.split("."):
            found = found.get(part) if isinstance(found, Mapping) else None
    if isinstance(found, str):
        found = [found]
    if not isinstance(found, list):
        return frozenset()
    return frozenset(one for one in found if isinstance(one, str) and "\0" not in one)


def groups_here(provider: Provider, theirs: frozenset[str]) -> tuple[frozenset[str], frozenset[str]]:
    """The groups that the mapping manages, and those of them that somebody with these groups there is in."""
    managed = frozenset(here for _, here in provider.groups)
    return managed, frozenset(here for there, here in provider.groups if there in theirs)


def mapping_of(text: str) -> tuple[tuple[str, str], ...]:
    """`there=here; there=here` as pairs; the last = of each divides, since names of directories hold some.

    ValueError names the pair that is none.
    """
    pairs = []
    for part in (one.strip() for one in text.split(";")):
        there, _, here = (one.strip() for one in part.rpartition("="))
        if part and not (there and 1 <= len(here) <= _LONGEST_NAME):
            raise ValueError(part)
        if part:
            pairs.append((there, here))
    return tuple(pairs)


def keys_of(text: str) -> tuple[str, ...]:
    """The further providers' keys, divided by commas. ValueError names the one that is none, or stands there twice."""
    keys = [one.strip() for one in text.split(",") if one.strip()]
    for n, key in enumerate(keys):
        # `back` is where the provider without a key answers.
        if not _KEY.fullmatch(key) or key == "back" or key in keys[:n]:
            raise ValueError(key)
    return tuple(keys)


def is_safe(address: str) -> bool:
    """True for where sign-ins may travel: https, or a provider on this machine itself."""
    try:
        parts = urlsplit(address)
        host = parts.hostname
    except ValueError:
        return False
    return bool(host) and (
        parts.scheme == "https" or (parts.scheme == "http" and host in ("localhost", "127.0.0.1", "::1"))
    )


def _text(claims: Mapping[str, Any], name: str) -> str:
    value = claims.get(name)
    return value.replace("\0", "").strip() if isinstance(value, str) else ""
