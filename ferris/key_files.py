"""Keys that must stay the same from start to start: files that only their owner may read, made on first use."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from pathlib import Path

from ferris.encryption_keys import Stamp, key_new, keys_stamp
from ferris.errors import ConfigError


class KeyFiles:
    """Key files in `<home>/keys`, made on first use; two processes starting at once agree on one."""

    def __init__(self, home: Path) -> None:
        self._folder = home / "keys"

    def lines(self, name: str, make: Callable[[], str]) -> tuple[str, ...]:
        path = self._folder / name
        try:
            if not path.exists():
                self._create(path, make())
            found = tuple(line for line in path.read_text().split() if line)
        except OSError as error:
            raise ConfigError(
                "FERRIS_HOME",
                f"{path} cannot be read or made: {error.strerror}",
                "give this user the folder, or choose another",
            ) from error
        if not found:
            raise ConfigError("FERRIS_HOME", f"{path} is empty", "restore it from the backup of this home")
        return found

    def encryption(self, given: str) -> tuple[tuple[str, ...], Stamp | None]:
        """The encryption keys: those that are given, or those of the file with its stamp from before it was read."""
        if given:
            return tuple(given.split(",")), None
        self.lines("encryption.keys", key_new)
        stamp = keys_stamp(self._folder.parent)
        return self.lines("encryption.keys", key_new), stamp

    def _create(self, path: Path, content: str) -> None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        part = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(content + "\n")
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(part, path)  # fails when another process was first: its key is then the one
        except FileExistsError:
            pass
        finally:
            part.unlink()
