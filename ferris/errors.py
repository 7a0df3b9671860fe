"""What can go wrong, by kind. Every error says what was wrong and, where a person can act, how to mend it."""

from __future__ import annotations


class FerrisError(Exception):
    """Root of every error the platform raises on purpose."""


class ConfigError(FerrisError):
    """A setting is missing or wrong; raised at start, never later."""

    def __init__(self, setting: str, problem: str, remedy: str) -> None:
        super().__init__(setting, problem, remedy)
        self.setting, self.problem, self.remedy = setting, problem, remedy

    def __str__(self) -> str:
        return f"{self.setting} {self.problem}: {self.remedy}"


class EventError(FerrisError):
    """Bytes or values that are no CloudEvent this platform takes; `attribute` names the part at fault."""

    def __init__(self, attribute: str, problem: str) -> None:
        super().__init__(attribute, problem)
        self.attribute, self.problem = attribute, problem

    def __str__(self) -> str:
        return f"{self.attribute}: {self.problem}"


class ManifestError(FerrisError):
    """A file of a service holds something it must not; `key` is the JSON path inside `file`."""

    def __init__(self, file: str, key: str, problem: str) -> None:
        super().__init__(file, key, problem)
        self.file, self.key, self.problem = file, key, problem

    def __str__(self) -> str:
        return f"{self.file}: {self.key}: {self.problem}" if self.key else f"{self.file}: {self.problem}"


class BackendError(FerrisError):
    """A database, log or store did not do what was asked; trying again later may work."""

    def __init__(self, backend: str, problem: str, remedy: str) -> None:
        super().__init__(backend, problem, remedy)
        self.backend, self.problem, self.remedy = backend, problem, remedy

    def __str__(self) -> str:
        return f"{self.backend} {self.problem}: {self.remedy}"


class SourceError(BackendError):
    """A repository holds no such branch, folder or commit, or may not be asked: trying again helps nothing."""


class NoBranch(SourceError):
    """A repository has no branch or tag of that name."""


class Conflict(FerrisError):
    """Someone else changed it first, or it exists already."""


class NotFound(FerrisError):
    """There is nothing of that name."""
