"""Is a webhook's request genuine? One `Check` for each way in which providers sign or name themselves; it signs too.

Every comparison takes the same time whatever is wrong, and looks at every secret: two while one replaces the other.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

STANDARD: Final = "standard"
GITHUB: Final = "github"
STRIPE: Final = "stripe"
HMAC: Final = "hmac"
TOKEN: Final = "token"  # noqa: S105 - the name of a kind
NONE: Final = "none"
KINDS: Final = {
    STANDARD: "Standard Webhooks",
    GITHUB: "GitHub (X-Hub-Signature-256)",
    STRIPE: "Stripe (Stripe-Signature)",
    HMAC: "HMAC in a header",
    TOKEN: "Token in a header",
    NONE: "None: whoever knows the address may send",
}
ALGORITHMS: Final = ("sha256", "sha512", "sha384", "sha1")
ENCODINGS: Final = ("hex", "base64")
WINDOW_SECONDS: Final = 300

_HEADER: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")
_SIGNED: Final = re.compile(r"[^{}]*(\{timestamp\}[^{}]*)?\{body\}[^{}]*")
_SECONDS: Final = re.compile(r"[0-9]{1,12}")
_OPTIONS: Final[dict[str, dict[str, str]]] = {
    HMAC: {
        "header": "X-Signature",
        "algorithm": "sha256",
        "encoding": "hex",
        "prefix": "",
        "signed": "{body}",
        "timestamp_header": "",
    },
    TOKEN: {"header": "Authorization", "prefix": "Bearer "},
}


class NotGenuine(Exception):
    """A request whose sender did not prove itself. The text is for administrators, never for the sender."""


class WrongSetting(Exception):
    """A setting that is none: `field` and what is wrong with it."""

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field} {problem}")
        self.field = field
        self.problem = problem


@dataclass(frozen=True)
class Check:
    """How requests of one source prove themselves. Made by `parse`, which checks."""

    kind: str
    header: str = ""
    algorithm: str = "sha256"
    encoding: str = "hex"
    prefix: str = ""
    signed: str = "{body}"
    timestamp_header: str = ""

    @classmethod
    def parse(cls, kind: str, options: Mapping[str, Any]) -> Check:
        """The check of that kind. WrongSetting."""
        if kind not in KINDS:
            raise WrongSetting("kind", f"is {kind!r}; expected one of {', '.join(KINDS)}")
        known = _OPTIONS.get(kind, {})
        if unknown := sorted(set(options) - set(known)):
            expected = f"expected {', '.join(known)}" if known else f"{kind} takes none"
            raise WrongSetting("options", f"has {unknown[0]!r}; {expected}")
        if not all(isinstance(value, str) and len(value) <= 200 for value in options.values()):
            raise WrongSetting("options", "has a value that is no text of at most 200 characters")
        check = cls(kind, **{**known, **options})
        check._look()
        return check

    def _look(self) -> None:
        if self.kind in _OPTIONS and not _HEADER.fullmatch(self.header):
            raise WrongSetting("options", f"header is {self.header!r}; expected the name of a header")
        if self.algorithm not in ALGORITHMS:
            expected = ", ".join(ALGORITHMS)
            raise WrongSetting("options", f"algorithm is {self.algorithm!r}; expected one of {expected}")
        if self.encoding not in ENCODINGS:
            raise WrongSetting("options", f"encoding is {self.encoding!r}; expected hex or base64")
        if not _SIGNED.fullmatch(self.signed):
            raise WrongSetting(
                "options",
                "signed is no pattern; expected {body}, or {timestamp} before it: {timestamp}.{body}",
            )
        if ("{timestamp}" in self.signed) != bool(self.timestamp_header):
            raise WrongSetting(
                "options", "timestamp_header and {timestamp} in signed belong together: give both or none"
            )
        if self.timestamp_header and not _HEADER.fullmatch(self.timestamp_header):
            raise WrongSetting("options", "timestamp_header is not the name of a header")

    @property
    def timed(self) -> bool:
        """True when the moment of sending is signed, so that an old request can be told."""
        return self.kind in (STANDARD, STRIPE) or bool(self.timestamp_header)

    @property
    def private_headers(self) -> frozenset[str]:
        """Headers, in lower case, that prove the sender: never stored or passed on."""
        own = {
            GITHUB: {"x-hub-signature-256", "x-hub-signature"},
            STRIPE: {"stripe-signature"},
            STANDARD: {"webhook-signature", "svix-signature"},
        }.get(self.kind, {self.header.lower()})
        return frozenset(own | {"authorization", "proxy-authorization", "cookie"}) - {""}

    def check_secret(self, secret: str) -> None:
        """WrongSetting when it can be no secret of this kind."""
        if self.kind == NONE:
            raise WrongSetting("secret", "is given, but nothing is verified; choose another kind")
        if self.kind == STANDARD:
            if len(_standard_key(secret)) < 16:
                raise WrongSetting("secret", "is shorter than 16 bytes; Standard Webhooks asks for 24 to 64")
        elif not 8 <= len(secret) <= 500 or not secret.isprintable():
            raise WrongSetting("secret", "is not 8 to 500 printable characters")
        elif self.kind == TOKEN and (not secret.isascii() or " " in secret):
            raise WrongSetting("secret", "cannot stand in a header; expected ASCII without spaces")

    def new_secret(self) -> str:
        """One that nobody can guess."""
        if self.kind == STANDARD:
            return "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()
        return secrets.token_urlsafe(32)

    def verify(
        self,
        known: Sequence[str],
        headers: Mapping[str, str],
        body: bytes,
        *,
        now: datetime,
        window: int = WINDOW_SECONDS,
    ) -> None:
        """NotGenuine unless one of the known secrets made it, not longer ago than `window` seconds.

        Names of `headers` are in lower case.
        """
        if self.kind == NONE:
            return
        if not known:
            raise NotGenuine("there is no secret to verify it with")
        given, timestamp, lead = self._given(headers)
        if self.timed:
            _in_window(timestamp, now, window)
        found = False
        for secret in known:
            expected = self._proof(secret, lead, timestamp, body)
            for one in given:
                found |= hmac.compare_digest(one.encode("utf-8", "surrogateescape"), expected.encode())
        if not found:
            what = "token" if self.kind == TOKEN else "signature"
            raise NotGenuine(f"the {what} fits no secret" if given else f"there is no {what} of a known form")

    def sign(self, secret: str, body: bytes, *, id: str, now: datetime) -> dict[str, str]:
        """The headers that prove it, as `verify` reads them."""
        timestamp = str(int(now.timestamp()))
        proof = "" if self.kind == NONE else self._proof(secret, id, timestamp, body)
        match self.kind:
            case "standard":
                return {"webhook-id": id, "webhook-timestamp": timestamp, "webhook-signature": f"v1,{proof}"}
            case "github":
                return {"X-Hub-Signature-256": f"sha256={proof}"}
            case "stripe":
                return {"Stripe-Signature": f"t={timestamp},v1={proof}"}
            case "none":
                return {}
        timed = {self.timestamp_header: timestamp} if self.timestamp_header else {}
        return {self.header: self.prefix + proof, **timed}

    def _given(self, headers: Mapping[str, str]) -> tuple[list[str], str, str]:
        """Proofs, timestamp and, for Standard Webhooks, the id, as the request states them."""
        if self.kind == STANDARD:
            name = (
                "webhook" if "webhook-id" in headers else "svix"
            )  # what it was called before it was a standard
            parts = [part.partition(",") for part in headers.get(f"{name}-signature", "").split(" ")]
            given = [value for version, _, value in parts if version == "v1"]
            return given, headers.get(f"{name}-timestamp", ""), headers.get(f"{name}-id", "")
        if self.kind == STRIPE:
            pairs = [pair.strip().partition("=") for pair in headers.get("stripe-signature", "").split(",")]
            timestamp = next((value for key, _, value in pairs if key == "t"), "")
            return [value for key, _, value in pairs if key == "v1"], timestamp, ""
        header, prefix = (
            ("x-hub-signature-256", "sha256=") if self.kind == GITHUB else (self.header.lower(), self.prefix)
        )
        value = headers.get(header, "")
        proof = value[len(prefix) :].strip() if value.lower().startswith(prefix.lower()) else ""
        if self.kind != TOKEN and self.encoding == "hex":
            proof = proof.lower()
        return [proof] if proof else [], headers.get(self.timestamp_header.lower(), ""), ""

    def _proof(self, secret: str, lead: str, timestamp: str, body: bytes) -> str:
        if self.kind == TOKEN:
            return secret
        if self.kind == STANDARD:
            content = f"{lead}.{timestamp}.".encode("utf-8", "surrogateescape") + body
            return base64.b64encode(hmac.digest(_standard_key(secret), content, "sha256")).decode()
        if self.kind == STRIPE:
            return hmac.digest(secret.encode(), f"{timestamp}.".encode() + body, "sha256").hex()
        before, _, after = self.signed.replace("{timestamp}", timestamp).partition("{body}")
        made = hmac.new(
            secret.encode(), before.encode() + body + after.encode(), getattr(hashlib, self.algorithm)
        )
        return made.hexdigest() if self.encoding == "hex" else base64.b64encode(made.digest()).decode()


def options_of(kind: str) -> dict[str, str]:
    """What can be set for that kind, with what holds when it is left out."""
    return dict(_OPTIONS.get(kind, {}))


def hidden(text: str, known: Sequence[str]) -> str:
    """The text without these secrets."""
    for secret in _spellings(known):
        text = text.replace(secret, "•••")
    return text


def _spellings(known: Sequence[str]) -> Iterator[str]:
    for secret in known:
        yield secret
        if secret.startswith("whsec_"):
            yield secret.removeprefix("whsec_")


def _standard_key(secret: str) -> bytes:
    try:
        return base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except (binascii.Error, ValueError):
        raise WrongSetting("secret", "is not whsec_ and base64 behind it") from None


def _in_window(timestamp: str, now: datetime, window: int) -> None:
    if not _SECONDS.fullmatch(timestamp):
        raise NotGenuine("there is no timestamp of a known form")
    away = now.timestamp() - int(timestamp)
    if abs(away) > window:
        side = "ago" if away > 0 else "ahead"
        raise NotGenuine(f"it was sent {abs(away):.0f} s {side}; the window is {window} s")
