"""Environment variables as typed values. What is wrong names the variable, the problem and the remedy."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping

from ferris.errors import ConfigError
from ferris.identity import Provider, is_safe, keys_of, mapping_of
from ferris.isolation import Ceiling, ResourceLimits, size_of
from ferris.public_addresses import Network, networks

_SHORTEST_PASSWORD = 12


class Variables:
    """Typed look-ups that name the variable, the problem and the remedy."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ

    def text(self, name: str, default: str) -> str:
        return self._environ.get(name) or default

    def flag(self, name: str, default: bool) -> bool:
        value = self.text(name, "1" if default else "0").lower()
        if value not in ("0", "1", "true", "false", "yes", "no"):
            raise ConfigError(name, f"is {value!r}, which is neither yes nor no", "set it to 1 or 0")
        return value in ("1", "true", "yes")

    def whole(self, name: str, default: int, *, low: int, high: int) -> int:
        value = self.text(name, str(default))
        if not value.isdecimal() or not low <= int(value) <= high:
            raise ConfigError(name, f"is {value!r}", f"set it to a whole number from {low} to {high}")
        return int(value)

    def seconds(self, name: str, default: float, *, low: float) -> float:
        value = self.text(name, str(default))
        try:
            number = float(value)
        except ValueError:
            number = float("nan")
        if not low <= number < 1e9:
            raise ConfigError(name, f"is {value!r}", f"set it to a number of seconds, at least {low}")
        return number

    def size(self, name: str, default: int | None) -> int:
        value = self.text(name, str(default or 0))
        size = size_of(value)
        if size is None:
            raise ConfigError(
                name, f"is {value!r}", "set it to bytes or a text such as 512MB; 0 for no limit"
            )
        return size

    def ceiling(self) -> Ceiling:
        return Ceiling(
            ResourceLimits(
                memory=self.size("FERRIS_CEILING_MEMORY", 0),
                cpu=self.seconds("FERRIS_CEILING_CPU", 0.0, low=0.0),
                files=self.whole("FERRIS_CEILING_FILES", 0, low=0, high=1_000_000),
                processes=self.whole("FERRIS_CEILING_PROCESSES", 0, low=0, high=1_000_000),
                file_size=self.size("FERRIS_CEILING_FILE_SIZE", 0),
            ),
            timeout=self.seconds("FERRIS_CEILING_TIMEOUT", 0.0, low=0.0),
        )

    def paths(self, name: str) -> tuple[str, ...]:
        found = tuple(path for path in self.text(name, "").split(":") if path)
        for path in found:
            if not path.startswith("/"):
                raise ConfigError(name, f"holds {path!r}", "write absolute paths, divided by colons")
        return found

    def hosts(self, name: str) -> tuple[str, ...]:
        found = tuple(one.strip().lower() for one in self.text(name, "").split(",") if one.strip())
        for one in found:
            try:
                if "/" in one:
                    ipaddress.ip_network(one, strict=False)
            except ValueError:
                raise ConfigError(
                    name,
                    f"holds {one!r}, which is no network",
                    "write names, *.names or networks such as 10.0.0.0/8",
                ) from None
        return found

    def networks(self, name: str) -> tuple[Network, ...]:
        try:
            return networks(text.strip() for text in self.text(name, "").split(",") if text.strip())
        except ValueError as error:
            raise ConfigError(
                name, f"holds what is no network: {error}", "write networks divided by commas"
            ) from None

    def providers(self) -> tuple[Provider, ...]:
        """The provider of FERRIS_OIDC_ISSUER, if there is one, and those that FERRIS_OIDC_PROVIDERS names."""
        try:
            keys = keys_of(self.text("FERRIS_OIDC_PROVIDERS", ""))
        except ValueError as error:
            raise ConfigError(
                "FERRIS_OIDC_PROVIDERS",
                f"holds {str(error)!r}",
                "name each provider once, by up to 20 small letters and digits, divided by commas",
            ) from None
        found: list[Provider] = []
        for key in ("", *keys):
            prefix = f"FERRIS_OIDC_{key.upper()}{'_' if key else ''}"
            if not key and not self.text(f"{prefix}ISSUER", ""):
                continue
            provider = self._provider(key, prefix)
            if any(provider.issuer.rstrip("/") == other.issuer.rstrip("/") for other in found):
                raise ConfigError(f"{prefix}ISSUER", "is another provider's as well", "name each issuer once")
            found.append(provider)
        return tuple(found)

    def _provider(self, key: str, prefix: str) -> Provider:
        issuer = self.address(f"{prefix}ISSUER")
        if not issuer:
            raise ConfigError(f"{prefix}ISSUER", "is missing", "set the provider's issuer")
        if not is_safe(issuer):
            raise ConfigError(f"{prefix}ISSUER", "is not https", "sign-ins travel encrypted: write https://")
        client = self.text(f"{prefix}CLIENT_ID", "")
        if not client:
            raise ConfigError(f"{prefix}CLIENT_ID", "is missing", "set what the provider calls Ferris")
        try:
            groups = mapping_of(self.text(f"{prefix}GROUPS", ""))
        except ValueError as error:
            raise ConfigError(
                f"{prefix}GROUPS", f"holds {str(error)!r}", "write there=here, divided by semicolons"
            ) from None
        domains = self.text(f"{prefix}DOMAINS", "").lower().split(",")
        return Provider(
            issuer=issuer.removesuffix("/.well-known/openid-configuration"),
            client_id=client,
            client_secret=self.text(f"{prefix}CLIENT_SECRET", ""),
            name=self.text(f"{prefix}NAME", key or "single sign-on")[:40],
            scopes=tuple(self.text(f"{prefix}SCOPES", "openid profile email").split()),
            groups_claim=self.text(f"{prefix}GROUPS_CLAIM", "groups"),
            groups=groups,
            admin_group=self.text(f"{prefix}ADMIN_GROUP", ""),
            domains=tuple(one.strip() for one in domains if one.strip()),
            newcomers=self.flag(f"{prefix}NEWCOMERS", True),
            link_by_email=self.flag(f"{prefix}LINK_EMAIL", False),
            asks_second_factor=self.flag(f"{prefix}MFA", False),
            signs_out=self.flag(f"{prefix}SIGN_OUT", False),
            key=key,
        )

    def span(self, name: str, default: tuple[int, int]) -> tuple[int, int]:
        value = self.text(name, f"{default[0]}-{default[1]}")
        first, _, last = value.partition("-")
        if not (first.isdecimal() and last.isdecimal() and 1 <= int(first) <= int(last) < 2**31):
            raise ConfigError(
                name, f"is {value!r}", "set it to a span of user ids nobody has, such as 61000-61999"
            )
        return int(first), int(last)

    def address(self, name: str) -> str:
        value = self.text(name, "")
        if value and not value.startswith(("http://", "https://")):
            raise ConfigError(
                name, "does not begin with http:// or https://", "write the whole address, or leave it empty"
            )
        return value

    def password(self, name: str) -> str:
        value = self.text(name, "")
        if value and len(value) < _SHORTEST_PASSWORD:
            raise ConfigError(
                name,
                f"has {len(value)} characters",
                f"set it to a random text of at least {_SHORTEST_PASSWORD} characters",
            )
        return value

    def choice(self, name: str, default: str, allowed: tuple[str, ...]) -> str:
        value = self.text(name, default).upper()
        if value not in allowed:
            raise ConfigError(name, f"is {value!r}", f"set it to one of {', '.join(allowed)}")
        return value
